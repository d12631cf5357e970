package httpcache

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// appendPart appends a string behind its length: no two lists of parts give one text.
func appendPart(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// maxReadable is how much of a URI stands readable in a key. The hash behind it has all of it. With it
// every key is short enough to be stored as it is.
const maxReadable = 80

// key returns the full key of a request: its method, host and path for people and patterns, and a hash
// of everything that the response may depend on. The key of a request with a credential is a keyed
// hash alone.
func (h *Cache) key(a *ask, canonical []byte) string {
	var scratch [512]byte
	r := a.r
	b := appendPart(scratch[:0], a.method)
	b = appendPart(b, scheme(r))
	b = appendPart(b, strings.ToLower(r.Host))
	b = appendPart(b, r.URL.EscapedPath())
	b = appendPart(b, r.URL.RawQuery)
	if r.URL.ForceQuery {
		b = append(b, '?') // "/a?" is not "/a"
	}
	if a.method != http.MethodGet {
		b = appendPart(b, strings.ToLower(r.Header.Get("Content-Type")))
		b = appendPart(b, r.Header.Get("Content-Encoding"))
		b = binary.AppendUvarint(b, uint64(len(canonical)))
		b = append(b, canonical...)
	}
	b = h.appendKeyed(b, a)
	if a.credential != "" {
		return a.route.space.PrivateKey(string(b), a.credential)
	}
	sum := sha256.Sum256(b)
	var out [256]byte
	text := append(append(append(out[:0], a.route.prefix...), a.method...), ' ')
	shown := len(text) + maxReadable
	text = append(append(text, readable(r.Host)...), readable(r.URL.EscapedPath())...)
	text = text[:min(len(text), shown)]
	return string(base64.RawURLEncoding.AppendEncode(append(text, ','), sum[:]))
}

func readable(s string) string { return s[:min(len(s), maxReadable)] }

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// negotiated are the fields by which a client says what form it wants.
var negotiated = []string{"Accept", "Accept-Encoding", "Accept-Language"}

// keyedFields are the fields of a ruled route that are forwarded and part of the key.
func keyedFields(extra []string) []string {
	out := slices.Clone(negotiated)
	for _, name := range extra {
		if name = http.CanonicalHeaderKey(name); !slices.Contains(out, name) && !slices.Contains(credentialFields, name) {
			out = append(out, name)
		}
	}
	return out
}

// appendKeyed appends what profile Safe adds to the key. On a ruled route those are the fields that are
// forwarded, and nothing else is. Elsewhere everything is forwarded, so every field counts that is not
// known to be harmless: else one client's field could shape what others get.
func (h *Cache) appendKeyed(b []byte, a *ask) []byte {
	if h.options.Profile != Safe {
		return b
	}
	if a.route.ruled {
		for _, name := range a.route.keyed {
			b = appendPart(b, normalised(name, a.r.Header[name]))
		}
		return b
	}
	var unknown []string
	for name := range a.r.Header {
		if !h.ignored[name] && !slices.Contains(credentialFields, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		b = appendPart(appendPart(b, name), strings.Join(a.r.Header[name], ","))
	}
	return b
}

// harmless are the fields of a request that do not shape its response but by Vary, which then names
// them: those that HTTP defines, and those that only trace.
var harmless = set("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection",
	"Content-Length", "Content-Type", "Content-Encoding", "Date", "Dnt", "Expect", "Host", "If-Modified-Since",
	"If-None-Match", "If-Range", "Incremental", "Keep-Alive", "Max-Forwards", "Origin", "Pragma", "Priority", "Proxy-Connection",
	"Range", "Referer", "Save-Data", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-Gpc", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade-Insecure-Requests", "User-Agent", "Via",
	"Traceparent", "Tracestate", "Baggage", "X-Request-Id", "X-Correlation-Id", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Cf-Ray")

func set(names ...string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, name := range names {
		out[name] = true
	}
	return out
}

// variantKey is where a response is that was chosen by fields of the request.
func variantKey(primary, selected string) string {
	sum := sha256.Sum256([]byte(selected))
	return primary + ";" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// URITag is the tag of every response to a URL, whatever its method, its variant and its caller: what
// [forebay.Tag] targets to remove it.
func URITag(u *url.URL) string { return uriTag(u.Host, u.RequestURI()) }

// uriTag is the tag of every response to a URI, whatever its method and its variant. Two URIs may have
// one tag: then the one is invalidated with the other.
func uriTag(host, uri string) string {
	path, _, has := strings.Cut(uri, "?")
	var scratch [256]byte
	tag := append(append(append(scratch[:0], "uri:"...), readable(strings.ToLower(host))...), readable(path)...)
	if has || len(path) > maxReadable {
		hash := fnv.New64a()
		hash.Write([]byte(uri))
		tag = strconv.AppendUint(append(tag, '?'), hash.Sum64(), 36)
	}
	return string(tag)
}

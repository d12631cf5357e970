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
	b := append(appendPart(scratch[:0], a.method), a.route.print...)
	b = appendPart(b, scheme(r))
	b = appendPart(b, r.Host) // in its normal form
	b = appendPart(b, r.URL.EscapedPath())
	b = appendPart(b, r.URL.RawQuery)
	if r.URL.ForceQuery {
		b = append(b, '?') // "/a?" is not "/a"
	}
	if a.method != http.MethodGet {
		b = appendPart(b, r.Header.Get("Content-Type"))
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

// keyed are the fields that every rule names without saying so.
func (p Profile) keyed() []string {
	if p == Safe {
		return append(slices.Clone(negotiated), "Via") // else a loop through several gateways is not seen
	}
	return nil
}

// keyedFields are the canonical names of a rule's fields, and of others, once each.
func keyedFields(first []string, extra ...string) []string {
	out := slices.Clone(first)
	for _, name := range extra {
		if name = http.CanonicalHeaderKey(name); !slices.Contains(out, name) && !slices.Contains(credentialFields, name) {
			out = append(out, name)
		}
	}
	return out
}

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
func URITag(u *url.URL) string {
	host := u.Host
	if normal, ok := normalHost(host, strings.EqualFold(u.Scheme, "https")); ok {
		host = normal
	}
	return uriTag(host, u.RequestURI())
}

// uriTag is the tag of every response to a URI, whatever its method and its variant. Two URIs may have
// one tag: then the one is invalidated with the other. The host is in its normal form.
func uriTag(host, uri string) string {
	path, _, has := strings.Cut(uri, "?")
	var scratch [256]byte
	tag := append(append(append(scratch[:0], "uri:"...), readable(host)...), readable(path)...)
	if has || len(path) > maxReadable {
		hash := fnv.New64a()
		hash.Write([]byte(uri))
		tag = strconv.AppendUint(append(tag, '?'), hash.Sum64(), 36)
	}
	return string(tag)
}

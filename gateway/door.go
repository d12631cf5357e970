package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/forebay-cache/forebay/httpcache"
)

// A door lets requests in. What a client claims of itself, that only a proxy may say, is taken off;
// what a trusted proxy says goes on. A request that has been here before is refused.
type door struct {
	trusted   []netip.Prefix
	pseudonym string // in Via (RFC 9110, section 7.6.3)
	next      http.Handler
	refuse    func(w http.ResponseWriter, r *http.Request, status int, reason, text string)
}

// newPseudonym names this process in Via. Two gateways in a row are not a loop.
func newPseudonym() string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return "forebay-" + hex.EncodeToString(b[:])
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.hasBeenHere(r.Header["Via"]) {
		d.refuse(w, r, http.StatusLoopDetected, "loop", "the request has been here before: the gateway's origin leads back to the gateway")
		return
	}
	if r.Method == http.MethodOptions {
		if answered := d.lastHop(w, r); answered {
			return
		}
	}
	header, claims := withoutClaims(r.Header)
	relayed := d.relay(r, claims)
	if claims == nil && relayed == nil && r.ContentLength == 0 {
		d.next.ServeHTTP(w, r)
		return
	}
	ctx := r.Context()
	if relayed != nil {
		ctx = context.WithValue(ctx, relayKey{}, relayed)
		if claims == nil {
			header = cloneHeader(header)
		}
		for name, line := range map[string]string{"X-Forwarded-Proto": relayed.proto, "X-Forwarded-Host": relayed.host} {
			if line != "" {
				header[name] = []string{line} // part of the key: see newCache
			}
		}
	}
	body, trailer := r.Body, r.Trailer
	if r.ContentLength != 0 {
		ctx, body = patient(ctx, w, r)
		trailer, body = filterTrailer(trailer, body)
	}
	r = r.WithContext(ctx) // the server looks at the body of its own request
	r.Header, r.Body, r.Trailer = header, body, trailer
	d.next.ServeHTTP(w, r)
}

// clientOf is the address that a request came from, as far as the proxies that say so are trusted.
func clientOf(r *http.Request, relayed *onBehalf) string {
	if relayed != nil {
		if said := lastMember(relayed.claims["X-Forwarded-For"]); said != "" {
			return said
		}
	}
	return r.RemoteAddr
}

func (d *door) hasBeenHere(via []string) bool {
	for _, line := range via {
		if strings.Contains(line, d.pseudonym) {
			return true
		}
	}
	return false
}

// lastHop obeys Max-Forwards (RFC 9110, section 7.6.2).
func (d *door) lastHop(w http.ResponseWriter, r *http.Request) (answered bool) {
	lines := r.Header["Max-Forwards"]
	if len(lines) != 1 {
		return false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(lines[0]), 10, 32)
	if err != nil {
		return false
	}
	if n == 0 {
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY")
		w.Header().Set("Cache-Status", "forebay; detail=max-forwards")
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	r.Header.Set("Max-Forwards", strconv.FormatUint(n-1, 10))
	return false
}

// onBehalf is what a trusted proxy said of the client.
type onBehalf struct {
	peer        string      // the proxy itself
	claims      http.Header // as it sent them
	proto, host string      // where they differ from what this connection shows
}

type relayKey struct{}

// relay returns nil for a request that no trusted proxy sent.
func (d *door) relay(r *http.Request, claims http.Header) *onBehalf {
	if len(d.trusted) == 0 || !d.trusts(r.RemoteAddr) {
		return nil
	}
	peer, _, _ := net.SplitHostPort(r.RemoteAddr)
	out := &onBehalf{peer: peer, claims: claims}
	proto, host := lastMember(claims["X-Forwarded-Proto"]), lastMember(claims["X-Forwarded-Host"])
	if line := lastMember(claims["Forwarded"]); line != "" {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			switch value = strings.Trim(value, `"`); strings.ToLower(name) {
			case "proto":
				proto = value
			case "host":
				host = value
			}
		}
	}
	if proto = strings.ToLower(proto); proto == "https" || proto == "http" {
		out.proto = proto
	}
	if normal, ok := httpcache.NormalHost(host, out.proto == "https"); ok {
		out.host = normal
	}
	return out
}

func (d *door) trusts(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	return trusts(d.trusted, addr.Addr())
}

func trusts(trusted []netip.Prefix, addr netip.Addr) bool {
	ip := addr.Unmap().WithZone("")
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// lastMember is what the nearest proxy said: what stands before it, others sent to that.
func lastMember(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	return strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:])
}

// withoutClaims takes off the fields by which proxies tell origins about clients, and by which clients
// lie to them. claims is nil where there are none.
func withoutClaims(h http.Header) (rest, claims http.Header) {
	for name, lines := range h {
		if !isClaim(name) {
			continue
		}
		if claims == nil {
			claims = make(http.Header)
		}
		claims[name] = lines
	}
	if claims == nil {
		return h, nil
	}
	rest = make(http.Header, len(h))
	for name, lines := range h {
		if claims[name] == nil {
			rest[name] = lines
		}
	}
	for name := range claims {
		if !isPlainName(name) {
			delete(claims, name) // not even a trusted proxy: it may be another field's double
		}
	}
	return rest, claims
}

func cloneHeader(h http.Header) http.Header {
	out := make(http.Header, len(h)+2)
	for name, lines := range h {
		out[name] = lines
	}
	return out
}

// isClaim reports whether a field claims an address, a path, a host, a method or an identity, as a proxy
// does, or may be read as one that does: many servers read '_' and '.' in a name as '-'.
func isClaim(name string) bool {
	if !isPlainName(name) {
		return true
	}
	switch name[0] {
	case 'A', 'B', 'D', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'Q', 'U', 'V', 'Y', 'Z':
		return false // no claim begins so: the most frequent case
	}
	if claimNames[name] {
		return true
	}
	for _, prefix := range claimPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func isPlainName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return name != ""
}

var claimNames = names("Forwarded", "Forwarded-For", "Forwarded-Host", "Forwarded-Proto", "Client-Ip", "Cluster-Client-Ip", "Proxy", "Proxy-Host",
	"Redirect-Url", "Request-Uri", "Path-Info", "Script-Name", "Front-End-Https", "Remote-Addr", "Wl-Proxy-Client-Ip", "Wl-Proxy-Ssl",
	"X-Real-Ip", "X-Realip", "X-Client-Ip", "X-Clientip", "X-Client-Addr", "X-Proxyuser-Ip", "X-Originating-Ip", "X-Source-Ip", "X-True-Ip",
	"X-Host", "X-Http-Host", "X-Http-Host-Override", "X-Host-Override", "X-Backend-Host", "X-Server-Name", "X-Forward-For", "X-Forward-Proto", "X-Forwarded",
	"X-Http-Method", "X-Http-Method-Override", "X-Method", "X-Method-Override", "X-Http-Path-Override", "X-Path-Override", "X-Request-Uri",
	"X-Request-Url", "X-Uri", "X-Url", "X-Url-Scheme", "X-Scheme", "X-Proto", "X-Protocol", "X-Script-Name", "X-Base-Path", "X-Sendfile", "X-Sendfile-Type",
	"X-Middleware-Subrequest", "X-Middleware-Rewrite", "X-Verified-Client", "X-Authenticated", "X-Userinfo", "X-Id-Token", "X-Custom-Ip-Authorization",
	"X-Arr-Ssl", "X-Arr-Clientcert", "X-Credential-Identifier", "X-Anonymous-Consumer", "X-Port", "Fastly-Client-Ip", "Fastly-Ssl", "Fastly-Ff",
	"X-Azure-Clientip", "X-Azure-Socketip", "X-Nginx-Proxy", "X-Whoami", "X-Webauth-User")

var claimPrefixes = []string{"X-Forwarded-", "X-Original-", "X-Originalurl", "X-Rewrite-", "X-Cluster-Client", "X-Remote-", "Remote-", "True-Client-", "Cf-Connecting-",
	"Cf-Ipcountry", "Cf-Access-", "Cf-Visitor", "Cf-Pseudo-", "X-Auth-Request-", "X-Authenticated-", "X-Webauth-", "X-Client-Cert", "X-Client-Verify", "X-Ssl-", "Ssl-", "Client-Cert",
	"X-Envoy-", "X-Appengine-", "X-Goog-Authenticated-", "X-Goog-Iap-", "X-Ms-Client-Principal", "X-Amzn-Oidc-", "X-Amzn-Mtls-", "X-Accel-", "X-Consumer-",
	"X-Vercel-Ip", "X-Vercel-Forwarded", "X-Tls-Client", "X-Proxy-", "X-Nf-Client-", "X-Token-Subject", "Tailscale-", "Fly-Client-", "Fly-Forwarded-"}

func names(all ...string) map[string]bool {
	out := make(map[string]bool, len(all))
	for _, name := range all {
		out[name] = true
	}
	return out
}

// filterTrailer holds what comes behind a body to what the door holds its head to. Values are there when
// the body has been read.
func filterTrailer(announced http.Header, body io.ReadCloser) (http.Header, io.ReadCloser) {
	if len(announced) == 0 {
		return announced, body
	}
	passed := make(http.Header)
	for name := range announced {
		if !isClaim(name) && !httpcache.HeaderOnly(name) {
			passed[name] = nil
		}
	}
	return passed, &trailedBody{body, announced, passed}
}

type trailedBody struct {
	io.ReadCloser
	from, to http.Header
}

func (b *trailedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		for name := range b.to {
			b.to[name] = b.from[name]
		}
	}
	return n, err
}

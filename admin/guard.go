package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// guard lets through whoever may change something or see values: the bearer of the token, or, when
// none is set, a caller on this machine whom no proxy forwarded. Browsers must come from the same
// origin in either case.
func (a *Admin) guard(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := sameOrigin.Check(r); err != nil {
			problem(w, http.StatusForbidden, "a page of another origin must not do this: open the page on this address")
			return
		}
		if a.o.Token != "" {
			if !a.hasToken(r) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="forebay"`)
				problem(w, http.StatusUnauthorized, "send the token as 'Authorization: Bearer …'")
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		if !a.o.Loopback || forwarded(r) || !loopbackHost(r.Host) {
			problem(w, http.StatusForbidden, "set FOREBAY_ADMIN_TOKEN and send it as 'Authorization: Bearer …'; without a token only direct requests to a loopback address may do this")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *Admin) hasToken(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	// Hashed first, so that the comparison tells nothing of the length either.
	want, got := sha256.Sum256([]byte(a.o.Token)), sha256.Sum256([]byte(given))
	return ok && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

func forwarded(r *http.Request) bool {
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
			return true
		}
	}
	return false
}

// loopbackHost refuses other names for this machine: a page on a name that was rebound to a
// loopback address is of the same origin in the browser's eyes.
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

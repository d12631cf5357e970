// Package cdn has the purges of Cloudflare, Fastly and CloudFront, by their own interfaces.
package cdn

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/edge"
)

// Options name an account at a vendor.
type Options struct {
	Vendor    string // cloudflare, fastly or cloudfront
	Zone      string // Cloudflare's zone, Fastly's service, CloudFront's distribution
	Token     string // for CloudFront: the access key's ID, ":" and the secret, and ":" and the session's token if there is one
	API       string // base URL of the vendor's interface; default: the vendor's own
	PerMinute int    // purges that the account may make; default: the vendor's
}

// Open returns the purger of an account. It asks nobody anything yet.
func Open(o Options) (edge.Purger, error) {
	if o.Zone == "" || strings.ContainsAny(o.Zone, "/?# ") {
		return nil, fmt.Errorf("zone %q: name the zone (Cloudflare), service (Fastly) or distribution (CloudFront) whose entries are purged", o.Zone)
	}
	if o.Token == "" {
		return nil, fmt.Errorf("a token that may purge the zone %s is missing", o.Zone)
	}
	made, ok := map[string]func(Options) (edge.Purger, error){"cloudflare": newCloudflare, "fastly": newFastly, "cloudfront": newCloudFront}[o.Vendor]
	if !ok {
		return nil, fmt.Errorf("%q is not a vendor with purges: cloudflare, fastly or cloudfront", o.Vendor)
	}
	if o.API != "" {
		if u, err := url.Parse(o.API); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("api %q is not a URL", o.API)
		}
	}
	return made(o)
}

// client does not follow redirects: a purge goes where it is said, with its token.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// call sends a request, and sorts its answer: nil for what was accepted.
func call(ctx context.Context, r *http.Request) ([]byte, error) {
	res, err := client.Do(r.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.URL.Host, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.URL.Host, err)
	}
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return body, nil
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable:
		return nil, &edge.BusyError{After: retryAfter(res.Header), Reason: reason(res.Status, body)}
	case res.StatusCode >= 400 && res.StatusCode < 500 && res.StatusCode != http.StatusRequestTimeout:
		return nil, &edge.RefusedError{Status: res.StatusCode, Reason: reason(res.Status, body)}
	}
	return nil, fmt.Errorf("%s answers %s", r.URL.Host, reason(res.Status, body))
}

// retryAfter reads the field, in seconds or as a date, and Fastly's.
func retryAfter(h http.Header) time.Duration {
	if seconds, err := strconv.Atoi(h.Get("Retry-After")); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return max(time.Until(at), 0)
	}
	if at, err := strconv.ParseInt(h.Get("Fastly-RateLimit-Reset"), 10, 64); err == nil {
		return max(time.Until(time.Unix(at, 0)), 0)
	}
	return 0
}

// reason is a status with the beginning of what was said, on one line.
func reason(status string, body []byte) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body[:min(len(body), 300)]), "")), " ")
	if text == "" {
		return status
	}
	return status + ": " + text
}

// TokenOf reads a token from a variable. For CloudFront the usual variables of AWS serve too.
func TokenOf(vendor, variable string) string {
	if token := os.Getenv(variable); token != "" || vendor != "cloudfront" {
		return token
	}
	id, secret, session := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")
	if id == "" || secret == "" {
		return ""
	}
	return strings.TrimSuffix(id+":"+secret+":"+session, ":")
}

// base is the vendor's interface, or another in its place.
func (o Options) base(vendors string) string {
	if o.API != "" {
		return strings.TrimSuffix(o.API, "/")
	}
	return vendors
}

func (o Options) perMinute(vendors int) int {
	if o.PerMinute > 0 {
		return o.PerMinute
	}
	return vendors
}

package edge

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"
)

const (
	// probeFor is how long a probe looks until it sees the new answer.
	probeFor   = 5 * time.Second
	probeAgain = 250 * time.Millisecond
	// probeMost bounds what is read of an answer.
	probeMost = 32 << 20
)

// NewProbe returns a probe that fetches a URL through the edge, without a credential, and compares the answer with what the
// gateway answers itself at that moment.
func NewProbe(url string, gateway http.Handler) (func(context.Context) Probe, error) {
	if _, err := probeRequest(context.Background(), url); err != nil {
		return nil, err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(ctx context.Context) Probe {
		ctx, cancel := context.WithTimeout(ctx, probeFor)
		defer cancel()
		p := Probe{URL: url}
		for {
			p.At = time.Now()
			var err error
			if p.New, err = looksAlike(ctx, client, gateway, url); err != nil {
				p.Error = err.Error()
			} else if p.Error = ""; p.New {
				return p
			}
			select {
			case <-time.After(probeAgain):
			case <-ctx.Done():
				if p.Error == "" {
					p.Error = "the edge answers otherwise than the gateway"
				}
				return p
			}
		}
	}, nil
}

func probeRequest(ctx context.Context, url string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil || r.URL.Host == "" || r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		return nil, fmt.Errorf("the probe's URL %q: write it whole, such as https://www.example.com/api/partners", url)
	}
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", "forebay-probe")
	return r, nil
}

// looksAlike compares the edge's answer with the gateway's.
func looksAlike(ctx context.Context, client *http.Client, gateway http.Handler, url string) (bool, error) {
	through, err := probeRequest(ctx, url)
	if err != nil {
		return false, err
	}
	own, err := probeRequest(ctx, url)
	if err != nil {
		return false, err
	}
	own.RequestURI, own.RemoteAddr = own.URL.RequestURI(), "127.0.0.1:0"
	own.URL.Scheme, own.URL.Host, own.Proto, own.ProtoMajor, own.ProtoMinor = "", "", "HTTP/1.1", 1, 1
	want := &answer{header: http.Header{}, body: sha256.New()}
	gateway.ServeHTTP(want, own)
	res, err := client.Do(through)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	got := sha256.New()
	if _, err := io.Copy(got, io.LimitReader(res.Body, probeMost)); err != nil {
		return false, err
	}
	return res.StatusCode == want.status && string(got.Sum(nil)) == string(want.body.Sum(nil)), nil
}

// An answer is what a handler writes, as far as it is compared.
type answer struct {
	header http.Header
	status int
	body   hash.Hash
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

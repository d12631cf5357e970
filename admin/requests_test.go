package admin

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestBucketsHoldTheirDurations(t *testing.T) {
	for d := time.Microsecond; d < time.Minute; d = d*11/10 + 1 {
		if end := upper(bucket(d)); end < d || float64(end) > float64(d)*1.3+2000 {
			t.Fatalf("%s is in the bucket that ends at %s", d, end)
		}
	}
}

func TestRequests(t *testing.T) {
	q := &Requests{}
	h := q.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	for _, path := range []string{"/", "/", "/bad"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	if s := q.take(); s.Requests != 3 || s.Failed != 1 || s.P50 == 0 || s.Slowest < s.P50/2 {
		t.Errorf("%+v", s)
	}
	if s := q.take(); s != (Sample{}) {
		t.Errorf("taken twice: %+v", s)
	}
}

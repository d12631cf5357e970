package admin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
)

// What it costs to follow the requests: compare the two.
func BenchmarkMeasure(b *testing.B) {
	c, err := forebay.Open(b.Context(), forebay.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	a := admin.New(c, quiet(admin.Options{}))
	defer a.Close()
	plain := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Cache-Status"] = []string{"forebay; hit; ttl=1; detail=near"}
		w.WriteHeader(http.StatusOK)
	})
	r := httptest.NewRequest("GET", "/", nil)
	for name, h := range map[string]http.Handler{"plain": plain, "measured": a.Measure(plain)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}

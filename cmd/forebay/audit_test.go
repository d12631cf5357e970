package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/audit"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// The command asks nodes and a URL, and nothing is wrong; the nodes show what it found.
func TestAudit(t *testing.T) {
	t.Setenv("FOREBAY_SECRET", "a secret")
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Cache-Tag", "one")
	}))
	defer origin.Close()
	redis := redistest.Start(t).URL()
	a, admin, _ := start(t, "serve", "--origin", origin.URL, "--redis", redis)
	_, other, _ := start(t, "serve", "--origin", origin.URL, "--redis", redis)
	eventually(t, "the nodes do not know each other", func() bool {
		return len(call[[]struct{ Address string }](t, "GET", admin+"/api/nodes", "")) == 2
	})
	var out, errs bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- run(t.Context(), []string{"audit", "--redis", redis, "--node", admin, "--url", a + "/x", "--for", "4s", "--json"}, &out, &errs)
	}()
	eventually(t, "the audit does not begin", func() bool {
		return call[struct{ Running bool }](t, "GET", admin+"/api/audit", "").Running
	})
	for range 5 {
		call[struct{ ID string }](t, "POST", other+"/api/invalidate", `{"tag":"one"}`)
		time.Sleep(100 * time.Millisecond)
	}
	if code := <-ended; code != 0 {
		t.Fatalf("exit code %d: %s %s", code, &out, &errs)
	}
	var r audit.Findings
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Audited != 5 || len(r.Counts) != 2 || r.Counts[0].Checked != 10 || r.Counts[1].Checked != 5 {
		t.Errorf("%v %+v", err, r)
	}
	for _, c := range r.Counts {
		if c.Violations+c.Failed > 0 {
			t.Errorf("%+v", c)
		}
	}
	for _, node := range []string{admin, other} {
		if shown := call[struct{ Found audit.Findings }](t, "GET", node+"/api/audit", ""); shown.Found.Audited != 5 {
			t.Errorf("%+v", shown)
		}
		res, err := http.Get(node + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text := new(bytes.Buffer)
		text.ReadFrom(res.Body)
		res.Body.Close()
		if !strings.Contains(text.String(), `forebay_audit_violations_total{after="1s",tier="node"} 0`) {
			t.Error("the metrics do not say it")
		}
	}
	if code := run(t.Context(), []string{"audit", "--node", admin}, &out, &errs); code != exitUsage {
		t.Errorf("without a log: exit code %d", code)
	}
}

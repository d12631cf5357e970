package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/internal/plan"
)

func TestPlan(t *testing.T) {
	var log bytes.Buffer
	for i := range 200 {
		fmt.Fprintf(&log, "10.0.0.1 - - [01/Dec/2026:10:00:%02d +0000] \"GET /items/%d HTTP/1.1\" 200 512 \"-\" \"-\" 0.100\n", i%60, i%5)
	}
	dir := t.TempDir()
	plain, zipped, rules := filepath.Join(dir, "access.log"), filepath.Join(dir, "access.log.gz"), filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(plain, log.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	zip := gzip.NewWriter(&z)
	zip.Write(log.Bytes())
	zip.Close()
	if err := os.WriteFile(zipped, z.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{plain, zipped} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"plan", file, "--write", rules}, &out, &errs); code != 0 || !strings.Contains(out.String(), "GET /items/{id}") || errs.Len() > 0 {
			t.Fatalf("%s: %d %s %s", file, code, &out, &errs)
		}
		out.Reset()
		if code := run(t.Context(), []string{"check", rules}, &out, &errs); code != 0 || !strings.Contains(out.String(), "1 routes") {
			t.Errorf("what was written: %d %s %s", code, &out, &errs)
		}
	}
	var out, errs bytes.Buffer
	var report plan.Report
	if code := run(t.Context(), []string{"plan", plain, "--json"}, &out, &errs); code != 0 || json.Unmarshal(out.Bytes(), &report) != nil || report.Requests != 200 || report.Spared < 190 {
		t.Errorf("%d %s %s", code, &out, &errs)
	}
	for _, file := range []string{filepath.Join(dir, "none"), dir, rules} {
		errs.Reset()
		if code := run(t.Context(), []string{"plan", file}, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), filepath.Base(file)) {
			t.Errorf("%s: %d %s", file, code, &errs)
		}
	}
}

// The plan is what serve reaches: the same requests, replayed at the program, with a near tier that is too small for all.
func TestThePlanIsWhatServeReaches(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 2000)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
	defer origin.Close()
	gateway, _, _ := start(t, "serve", "--origin", origin.URL, "--cache", "GET /items/{id}=1h", "--near-bytes", "8MiB")
	random := rand.New(rand.NewPCG(3, 4))
	popular := rand.NewZipf(random, 1.1, 5, 20_000)
	var log bytes.Buffer
	hits := 0
	const n = 20_000
	for i := range n {
		uri := fmt.Sprintf("/items/%d", popular.Uint64())
		fmt.Fprintf(&log, "10.0.0.1 - - [01/Dec/2026:10:%02d:%02d +0000] \"GET %s HTTP/1.1\" 200 2000\n", i/1000, i/20%50, uri)
		res, err := http.Get(gateway + uri)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if strings.Contains(res.Header.Get("Cache-Status"), "hit") {
			hits++
		}
	}
	r, err := plan.Read(&log, plan.Options{NearBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	said, came := r.ByTTL[len(r.ByTTL)-1].HitRate, float64(hits)/n
	t.Logf("the plan says %.1f %%, %.1f %% came", 100*said, 100*came)
	if came < said-0.03 || came > said+0.03 {
		t.Errorf("the plan says %.1f %%, %.1f %% came", 100*said, 100*came)
	}
}

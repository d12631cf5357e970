package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
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

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A bundle has what a bug report needs, and nothing that nobody else should read.
func TestBundle(t *testing.T) {
	secrets := []string{"hunter2-token", "hunter2-redis", "hunter2-secret", "hunter2-file", "acme-private", "hunter2-url"}
	t.Setenv("FOREBAY_ADMIN_TOKEN", "hunter2-token")
	t.Setenv("FOREBAY_SECRET", "hunter2-secret-of-the-nodes")
	t.Setenv("FOREBAY_LOG_LEVEL", "warn")
	platform, operators, _ := startDemo(t)
	for _, path := range []string{"/api/partners?org_id=acme&q=acme-private", "/api/partners?org_id=acme"} {
		res, err := http.Get(platform + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	dir := t.TempDir()
	config, file := filepath.Join(dir, "forebay.yaml"), filepath.Join(dir, "bundle.tar.gz")
	if err := os.WriteFile(config, []byte("origin: http://anna:hunter2-url@10.0.0.1:5000\nclasses:\n  users: {ttl: 5m}\nsecret_of_mine: hunter2-file\nintegrity: {keys_env: FOREBAY_KEYS}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REDIS_URL", "")
	t.Setenv("DATABASE_URL", "postgres://u:hunter2-redis@db/x")
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"doctor", "--bundle", file, "--config", config, "--node", operators}, &out, &errs); code != 0 {
		t.Fatalf("%d %s %s", code, &out, &errs)
	}
	files := map[string]string{}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "forebay-bundle/")] = string(text)
	}
	for name, want := range map[string]string{
		"version.json": "go1.", "doctor.json": `"good":true`, "overview.json": `"partner_data"`, "health.json": `"status": "ok"`, "incidents.json": "[", "nodes.json": "{",
		"metrics.txt": "forebay_requests_total", "environment.json": `"FOREBAY_LOG_LEVEL": "warn"`, "config.yaml": "users: {ttl: 5m}",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: no %s in %.300s", name, want, files[name])
		}
	}
	for name, text := range files {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", name, secret)
			}
		}
	}
	if !strings.Contains(files["config.yaml"], "keys_env: FOREBAY_KEYS") {
		t.Error("the name of a variable is taken for a secret")
	}
	// A node that is away is said, and the rest is there.
	out.Reset()
	if code := run(t.Context(), []string{"doctor", "--bundle", file, "--node", "127.0.0.1:1"}, &out, &errs); code != 0 {
		t.Errorf("%d %s %s", code, &out, &errs)
	}
}

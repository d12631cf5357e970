package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A bundle is what a bug report needs of a node: figures, configuration and what happened lately, without secrets and without what is
// stored. Keys, tags and URLs of requests may name people: they are not in it.
type bundle struct {
	at    time.Time
	files map[string][]byte
}

// bundled are the operations whose answers a bundle holds. None lists keys, requests or values.
var bundled = map[string]string{
	"overview.json": "/api/overview", "incidents.json": "/api/incidents", "nodes.json": "/api/nodes", "topology.json": "/api/topology", "health.json": "/health",
}

// secretName finds the names of what nobody else should read.
var secretName = regexp.MustCompile(`(?i)(token|secret|passw|key|credential|auth|cookie|signature)`)

const redacted = "(redacted)"

// makeBundle asks a node, and reads what is configured here. What cannot be had is said in the bundle, and no error.
func makeBundle(ctx context.Context, n node, config string, proofs []byte) *bundle {
	b := &bundle{at: time.Now().UTC(), files: map[string][]byte{}}
	b.json("version.json", thisBuild())
	b.files["doctor.json"] = proofs
	for _, name := range slices.Sorted(maps.Keys(bundled)) {
		var answer any
		if err := n.call(ctx, http.MethodGet, bundled[name], nil, &answer); err != nil {
			b.json(name, map[string]string{"not_there": withoutURLSecrets(err.Error())})
			continue
		}
		b.json(name, clean("", answer))
	}
	b.metrics(ctx, n)
	b.json("environment.json", environment(os.Environ()))
	if config != "" {
		text, err := os.ReadFile(config)
		if err != nil {
			text = []byte("not there: " + err.Error())
		}
		b.files["config.yaml"] = []byte(cleanYAML(string(text)))
	}
	return b
}

func (b *bundle) json(name string, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		text = []byte(err.Error())
	}
	b.files[name] = append(text, '\n')
}

func (b *bundle) metrics(ctx context.Context, n node) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.base()+"/metrics", nil)
	if err != nil {
		return
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return // overview.json says why
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err == nil && res.StatusCode == http.StatusOK {
		b.files["metrics.txt"] = text
	}
}

// environment are the variables that this program reads, without secrets.
func environment(all []string) map[string]string {
	out := map[string]string{}
	for _, one := range all {
		name, value, _ := strings.Cut(one, "=")
		ours := strings.HasPrefix(name, "FOREBAY_") || strings.HasPrefix(name, "OTEL_") || slices.Contains([]string{"REDIS_URL", "DATABASE_URL", "PORT", "GOGC", "GOMEMLIMIT", "GOMAXPROCS"}, name)
		if ours {
			out[name] = cleanText(name, value)
		}
	}
	return out
}

// cleanText is a text without what is secret in it: all of it, by its name, or the credentials in a URL.
func cleanText(name, text string) string {
	if secretName.MatchString(name) && text != "" {
		return redacted
	}
	return withoutURLSecrets(text)
}

var urlInText = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'<>,\]}]+`)

// withoutURLSecrets takes user, password and query off each URL in a text.
func withoutURLSecrets(text string) string {
	return urlInText.ReplaceAllStringFunc(text, func(found string) string {
		u, err := url.Parse(found)
		if err != nil {
			scheme, _, _ := strings.Cut(found, "://")
			return scheme + "://" + redacted
		}
		if u.User != nil {
			u.User = url.User("redacted")
		}
		if u.RawQuery != "" {
			u.RawQuery = "redacted"
		}
		return u.String()
	})
}

// clean is an answer without secrets, however deep. Names of keys, tags and URLs that an incident or an item holds are texts as well.
func clean(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for member, one := range v {
			v[member] = clean(member, one)
		}
	case []any:
		for i := range v {
			v[i] = clean(name, v[i])
		}
	case string:
		return cleanText(name, v)
	}
	return v
}

var yamlValue = regexp.MustCompile(`^(\s*(?:- )?["']?([A-Za-z0-9_-]+)["']?\s*:\s*)(\S.*)$`)

// cleanYAML is a file without secrets: values by their names, and the credentials in URLs. Names of variables that hold one stay.
func cleanYAML(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		m := yamlValue.FindStringSubmatch(line)
		if m != nil && secretName.MatchString(m[2]) && !strings.HasSuffix(m[2], "_env") && !strings.HasPrefix(m[3], "{") && m[2] != "body_key" && m[2] != "auth" {
			line = m[1] + redacted
		}
		out.WriteString(withoutURLSecrets(line) + "\n")
	}
	return out.String()
}

// write writes the bundle as an archive.
func (b *bundle) write(path string) error {
	var buffer bytes.Buffer
	zip := gzip.NewWriter(&buffer)
	t := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		if err := t.WriteHeader(&tar.Header{Name: "forebay-bundle/" + name, Mode: 0o600, Size: int64(len(b.files[name])), ModTime: b.at}); err != nil {
			return err
		}
		if _, err := t.Write(b.files[name]); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(path, buffer.Bytes(), 0o600); err != nil {
		return fmt.Errorf("the bundle: %w", err)
	}
	return nil
}

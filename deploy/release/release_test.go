package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// made builds a release of this commit for this system, in a clone of its own.
func made(t *testing.T, key string) (out string) {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "clone")
	if said, err := exec.Command("git", "clone", "-q", "--no-hardlinks", "../..", clone).CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, said)
	}
	t.Chdir(clone)
	b := &build{ctx: context.Background(), out: filepath.Join(t.TempDir(), "dist"), version: "v1.2.3"}
	if err := b.run([]target{{runtime.GOOS, runtime.GOARCH}}, key); err != nil {
		t.Fatal(err)
	}
	return b.out
}

// Two builds in two folders are equal, and what they hold runs and says what it is.
func TestRelease(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	var one, two string
	t.Run("one", func(t *testing.T) { one = keep(t, made(t, key)) })
	t.Run("two", func(t *testing.T) { two = keep(t, made(t, key)) })
	sums, err := os.ReadFile(filepath.Join(one, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(two, "SHA256SUMS"))
	if err != nil || string(sums) != string(again) || len(sums) == 0 {
		t.Errorf("two builds differ (%v):\n%s\n%s", err, sums, again)
	}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		content, err := os.ReadFile(filepath.Join(one, name))
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(content)) != sum {
			t.Errorf("%s: %v", name, err)
		}
	}
	signature, err := os.ReadFile(filepath.Join(one, "SHA256SUMS.sig"))
	if err != nil || !ed25519.Verify(private.Public().(ed25519.PublicKey), sums, signature) {
		t.Errorf("the signature is not that of the checksums: %v", err)
	}
	dir := unpack(t, filepath.Join(one, fmt.Sprintf("forebay_v1.2.3_%s_%s.tar.gz", runtime.GOOS, runtime.GOARCH)))
	said, err := exec.Command(filepath.Join(dir, "forebay"), "version", "--json").Output()
	var v struct{ Version, Commit, Date string }
	if err != nil || json.Unmarshal(said, &v) != nil || v.Version != "v1.2.3" || len(v.Commit) != 40 || v.Date == "" {
		t.Errorf("%s %v", said, err)
	}
	for _, name := range []string{"LICENSE", "README.md", "forebay.1"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if runtime.GOOS == "linux" {
		checkPackage(t, filepath.Join(one, fmt.Sprintf("forebay_1.2.3_%s.deb", runtime.GOARCH)))
	}
}

// keep copies a folder to one that outlives the test that made it.
func keep(t *testing.T, from string) string {
	t.Helper()
	to, err := os.MkdirTemp("", "forebay-release-test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func unpack(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(archive)
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
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s is somebody's", h.Name)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(h.Name)), content, os.FileMode(h.Mode)); err != nil {
			t.Fatal(err)
		}
	}
}

// The package holds the very files that the documentation names, and its unit is one that systemd takes.
func checkPackage(t *testing.T, deb string) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "-x", deb, dir).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb -x: %v\n%s", err, out)
	}
	for _, name := range []string{"usr/bin/forebay", "usr/lib/systemd/system/forebay.service", "usr/lib/systemd/system/forebay.socket", "etc/forebay/forebay.yaml", "usr/share/man/man1/forebay.1", "usr/share/doc/forebay/copyright"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if out, err := exec.Command(filepath.Join(dir, "usr/bin/forebay"), "check", filepath.Join(dir, "etc/forebay/forebay.yaml")).CombinedOutput(); err != nil {
		t.Errorf("the file in /etc: %v %s", err, out)
	}
}

func TestDebVersion(t *testing.T) {
	for given, want := range map[string]string{"v1.2.3": "1.2.3", "v1.2.3-4-gabc": "1.2.3+4+gabc", "1032c06": "1032c06", "abc1234-dirty": "0~abc1234+dirty"} {
		if got := debVersion(given); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

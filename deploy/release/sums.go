package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// list writes what is in the programs: modules, versions, licences. Its time is that of the commit.
func (b *build) list() error {
	to := filepath.Join(b.out, fmt.Sprintf("forebay_%s_sbom.cdx.json", b.version))
	absolute, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(b.ctx, "go", "run", sbomTool, "app", "-json", "-noserial", "-licenses", "-main", "cmd/forebay", "-output", absolute)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	text, err := os.ReadFile(to)
	if err != nil {
		return err
	}
	var bom map[string]any
	if err := json.Unmarshal(text, &bom); err != nil {
		return err
	}
	if metadata, ok := bom["metadata"].(map[string]any); ok {
		metadata["timestamp"] = b.at.Format(time.RFC3339)
		if component, ok := metadata["component"].(map[string]any); ok {
			component["version"] = b.version
		}
	}
	text, err = json.MarshalIndent(bom, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(text, '\n'), 0o644)
}

// sums writes the checksums of everything, as sha256sum -c reads them.
func (b *build) sums() error {
	files, err := filepath.Glob(filepath.Join(b.out, "forebay_*"))
	if err != nil {
		return err
	}
	var out strings.Builder
	for _, path := range files { // in the order of their names
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(content), filepath.Base(path))
	}
	return os.WriteFile(filepath.Join(b.out, "SHA256SUMS"), []byte(out.String()), 0o644)
}

// sign signs the checksums with ed25519:
//
//	openssl pkeyutl -verify -pubin -inkey forebay.pub -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
func (b *build) sign(key string) error {
	text, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s is no PEM: openssl genpkey -algorithm ed25519 makes a key", key)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return errors.New(key + " is no key of ed25519: openssl genpkey -algorithm ed25519 makes one")
	}
	sums, err := os.ReadFile(filepath.Join(b.out, "SHA256SUMS"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, "SHA256SUMS.sig"), ed25519.Sign(private, sums), 0o644)
}

// Command release builds what is given to others: programs, archives, packages, a list of what is in them, checksums, and a signature
// where there is a key. Two builds of one commit by one version of Go are the same, byte for byte, wherever they are made.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// sbomTool writes the list of what is in a program (CycloneDX).
const sbomTool = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

// A target is a system that programs are built for.
type target struct{ os, arch string }

var targets = []target{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

// A build is one release: of which commit, and where to.
type build struct {
	ctx     context.Context
	out     string
	version string
	commit  string
	at      time.Time // of the commit: whatever has a time has this one
	sbom    bool
}

func main() {
	out := flag.String("out", "dist", "folder to write to; it is made empty first")
	version := flag.String("version", "", "version. Default: what git describe says")
	here := flag.Bool("here", false, "for this machine's system alone")
	sbom := flag.Bool("sbom", true, "write what is in the programs, too")
	key := flag.String("key", os.Getenv("FOREBAY_SIGNING_KEY"), "file of an ed25519 key (PEM, PKCS 8) that signs the checksums. Default $FOREBAY_SIGNING_KEY, else unsigned")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &build{ctx: ctx, out: *out, version: *version, sbom: *sbom}
	all := targets
	if *here {
		all = []target{{runtime.GOOS, runtime.GOARCH}}
	}
	if err := b.run(all, *key); err != nil {
		log.Fatal("release: ", err)
	}
}

func (b *build) run(all []target, key string) error {
	if err := b.identify(); err != nil {
		return err
	}
	if err := os.RemoveAll(b.out); err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	for i, t := range all {
		fmt.Printf("[%d/%d] %s/%s\n", i+1, len(all), t.os, t.arch)
		if err := b.target(t); err != nil {
			return fmt.Errorf("%s/%s: %w", t.os, t.arch, err)
		}
	}
	if b.sbom {
		if err := b.list(); err != nil {
			return fmt.Errorf("the list of what is in the programs: %w", err)
		}
	}
	if err := b.sums(); err != nil {
		return err
	}
	if key == "" {
		fmt.Println("not signed: there is no key (-key, FOREBAY_SIGNING_KEY)")
		return nil
	}
	return b.sign(key)
}

// identify reads version, commit and its time from the repository.
func (b *build) identify() (err error) {
	if b.commit, err = b.git("rev-parse", "HEAD"); err != nil {
		return err
	}
	if b.version == "" {
		if b.version, err = b.git("describe", "--tags", "--always", "--dirty"); err != nil {
			return err
		}
	}
	text, err := b.git("show", "-s", "--format=%ct", "HEAD")
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	b.at = time.Unix(seconds, 0).UTC()
	return err
}

func (b *build) git(args ...string) (string, error) {
	out, err := exec.CommandContext(b.ctx, "git", args...).Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: is this a clone?", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// target builds a program, its archive and, for Linux, its package.
func (b *build) target(t target) error {
	dir, err := os.MkdirTemp("", "forebay-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "forebay")
	if err := b.compile(t, program); err != nil {
		return err
	}
	files := []file{{"forebay", program, 0o755}, {"LICENSE", "LICENSE", 0o644}, {"README.md", "README.md", 0o644}, {"forebay.1", "docs/forebay.1", 0o644}}
	name := fmt.Sprintf("forebay_%s_%s_%s", b.version, t.os, t.arch)
	if err := b.archive(filepath.Join(b.out, name+".tar.gz"), name, files); err != nil {
		return err
	}
	if t.os != "linux" {
		return nil
	}
	return b.deb(t, program)
}

func (b *build) compile(t target, to string) error {
	ldflags := fmt.Sprintf("-s -w -buildid= -X main.release=%s -X main.commit=%s -X main.date=%s", b.version, b.commit, b.at.Format(time.RFC3339))
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", to, "./cmd/forebay")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

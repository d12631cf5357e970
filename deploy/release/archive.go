package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A file of an archive: its name there, where it is, and its mode.
type file struct {
	name, from string
	mode       int64
}

// archive writes files into a folder of a compressed archive: in their order, of nobody, at the time of the commit.
func (b *build) archive(to, folder string, files []file) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	zip, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(zip)
	for _, f := range files {
		if err := b.add(t, folder+"/"+f.name, f); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	return out.Close()
}

func (b *build) add(t *tar.Writer, name string, f file) error {
	from, err := os.Open(f.from)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: f.mode, Size: info.Size(), ModTime: b.at, Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err = io.Copy(t, from)
	return err
}

// deb packs a program for Debian and its like: the program, its manual page, its unit and an example of its file. What is in /etc is the
// administrator's.
func (b *build) deb(t target, program string) error {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		fmt.Println("no package: dpkg-deb is not installed")
		return nil
	}
	root, err := os.MkdirTemp("", "forebay-deb")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := os.Chmod(root, 0o755); err != nil {
		return err
	}
	control := fmt.Sprintf(`Package: forebay
Version: %s
Architecture: %s
Maintainer: Forebay <https://github.com/forebay-cache/forebay/issues>
Section: httpd
Priority: optional
Homepage: https://github.com/forebay-cache/forebay
Description: response cache for APIs
 A gateway to put in front of any HTTP API, with a cache in the process and in
 Redis that makes the API faster, and never wrong, slower or down.
`, debVersion(b.version), t.arch)
	for _, f := range []struct {
		file
		text string
	}{
		{file: file{"DEBIAN/control", "", 0o644}, text: control},
		{file: file{"DEBIAN/conffiles", "", 0o644}, text: "/etc/forebay/forebay.yaml\n/etc/default/forebay\n"},
		{file: file{"usr/bin/forebay", program, 0o755}},
		{file: file{"usr/share/man/man1/forebay.1", "docs/forebay.1", 0o644}},
		{file: file{"usr/share/doc/forebay/copyright", "LICENSE", 0o644}},
		{file: file{"usr/lib/systemd/system/forebay.service", "deploy/systemd/forebay.service", 0o644}},
		{file: file{"usr/lib/systemd/system/forebay.socket", "deploy/systemd/forebay.socket", 0o644}},
		{file: file{"etc/forebay/forebay.yaml", "deploy/systemd/forebay.yaml", 0o644}},
		{file: file{"etc/default/forebay", "deploy/systemd/default", 0o640}},
	} {
		if err := stage(filepath.Join(root, f.name), f.file, f.text); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(b.ctx, "dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, filepath.Join(b.out, fmt.Sprintf("forebay_%s_%s.deb", debVersion(b.version), t.arch)))
	cmd.Env = append(os.Environ(), fmt.Sprint("SOURCE_DATE_EPOCH=", b.at.Unix()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb: %w\n%s", err, out)
	}
	return nil
}

func stage(to string, f file, text string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	content := []byte(text)
	if f.from != "" {
		var err error
		if content, err = os.ReadFile(f.from); err != nil {
			return err
		}
	}
	if err := os.WriteFile(to, content, os.FileMode(f.mode)); err != nil {
		return err
	}
	return os.Chmod(to, os.FileMode(f.mode)) // whatever the umask is
}

// debVersion is a version as Debian sorts it: it begins with a digit.
func debVersion(v string) string {
	v = strings.TrimPrefix(v, "v")
	v = strings.ReplaceAll(v, "-", "+")
	if v == "" || v[0] < '0' || v[0] > '9' {
		return "0~" + v
	}
	return v
}

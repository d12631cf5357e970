// Package static serves files as they lie there: those whose names say their content for good, all others validated, each
// in the form that a client prefers where one lies beside it (app.js.br, app.js.zst, app.js.gz).
package static

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/forebay-cache/forebay/internal/coding"
)

// Files serves the files of a file system. It is safe for concurrent use.
type Files struct {
	Hashed bool // every name has a hash of the content in it; else see Immutable

	fsys fs.FS
	sums sync.Map // of the contents of files without a time, by name
}

// New returns the files of a file system, which no link may lead out of: that is for fsys to see to.
func New(fsys fs.FS) *Files { return &Files{fsys: fsys} }

// suffixes are those of the forms of a file.
var suffixes = map[string]string{"zstd": ".zst", "br": ".br", "gzip": ".gz"}

// index is what a folder is served by.
const index = "index.html"

// ServeHTTP serves the file of the request's path.
func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if name == "" || strings.HasSuffix(r.URL.Path, "/") {
		name = path.Join(name, index)
	}
	if err := f.Serve(w, r, name); err != nil {
		if info, failed := fs.Stat(f.fsys, name); failed == nil && info.IsDir() && f.Has(path.Join(name, index)) {
			http.Redirect(w, r, path.Base(name)+"/", http.StatusMovedPermanently)
			return
		}
		http.Error(w, "there is no such file", http.StatusNotFound)
	}
}

// Has reports whether there is a file that is served by a name.
func (f *Files) Has(name string) bool {
	if hidden(name) || !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(f.fsys, name)
	return err == nil && info.Mode().IsRegular()
}

// hidden reports whether a part of a name begins with a dot: such files are for whoever put them there, but for
// .well-known (RFC 8615).
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != ".well-known" {
			return true
		}
	}
	return false
}

// Serve serves a file by its name. It returns an error, and has written nothing, where there is none.
func (f *Files) Serve(w http.ResponseWriter, r *http.Request, name string) error {
	if !f.Has(name) {
		return fs.ErrNotExist
	}
	h := w.Header()
	sent, coded := name, ""
	if offered := f.forms(name); len(offered) > 0 {
		h["Vary"] = coding.VaryOn(h["Vary"])
		if coded = coding.Choose(r.Header["Accept-Encoding"], offered); coded != "" && r.Header["Range"] == nil { // ranges are of the file as it is
			sent = name + suffixes[coded]
		} else {
			coded = ""
		}
	}
	file, err := f.fsys.Open(sent)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	content, ok := file.(io.ReadSeeker)
	if !ok {
		return errors.New("the file cannot be read from any place")
	}
	tag, err := f.tag(sent, info, content)
	if err != nil {
		return err
	}
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		h.Set("Content-Type", kind)
	} else if coded != "" {
		h.Set("Content-Type", "application/octet-stream") // that of the form must not be guessed
	}
	h.Set("Etag", tag)
	h.Set("Cache-Control", "public, max-age=0, must-revalidate")
	if f.Hashed || Immutable(name) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if coded != "" {
		h.Set("Content-Encoding", coded)
		h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	}
	http.ServeContent(w, r, name, info.ModTime(), content)
	return nil
}

// forms are the codings that a file lies there in.
func (f *Files) forms(name string) (out []string) {
	for _, one := range coding.All {
		if f.Has(name + suffixes[one]) {
			out = append(out, one)
		}
	}
	return out
}

// tag is a file's entity tag: of its time and its size, or of its content where it has no time.
func (f *Files) tag(name string, info fs.FileInfo, content io.ReadSeeker) (string, error) {
	if !info.ModTime().IsZero() {
		return fmt.Sprintf(`"%x-%x%s"`, info.ModTime().UnixNano(), info.Size(), path.Ext(name)), nil
	}
	if known, ok := f.sums.Load(name); ok {
		return known.(string), nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return "", err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12]) + `"`
	f.sums.Store(name, tag)
	return tag, nil
}

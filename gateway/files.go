package gateway

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/forebay-cache/forebay/internal/static"
)

// A fileRoute is the origin of a route whose answers are files.
type fileRoute struct {
	files  *static.Files
	prefix string // of the paths, as the pattern has it
	only   string // the one file that there is; "": a folder
}

// newFileRoute opens a folder, which no link leads out of, or a file.
func newFileRoute(w Way) (*fileRoute, error) {
	info, err := os.Stat(w.Files)
	if err != nil {
		return nil, fmt.Errorf("%s: files: %w", w.Match, err)
	}
	f, folder := &fileRoute{}, w.Files
	if info.Mode().IsRegular() {
		folder, f.only = filepath.Split(w.Files)
		if folder == "" {
			folder = "."
		}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("%s: files: %w", w.Match, err)
	}
	f.files = static.New(root.FS()) // it is closed when nobody uses it any more
	_, path, ok := strings.Cut(w.Match, "/")
	if !ok {
		return nil, fmt.Errorf("%s: files: the pattern has no path", w.Match)
	}
	path, _, _ = strings.Cut(path, "{")
	f.prefix = "/" + path[:strings.LastIndexByte(path, '/')+1]
	return f, nil
}

func (f *fileRoute) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.only == "" {
		http.StripPrefix(strings.TrimSuffix(f.prefix, "/"), f.files).ServeHTTP(w, r)
		return
	}
	if err := f.files.Serve(w, r, f.only); err != nil {
		http.Error(w, "there is no such file", http.StatusNotFound)
	}
}

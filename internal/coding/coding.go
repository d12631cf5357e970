// Package coding knows the content codings of HTTP (RFC 9110, section 8.4.1; RFC 8878; RFC 7932): which one a client
// prefers, what they are worth for, and how a body is brought into one.
package coding

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// All are the codings that are known, in the order in which they are preferred where a client has no preference.
var All = []string{"zstd", "br", "gzip"}

// maxWindow is the largest window of zstd that a client need support (RFC 9659).
const maxWindow = 8 << 20

// Encode returns data in a coding. It is made to be sent many times: it takes some 20 ms for each MiB.
func Encode(name string, data []byte) ([]byte, error) {
	if name == "zstd" {
		return whole.get().EncodeAll(data, make([]byte, 0, len(data)/3)), nil
	}
	var out bytes.Buffer
	w, err := newWriter(name, &out, 6)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return bytes.Clone(out.Bytes()), err
}

// whole is the encoder of what is encoded in one piece. It is safe for concurrent use.
var whole lazyEncoder

type lazyEncoder struct {
	once sync.Once
	zstd *zstd.Encoder
}

func (l *lazyEncoder) get() *zstd.Encoder {
	l.once.Do(func() {
		l.zstd, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(maxWindow), zstd.WithEncoderConcurrency(1))
	})
	return l.zstd
}

// A writer encodes what is written to it.
type writer interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

func newWriter(name string, to io.Writer, level int) (writer, error) {
	switch name {
	case "br":
		return brotli.NewWriterLevel(to, level), nil
	case "gzip":
		return kgzip.NewWriterLevel(to, level)
	case "zstd":
		return zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(1))
	}
	return nil, fmt.Errorf("%q is not a content coding that is known: write zstd, br or gzip", name)
}

// Decode returns what was encoded, at most max bytes of it.
func Decode(name string, data []byte, max int64) ([]byte, error) {
	var from io.Reader
	switch name {
	case "br":
		from = brotli.NewReader(bytes.NewReader(data))
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		from = z
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		from = z
	default:
		return nil, fmt.Errorf("%q is not a content coding that is known", name)
	}
	out, err := io.ReadAll(io.LimitReader(from, max+1))
	if err == nil && int64(len(out)) > max {
		err = fmt.Errorf("more than %d bytes", max)
	}
	return out, err
}

// Gains reports whether bodies of a type become smaller: text in any form, and not what is compressed already.
func Gains(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	switch {
	case t == "text/event-stream":
		return false // each event has to go on at once
	case strings.HasPrefix(t, "text/"), strings.HasSuffix(t, "+json"), strings.HasSuffix(t, "+xml"), strings.HasSuffix(t, "+yaml"):
		return true
	}
	return gaining[t]
}

var gaining = map[string]bool{
	"application/json": true, "application/javascript": true, "application/ecmascript": true, "application/xml": true, "application/x-ndjson": true,
	"application/jsonl": true, "application/yaml": true, "application/graphql": true, "application/wasm": true, "application/vnd.ms-fontobject": true,
	"application/x-javascript": true, "application/x-www-form-urlencoded": true, "application/sql": true, "application/toml": true,
	"font/ttf": true, "font/otf": true, "image/bmp": true, "image/x-icon": true, "image/vnd.microsoft.icon": true,
}

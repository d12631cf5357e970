package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/forebay-cache/forebay/demo/origin"
)

// A byteSize is a flag such as 64MiB or 500kB.
type byteSize int64

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

// Decode implements [kong.MapperValue].
func (b *byteSize) Decode(ctx *kong.DecodeContext) error {
	text, err := popString(ctx)
	if err != nil {
		return err
	}
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || n < 0 || n*u.bytes > math.MaxInt64/2 {
			break
		}
		*b = byteSize(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size: write 64MiB, 1GiB or 500kB", text)
}

// A spanOfMS is a flag such as 200ms-500ms, or one duration for both ends, or 0.
type spanOfMS origin.Latency

// Decode implements [kong.MapperValue].
func (s *spanOfMS) Decode(ctx *kong.DecodeContext) error {
	text, err := popString(ctx)
	if err != nil {
		return err
	}
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		to = from
	}
	lo, err1 := time.ParseDuration(from)
	hi, err2 := time.ParseDuration(to)
	if err1 != nil || err2 != nil || lo < 0 || hi < lo {
		return fmt.Errorf("%q is not a span of time: write 200ms-500ms, 300ms or 0", text)
	}
	*s = spanOfMS{Min: lo, Max: hi}
	return nil
}

func popString(ctx *kong.DecodeContext) (string, error) {
	var text string
	err := ctx.Scan.PopValueInto("value", &text)
	return text, err
}

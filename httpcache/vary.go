package httpcache

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/forebay-cache/forebay/internal/coding"
)

// varyNames returns the names of a Vary field, sorted and once each. any: "*", which nothing matches.
func varyNames(lines []string) (names []string, any bool) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.TrimSpace(name); name {
			case "":
			case "*":
				return nil, true
			default:
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), false
}

// preferred is what a client accepts, in one order: by weight, then by name. The order of equal weights
// has no meaning (RFC 9110, section 12.4.2). What is refused stays, because it says something.
func preferred(name string, lines []string) string {
	if len(lines) == 1 {
		if p := memo[memoSlot(lines[0])].Load(); p != nil && p.line == lines[0] {
			return p.out
		}
	}
	line := oneLine(name, lines)
	out := line
	if !strings.ContainsAny(line, "\"\\") {
		out = strings.Join(preferences(line), ", ")
	}
	if len(lines) == 1 && len(line) <= maxMemo {
		memo[memoSlot(lines[0])].Store(&preference{line: lines[0], out: out})
	}
	return out
}

// memo remembers the preferences read last: browsers send few different ones.
var memo [256]atomic.Pointer[preference]

type preference struct{ line, out string }

const maxMemo = 1 << 10 // bytes of a line that is remembered

var memoSeed = maphash.MakeSeed()

func memoSlot(line string) uint8 { return uint8(maphash.String(memoSeed, line)) }

func preferences(line string) []string {
	type member struct {
		text   string
		weight int // in thousandths
	}
	var all []member
	for one := range splitList(line) {
		m := member{weight: 1000}
		var kept []string
		for piece := range strings.SplitSeq(strings.ToLower(one), ";") {
			piece = strings.Trim(piece, " \t")
			if q, ok := strings.CutPrefix(piece, "q="); ok {
				if w, valid := coding.Weight(q); valid {
					m.weight = w
					continue
				}
			}
			kept = append(kept, piece)
		}
		m.text = strings.Join(kept, ";")
		all = append(all, m)
	}
	slices.SortStableFunc(all, func(a, b member) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), strings.Compare(a.text, b.text))
	})
	out := make([]string, 0, len(all))
	for _, m := range all {
		if m.weight != 1000 {
			m.text += ";q=" + strings.TrimRight(fmt.Sprintf("%d.%03d", m.weight/1000, m.weight%1000), "0.")
			if m.weight == 0 {
				m.text += "0"
			}
		}
		out = append(out, m.text)
	}
	return slices.Compact(out)
}

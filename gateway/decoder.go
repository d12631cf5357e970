package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A decoder reads YAML strictly and goes on after a mistake: an editor of a file wants to see all of them.
type decoder struct{ mistakes []mistake }

type mistake struct {
	line, column int
	text         string
}

// fields are what a mapping may hold.
type fields map[string]func(ast.Node)

func (d *decoder) wrong(n ast.Node, format string, args ...any) {
	at := start(n).GetToken().Position
	d.mistakes = append(d.mistakes, mistake{at.Line, at.Column, fmt.Sprintf(format, args...)})
}

// err is every mistake, in the order of the file: "line:column: text" each.
func (d *decoder) err() error {
	slices.SortStableFunc(d.mistakes, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var all []error
	for _, m := range d.mistakes {
		all = append(all, fmt.Errorf("%d:%d: %s", m.line, m.column, m.text))
	}
	return errors.Join(all...)
}

func (d *decoder) document(text []byte, f fields) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			at := syntax.GetToken().Position
			d.mistakes = append(d.mistakes, mistake{at.Line, at.Column, syntax.GetMessage()})
			return
		}
		d.mistakes = append(d.mistakes, mistake{1, 1, err.Error()})
		return
	}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			d.mapping(doc.Body, f)
		}
	}
}

func (d *decoder) mapping(n ast.Node, f fields) {
	seen := map[string]bool{}
	d.each(n, func(name string, value ast.Node) {
		read := f[name]
		switch {
		case read == nil:
			d.wrong(value, "unknown field %q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(f)), ", "))
		case seen[name]:
			d.wrong(value, "%q is there twice", name)
		default:
			seen[name] = true
			read(value)
		}
	})
}

// each yields the members of a mapping.
func (d *decoder) each(n ast.Node, yield func(string, ast.Node)) {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			yield(v.Key.GetToken().Value, v.Value)
		}
	case *ast.MappingValueNode:
		yield(n.Key.GetToken().Value, n.Value)
	case *ast.NullNode:
	default:
		d.wrong(n, "expected a mapping, not %s", n)
	}
}

func (d *decoder) list(n ast.Node, yield func(ast.Node)) {
	switch n := n.(type) {
	case *ast.SequenceNode:
		for _, v := range n.Values {
			yield(v)
		}
	case *ast.NullNode:
	default:
		d.wrong(n, "expected a list, not %s", n)
	}
}

func (d *decoder) text(to *string) func(ast.Node) {
	return func(n ast.Node) {
		switch n := n.(type) {
		case *ast.StringNode:
			*to = n.Value
		case *ast.LiteralNode:
			*to = n.Value.Value
		default:
			if text, ok := unsplit(n); ok {
				*to = text
				return
			}
			d.wrong(n, "expected a text, not %s", n)
		}
	}
}

// unsplit puts a text together that the parser takes for a key and its value: [http://host:80] is a list of one text (YAML
// 1.2.2, section 7.3.3: a colon within a plain text is a part of it).
func unsplit(n ast.Node) (string, bool) {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) == 1 {
		n = m.Values[0]
	}
	pair, ok := n.(*ast.MappingValueNode)
	if !ok {
		return "", false
	}
	key, value := pair.Key.GetToken(), pair.Value.GetToken()
	if key.Position.Line != value.Position.Line || key.Position.Column+len(key.Value)+1 != value.Position.Column {
		return "", false
	}
	return key.Value + ":" + value.Value, true
}

func (d *decoder) texts(to *[]string) func(ast.Node) {
	return func(n ast.Node) {
		d.list(n, func(n ast.Node) {
			var s string
			d.text(&s)(n)
			*to = append(*to, s)
		})
	}
}

func (d *decoder) oneOf(n ast.Node, to *string, allowed ...string) {
	d.text(to)(n)
	if *to != "" && !slices.Contains(allowed, *to) {
		d.wrong(n, "%q is not one of %s", *to, strings.Join(allowed, ", "))
	}
}

func (d *decoder) boolean(to *bool) func(ast.Node) {
	return func(n ast.Node) {
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.wrong(n, "expected true or false, not %s", n)
			return
		}
		*to = b.Value
	}
}

// duration reads 15m, 90s or 1h30m; "off" is what the library writes as a negative duration.
func (d *decoder) duration(to *time.Duration) func(ast.Node) {
	return func(n ast.Node) {
		s, ok := n.(*ast.StringNode)
		if !ok {
			d.wrong(n, "%s has no unit: write 90s, 15m, 2h or off", n)
			return
		}
		var err error
		if *to, err = parseDuration(s.Value); err != nil {
			d.wrong(n, "%q is not a duration: write 90s, 15m, 2h or off", s.Value)
		}
	}
}

func (d *decoder) integer(n ast.Node) int {
	i, err := strconv.Atoi(n.String())
	if err != nil {
		d.wrong(n, "expected a whole number, not %s", n)
	}
	return i
}

func (d *decoder) number(n ast.Node) float64 {
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil {
		d.wrong(n, "expected a number, not %s", n)
	}
	return f
}

var sizes = []struct {
	unit  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"B", 1}}

// size reads 64KiB or 8MiB.
func (d *decoder) size(n ast.Node) int64 {
	if s, ok := n.(*ast.StringNode); ok {
		for _, u := range sizes {
			if number, ok := strings.CutSuffix(s.Value, u.unit); ok {
				if i, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32); err == nil && i > 0 {
					return i * u.bytes
				}
				break
			}
		}
	}
	d.wrong(n, "%s is not a size: write 64KiB or 8MiB", n)
	return 0
}

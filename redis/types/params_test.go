package types_test

import (
	"context"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// A param is a type of parameter and what its key is, or why it is refused.
type param struct {
	name, note string
	tried      func(t *testing.T, c *forebay.Cache, name string) string
}

// by is a parameter type's own values: each must have a key of its own, and get its own answer.
func by[P any](name, note string, values ...P) param {
	return param{name, note, func(t *testing.T, c *forebay.Cache, class string) string {
		t.Helper()
		next := 0
		f, err := forebay.Wrap(c, class, func(context.Context, P) (int, error) { next++; return next, nil })
		if err != nil {
			_, why, _ := strings.Cut(err.Error(), class+`": `)
			return "refused: " + short.ReplaceAllString(strings.TrimSpace(why), "")
		}
		for i, p := range values {
			if got, err := f.Get(t.Context(), p); err != nil || got != i+1 {
				t.Errorf("%s: %v is answered with what %v loaded (%v)", name, p, values[got-1], err)
			}
		}
		_, key, _ := strings.Cut(f.Key(values[len(values)-1]), ":")
		return "`" + key + "`"
	}}
}

type (
	orgUser struct{ Org, User string }
	page    struct {
		Org   string
		Limit int    `forebay:"n"`
		Trace string `forebay:"-"`
	}
	hidden struct {
		Org    string
		secret string
	}
	day struct {
		time.Time
		Org string
	}
	nested struct {
		Filter map[string][]string
		Sort   []orgUser
	}
	maybe   struct{ Limit *int }
	loop    struct{ Next *loop }
	bytesOf struct{ Sum [4]byte }
	option  struct{ Value any }
	status  int
)

func (s status) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "status-%d", int(s)), nil }

var params = []param{
	by("string", "", "", "a", "acme"),
	by("string with delimiters", "escaped", "a,b", "a=b", "{a}", "a*"),
	by("string like a number", "", "x", "42"),
	by("string with a zero byte", "", "a\x00", "a", "a\x00b"),
	by("string that is not UTF-8", "", "a\xff", "a\xfe"),
	by("long string", "hashed", strings.Repeat("x", 300), strings.Repeat("x", 301)),
	by("bool", "", false, true),
	by("int", "", 0, -7, 42),
	by("uint64", "", 1<<64-1, uint64(7)),
	by("float64", "", 0.1, 1.5),
	by("[]byte", "", []byte("a"), []byte("ab"), []byte{0, 1}),
	by("[4]byte", "", [4]byte{1}, [4]byte{0, 1}),
	by("named int with MarshalText", "by its text", status(1), status(2)),
	by("time.Duration", "", time.Second, time.Minute),
	by("time.Time", "by its text: offsets differ, names of zones do not", at, at.Add(1), at.In(time.FixedZone("", 3600))),
	by("*time.Time", "", nil, &at),
	by("netip.Addr", "", netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1")),
	by("*big.Int", "", big.NewInt(7), big.NewInt(8)),
	by("struct", "", orgUser{"a", "b"}, orgUser{"ab", ""}, orgUser{"", "ab"}),
	by("struct with tags", "", page{"a", 1, ""}, page{"a", 2, "left out"}),
	by("struct with an unexported field", "", hidden{secret: "x"}),
	by("struct that embeds time.Time", "", day{at, "a"}, day{at, "b"}),
	by("struct with a pointer", "", maybe{}, maybe{ptr(0)}, maybe{ptr(1)}),
	by("struct with lists and maps", "", nested{}, nested{map[string][]string{"a": {"b"}}, []orgUser{{"x", "y"}}}),
	by("struct with an array", "", bytesOf{[4]byte{1}}, bytesOf{[4]byte{2}}),
	by("[]string", "nil and empty are one", []string{}, []string{"a"}, []string{"a", "b"}, []string{"ab"}, []string{"a,b"}),
	by("*[]string", "nil and empty are two", nil, &[]string{}, &[]string{"a"}),
	by("map[string]int", "sorted", map[string]int{"a": 1}, map[string]int{"b": 1, "a": 1}),
	by("struct{}", "one key", struct{}{}),
	by("any", "", any(7)),
	by("struct with an interface", "", option{7}),
	by("func()", "", func() {}),
	by("chan int", "", make(chan int)),
	by("type that contains itself", "", loop{}),
	by("context.Context", "", context.Background()),
}

// TestTypesOfParameters asks for values of each type, near and with a shared tier, and writes down the keys.
func TestTypesOfParameters(t *testing.T) {
	near, err := forebay.Open(t.Context(), forebay.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	n := node(t, redistest.Start(t).URL(), forebay.Options{})
	rows := []string{"| Go type | key | |", "| --- | --- | --- |"}
	for i, p := range params {
		class := fmt.Sprint("loose/param", i)
		key := p.tried(t, n, class)
		if alone := p.tried(t, near, class); alone != key {
			t.Errorf("%s: %s near, %s with a shared tier", p.name, alone, key)
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |", p.name, strings.ReplaceAll(key, "|", `\|`), p.note))
	}
	golden(t, "../../docs/types.md", "<!-- parameters -->", strings.Join(rows, "\n"))
}

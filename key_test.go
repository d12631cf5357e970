package forebay_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/forebay-cache/forebay"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type inner struct {
	A string
	B int
}

type everything struct {
	OrgID     string
	HTTPCode  int16
	UserName  string `forebay:"user"`
	Trace     string `forebay:"-"`
	Yes       bool
	Price     float64
	Ratio     float32
	Count     uint64
	Raw       []byte
	List      []string
	Pair      [2]int
	Inner     inner
	Ptr       *inner
	Nil       *int
	ByName    map[string]int
	At        time.Time
	Addr      netip.Addr
	privately struct{} `forebay:"-"`
}

// keys renders the key of each parameter, a line each.
func keys[P any](t *testing.T, c *forebay.Cache, name string, ps ...P) string {
	t.Helper()
	f := wrap(t, c, name, func(context.Context, P) (int, error) { return 0, nil })
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintf(&b, "%s\n", f.Key(p))
	}
	return b.String()
}

// TestGoldenKeys: a key is the same forever. A change here empties every cache there is.
func TestGoldenKeys(t *testing.T) {
	c := open(t, forebay.Options{})
	_ = everything{}.privately
	got := keys(t, c, "strings", "acme", "", "acme2", "a,b", "a=b", "100%", "*", "42", "-1", "true", "'x", "#x", "~", "Ünïcödé", "a\x00b\n", "\xff", "{[]}", strings.Repeat("long ", 60)) +
		keys(t, c, "ints", 0, -1, math.MaxInt64) +
		keys(t, c, "floats", 0.0, math.Copysign(0, -1), 1.5, math.NaN(), math.Inf(1), 1e300) +
		keys(t, c, "bools", true, false) +
		keys(t, c, "nothing", struct{}{}) +
		keys(t, c, "lists", []string{}, []string{""}, []string{"a", "b"}, []string{"a,b"}) +
		keys(t, c, "maps", map[string]int{"b": 2, "a": 1}, nil) +
		keys(t, c, "pointers", nil, new(int)) +
		keys(t, c, "everything", everything{},
			everything{OrgID: "acme", HTTPCode: 404, UserName: "anna", Trace: "not in the key", Yes: true, Price: 1.25, Ratio: 0.1, Count: 7,
				Raw: []byte("raw"), List: []string{"x", "y"}, Pair: [2]int{1, 2}, Inner: inner{"i", 1}, Ptr: &inner{"p", 2},
				ByName: map[string]int{"z": 1, "a": 2}, At: time.Date(2026, 11, 22, 10, 0, 0, 5, time.UTC), Addr: netip.MustParseAddr("::1")}) +
		keys(t, c, "partner_data", struct{ OrgID, Q string }{"acme", ""}, struct{ OrgID, Q string }{"acme", strings.Repeat("q", 300)})
	golden := filepath.Join("testdata", "keys.golden")
	if *update {
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("keys changed:\n%s\nwant:\n%s", got, want)
	}
}

// TestNoTwoParametersGiveOneKey draws pairs of parameters, many of them nearly equal.
func TestNoTwoParametersGiveOneKey(t *testing.T) {
	type param struct {
		A, B string
		C    []string
		D    map[string]string
		E    *string
		F    inner
		G    float64
	}
	f := wrap(t, open(t, forebay.Options{}), "c", func(context.Context, param) (int, error) { return 0, nil })
	seen := map[string]param{}
	check := func(p param) bool {
		key := f.Key(p)
		q, taken := seen[key]
		seen[key] = p
		return !taken || equal(reflect.ValueOf(p), reflect.ValueOf(q))
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 3000}); err != nil {
		t.Error(err)
	}
	// Strings of delimiters are where encodings go wrong.
	parts := []string{"", "a", ",", "=", "%", "a,b=", "{}", "[", "]", "'", "~", "&", "1", "%2C", "\xff", "*"}
	for _, a := range parts {
		for _, b := range parts {
			for _, l := range [][]string{nil, {a}, {a, b}, {a + b}, {a + "," + b}} {
				if p := (param{A: a, B: b, C: l, D: map[string]string{a: b}, E: &a}); !check(p) {
					t.Errorf("%+v has the key of another", p)
				}
			}
		}
	}
}

// equal is deep equality as a key sees it: an empty list is a nil one, NaN is NaN.
func equal(a, b reflect.Value) bool {
	return fmt.Sprintf("%q", flat(a)) == fmt.Sprintf("%q", flat(b))
}

func flat(v reflect.Value) []string {
	switch v.Kind() {
	case reflect.Struct:
		var out []string
		for i := range v.NumField() {
			out = append(out, fmt.Sprintf("%q", flat(v.Field(i))))
		}
		return out
	case reflect.Slice:
		out := []string{fmt.Sprint(v.Len())}
		for i := range v.Len() {
			out = append(out, flat(v.Index(i))...)
		}
		return out
	case reflect.Map:
		return []string{fmt.Sprintf("%q", v.Interface())}
	case reflect.Pointer:
		if v.IsNil() {
			return []string{"nil"}
		}
		return append([]string{"ptr"}, flat(v.Elem())...)
	}
	return []string{fmt.Sprint(v.Interface())}
}

func TestKeyTextThatFailsBypasses(t *testing.T) {
	f := wrap(t, open(t, forebay.Options{}), "c", func(_ context.Context, at time.Time) (int, error) { return at.Year(), nil })
	impossible := time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) // has no RFC 3339 form
	r := f.Do(ctx, impossible)
	expect(t, r, 12345, forebay.Bypass, forebay.ReasonBadKey)
	if _, err := f.Invalidate(ctx, impossible); err == nil {
		t.Error("invalidated what has no key")
	}
}

func TestFastLookupAllocatesNothing(t *testing.T) {
	c := open(t, forebay.Options{})
	type query struct {
		OrgID string
		Limit int
	}
	f := wrap(t, c, "c/string", func(context.Context, string) ([]int, error) { return make([]int, 100), nil })
	g := wrap(t, c, "c/struct", func(context.Context, query) ([]int, error) { return make([]int, 100), nil })
	f.Get(ctx, "organisation-1")
	g.Get(ctx, query{"organisation-1", 10})
	if n := testing.AllocsPerRun(1000, func() { f.Get(ctx, "organisation-1") }); n != 0 {
		t.Errorf("a hit by string allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() { g.Get(ctx, query{"organisation-1", 10}) }); n != 0 {
		t.Errorf("a hit by struct allocates %v times", n)
	}
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{"", "acme", "a,b", "%2C", "{", "}", "'1", "~", "\xff\x00"} {
		f.Add(s, "x")
		f.Add("x", s)
	}
	c := open(f, forebay.Options{})
	two := wrap(f, c, "two", func(context.Context, struct{ A, B string }) (int, error) { return 0, nil })
	list := wrap(f, c, "list", func(context.Context, []string) (int, error) { return 0, nil })
	f.Fuzz(func(t *testing.T, a, b string) {
		if a != b && two.Key(struct{ A, B string }{a, b}) == two.Key(struct{ A, B string }{b, a}) {
			t.Errorf("%q and %q can be swapped", a, b)
		}
		if list.Key([]string{a, b}) == list.Key([]string{a + b}) || list.Key([]string{a, b}) == list.Key([]string{a + "," + b}) {
			t.Errorf("%q and %q can be joined", a, b)
		}
		if key := two.Key(struct{ A, B string }{a, b}); strings.ContainsAny(strings.TrimPrefix(key, "two:"), "*\n\r\x00") || len(key) > 200 {
			t.Errorf("key %q", key)
		}
	})
}

func FuzzPattern(f *testing.F) {
	f.Add("c:*", "a")
	f.Add("*a*b*", "xaxbx")
	f.Add("**", "")
	c := open(f, forebay.Options{})
	fn := wrap(f, c, "c", func(context.Context, string) (int, error) { return 0, nil })
	f.Fuzz(func(t *testing.T, pattern, p string) {
		stars := strings.Count(pattern, "*") // the plain definition below takes exponential time in them
		if stars == 0 || stars > 4 || strings.Contains(pattern, "#") || len(pattern) > 100 || len(p) > 60 {
			return
		}
		fn.Get(ctx, p)
		if _, err := c.Invalidate(ctx, forebay.Pattern(pattern)); err != nil {
			t.Fatal(err)
		}
		_, held := fn.Peek(ctx, p)
		if want := matches(pattern, fn.Key(p)); held == want {
			t.Errorf("pattern %q on key %q: matched %v, want %v", pattern, fn.Key(p), !held, want)
		}
	})
}

// matches is the plain definition of a pattern.
func matches(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return matches(pattern[1:], s) || s != "" && matches(pattern, s[1:])
	}
	return s != "" && s[0] == pattern[0] && matches(pattern[1:], s[1:])
}

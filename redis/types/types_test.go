package types_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// A sample is a type's value, and what becomes of it in the shared tier: "kept", or "near" with why.
type sample struct {
	name  string
	note  string
	tried func(t *testing.T, nodes [2]*forebay.Cache, name string) string
}

// of is a sample of a type's own values: all are asked for, in their order.
func of[V any](name, note string, values ...V) sample {
	return sample{name, note, func(t *testing.T, nodes [2]*forebay.Cache, class string) string {
		t.Helper()
		loads := [2]int{}
		var fs [2]*forebay.Func[int, V]
		for i, c := range nodes {
			f, err := forebay.Wrap(c, class, func(_ context.Context, n int) (V, error) {
				loads[i]++
				return values[n], nil
			})
			if err != nil {
				t.Fatal(name, err)
			}
			fs[i] = f
		}
		for n, want := range values {
			if _, err := fs[0].Get(t.Context(), n); err != nil {
				t.Fatal(name, err)
			}
			settle(t, nodes[0])
			got, err := fs[1].Get(t.Context(), n)
			if err != nil || text(got) != text(want) {
				t.Errorf("%s: %s comes back as %s, %v", name, text(want), text(got), err)
			}
		}
		if lost := nodes[0].Stats().Shared.Lost[class]; lost != "" {
			if loads[1] == 0 {
				t.Errorf("%s: %q, and the other node took a value from the shared tier", name, lost)
			}
			return "near: " + short.ReplaceAllString(lost, "")
		}
		if loads[1] != 0 {
			t.Errorf("%s: nothing is said, and the other node loaded", name)
		}
		return "kept"
	}}
}

// short leaves out what a test makes longer: its package, and addresses.
var short = regexp.MustCompile(`types_test\.|\(0x[0-9a-f]+\)`)

// text is all that a value shows, also behind pointers.
func text(v any) string {
	switch x := v.(type) {
	case time.Time:
		return fmt.Sprint(x.UTC(), x.AddDate(0, 6, 0).UTC())
	case *time.Time:
		return text(*x)
	case error:
		return "error " + x.Error()
	case float64:
		return fmt.Sprint(x == 0, math.Signbit(x), x)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%#v", v)
	}
	return string(b) + fmt.Sprintf(" %T", v)
}

type (
	plain  struct{ Name string }
	tagged struct {
		Name    string
		Skipped string `json:"-"`
	}
	secret struct{ Name, hidden string }
	embeds struct {
		plain2
		More int
	}
	plain2  struct{ Base string }
	stamped struct {
		time.Time
		Org string
	}
	twice struct {
		left
		right
	}
	left  struct{ X int }
	right struct{ X int }
	chain struct {
		Next *chain
		N    int
	}
	locked struct {
		mu sync.Mutex
		N  int
	}
	counted     struct{ N atomic.Int64 }
	holds       struct{ Any any }
	fails       struct{ Err error }
	selfWriting struct{ n int }
	writer2     struct{ n int }
	enum        int
	fn          struct{ F func() }
	optional    struct {
		N *int `json:",omitempty"`
	}
)

// byPointer holds what is not a part of its form.
type byPointer struct {
	lock *sync.Mutex
	n    int
}

func (w *byPointer) MarshalBinary() ([]byte, error) { return []byte{byte(w.n)}, nil }
func (w *byPointer) UnmarshalBinary(b []byte) error {
	w.n, w.lock = int(b[0]), &sync.Mutex{}
	return nil
}
func (w *byPointer) MarshalJSON() ([]byte, error) { return json.Marshal(w.n) }
func (w *byPointer) UnmarshalJSON(b []byte) error {
	w.lock = &sync.Mutex{}
	return json.Unmarshal(b, &w.n)
}

func (w selfWriting) MarshalBinary() ([]byte, error)  { return []byte{byte(w.n)}, nil }
func (w *selfWriting) UnmarshalBinary(b []byte) error { w.n = int(b[0]); return nil }
func (w selfWriting) MarshalJSON() ([]byte, error)    { return json.Marshal(w.n) }
func (w *selfWriting) UnmarshalJSON(b []byte) error   { return json.Unmarshal(b, &w.n) }
func (w writer2) MarshalJSON() ([]byte, error)        { return json.Marshal(w.n) }
func (w *writer2) UnmarshalJSON(b []byte) error       { return json.Unmarshal(b, &w.n) }
func zone(name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return l
}
func ptr[T any](v T) *T { return &v }
func itself() *chain    { c := &chain{}; c.Next = c; return c }

var at = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

// samples are what Go programs return. The first value of some is empty on purpose: what is lost comes later.
var samples = []sample{
	of("bool", "", true, false),
	of("int64", "to the last bit", int64(math.MaxInt64), math.MinInt64),
	of("uint64", "", uint64(math.MaxUint64)),
	of("float64", "", 0.1, math.MaxFloat64, math.Copysign(0, -1)),
	of("float64, NaN and infinite", "", math.Inf(1), math.NaN()),
	of("float32", "", float32(0.1)),
	of("complex128", "", complex(1, 2)),
	of("string", "", "", "grüße"),
	of("string that is not UTF-8", "", "a\xffb"),
	of("[]byte", "as they are", []byte("x"), []byte{}),
	of("[4]byte", "", [4]byte{1, 2, 3, 4}),
	of("named int", "", enum(7)),
	of("time.Duration", "", time.Second),
	of("time.Time in UTC", "without the monotonic reading", at),
	of("time.Time in a fixed zone", "", at.In(time.FixedZone("", 3600))),
	of("time.Time in Europe/Berlin", "store it in UTC", at.In(zone("Europe/Berlin"))),
	of("*time.Time of time.Now()", "in the process's zone: give all nodes one TZ", ptr(time.Now())),
	of("struct with a time, the first in UTC", "", struct{ At time.Time }{at}, struct{ At time.Time }{at.In(zone("America/New_York"))}),
	of("struct", "", plain{"x"}),
	of("*struct", "", &plain{"x"}, nil),
	of("**int", "nil behind a pointer comes back as nil", ptr(ptr(7)), ptr((*int)(nil))),
	of("struct with an unexported field", "", secret{}, secret{"x", "y"}),
	of("struct with a `json:\"-\"` field", "", tagged{}, tagged{"x", "y"}),
	of("struct with `omitempty`", "", optional{}, optional{ptr(0)}),
	of("struct with a mutex", "the mutex is not a part of the value", &locked{sync.Mutex{}, 1}),
	of("struct with an atomic", "", &counted{}),
	of("struct with a function", "", fn{}),
	of("embedded struct", "", embeds{plain2{"x"}, 7}),
	of("embedded time.Time", "its method would speak for the whole", stamped{}, stamped{at, "acme"}),
	of("two embedded fields of one name", "", twice{}, twice{left{1}, right{2}}),
	of("struct that contains its type", "", chain{&chain{nil, 2}, 1}),
	of("value that contains itself", "", *itself()),
	of("[]string", "nil and empty are told apart", []string(nil), []string{}, []string{"a"}),
	of("[][]byte", "", [][]byte{{1}, nil}),
	of("map[string]int", "", map[string]int(nil), map[string]int{"a": 1}),
	of("map[int]string", "", map[int]string{7: "x"}),
	of("map[struct]int", "", map[plain]int{{"x"}: 1}),
	of("map[string]any of JSON", "text, float64, bool, nil, lists and maps", map[string]any{"a": "x", "b": 1.5, "c": []any{true, nil}, "d": map[string]any{}}),
	of("map[string]any with int", "what comes back is a uint64 or a float64", map[string]any{}, map[string]any{"n": 7}),
	of("any with int64, the first empty", "", holds{}, holds{int64(7)}),
	of("any with uint64", "", holds{uint64(math.MaxUint64)}),
	of("any with time.Time", "", holds{at}),
	of("any with a struct", "", holds{plain{"x"}}),
	of("any with []byte", "", holds{[]byte("x")}),
	of("error, the first nil", "", fails{}, fails{errors.New("x")}),
	of("json.RawMessage, compact", "", json.RawMessage(`{"a":1}`)),
	of("json.RawMessage with spaces", "", json.RawMessage(`{"a": 1}`)),
	of("json.Number", "", json.Number("1.50")),
	of("big.Int", "", big.NewInt(0).Lsh(big.NewInt(1), 200)),
	of("big.Float", "", big.NewFloat(1.5)),
	of("netip.Addr", "", netip.MustParseAddr("10.0.0.1")),
	of("*url.URL", "", ptr(url.URL{Scheme: "https", Host: "example.org", Path: "/a"})),
	of("sql.NullString", "", sql.NullString{String: "x", Valid: true}),
	of("*regexp.Regexp", "", regexp.MustCompile("a+")),
	of("type with MarshalBinary and MarshalJSON", "", selfWriting{7}),
	of("pointer to a type with methods on the pointer", "", &byPointer{nil, 7}, nil),
	of("type with MarshalJSON alone", "", writer2{7}),
}

// TestTypes sends a value of each type through the shared tier to another node, in both codecs, and writes down
// what became of it: docs/types.md.
func TestTypes(t *testing.T) {
	s := redistest.Start(t)
	outcome := map[forebay.Codec][]string{}
	for _, codec := range []forebay.Codec{forebay.CBOR, forebay.JSON} {
		var nodes [2]*forebay.Cache
		for i := range nodes {
			nodes[i] = node(t, s.URL(), forebay.Options{Codec: codec})
		}
		for i, sample := range samples {
			outcome[codec] = append(outcome[codec], sample.tried(t, nodes, fmt.Sprint("type", i)))
		}
	}
	rows := []string{"| Go type | CBOR | JSON | |", "| --- | --- | --- | --- |"}
	for i, sample := range samples {
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |", sample.name, outcome[forebay.CBOR][i], outcome[forebay.JSON][i], sample.note))
	}
	golden(t, "../../docs/types.md", "<!-- values -->", strings.Join(rows, "\n"))
}

// golden compares what stands in a page between two marks.
func golden(t *testing.T, page, mark, want string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), mark)
	if len(parts) != 3 {
		t.Fatalf("%s: the mark %s stands %d times, want twice", page, mark, len(parts)-1)
	}
	if got := strings.TrimSpace(parts[1]); got == want {
		return
	}
	if !*update {
		t.Errorf("%s is not what the test finds; go test ./redis/types -update writes it:\n%s", page, want)
		return
	}
	parts[1] = "\n" + want + "\n"
	if err := os.WriteFile(page, []byte(strings.Join(parts, mark)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What comes after many values that are the same in every form is looked at, too.
func TestALaterValueInDoubt(t *testing.T) {
	var nodes [2]*forebay.Cache
	s := redistest.Start(t)
	for i := range nodes {
		nodes[i] = node(t, s.URL(), forebay.Options{})
	}
	var values []holds
	for range 40 {
		values = append(values, holds{})
	}
	if got := of("any", "", append(values, holds{time.Second})...).tried(t, nodes, "loose/later"); !strings.HasPrefix(got, "near: ") {
		t.Error(got)
	}
}

// A node that takes a "not found" from the shared tier tells its callers what its own origin would have.
func TestKeptNotFoundIsTheOriginsOwn(t *testing.T) {
	s, loads := redistest.Start(t), 0
	for i := range 2 {
		c := node(t, s.URL(), forebay.Options{IsNotFound: func(err error) bool { return errors.Is(err, sql.ErrNoRows) }})
		f, err := forebay.Wrap(c, "user", func(context.Context, int) (string, error) {
			loads++
			return "", fmt.Errorf("user 7: %w", sql.ErrNoRows)
		})
		if err != nil {
			t.Fatal(err)
		}
		r := f.Do(ctx, 7)
		if !errors.Is(r.Err, sql.ErrNoRows) || !errors.Is(r.Err, forebay.ErrNotFound) || errors.Is(r.Err, sql.ErrTxDone) || !strings.Contains(r.Err.Error(), "user 7") {
			t.Errorf("node %d: %v", i, r.Err)
		}
		settle(t, c)
	}
	if loads != 1 {
		t.Errorf("%d loads", loads)
	}
}

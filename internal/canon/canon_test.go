package canon_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/internal/canon"
)

// Two bodies have the same canonical form only if they are the same value.
func FuzzCanonicalJSON(f *testing.F) {
	f.Add(`{"a":1,"b":[true,null,"x"]}`, `{"b":[true,null,"x"],"a":1}`)
	f.Add(`{"a":1.0}`, `{"a":1}`)
	f.Add(`"\ud800"`, `"\ud801"`)
	f.Add(`{"a":{},"a":[]}`, `{}`)
	f.Add("0", "9e999")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, errX := canon.JSON([]byte(a), nil)
		y, errY := canon.JSON([]byte(b), nil)
		if errX != nil || errY != nil {
			return
		}
		if again, err := canon.JSON(x, nil); err != nil || string(again) != string(x) {
			t.Fatalf("%q has the form %q, and that %q (%v)", a, x, again, err)
		}
		v, errX := numbersKept(a)
		w, errY := numbersKept(b)
		if errX != nil || errY != nil {
			t.Fatalf("%q or %q has a form and is not JSON", a, b)
		}
		if string(x) == string(y) && !reflect.DeepEqual(v, w) {
			t.Fatalf("%q and %q have the form %q", a, b, x)
		}
	})
}

// numbersKept decodes with numbers as they are written: 9e999 is JSON, and no float64.
func numbersKept(text string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

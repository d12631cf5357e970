package httpcache

import (
	"encoding/json"
	"net/http"
	"testing"
)

// What comes from the shared tier is checked: others can write there too.
func TestStoredIsChecked(t *testing.T) {
	good := stored{Status: 200, Header: http.Header{"Content-Type": {"a/b"}}, Body: []byte("x"), Lifetime: 1}
	tests := []struct {
		name   string
		change func(*stored)
	}{
		{"a mark", func(s *stored) { s.Kind = passing }},
		{"an invalid kind", func(s *stored) { s.Kind = 200 }},
		{"an invalid status", func(s *stored) { s.Status = 99 }},
		{"an interim status", func(s *stored) { s.Status = 103 }},
		{"an invalid field", func(s *stored) { s.Header["X Y"] = []string{"a"} }},
		{"a line end in a value", func(s *stored) { s.Header["X"] = []string{"a\r\nSet-Cookie: b"} }},
		{"a field of the hop", func(s *stored) { s.Header["Transfer-Encoding"] = []string{"chunked"} }},
		{"a line end in a trailer", func(s *stored) { s.Trailer = http.Header{"X": {"a\nb"}} }},
		{"a part outside of its whole", func(s *stored) { s.Kind, s.First, s.Of = part, 5, 3 }},
		{"a part before its whole", func(s *stored) { s.Kind, s.First, s.Of = part, -1, 3 }},
		{"a life that is negative", func(s *stored) { s.Lifetime = -1 }},
	}
	for _, test := range append(tests, struct {
		name   string
		change func(*stored)
	}{"", func(*stored) {}}) {
		s := good
		s.Header = http.Header{"Content-Type": {"a/b"}}
		test.change(&s)
		binary, err := encoding.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		refused := test.name != ""
		if err := new(response).UnmarshalBinary(binary); (err != nil) != refused {
			t.Errorf("%s: %v", test.name, err)
		}
		if err := new(response).UnmarshalJSON(text); (err != nil) != refused {
			t.Errorf("%s, JSON: %v", test.name, err)
		}
	}
}

package httpcache

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A kind says what is stored under a key.
type kind uint8

const (
	whole   kind = iota // a response
	part                // a part of one (206)
	index               // the names that the responses of this URI vary on
	passing             // a mark: this URI's responses are not kept, so nobody need wait for one
	coded               // a response's body in a coding; empty where that is not smaller
)

// A response is what the tiers hold. Once published it never changes, but that its body grows.
type response struct {
	kind   kind
	status int
	header http.Header
	// control are fields of the origin that speak to this cache alone, and do not go on.
	control http.Header
	body    *body

	vary     []string // the names of the request's fields that chose it, …
	selected string   // … and their values, normalised
	tags     []string
	terms

	first, of int64 // of a part: its place, and the length of the whole

	shareable bool // those that waited for it may have it
	storing   bool // it will be stored when it is whole
	validated bool // the origin said that it is still the one
	reloads   reloads
	events    bool      // server-sent events
	unstored  notStored // why it is not stored

	forms atomic.Pointer[forms] // nil: nobody has asked yet
}

// stored is a response as the shared tier holds it.
type stored struct {
	Kind     kind        `json:"kind" cbor:"1,keyasint"`
	Status   int         `json:"status,omitempty" cbor:"2,keyasint,omitempty"`
	Header   http.Header `json:"header,omitempty" cbor:"3,keyasint,omitempty"`
	Body     []byte      `json:"body,omitempty" cbor:"4,keyasint,omitempty"`
	Trailer  http.Header `json:"trailer,omitempty" cbor:"5,keyasint,omitempty"`
	Vary     []string    `json:"vary,omitempty" cbor:"6,keyasint,omitempty"`
	Selected string      `json:"selected,omitempty" cbor:"7,keyasint,omitempty"`
	Tags     []string    `json:"tags,omitempty" cbor:"8,keyasint,omitempty"`
	Arrived  int64       `json:"arrived,omitempty" cbor:"9,keyasint,omitempty"` // nanoseconds since 1970
	Age      int64       `json:"age,omitempty" cbor:"10,keyasint,omitempty"`
	Lifetime int64       `json:"lifetime,omitempty" cbor:"11,keyasint,omitempty"`
	While    int64       `json:"stale_while_revalidate,omitempty" cbor:"12,keyasint,omitempty"`
	IfError  int64       `json:"stale_if_error,omitempty" cbor:"13,keyasint,omitempty"`
	IfAway   int64       `json:"stale_if_away,omitempty" cbor:"14,keyasint,omitempty"`
	Flags    int         `json:"flags,omitempty" cbor:"15,keyasint,omitempty"`
	First    int64       `json:"first,omitempty" cbor:"16,keyasint,omitempty"`
	Of       int64       `json:"of,omitempty" cbor:"17,keyasint,omitempty"`
	Control  http.Header `json:"control,omitempty" cbor:"18,keyasint,omitempty"`
}

const (
	flagNoCache = 1 << iota
	flagMustRevalidate
	flagImmutable
	flagEvents
)

func (r *response) form() stored {
	s := stored{
		Kind: r.kind, Status: r.status, Header: r.header, Control: r.control, Vary: r.vary, Selected: r.selected, Tags: r.tags,
		Age: int64(r.initialAge), Lifetime: int64(r.lifetime), First: r.first, Of: r.of,
		While: int64(r.staleWhileRevalidate), IfError: int64(r.staleIfError), IfAway: int64(r.staleIfAway),
	}
	if !r.arrived.IsZero() {
		s.Arrived = r.arrived.UnixNano()
	}
	if r.body != nil {
		s.Body, s.Trailer, _ = r.body.complete()
	}
	for i, set := range []bool{r.noCache, r.mustRevalidate, r.immutable, r.events} {
		if set {
			s.Flags |= 1 << i
		}
	}
	return s
}

// check refuses what no origin's answer leaves behind: the shared tier is written by others too.
func (s *stored) check() error {
	switch {
	case s.Kind > index && s.Kind != coded:
		return fmt.Errorf("httpcache: kind %d is not stored", s.Kind)
	case s.Kind == index:
		return nil
	case s.Status < 200 || s.Status > 599:
		return fmt.Errorf("httpcache: stored status %d", s.Status)
	case s.Kind == part && (s.First < 0 || s.Of < s.First+int64(len(s.Body))):
		return errors.New("httpcache: a stored part is outside of its whole")
	case s.Lifetime < 0 || s.Age < 0 || s.While < 0 || s.IfError < 0 || s.IfAway < 0:
		return errors.New("httpcache: a stored duration is negative")
	}
	for _, h := range []http.Header{s.Header, s.Trailer} {
		for name, lines := range h {
			if !isToken(name) || hopByHop[name] || strings.ContainsAny(strings.Join(lines, ""), "\r\n\x00") {
				return fmt.Errorf("httpcache: stored field %.40q", name)
			}
		}
	}
	return nil
}

func (r *response) fromForm(s stored) {
	r.kind, r.status, r.header, r.control, r.vary, r.selected, r.tags = s.Kind, s.Status, s.Header, s.Control, s.Vary, s.Selected, s.Tags
	r.body = wholeBody(s.Body, s.Trailer)
	r.terms = terms{
		times:   times{timeOf(s.Arrived), time.Duration(s.Age), time.Duration(s.Lifetime)},
		noCache: s.Flags&flagNoCache != 0, mustRevalidate: s.Flags&flagMustRevalidate != 0, immutable: s.Flags&flagImmutable != 0,
		staleWhileRevalidate: time.Duration(s.While), staleIfError: time.Duration(s.IfError), staleIfAway: time.Duration(s.IfAway),
	}
	r.events, r.first, r.of, r.shareable = s.Flags&flagEvents != 0, s.First, s.Of, true
}

// timeOf is a time that was written down, on this process's steady clock: setting the other one moves it no more.
func timeOf(unixNano int64) time.Time {
	now := time.Now()
	return now.Add(time.Unix(0, unixNano).Sub(now.Round(0)))
}

// Fields may hold any bytes, and two forms of one response must be equal.
var (
	encoding, _ = cbor.EncOptions{Sort: cbor.SortBytewiseLexical}.EncMode()
	decoding, _ = cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxMapPairs: 1 << 16}.DecMode()
)

// MarshalBinary writes a response whose body is whole, for the shared tier.
func (r *response) MarshalBinary() ([]byte, error) { return encoding.Marshal(r.form()) }

// UnmarshalBinary reads what MarshalBinary wrote.
func (r *response) UnmarshalBinary(b []byte) error {
	var s stored
	if err := decoding.Unmarshal(b, &s); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	r.fromForm(s)
	return nil
}

// MarshalJSON is MarshalBinary for people who look into the shared tier.
func (r *response) MarshalJSON() ([]byte, error) { return json.Marshal(r.form()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *response) UnmarshalJSON(b []byte) error {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	r.fromForm(s)
	return nil
}

// incremental reports whether each part of the body is of use as it comes (server-sent events, RFC 10036).
func (r *response) incremental() bool { return r.events || r.header.Get("Incremental") == "?1" }

// size is what a whole response takes in memory.
func (r *response) size() int {
	n := 512 + len(r.selected)
	for name, lines := range r.header {
		n += 64 + len(name)
		for _, line := range lines {
			n += 16 + len(line)
		}
	}
	for _, list := range [][]string{r.vary, r.tags} {
		for _, s := range list {
			n += 16 + len(s)
		}
	}
	if r.body != nil {
		data, _, _ := r.body.complete()
		n += cap(data)
	}
	return n
}

// validator reports whether the origin can be asked if the response is still the one.
func (r *response) validator() bool {
	return r.header.Get("Etag") != "" || r.header.Get("Last-Modified") != ""
}

// strongTag is the response's entity tag if it is a strong one: only then parts may be combined (RFC
// 9110, section 15.3.7.3).
func (r *response) strongTag() string {
	if tag := r.header.Get("Etag"); len(tag) >= 2 && tag[0] == '"' {
		return tag
	}
	return ""
}

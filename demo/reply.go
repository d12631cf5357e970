package demo

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/forebay-cache/forebay/demo/origin"
)

// A reply is an answer of the assistant that grows word by word: everybody who asks meanwhile reads
// it from its first word. Once whole it never changes. It is safe for concurrent use.
type reply struct {
	mu      sync.Mutex // guards what follows
	words   []string
	sources []origin.Source
	whole   bool
	err     error
	grew    chan struct{} // closed and renewed at each change
}

// maxReply bounds a reply's text.
const maxReply = 1 << 20

func newReply() *reply { return &reply{sources: []origin.Source{}, grew: make(chan struct{})} }

func (r *reply) say(word string) {
	r.change(func() { r.words = append(r.words, word) })
}

// restOn adds what the reply rests on: the last thing before its end.
func (r *reply) restOn(sources []origin.Source) {
	r.change(func() { r.sources = sources })
}

// end makes the reply whole, or says why it never will be.
func (r *reply) end(err error) {
	r.change(func() { r.whole, r.err = err == nil, err })
}

func (r *reply) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
	close(r.grew)
	r.grew = make(chan struct{})
}

// read gives each word to yield, from the first, as they come. It returns when the reply is whole,
// has failed, or ctx ends.
func (r *reply) read(ctx context.Context, yield func(word string) error) error {
	for next := 0; ; {
		r.mu.Lock()
		words, whole, err, grew := r.words[next:], r.whole, r.err, r.grew
		r.mu.Unlock()
		for _, w := range words {
			if err := yield(w); err != nil {
				return err
			}
		}
		next += len(words)
		if whole || err != nil {
			return err
		}
		select {
		case <-grew:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// all waits for the whole reply.
func (r *reply) all(ctx context.Context) (string, []origin.Source, error) {
	var b strings.Builder
	err := r.read(ctx, func(w string) error {
		b.WriteString(w)
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	return b.String(), r.sources, err
}

// storedReply is a whole reply as the shared tier holds it.
type storedReply struct {
	Words   []string        `json:"words"`
	Sources []origin.Source `json:"sources"`
}

// MarshalBinary writes a whole reply.
func (r *reply) MarshalBinary() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return json.Marshal(storedReply{r.words, r.sources})
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (r *reply) UnmarshalBinary(b []byte) error {
	var s storedReply
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	r.words, r.sources, r.whole, r.grew = s.Words, s.Sources, true, make(chan struct{})
	return nil
}

// size is what a whole reply takes in memory.
func (r *reply) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 256
	for _, w := range r.words {
		n += 32 + len(w)
	}
	for _, s := range r.sources {
		n += 64 + len(s.Type) + len(s.ID) + len(s.Name)
	}
	return n
}

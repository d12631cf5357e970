package forebay

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/shape"
)

// A lossCheck says whether the values of a space are the same after they were written and read. Where the type
// tells that they are not, none goes to the shared tier; where values of one type differ, each is looked at; and
// some are tried. If one is not the same, the space stays near: slower is better than wrong, and log and health
// say what is lost.
type lossCheck struct {
	shape *shape.Shape
	tried atomic.Uint64
	mu    sync.Mutex // guards the fields below
	lost  string
}

// Types that write themselves lose what only trying shows: the first values are all tried, and then some for as
// long as the function lives.
const (
	triedAlways = 16
	triedOneIn  = 64
)

// judgeType finds what the type of a space's values loses, whatever the value.
func (s *space) judgeType(id codec.ID) {
	if lost := s.lossCheck.shape.Loses(func(v any) (any, error) { return s.writtenAndRead(id, v) }); lost != "" {
		s.keepNear(lost)
	}
}

// survives judges one value.
func (s *space) survives(id codec.ID, v any) bool {
	if s.lossyField() != "" {
		return false
	}
	doubt := shape.Fine
	if s.encode == nil {
		doubt = s.lossCheck.shape.Look(v)
	}
	if doubt == shape.Endless {
		s.keepNear(fmt.Sprintf("%T: it is nested more than %d levels deep, or contains itself", v, shape.MaxNesting))
		return false
	}
	if n := s.lossCheck.tried.Add(1); doubt == shape.Unsure || n <= triedAlways || n%triedOneIn == 0 {
		if lost := s.roundTrip(id, v); lost != "" {
			s.keepNear(lost)
		}
	}
	return s.lossyField() == ""
}

// keepNear says once why the values of a space do not go to the shared tier, from now on.
func (s *space) keepNear(lost string) {
	s.lossCheck.mu.Lock()
	before := s.lossCheck.lost
	if before == "" {
		s.lossCheck.lost = lost
	}
	s.lossCheck.mu.Unlock()
	if before == "" {
		s.cache.logger.Error("forebay: values do not survive being written to the shared tier and stay near: change the field's type, or give the type MarshalBinary and UnmarshalBinary",
			"function", s.name, "difference", lost)
	}
}

func (s *space) lossyField() string {
	s.lossCheck.mu.Lock()
	defer s.lossCheck.mu.Unlock()
	return s.lossCheck.lost
}

// roundTrip returns the first difference between a value and what comes back of it. What a form of the user's loses its author knows:
// of those it says what cannot be read again.
func (s *space) roundTrip(id codec.ID, v any) string {
	back, err := s.writtenAndRead(id, v)
	switch {
	case err != nil:
		return err.Error()
	case s.encode != nil:
		return ""
	}
	return shape.Difference(v, back)
}

// written is a value's payload.
func (s *space) written(id codec.ID, v any) (_ codec.ID, payload []byte, compressed bool, err error) {
	if s.encode != nil {
		if v, err = s.encode(v); err != nil {
			return 0, nil, false, fmt.Errorf("EncodeBy: %w", err)
		}
	}
	return codec.Encode(id, v)
}

// writtenAndRead is what comes back of a value.
func (s *space) writtenAndRead(id codec.ID, v any) (back any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%T: a method of the value panicked: %v", v, p)
		}
	}()
	id, payload, compressed, err := s.written(id, v)
	if err != nil {
		return nil, err
	}
	if back, err = s.decode(id, payload, compressed); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return back, nil
}

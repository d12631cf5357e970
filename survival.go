package forebay

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// A survival says whether the values of a space are the same after they were written and read. It is
// tried on those that go to the shared tier. If they are not, the space stays near: slower
// is better than wrong, and health says which field is lost.
type survival struct {
	tried atomic.Uint64
	mu    sync.Mutex // guards what follows
	lost  string
}

// Values of one type may differ in what they lose: an interface holds anything, and the first may be empty.
// So the first ones are all tried, and then some for as long as the function lives.
const (
	triedAlways = 16
	triedOneIn  = 64
)

func (s *space) survives(id codecID, v any) bool {
	if s.lostField() != "" {
		return false
	}
	if deep := tooDeep(v); deep != "" {
		s.keepNear(deep)
		return false
	}
	if n := s.survival.tried.Add(1); n <= triedAlways || n%triedOneIn == 0 {
		if lost := s.roundTrip(id, v); lost != "" {
			s.keepNear(lost)
		}
	}
	return s.lostField() == ""
}

// keepNear says once why the values of a space do not go to the shared tier, from now on.
func (s *space) keepNear(lost string) {
	s.survival.mu.Lock()
	before := s.survival.lost
	if before == "" {
		s.survival.lost = lost
	}
	s.survival.mu.Unlock()
	if before == "" {
		s.cache.logger.Error("forebay: values do not survive being written to the shared tier and stay near: change the field's type, or give the type MarshalBinary and UnmarshalBinary",
			"function", s.name, "difference", lost)
	}
}

func (s *space) lostField() string {
	s.survival.mu.Lock()
	defer s.survival.mu.Unlock()
	return s.survival.lost
}

// roundTrip returns the first difference between a value and what comes back of it.
func (s *space) roundTrip(id codecID, v any) string {
	id, payload, compressed, err := encodeValue(id, v)
	if err != nil {
		return err.Error()
	}
	back, err := s.decode(id, payload, compressed)
	if err != nil {
		return "decode: " + err.Error()
	}
	return difference(reflect.ValueOf(v), reflect.ValueOf(back), fmt.Sprintf("%T", v), 0)
}

// deepest bounds the comparison of values that contain themselves.
const deepest = 64

// difference names the first place where two values differ. Times differ by their moment, not by
// their zone's pointer; an empty list is a nil one.
func difference(a, b reflect.Value, path string, depth int) string {
	if !a.IsValid() || !b.IsValid() {
		if a.IsValid() != b.IsValid() {
			return path + ": one is nil"
		}
		return ""
	}
	if a.Type() != b.Type() {
		return fmt.Sprintf("%s: was %s, comes back as %s", path, a.Type(), b.Type())
	}
	if depth > deepest {
		return ""
	}
	if a.CanInterface() && b.CanInterface() {
		switch x := a.Interface().(type) {
		case time.Time:
			if y := b.Interface().(time.Time); !x.Equal(y) {
				return fmt.Sprintf("%s: was %s, comes back as %s", path, x, y)
			}
			return ""
		case interface{ MarshalBinary() ([]byte, error) }:
			// A pointer to what writes itself is looked through: a time's form also tells its zone.
			if a.Kind() == reflect.Pointer && (a.IsNil() || a.Type().Elem().Implements(writers[0])) {
				break
			}
			if !promoted(a.Type(), "MarshalBinary") {
				return differenceOfForms(x, b.Interface(), path)
			}
		}
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return path + ": one is nil"
			}
			return ""
		}
		return difference(a.Elem(), b.Elem(), path, depth+1)
	case reflect.Struct:
		for i := range a.NumField() {
			if d := difference(a.Field(i), b.Field(i), path+"."+a.Type().Field(i).Name, depth+1); d != "" {
				return d
			}
		}
		return ""
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return fmt.Sprintf("%s: had %d elements, comes back with %d", path, a.Len(), b.Len())
		}
		if a.Type().Elem().Kind() == reflect.Uint8 && a.Kind() == reflect.Slice {
			if !bytes.Equal(a.Bytes(), b.Bytes()) {
				return path + ": its bytes differ"
			}
			return ""
		}
		for i := range a.Len() {
			if d := difference(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1); d != "" {
				return d
			}
		}
		return ""
	case reflect.Map:
		return differenceOfMaps(a, b, path, depth)
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		if a.IsNil() && b.IsNil() {
			return ""
		}
		return path + ": cannot be written"
	case reflect.Float32, reflect.Float64:
		if x, y := a.Float(), b.Float(); x != y && (x == x || y == y) {
			return fmt.Sprintf("%s: was %v, comes back as %v", path, x, y)
		}
		return ""
	}
	if !a.Equal(b) {
		return fmt.Sprintf("%s: was %v, comes back as %v", path, a, b)
	}
	return ""
}

func differenceOfMaps(a, b reflect.Value, path string, depth int) string {
	if a.Len() != b.Len() {
		return fmt.Sprintf("%s: had %d entries, comes back with %d", path, a.Len(), b.Len())
	}
	for it := a.MapRange(); it.Next(); {
		v := b.MapIndex(it.Key())
		if !v.IsValid() {
			return fmt.Sprintf("%s: the key %v is lost", path, it.Key())
		}
		if d := difference(it.Value(), v, fmt.Sprintf("%s[%v]", path, it.Key()), depth+1); d != "" {
			return d
		}
	}
	return ""
}

// differenceOfForms compares values that write themselves by what they write.
func differenceOfForms(a interface{ MarshalBinary() ([]byte, error) }, b any, path string) string {
	x, errX := a.MarshalBinary()
	y, errY := b.(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
	if errX != nil || errY != nil || string(x) != string(y) {
		return path + ": its binary form differs"
	}
	return ""
}

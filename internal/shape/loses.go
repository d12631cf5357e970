package shape

import (
	"fmt"
	"reflect"
	"sync"
	"time"
)

// Loses names a part of the type that the codec does not keep, whatever the value: an unexported field, one
// that a tag leaves out, two of one name, a channel. "" if there is none; single values may still lose
// something where the type holds interfaces, or writes itself.
//
// What the type does not show by itself is found by trying: roundTrip is given a value in which nothing
// is zero, and returns what becomes of it.
func (s *Shape) Loses(roundTrip func(v any) (any, error)) string {
	if lost := s.unwritten(); lost != "" {
		return lost
	}
	full := reflect.New(s.typ).Elem()
	s.codec.fill(full, fillDepth)
	back, err := roundTrip(full.Interface())
	if err != nil {
		if s.writesAnywhere() {
			return "" // it may refuse a value that its program never makes
		}
		return err.Error()
	}
	own := func(t reflect.Type) bool { return t != timeType && s.codec.writesItself(t) }
	return comparison{without: own}.difference(full, reflect.ValueOf(back), fmt.Sprint(s.typ), MaxNesting)
}

// idle are the types of unexported fields that hold nothing of the value.
var idle = []reflect.Type{
	reflect.TypeFor[sync.Mutex](), reflect.TypeFor[sync.RWMutex](), reflect.TypeFor[sync.Once](), reflect.TypeFor[sync.WaitGroup](),
}

func isIdle(t reflect.Type) bool {
	for _, i := range idle {
		if t == i {
			return true
		}
	}
	return t.Size() == 0
}

// unwritten names the first field that no value is written with.
func (s *Shape) unwritten() (lost string) {
	s.codec.within(s.typ, func(t reflect.Type, path string) bool {
		switch t.Kind() {
		case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
			lost = fmt.Sprintf("%s: a %s cannot be written", path, t.Kind())
		case reflect.Struct:
			if s.codec.writesItself(t) {
				break
			}
			for i := range t.NumField() {
				if f := t.Field(i); !written(f) && f.Name != "_" && !isIdle(f.Type) {
					lost = fmt.Sprintf("%s.%s: it is unexported", path, f.Name)
					break
				}
			}
		}
		return lost == ""
	})
	return lost
}

// writesAnywhere reports whether any part of the type, times aside, writes itself.
func (s *Shape) writesAnywhere() bool {
	return !s.codec.within(s.typ, func(t reflect.Type, _ string) bool {
		return t == timeType || !s.codec.writesItself(t)
	})
}

// fillDepth bounds the filled value of a type that contains itself.
const fillDepth = 8

// fill makes everything in a value other than zero, but for interfaces, and what writes itself: those may hold
// anything.
func (c Codec) fill(v reflect.Value, left int) {
	t := v.Type()
	switch {
	case left == 0 || !v.CanSet() && t.Kind() != reflect.Struct:
		return
	case t == timeType:
		v.Set(reflect.ValueOf(time.Date(2024, 2, 29, 12, 30, 15, 123456789, time.UTC)))
		return
	case c.writesItself(t):
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(-7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(7)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1.5)
	case reflect.String:
		v.SetString("7")
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		c.fill(v.Elem(), left-1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, 1, 1))
		c.fill(v.Index(0), left-1)
	case reflect.Array:
		for i := range min(v.Len(), 1) {
			c.fill(v.Index(i), left-1)
		}
	case reflect.Map:
		key, elem := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		c.fill(key, left-1)
		c.fill(elem, left-1)
		if key.Comparable() {
			v.Set(reflect.MakeMap(t))
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		for i := range t.NumField() {
			if written(t.Field(i)) {
				c.fill(v.Field(i), left-1)
			}
		}
	}
}

package forebay

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// maxNesting bounds how deep a value may be that is written to the shared tier: one that contains itself
// has no end, and an encoder that follows it takes the process with it.
const maxNesting = 250

// tooDeep says where a value is nested too deep; "" if it is not. Types that cannot contain themselves
// are not looked into.
func tooDeep(v any) string {
	t := reflect.TypeOf(v)
	if t == nil || !endless(t) {
		return ""
	}
	if !deeper(reflect.ValueOf(v), maxNesting) {
		return ""
	}
	return fmt.Sprintf("%s: it is nested more than %d levels deep, or contains itself", t, maxNesting)
}

// endless reports whether the values of a type may be nested without end: it contains itself, or an
// interface.
func endless(t reflect.Type) bool {
	if known, ok := endlessTypes.Load(t); ok {
		return known.(bool)
	}
	out := contains(t, map[reflect.Type]bool{})
	endlessTypes.Store(t, out)
	return out
}

var endlessTypes sync.Map // reflect.Type: bool; as many as the program has types

// writesItself reports whether an encoder asks a type for its form instead of looking into it. What is
// inside is then the type's own, and may be guarded by locks of its own.
func writesItself(t reflect.Type) bool {
	for _, own := range writers {
		if (t.Implements(own) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(own)) && !promoted(t, own.Method(0).Name) {
			return true
		}
	}
	return false
}

var writers = []reflect.Type{
	reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[cbor.Marshaler](),
}

func contains(t reflect.Type, open map[reflect.Type]bool) bool {
	if writesItself(t) {
		return false
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
	default:
		return false
	}
	if open[t] {
		return true
	}
	open[t] = true
	defer delete(open, t)
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if contains(t.Field(i).Type, open) {
				return true
			}
		}
		return false
	case reflect.Map:
		return contains(t.Key(), open) || contains(t.Elem(), open)
	}
	return contains(t.Elem(), open)
}

func deeper(v reflect.Value, left int) bool {
	if left == 0 {
		return true
	}
	if v.IsValid() && writesItself(v.Type()) {
		return false
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return !v.IsNil() && deeper(v.Elem(), left-1)
	case reflect.Struct:
		for i := range v.NumField() {
			if deeper(v.Field(i), left-1) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		if !endless(v.Type()) {
			return false
		}
		for i := range v.Len() {
			if deeper(v.Index(i), left-1) {
				return true
			}
		}
	case reflect.Map:
		if !endless(v.Type()) {
			return false
		}
		for it := v.MapRange(); it.Next(); {
			if deeper(it.Value(), left-1) || deeper(it.Key(), left-1) {
				return true
			}
		}
	}
	return false
}

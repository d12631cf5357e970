// Package shape says what a Go type tells about its values before there are any: whether a codec keeps all
// of them, in which values that must be looked at one by one, and a fingerprint of the form they are written in.
package shape

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A Codec is a form that values are written in.
type Codec uint8

const (
	CBOR Codec = iota
	JSON
)

func (c Codec) String() string { return [...]string{"CBOR", "JSON"}[c] }

// A Shape is what a type tells, for one codec.
type Shape struct {
	typ   reflect.Type
	codec Codec
	look  looker // nil: no value needs to be looked at
}

type shapeKey struct {
	t reflect.Type
	c Codec
}

var shapes sync.Map // shapeKey: *Shape; as many as the program has types

// Of returns the shape of a type. It is safe for concurrent use.
func Of(t reflect.Type, c Codec) *Shape {
	key := shapeKey{t, c}
	if s, ok := shapes.Load(key); ok {
		return s.(*Shape)
	}
	s := &Shape{typ: t, codec: c}
	if t != nil && c.needsLook(t, map[reflect.Type]bool{}) {
		s.look = c.lookerOf(t)
	}
	known, _ := shapes.LoadOrStore(key, s)
	return known.(*Shape)
}

var timeType = reflect.TypeFor[time.Time]()

// writers are the interfaces by which a type writes itself, for each codec.
var writers = map[Codec][]reflect.Type{
	CBOR: {reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[cbor.Marshaler]()},
	JSON: {reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()},
}

// whole are types that the codecs know how to write without any method.
var whole = map[Codec][]reflect.Type{
	CBOR: {reflect.TypeFor[big.Int](), reflect.TypeFor[cbor.ByteString](), reflect.TypeFor[cbor.SimpleValue]()},
}

// writesItself reports whether the codec asks a type for its form instead of looking into it. What is inside
// is then the type's own, and may be guarded by locks of its own.
func (c Codec) writesItself(t reflect.Type) bool {
	for _, own := range writers[c] {
		if implements(t, own) && !Promoted(t, own.Method(0).Name) {
			return true
		}
	}
	for _, w := range whole[c] {
		if t == w {
			return true
		}
	}
	return false
}

func implements(t, i reflect.Type) bool {
	return t.Kind() != reflect.Interface && (t.Implements(i) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i))
}

// within calls visit for a type and every type in it, once each, with the path to it, until one returns
// false. Types that write themselves are not looked into.
func (c Codec) within(t reflect.Type, visit func(t reflect.Type, path string) bool) bool {
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type, path string) bool
	walk = func(t reflect.Type, path string) bool {
		if seen[t] {
			return true
		}
		seen[t] = true
		if !visit(t, path) {
			return false
		}
		if c.writesItself(t) {
			return true
		}
		switch t.Kind() {
		case reflect.Pointer:
			return walk(t.Elem(), path)
		case reflect.Slice, reflect.Array:
			return walk(t.Elem(), path+"[]")
		case reflect.Map:
			return walk(t.Key(), path+" key") && walk(t.Elem(), path+"[]")
		case reflect.Struct:
			for i := range t.NumField() {
				if f := t.Field(i); written(f) && !walk(f.Type, path+"."+f.Name) {
					return false
				}
			}
		}
		return true
	}
	return walk(t, fmt.Sprint(t))
}

// written reports whether the codecs write a field at all: an exported one, or those of an embedded struct.
func written(f reflect.StructField) bool {
	return f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct
}

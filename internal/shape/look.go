package shape

import (
	"reflect"
	"sync"
	"time"
)

// A Doubt says whether a value may be written, as far as a look at it tells.
type Doubt uint8

const (
	Fine    Doubt = iota
	Unsure        // only writing and reading it shows what is left of it
	Endless       // nested deeper than MaxNesting, or it contains itself: an encoder would take the process with it
)

// MaxNesting bounds how deep a value may be that is written.
const MaxNesting = 250

// Look looks at one value of the type. Where the type tells everything it costs nothing.
func (s *Shape) Look(v any) Doubt {
	if s.look == nil {
		return Fine
	}
	return s.look(reflect.ValueOf(v), MaxNesting)
}

// A looker looks at the values of one type. left is how many levels deeper it may go.
type looker func(v reflect.Value, left int) Doubt

// needsLook reports whether values of the type differ in what survives: it holds an interface, a time, a
// pointer to what may itself be nil, or itself. open says of the types on the way here that they are, and of
// those that were looked through without finding any of these that they are not.
func (c Codec) needsLook(t reflect.Type, open map[reflect.Type]bool) bool {
	if t == timeType {
		return true
	}
	if c.writesItself(t) {
		return false
	}
	if onTheWay, known := open[t]; known {
		return onTheWay
	}
	open[t] = true
	defer func() { open[t] = false }()
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer:
		return maybeNil(t.Elem()) || c.needsLook(t.Elem(), open)
	case reflect.Slice, reflect.Array:
		return c.needsLook(t.Elem(), open)
	case reflect.Map:
		return c.needsLook(t.Key(), open) || c.needsLook(t.Elem(), open)
	case reflect.Struct:
		for i := range t.NumField() {
			if written(t.Field(i)) && c.needsLook(t.Field(i).Type, open) {
				return true
			}
		}
	}
	return false
}

func maybeNil(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	}
	return false
}

// lazily breaks the cycle of a type that contains itself.
func (c Codec) lazily(t reflect.Type) func() looker {
	return sync.OnceValue(func() looker { return Of(t, c).look })
}

func (c Codec) lookerOf(t reflect.Type) looker {
	if t == timeType {
		return lookAtTime
	}
	switch t.Kind() {
	case reflect.Interface:
		return func(v reflect.Value, left int) Doubt {
			if !v.IsValid() || v.IsNil() {
				return Fine
			}
			return c.lookInside(v.Elem(), left)
		}
	case reflect.Pointer:
		elem := c.lazily(t.Elem())
		return func(v reflect.Value, left int) Doubt {
			switch {
			case v.IsNil():
				return Fine
			case maybeNil(t.Elem()) && v.Elem().IsNil():
				return Unsure // it comes back as nil itself
			}
			return deeper(elem(), v.Elem(), left)
		}
	case reflect.Slice, reflect.Array:
		elem := c.lazily(t.Elem())
		return func(v reflect.Value, left int) Doubt { return eachElement(elem(), v, left) }
	case reflect.Map:
		return c.mapLooker(t)
	}
	return c.structLooker(t)
}

func deeper(look looker, v reflect.Value, left int) Doubt {
	switch {
	case left == 0:
		return Endless
	case look == nil:
		return Fine
	}
	return look(v, left-1)
}

func eachElement(look looker, v reflect.Value, left int) Doubt {
	worst := Fine
	for i := 0; i < v.Len() && worst < Endless; i++ {
		worst = max(worst, deeper(look, v.Index(i), left))
	}
	return worst
}

func (c Codec) mapLooker(t reflect.Type) looker {
	key, elem := c.lazily(t.Key()), c.lazily(t.Elem())
	return func(v reflect.Value, left int) Doubt {
		worst := Fine
		for it := v.MapRange(); worst < Endless && it.Next(); {
			worst = max(worst, deeper(key(), it.Key(), left), deeper(elem(), it.Value(), left))
		}
		return worst
	}
}

func (c Codec) structLooker(t reflect.Type) looker {
	type part struct {
		index int
		look  func() looker
	}
	var parts []part
	for i := range t.NumField() {
		if f := t.Field(i); written(f) && c.needsLook(f.Type, map[reflect.Type]bool{t: true}) {
			parts = append(parts, part{i, c.lazily(f.Type)})
		}
	}
	return func(v reflect.Value, left int) Doubt {
		worst := Fine
		for _, p := range parts {
			worst = max(worst, deeper(p.look(), v.Field(p.index), left))
		}
		return worst
	}
}

// lookInside looks at what an interface holds. What the codec gives back for an interface is of few types.
func (c Codec) lookInside(v reflect.Value, left int) Doubt {
	doubt := deeper(Of(v.Type(), c).look, v, left)
	if doubt == Fine && !c.givesBack(v) {
		return Unsure
	}
	return doubt
}

var (
	anyMap  = reflect.TypeFor[map[string]any]()
	anyList = reflect.TypeFor[[]any]()
	bytesOf = reflect.TypeFor[[]byte]()
)

func (c Codec) givesBack(v reflect.Value) bool {
	switch v.Type() {
	case reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[float64]():
		return true
	case reflect.TypeFor[uint64]():
		return c == CBOR
	case reflect.TypeFor[int64]():
		return c == CBOR && v.Int() < 0
	case bytesOf:
		return c == CBOR && !v.IsNil()
	case anyMap, anyList:
		return !v.IsNil()
	}
	return false
}

// lookAtTime finds times whose zone has rules: they come back with the offset of their moment alone.
func lookAtTime(v reflect.Value, _ int) Doubt {
	var t time.Time
	switch {
	case v.CanAddr():
		t = *(*time.Time)(v.Addr().UnsafePointer())
	case v.CanInterface():
		t = v.Interface().(time.Time)
	default:
		return Unsure
	}
	if loc := t.Location(); loc == time.UTC || loc == time.Local {
		return Fine
	}
	if ruled(t) {
		return Unsure
	}
	return Fine
}

// ruled reports whether the offset of a time's zone changes within the year that follows.
func ruled(t time.Time) bool {
	_, offset := t.Zone()
	for month := range 12 {
		if _, o := t.AddDate(0, month+1, 0).Zone(); o != offset {
			return true
		}
	}
	return false
}

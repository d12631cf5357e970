// Package size measures what values take in memory.
package size

import (
	"reflect"
	"slices"
	"sync"
	"unsafe"
)

// A sizer measures the values of one type. flat is what a value takes where it is stored; the
// rest is what it points to. It is made once per type.
type sizer struct {
	flat int
	// beyond adds what lies behind the value's pointers; nil if nothing can.
	beyond func(v reflect.Value, seen *seen) int
}

// seen holds the pointers already counted, so that shared memory counts once and cycles end. Most
// values have a few.
type seen struct {
	few  [8]unsafe.Pointer
	n    int
	many map[unsafe.Pointer]struct{}
}

func (s *seen) first(p unsafe.Pointer) bool {
	if slices.Contains(s.few[:s.n], p) {
		return false
	}
	if s.n < len(s.few) {
		s.few[s.n] = p
		s.n++
		return true
	}
	if _, ok := s.many[p]; ok {
		return false
	}
	if s.many == nil {
		s.many = map[unsafe.Pointer]struct{}{}
	}
	s.many[p] = struct{}{}
	return true
}

var sizers sync.Map // reflect.Type → *sizer

// Prepare plans how the values of a type are measured.
func Prepare(t reflect.Type) { sizerOf(t) }

// Of is what a value takes in memory besides the interface that holds it, in bytes: rounded up to the allocator's size
// classes, slices by capacity, strings by length, maps by table. It is safe for concurrent use.
func Of(v any) int {
	r := reflect.ValueOf(v)
	if !r.IsValid() {
		return 0
	}
	s := sizerOf(r.Type())
	n := 0
	if r.Kind() != reflect.Pointer && r.Kind() != reflect.Map { // those are the interface's own word
		n = Class(s.flat, s.beyond != nil)
	}
	if s.beyond != nil {
		n += s.beyond(r, &seen{})
	}
	return n
}

func sizerOf(t reflect.Type) *sizer {
	if s, ok := sizers.Load(t); ok {
		return s.(*sizer)
	}
	s, _ := sizers.LoadOrStore(t, newSizer(t))
	return s.(*sizer)
}

// ofProcess reports whether values of a type belong to the whole process, however many point to them: zones,
// types, canonical values, what protobuf knows of a message's type. They weigh nothing in a value.
func ofProcess(t reflect.Type) bool {
	switch t.PkgPath() {
	case "time":
		return t.Name() == "Location"
	case "internal/abi", "reflect", "unique":
		return true
	case "google.golang.org/protobuf/internal/impl":
		return t.Name() == "MessageInfo"
	}
	return false
}

func newSizer(t reflect.Type) *sizer {
	s := &sizer{flat: int(t.Size())}
	if ofProcess(t) || t.Kind() == reflect.Pointer && ofProcess(t.Elem()) {
		return s
	}
	switch t.Kind() {
	case reflect.String:
		s.beyond = func(v reflect.Value, _ *seen) int { return Class(v.Len(), false) }
	case reflect.Slice:
		s.beyond = sliceSize(t)
	case reflect.Pointer:
		elem := lazySizer(t.Elem())
		s.beyond = func(v reflect.Value, seen *seen) int {
			if v.IsNil() || !seen.first(v.UnsafePointer()) {
				return 0
			}
			return elem().boxed(v.Elem(), seen)
		}
	case reflect.Interface:
		s.beyond = func(v reflect.Value, seen *seen) int {
			if v.IsNil() {
				return 0
			}
			return sizerOf(v.Elem().Type()).boxed(v.Elem(), seen)
		}
	case reflect.Map:
		s.beyond = mapSize(t)
	case reflect.Struct:
		s.beyond = structSize(t)
	case reflect.Array:
		if elem := sizerOf(t.Elem()); elem.beyond != nil {
			s.beyond = func(v reflect.Value, seen *seen) int { return elem.beyondAll(v, seen) }
		}
	}
	return s
}

// lazySizer breaks the cycle of a type that contains itself.
func lazySizer(t reflect.Type) func() *sizer {
	return sync.OnceValue(func() *sizer { return sizerOf(t) })
}

// boxed is the size of a value with an allocation of its own.
func (s *sizer) boxed(v reflect.Value, seen *seen) int {
	n := Class(s.flat, s.beyond != nil)
	if s.beyond != nil {
		n += s.beyond(v, seen)
	}
	return n
}

func (s *sizer) beyondAll(v reflect.Value, seen *seen) int {
	n := 0
	for i := range v.Len() {
		n += s.beyond(v.Index(i), seen)
	}
	return n
}

func sliceSize(t reflect.Type) func(reflect.Value, *seen) int {
	elem := lazySizer(t.Elem())
	return func(v reflect.Value, seen *seen) int {
		e := elem()
		if e.beyond == nil { // cannot lead back here, and two owners of one array are rare
			return Class(v.Cap()*e.flat, false)
		}
		if v.Cap() == 0 || !seen.first(v.UnsafePointer()) {
			return 0
		}
		return Class(v.Cap()*e.flat, true) + e.beyondAll(v, seen)
	}
}

func structSize(t reflect.Type) func(reflect.Value, *seen) int {
	type part struct {
		index int
		*sizer
	}
	var parts []part
	for i := range t.NumField() {
		if s := sizerOf(t.Field(i).Type); s.beyond != nil {
			parts = append(parts, part{i, s})
		}
	}
	if parts == nil {
		return nil
	}
	return func(v reflect.Value, seen *seen) int {
		n := 0
		for _, p := range parts {
			n += p.beyond(v.Field(p.index), seen)
		}
		return n
	}
}

// Go's maps: groups of eight slots behind a control word each; up to eight entries take one group,
// more take tables of at most 1,024 slots, filled to seven eighths.
const (
	mapHeader  = 48
	mapTable   = 48
	groupSlots = 8
	tableSlots = 1024
)

func mapSize(t reflect.Type) func(reflect.Value, *seen) int {
	key, elem := lazySizer(t.Key()), lazySizer(t.Elem())
	return func(v reflect.Value, seen *seen) int {
		if v.IsNil() || !seen.first(v.UnsafePointer()) {
			return 0
		}
		k, e := key(), elem()
		pointers := k.beyond != nil || e.beyond != nil
		group := 8 + groupSlots*(k.flat+e.flat)
		n := mapHeader
		switch slots := roundPow2(max(groupSlots, (v.Len()*8+6)/7)); {
		case v.Len() == 0:
		case v.Len() <= groupSlots:
			n += Class(group, pointers)
		default:
			tables := max(1, slots/tableSlots)
			n += tables*(mapTable+8) + tables*Class(slots/tables/groupSlots*group, pointers)
		}
		if !pointers {
			return n
		}
		for it := v.MapRange(); it.Next(); {
			if k.beyond != nil {
				n += k.beyond(it.Key(), seen)
			}
			if e.beyond != nil {
				n += e.beyond(it.Value(), seen)
			}
		}
		return n
	}
}

func roundPow2(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// sizeClasses are the allocator's own, asked of it: what append rounds a capacity up to.
var sizeClasses = sync.OnceValue(func() []int {
	var out []int
	for n := 1; n <= maxSmall; {
		c := cap(append([]byte(nil), make([]byte, n)...))
		out = append(out, c)
		n = c + 1
	}
	return out
})

const (
	maxSmall     = 32 << 10
	pageSize     = 8 << 10
	mallocHeader = 8   // before an object with pointers …
	headerFrom   = 512 // … that is larger than this
)

// Class is what an allocation of n bytes takes.
func Class(n int, pointers bool) int {
	if n == 0 {
		return 0
	}
	if pointers && n > headerFrom {
		n += mallocHeader
	}
	classes := sizeClasses()
	if n > classes[len(classes)-1] {
		return (n + pageSize - 1) / pageSize * pageSize
	}
	lo, hi := 0, len(classes)-1
	for lo < hi {
		mid := (lo + hi) / 2
		if classes[mid] < n {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return classes[lo]
}

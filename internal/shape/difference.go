package shape

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"time"
)

// Difference names the first place where two values differ; "" if there is none. An empty list is a nil one.
// Times are the same if they are one moment and count the same days and hours from it.
func Difference(a, b any) string {
	return comparison{}.difference(reflect.ValueOf(a), reflect.ValueOf(b), fmt.Sprintf("%T", a), MaxNesting)
}

// A comparison leaves out the values of some types; nil: of none.
type comparison struct {
	without func(reflect.Type) bool
}

func (c comparison) difference(a, b reflect.Value, path string, left int) string {
	switch {
	case a.IsValid() != b.IsValid():
		return path + ": one is nil"
	case !a.IsValid() || left == 0:
		return ""
	case a.Type() != b.Type():
		return fmt.Sprintf("%s: was %s, comes back as %s", path, a.Type(), b.Type())
	case c.without != nil && c.without(a.Type()):
		return ""
	}
	if a.Kind() != reflect.Interface && a.CanInterface() && b.CanInterface() {
		if d, known := differenceOfOwn(a.Interface(), b.Interface(), path); known {
			return d
		}
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return differenceOfNil(a, b, path)
		}
		return c.difference(a.Elem(), b.Elem(), path, left-1)
	case reflect.Struct:
		return c.differenceOfStructs(a, b, path, left)
	case reflect.Slice, reflect.Array:
		return c.differenceOfLists(a, b, path, left)
	case reflect.Map:
		return c.differenceOfMaps(a, b, path, left)
	}
	return differenceOfScalars(a, b, path)
}

// differenceOfOwn compares what knows itself what it is. A pointer to it is looked through.
func differenceOfOwn(a, b any, path string) (d string, known bool) {
	switch x := a.(type) {
	case time.Time:
		return differenceOfTimes(x, b.(time.Time), path), true
	case encoding.BinaryMarshaler:
		t := reflect.TypeOf(a)
		if t.Kind() == reflect.Pointer && (reflect.ValueOf(a).IsNil() || t.Elem().Implements(writers[CBOR][0])) || Promoted(t, "MarshalBinary") {
			return "", false
		}
		y, ok := b.(encoding.BinaryMarshaler)
		if !ok {
			return path + ": its binary form is lost", true
		}
		return differenceOfForms(x, y, path), true
	}
	return "", false
}

func differenceOfTimes(a, b time.Time, path string) string {
	if !a.Equal(b) {
		return fmt.Sprintf("%s: was %s, comes back as %s", path, a, b)
	}
	for month := range 13 {
		_, x := a.AddDate(0, month, 0).Zone()
		if _, y := b.AddDate(0, month, 0).Zone(); x != y {
			return fmt.Sprintf("%s: a time in %s comes back with the offset of its moment alone; store it in UTC", path, a.Location())
		}
	}
	return ""
}

func differenceOfNil(a, b reflect.Value, path string) string {
	if a.IsNil() != b.IsNil() {
		return path + ": one is nil"
	}
	return ""
}

func (c comparison) differenceOfStructs(a, b reflect.Value, path string, left int) string {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if isIdle(f.Type) {
			continue
		}
		if d := c.difference(a.Field(i), b.Field(i), path+"."+f.Name, left-1); d != "" {
			return d
		}
	}
	return ""
}

func (c comparison) differenceOfLists(a, b reflect.Value, path string, left int) string {
	if a.Len() != b.Len() {
		return fmt.Sprintf("%s: had %d elements, comes back with %d", path, a.Len(), b.Len())
	}
	if a.Kind() == reflect.Slice && a.Type().Elem().Kind() == reflect.Uint8 {
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			return path + ": its bytes differ"
		}
		return ""
	}
	for i := range a.Len() {
		if d := c.difference(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", path, i), left-1); d != "" {
			return d
		}
	}
	return ""
}

func (c comparison) differenceOfMaps(a, b reflect.Value, path string, left int) string {
	if a.Len() != b.Len() {
		return fmt.Sprintf("%s: had %d entries, comes back with %d", path, a.Len(), b.Len())
	}
	for it := a.MapRange(); it.Next(); {
		v := b.MapIndex(it.Key())
		if !v.IsValid() {
			return fmt.Sprintf("%s: the key %v is lost", path, it.Key())
		}
		if d := c.difference(it.Value(), v, fmt.Sprintf("%s[%v]", path, it.Key()), left-1); d != "" {
			return d
		}
	}
	return ""
}

// differenceOfForms compares values that write themselves by what they write.
func differenceOfForms(a, b encoding.BinaryMarshaler, path string) string {
	x, errX := a.MarshalBinary()
	y, errY := b.MarshalBinary()
	if errX != nil || errY != nil || !bytes.Equal(x, y) {
		return path + ": its binary form differs"
	}
	return ""
}

func differenceOfScalars(a, b reflect.Value, path string) string {
	switch a.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		if a.IsNil() && b.IsNil() {
			return ""
		}
		return path + ": cannot be written"
	case reflect.Float32, reflect.Float64:
		if x, y := a.Float(), b.Float(); x == y || x != x && y != y {
			return ""
		}
	case reflect.String:
		if x, y := a.String(), b.String(); x != y {
			return fmt.Sprintf("%s: was %q, comes back as %q", path, x, y)
		}
		return ""
	default:
		if a.Equal(b) {
			return ""
		}
	}
	return fmt.Sprintf("%s: was %v, comes back as %v", path, a, b)
}

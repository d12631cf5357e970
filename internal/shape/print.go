package shape

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"strings"
)

// Print is a fingerprint of the form that values of the type are written in: two types whose values would be
// read with other fields, names or kinds have other prints. The order of fields does not count, nor do
// the names of types, but for those that write themselves.
func (s *Shape) Print() uint32 {
	h := fnv.New32a()
	h.Write([]byte(s.codec.describe(s.typ, map[reflect.Type]int{})))
	return h.Sum32()
}

// describe is a type's form as text. known numbers the types that were described before: so it ends, for a
// type that contains itself too.
func (c Codec) describe(t reflect.Type, known map[reflect.Type]int) string {
	switch {
	case t == nil:
		return ""
	case c.writesItself(t):
		return t.PkgPath() + "." + t.String()
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
	default:
		return t.Kind().String()
	}
	if n, ok := known[t]; ok {
		return fmt.Sprintf("^%d", n)
	}
	known[t] = len(known)
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + c.describe(t.Elem(), known)
	case reflect.Slice:
		return "[]" + c.describe(t.Elem(), known)
	case reflect.Array:
		return fmt.Sprintf("[%d]%s", t.Len(), c.describe(t.Elem(), known))
	case reflect.Map:
		return "map[" + c.describe(t.Key(), known) + "]" + c.describe(t.Elem(), known)
	}
	return c.describeStruct(t, known)
}

func (c Codec) describeStruct(t reflect.Type, known map[reflect.Type]int) string {
	fields := slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return len(f.Index) > 1 })
	asList := slices.ContainsFunc(fields, func(f reflect.StructField) bool { return f.Name == "_" && f.Tag.Get("cbor") != "" })
	if !asList { // where fields have names, their order is not a part of the form
		slices.SortFunc(fields, func(a, b reflect.StructField) int { return strings.Compare(a.Name, b.Name) })
	}
	b := fmt.Appendf(nil, "{%t", asList)
	for _, f := range fields {
		if written(f) {
			b = fmt.Appendf(b, ";%s %q %q %t %s", f.Name, f.Tag.Get("cbor"), f.Tag.Get("json"), f.Anonymous, c.describe(f.Type, known))
		}
	}
	return string(append(b, '}'))
}

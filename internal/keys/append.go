package keys

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// Append appends the parts of the parameter at p, which must be of the plan's type.
func Append[P any](plan *Plan, dst []byte, p *P) ([]byte, error) {
	if plan.Scalar {
		return appendScalarParts(dst, &plan.root, unsafe.Pointer(p)), nil
	}
	heap := *p // reflection makes its operands escape; the caller's stay where they are
	return plan.root.appendParts(append([]byte(nil), dst...), unsafe.Pointer(&heap))
}

// AppendScalar is Append for a scalar plan, at an address that does not escape.
func AppendScalar(dst []byte, plan *Plan, p unsafe.Pointer) []byte {
	return appendScalarParts(dst, &plan.root, p)
}

// appendScalarParts is appendParts for scalar plans. It calls nothing that could keep the address.
func appendScalarParts(dst []byte, o *op, p unsafe.Pointer) []byte {
	switch o.kind {
	case opString: // by far the most frequent
		return append(AppendEscaped(dst, *(*string)(p)), ',')
	case opStruct:
	default:
		return append(appendOne(dst, o, p), ',')
	}
	for i := range o.fields {
		f := &o.fields[i]
		dst = append(append(dst, f.name...), '=')
		at := unsafe.Add(p, f.offset)
		if f.kind == opStruct {
			dst = append(appendScalarParts(append(dst, '{'), &f.op, at), '}')
		} else {
			dst = appendOne(dst, &f.op, at)
		}
		dst = append(dst, ',')
	}
	return dst
}

func appendOne(dst []byte, o *op, p unsafe.Pointer) []byte {
	switch o.kind {
	case opString:
		return AppendEscaped(dst, *(*string)(p))
	case opBytes:
		return AppendEscaped(dst, string(*(*[]byte)(p)))
	case opBool:
		return strconv.AppendBool(dst, *(*bool)(p))
	case opInt8:
		return strconv.AppendInt(dst, int64(*(*int8)(p)), 10)
	case opInt16:
		return strconv.AppendInt(dst, int64(*(*int16)(p)), 10)
	case opInt32:
		return strconv.AppendInt(dst, int64(*(*int32)(p)), 10)
	case opInt64:
		return strconv.AppendInt(dst, *(*int64)(p), 10)
	case opUint8:
		return strconv.AppendUint(dst, uint64(*(*uint8)(p)), 10)
	case opUint16:
		return strconv.AppendUint(dst, uint64(*(*uint16)(p)), 10)
	case opUint32:
		return strconv.AppendUint(dst, uint64(*(*uint32)(p)), 10)
	case opUint64:
		return strconv.AppendUint(dst, *(*uint64)(p), 10)
	case opFloat32:
		return appendFloat(dst, float64(*(*float32)(p)), 32)
	}
	return appendFloat(dst, *(*float64)(p), 64)
}

// appendFloat writes every NaN alike, and minus zero as zero: equal parameters have equal keys.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case f == 0:
		return append(dst, '0')
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

// appendParts appends the top level of a parameter: the fields of a struct, or one part.
func (o *op) appendParts(dst []byte, p unsafe.Pointer) ([]byte, error) {
	if o.kind != opStruct {
		dst, err := o.append(dst, p)
		return append(dst, ','), err
	}
	for i := range o.fields {
		f := &o.fields[i]
		dst = append(append(dst, f.name...), '=')
		var err error
		if dst, err = f.append(dst, unsafe.Add(p, f.offset)); err != nil {
			return dst, fmt.Errorf("%s: %w", f.name, err)
		}
		dst = append(dst, ',')
	}
	return dst, nil
}

func (o *op) append(dst []byte, p unsafe.Pointer) ([]byte, error) {
	var err error
	switch o.kind {
	case opStruct:
		if dst, err = o.appendParts(append(dst, '{'), p); err != nil {
			return dst, err
		}
		return append(dst, '}'), nil
	case opPointer:
		to := *(*unsafe.Pointer)(p)
		if to == nil {
			return append(dst, '~'), nil
		}
		if dst, err = o.elem.append(append(dst, '&'), to); err != nil {
			return dst, err
		}
		return dst, nil
	case opSlice:
		v := reflect.NewAt(o.typ, p).Elem()
		return o.appendList(dst, v.UnsafePointer(), v.Len())
	case opArray:
		return o.appendList(dst, p, o.typ.Len())
	case opMap:
		return o.appendMap(dst, reflect.NewAt(o.typ, p).Elem())
	case opText:
		return appendText(dst, reflect.NewAt(o.typ, p).Elem())
	}
	return appendOne(dst, o, p), nil
}

func (o *op) appendList(dst []byte, first unsafe.Pointer, n int) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i := range n {
		if dst, err = o.elem.append(dst, unsafe.Add(first, uintptr(i)*o.elem.typ.Size())); err != nil {
			return dst, err
		}
		dst = append(dst, ',')
	}
	return append(dst, ']'), nil
}

func (o *op) appendMap(dst []byte, m reflect.Value) ([]byte, error) {
	pairs := make([]string, 0, m.Len())
	for it := m.MapRange(); it.Next(); {
		pair, err := o.key.appendValue(nil, it.Key())
		if err != nil {
			return dst, err
		}
		if pair, err = o.elem.appendValue(append(pair, '='), it.Value()); err != nil {
			return dst, err
		}
		pairs = append(pairs, string(pair))
	}
	slices.Sort(pairs)
	dst = append(dst, '{')
	for _, p := range pairs {
		dst = append(append(dst, p...), ',')
	}
	return append(dst, '}'), nil
}

func (o *op) appendValue(dst []byte, v reflect.Value) ([]byte, error) {
	at := reflect.New(o.typ)
	at.Elem().Set(v)
	return o.append(dst, at.UnsafePointer())
}

func appendText(dst []byte, v reflect.Value) ([]byte, error) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return append(dst, '~'), nil
	}
	var text []byte
	var err error
	switch m := v.Interface().(type) {
	case encoding.TextAppender:
		text, err = m.AppendText(nil)
	case encoding.TextMarshaler:
		text, err = m.MarshalText()
	}
	if err != nil {
		return dst, fmt.Errorf("key: %w", err)
	}
	return AppendEscaped(dst, string(text)), nil
}

// AppendEscaped appends a string so that it can hold no delimiter and cannot be taken for a number,
// a bool, nil or a hash. A leading apostrophe marks what would otherwise look like one of those.
func AppendEscaped(dst []byte, s string) []byte {
	if looksOther(s) {
		dst = append(dst, '\'')
	}
	for i := range len(s) {
		if notPlain[s[i]] {
			return escapeFrom(append(dst, s[:i]...), s[i:])
		}
	}
	return append(dst, s...)
}

// escapeFrom writes delimiters, control characters and what is not UTF-8 as %XX.
func escapeFrom(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || n == 1 && notPlain[s[i]] {
			dst = append(dst, '%', upperHex[s[i]>>4], upperHex[s[i]&15])
		} else {
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

// notPlain holds the bytes that need a second look: everything beyond ASCII, and what is escaped.
var notPlain = func() (t [256]bool) {
	for c := range t {
		t[c] = c < ' ' || c >= 0x7f
	}
	for _, c := range []byte("%,*={}[]") {
		t[c] = true
	}
	return t
}()

func looksOther(s string) bool {
	if s == "" {
		return false
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9', c == '+', c == '-', c == '\'', c == '~', c == '&', c == '#':
		return true
	}
	return s == "true" || s == "false" || s == "NaN"
}

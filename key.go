package forebay

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// A key is the function's name and its parameters' values: "partner_data:org_id=acme,q=,". It is
// the same in every process and on every platform, for ever. Every part is closed by ',', which
// is escaped inside values, so that no two parameters give one key.

const (
	maxReadableKey = 200 // bytes; longer keys end in a hash
	keptOfLongKey  = 120 // bytes at most of whole parts that stay readable before the hash
	hashMark       = "#" // begins a hashed part; escaped at the start of values
)

// A keyPlan writes the key parts of one parameter type. It is made once, at Wrap.
type keyPlan struct {
	root op
	// scalar plans read memory by offsets alone and let the parameter stay on the stack; the
	// others need reflection (maps, text marshalers) or follow their own memory.
	scalar bool
}

type opKind uint8

const (
	opString opKind = iota
	opBytes
	opBool
	opInt8
	opInt16
	opInt32
	opInt64
	opUint8
	opUint16
	opUint32
	opUint64
	opFloat32
	opFloat64
	opStruct
	opPointer
	opSlice
	opArray
	opMap
	opText
)

// An op writes the value of one type at an address.
type op struct {
	kind   opKind
	typ    reflect.Type
	fields []fieldOp // of a struct
	elem   *op       // of a pointer, slice, array or map
	key    *op       // of a map
}

type fieldOp struct {
	name   string
	offset uintptr
	op
}

var (
	textAppender  = reflect.TypeFor[encoding.TextAppender]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

func newKeyPlan(t reflect.Type) (*keyPlan, error) {
	b := planBuilder{}
	root := b.plan(t, t.String())
	if err := configError("key of "+t.String(), b.mistakes); err != nil {
		return nil, err
	}
	return &keyPlan{root: root, scalar: root.scalar()}, nil
}

func (o *op) scalar() bool {
	switch o.kind {
	case opMap, opText, opSlice, opArray, opPointer:
		return false
	}
	return !slices.ContainsFunc(o.fields, func(f fieldOp) bool { return !f.scalar() })
}

type planBuilder struct {
	open     []reflect.Type
	mistakes []error
}

func (b *planBuilder) wrong(path, format string, args ...any) op {
	b.mistakes = append(b.mistakes, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	return op{}
}

var scalarOps = map[reflect.Kind]opKind{
	reflect.String: opString, reflect.Bool: opBool,
	reflect.Int8: opInt8, reflect.Int16: opInt16, reflect.Int32: opInt32, reflect.Int64: opInt64,
	reflect.Uint8: opUint8, reflect.Uint16: opUint16, reflect.Uint32: opUint32, reflect.Uint64: opUint64,
	reflect.Float32: opFloat32, reflect.Float64: opFloat64,
}

func (b *planBuilder) plan(t reflect.Type, path string) op {
	if slices.Contains(b.open, t) {
		return b.wrong(path, "the type contains itself")
	}
	b.open = append(b.open, t)
	defer func() { b.open = b.open[:len(b.open)-1] }()

	if t.Implements(textAppender) || t.Implements(textMarshaler) {
		if t.Kind() == reflect.Interface {
			return b.wrong(path, "is an interface: its key would depend on what it holds")
		}
		return op{kind: opText, typ: t}
	}
	if k, ok := scalarOps[t.Kind()]; ok {
		return op{kind: k, typ: t}
	}
	switch t.Kind() {
	case reflect.Int:
		return op{kind: intOp(opInt32, opInt64), typ: t}
	case reflect.Uint, reflect.Uintptr:
		return op{kind: intOp(opUint32, opUint64), typ: t}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return op{kind: opBytes, typ: t}
		}
		elem := b.plan(t.Elem(), path+"[]")
		return op{kind: opSlice, typ: t, elem: &elem}
	case reflect.Array:
		elem := b.plan(t.Elem(), path+"[]")
		return op{kind: opArray, typ: t, elem: &elem}
	case reflect.Pointer:
		elem := b.plan(t.Elem(), path)
		return op{kind: opPointer, typ: t, elem: &elem}
	case reflect.Map:
		key, elem := b.plan(t.Key(), path+" (map key)"), b.plan(t.Elem(), path+"[]")
		return op{kind: opMap, typ: t, key: &key, elem: &elem}
	case reflect.Struct:
		return b.planStruct(t, path)
	}
	return b.wrong(path, "is %s: a key needs a value that is the same in every process", kindPhrase(t.Kind()))
}

func kindPhrase(k reflect.Kind) string {
	switch k {
	case reflect.Interface:
		return "an interface"
	case reflect.Chan:
		return "a channel"
	case reflect.Func:
		return "a function"
	}
	return "a " + k.String()
}

func intOp(on32, on64 opKind) opKind {
	if strconv.IntSize == 32 {
		return on32
	}
	return on64
}

func (b *planBuilder) planStruct(t reflect.Type, path string) op {
	o := op{kind: opStruct, typ: t}
	seen := map[string]string{}
	for i := range t.NumField() {
		f := t.Field(i)
		here := path + "." + f.Name
		name := f.Tag.Get("forebay")
		if name == "-" {
			continue
		}
		if !f.IsExported() {
			b.wrong(here, `is unexported: give the type AppendText or MarshalText, or the field the tag forebay:"-"`)
			continue
		}
		if name == "" {
			name = snakeCase(f.Name)
		}
		if checkName(name) != nil {
			b.wrong(here, "the name %q: use lower-case letters, digits, '_' and '-'", name)
		}
		if other, taken := seen[name]; taken {
			b.wrong(here, "the name %q is taken by %s", name, other)
		}
		seen[name] = f.Name
		o.fields = append(o.fields, fieldOp{name, f.Offset, b.plan(f.Type, here)})
	}
	return o
}

// snakeCase writes a run of capitals as one word: OrgID is org_id, HTTPServer is http_server.
func snakeCase(s string) string {
	var out []byte
	r := []rune(s)
	upper := func(i int) bool { return r[i] >= 'A' && r[i] <= 'Z' }
	for i := range r {
		if upper(i) && i > 0 && (!upper(i-1) || i+1 < len(r) && !upper(i+1) && r[i+1] != '_' && (r[i+1] < '0' || r[i+1] > '9')) && r[i-1] != '_' {
			out = append(out, '_')
		}
		if upper(i) {
			out = append(out, byte(r[i]-'A'+'a'))
			continue
		}
		out = utf8.AppendRune(out, r[i])
	}
	return string(out)
}

// PlanKey returns the function that writes the key part of a parameter, for [Space.Key]. Its own
// error is about the type; the function's is about a value whose text form fails.
func PlanKey[P any]() (func(P) (string, error), error) {
	plan, err := newKeyPlan(reflect.TypeFor[P]())
	if err != nil {
		return nil, err
	}
	return func(p P) (string, error) {
		key, err := appendKey(plan, nil, &p)
		return string(key), err
	}, nil
}

// appendKey appends the parts of the parameter at p, which must be of the plan's type.
func appendKey[P any](plan *keyPlan, dst []byte, p *P) ([]byte, error) {
	if plan.scalar {
		return appendScalarParts(dst, &plan.root, unsafe.Pointer(p)), nil
	}
	heap := *p // reflection makes its operands escape; the caller's stay where they are
	return plan.root.appendParts(append([]byte(nil), dst...), unsafe.Pointer(&heap))
}

// appendScalarParts is appendParts for scalar plans. It calls nothing that could keep the address.
func appendScalarParts(dst []byte, o *op, p unsafe.Pointer) []byte {
	if o.kind != opStruct {
		return append(appendScalar(dst, o, p), ',')
	}
	for i := range o.fields {
		f := &o.fields[i]
		dst = append(append(dst, f.name...), '=')
		at := unsafe.Add(p, f.offset)
		if f.kind == opStruct {
			dst = append(appendScalarParts(append(dst, '{'), &f.op, at), '}')
		} else {
			dst = appendScalar(dst, &f.op, at)
		}
		dst = append(dst, ',')
	}
	return dst
}

func appendScalar(dst []byte, o *op, p unsafe.Pointer) []byte {
	switch o.kind {
	case opString:
		return appendEscaped(dst, *(*string)(p))
	case opBytes:
		return appendEscaped(dst, string(*(*[]byte)(p)))
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
	return appendScalar(dst, o, p), nil
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
	return appendEscaped(dst, string(text)), nil
}

// appendEscaped appends a string so that it can hold no delimiter and cannot be taken for a number,
// a bool, nil or a hash. A leading apostrophe marks what would otherwise look like one of those.
func appendEscaped(dst []byte, s string) []byte {
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

// hashLong replaces what does not fit of a long key by its hash. Whole leading parts stay, so that
// patterns on them go on working.
func hashLong(key []byte, prefix int) []byte {
	sum := sha256.Sum256(key)
	keep, depth := prefix, 0
	for i := prefix; i < keptOfLongKey; i++ {
		switch key[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				keep = i + 1
			}
		}
	}
	return append(append(key[:keep], hashMark...), hex.EncodeToString(sum[:])...)
}

// hashPrivate replaces everything behind the prefix by a hash of it and of the caller, keyed with
// the secret: neither key nor log nor page shows whose entry it is.
func hashPrivate(key []byte, prefix int, secret []byte, caller string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(strconv.AppendInt(nil, int64(len(caller)), 10)) // length first: no two pairs give one input
	mac.Write([]byte{':'})
	mac.Write([]byte(caller))
	mac.Write(key)
	return append(append(key[:prefix], hashMark...), hex.EncodeToString(mac.Sum(nil))...)
}

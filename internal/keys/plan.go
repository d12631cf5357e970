// Package keys writes the keys of entries: a function's name and its parameter's parts, the same in every process
// and on every platform. It knows types and text alone.
package keys

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/forebay-cache/forebay/internal/shape"
)

// A key is the function's name and its parameters' values: "partner_data:org_id=acme,q=,". It is
// the same in every process and on every platform, forever. Every part is closed by ',', which
// is escaped inside values, so that no two parameters give one key.

const (
	MaxReadable   = 200 // bytes; longer keys end in a hash
	keptOfLongKey = 120 // bytes at most of whole parts that stay readable before the hash
	HashMark      = "#" // begins a hashed part; escaped at the start of values
)

// A Plan writes the key parts of one parameter type. It is made once, at Wrap.
type Plan struct {
	root op
	// scalar plans read memory by offsets alone and let the parameter stay on the stack; the
	// others need reflection (maps, text marshalers) or follow their own memory.
	Scalar bool
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

// maxMistakes bounds what is said of one type: a type of another module may have dozens of parts that have no key.
const maxMistakes = 5

// NewPlan plans the keys of a type. Its error names the parts that have no key.
func NewPlan(t reflect.Type) (*Plan, error) {
	b, path := planBuilder{}, t.String()
	if t.Name() == "" && t.Kind() == reflect.Struct {
		path = "the parameter"
	}
	root := b.plan(t, path)
	if more := len(b.mistakes) - maxMistakes; more > 0 {
		b.mistakes = append(b.mistakes[:maxMistakes], fmt.Errorf("and %d more of its parts", more))
	}
	if err := errors.Join(b.mistakes...); err != nil {
		return nil, err
	}
	return &Plan{root: root, Scalar: root.scalar()}, nil
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
	b.mistakes = append(b.mistakes, fmt.Errorf("%s %s", path, fmt.Sprintf(format, args...)))
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
		return b.wrong(path, "contains itself")
	}
	b.open = append(b.open, t)
	defer func() { b.open = b.open[:len(b.open)-1] }()

	if t.Implements(textAppender) && !shape.Promoted(t, "AppendText") || t.Implements(textMarshaler) && !shape.Promoted(t, "MarshalText") {
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
		if CheckName(name) != nil {
			b.wrong(here, "has the name %q: use lower-case letters, digits, '_' and '-'", name)
		}
		if other, taken := seen[name]; taken {
			b.wrong(here, "has the name %q, which is taken by %s", name, other)
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

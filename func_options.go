package forebay

import "context"

// An Option of a function mentions its parameter or its value; everything else is in its [Class].
type Option[P, V any] func(*Func[P, V])

// KeepBy says by the value how long it is kept and with which tags. The context is that of the load, or of [Func.Put]:
// what the tags of a private class depend on can be in it.
func KeepBy[P, V any](keep func(context.Context, P, V) Keep) Option[P, V] {
	return func(f *Func[P, V]) { f.keep = keep }
}

// KeyBy says what of a parameter is the key. P may then be of any type: one with interfaces, of another module, or a whole
// request. Two parameters with the same text share their answers, so everything that shapes the answer must be in it.
func KeyBy[P, V any](key func(P) string) Option[P, V] {
	return func(f *Func[P, V]) { f.keyBy = key }
}

// EncodeBy says how the values are written to the shared tier, instead of [Options.Codec]: for protobuf, or interfaces. decode may
// keep the bytes. Both must be safe for concurrent use. Where either fails for a value, it stays near; change [Class.Schema]
// when the form changes.
func EncodeBy[P, V any](encode func(V) ([]byte, error), decode func([]byte) (V, error)) Option[P, V] {
	return func(f *Func[P, V]) { f.form = &form[V]{encode, decode} }
}

// BatchBy loads several parameters in one call of the origin, for [Func.GetMany]: it returns one
// result for each, in their order, or an error for all.
func BatchBy[P, V any](load func(context.Context, []P) ([]Result[V], error)) Option[P, V] {
	return func(f *Func[P, V]) { f.many = load }
}

// CloneBy gives every caller a copy of the value.
func CloneBy[P, V any](clone func(V) V) Option[P, V] {
	return func(f *Func[P, V]) { f.clone = clone }
}

// SizeBy says what a value takes in memory, in bytes, instead of measuring it.
func SizeBy[P, V any](size func(V) int) Option[P, V] {
	return func(f *Func[P, V]) { f.size = size }
}

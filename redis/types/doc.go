// Package types holds the tests of what becomes of Go types in the shared tier and in keys, which docs/types.md
// lists. They stand apart because they take long to compile: each type is an instance of the generic functions.
package types

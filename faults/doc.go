// Package faults breaks what the cache stands on, one thing at a time, under the platform's own load,
// and looks at what its callers notice. It is a module of its own, because of what it needs to break
// things with.
package faults

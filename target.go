package forebay

import (
	"fmt"
	"strings"
)

// A Kind says what a [Target] names.
type Kind uint8

const (
	KindKey Kind = iota
	KindTag
	KindClass
	KindPattern
	KindAll
)

var kindNames = [...]string{"key", "tag", "class", "pattern", "all"}

func (k Kind) String() string { return nameOf(kindNames[:], k) }

// A Target names what an invalidation covers.
type Target struct {
	Kind Kind
	Name string
}

// Key is one entry, by its full key as [Func.Key] returns it.
func Key(key string) Target { return Target{KindKey, key} }

// Tag is every entry that was stored with the tag.
func Tag(tag string) Target { return Target{KindTag, tag} }

// InClass is every entry of a class.
func InClass(name string) Target { return Target{KindClass, name} }

// Pattern is every entry whose key matches; '*' stands for any run of characters, everything else
// for itself. Each part of a key is closed by ',', so "partner_data:org_id=acme,*" does not reach
// acme2. Entries of private classes, and the parts of long keys that are hashed, have no readable
// key: name their tag or class instead.
func Pattern(pattern string) Target { return Target{KindPattern, pattern} }

// Everything is every entry of the cache.
func Everything() Target { return Target{Kind: KindAll} }

func (t Target) String() string {
	if t.Kind == KindAll {
		return "all"
	}
	return t.Kind.String() + " " + t.Name
}

// maxTarget bounds a target's name, as the log and the ledger hold it.
const maxTarget = 1024

// check says why an invalidation of the target cannot be accepted.
func (t Target) check(classes func(string) *class) error {
	if t.Kind == KindAll {
		return nil
	}
	if t.Kind > KindAll {
		return fmt.Errorf("%w: there is no kind of target %s", ErrTarget, t.Kind)
	}
	if t.Name == "" {
		return fmt.Errorf("%w: a %s without a name", ErrTarget, t.Kind)
	}
	if len(t.Name) > maxTarget {
		return fmt.Errorf("%w: a %s of %d bytes; %d are the most", ErrTarget, t.Kind, len(t.Name), maxTarget)
	}
	switch t.Kind {
	case KindClass:
		if classes(t.Name) == nil {
			return fmt.Errorf("%w: there is no class %q", ErrTarget, t.Name)
		}
	case KindPattern:
		return checkPattern(t.Name, classes)
	}
	return nil
}

// checkPattern refuses a pattern that could only match inside the hashed part of a key.
func checkPattern(pattern string, classes func(string) *class) error {
	literal, _, found := strings.Cut(pattern, "*")
	if !found {
		return nil // it is a key
	}
	hashed := strings.Contains(pattern, hashMark)
	if c := classes(classOf(Target{KindPattern, pattern})); c != nil && c.Private {
		_, part, _ := strings.Cut(literal, ":")
		hashed = hashed || part != "" || strings.Trim(pattern[len(literal):], "*") != ""
	}
	if hashed {
		return fmt.Errorf("%w: the pattern %q could only match inside a hashed part of a key: name a tag or the class instead", ErrTarget, pattern)
	}
	return nil
}

// classOf returns the class that a key or pattern begins with, or "".
func classOf(t Target) string {
	if t.Kind != KindKey && t.Kind != KindPattern {
		return ""
	}
	i := strings.IndexAny(t.Name, ":/*")
	if i < 0 || t.Name[i] == '*' {
		return ""
	}
	return t.Name[:i]
}

// matchPattern compares without recursion: it goes back to the last '*' only, so its cost is at
// most the product of the two lengths.
func matchPattern(pattern, key string) bool {
	p, k, star, mark := 0, 0, -1, 0
	for k < len(key) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, k
			p++
		case p < len(pattern) && pattern[p] == key[k]:
			p++
			k++
		case star >= 0:
			mark++
			p, k = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

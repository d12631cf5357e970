package forebay

import (
	"fmt"
	"strings"

	"github.com/forebay-cache/forebay/internal/keys"
	"github.com/forebay-cache/forebay/shared"
)

// A Target names what an invalidation covers: [Key], [Tag], [InClass], [Pattern] or [Everything].
type Target = shared.Target

// A Mode is how far an invalidation goes: [Remove] or [Expire].
type Mode = shared.Mode

const (
	// Remove: what was loaded before is never served again.
	Remove = shared.Remove
	// Expire: what was loaded before may still be served while it is loaded again, or when that fails.
	Expire = shared.Expire
)

// Key is one entry, by its full key as [Func.Key] returns it.
func Key(key string) Target { return Target{Kind: shared.KindKey, Name: key} }

// Tag is every entry that was stored with the tag.
func Tag(tag string) Target { return Target{Kind: shared.KindTag, Name: tag} }

// InClass is every entry of a class.
func InClass(name string) Target { return Target{Kind: shared.KindClass, Name: name} }

// Pattern is every entry whose key matches; '*' stands for any run of characters, everything else
// for itself. Each part of a key is closed by ',', so "partner_data:org_id=acme,*" does not reach
// acme2. Entries of private classes, and the parts of long keys that are hashed, have no readable
// key: name their tag or class instead.
func Pattern(pattern string) Target { return Target{Kind: shared.KindPattern, Name: pattern} }

// Everything is every entry of the cache.
func Everything() Target { return Target{Kind: shared.KindAll} }

// maxTarget bounds a target's name, as the log and the ledger hold it.
const maxTarget = 1024

// checkTarget says why an invalidation of the target cannot be accepted.
func checkTarget(t Target, classes func(string) *class) error {
	if t.Kind == shared.KindAll {
		return nil
	}
	if t.Kind > shared.KindAll {
		return fmt.Errorf("%w: there is no kind of target %s", ErrTarget, t.Kind)
	}
	if t.Name == "" {
		return fmt.Errorf("%w: a %s without a name", ErrTarget, t.Kind)
	}
	if len(t.Name) > maxTarget {
		return fmt.Errorf("%w: a %s of %d bytes; %d are the most", ErrTarget, t.Kind, len(t.Name), maxTarget)
	}
	switch t.Kind {
	case shared.KindClass:
		if classes(t.Name) == nil {
			return fmt.Errorf("%w: there is no class %q", ErrTarget, t.Name)
		}
	case shared.KindPattern:
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
	hashed := strings.Contains(pattern, keys.HashMark)
	if c := classes(Target{Kind: shared.KindPattern, Name: pattern}.Class()); c != nil && c.now().Private {
		_, part, _ := strings.Cut(literal, ":")
		hashed = hashed || part != "" || strings.Trim(pattern[len(literal):], "*") != ""
	}
	if hashed {
		return fmt.Errorf("%w: the pattern %q could only match inside a hashed part of a key: name a tag or the class instead", ErrTarget, pattern)
	}
	return nil
}

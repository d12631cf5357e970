package plan

import (
	"strconv"
	"strings"
)

// A tree finds routes: what differs in segments that look like the name of one thing is one route, and so is what differs in a place
// that has too many of them.
type tree struct {
	children map[string]*tree
	wild     *tree // of a variable
	full     bool  // it had too many children: all are one
}

const (
	maxChildren = 48 // of one place, before they are one
	maxDepth    = 8  // segments that are told apart
)

// pattern returns the route of a path, as a pattern of net/http: "/users/{id}/posts".
func (t *tree) pattern(path string) string {
	path, _, _ = strings.Cut(path, "?")
	var b strings.Builder
	variables, depth := 0, 0
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		b.WriteByte('/')
		if depth++; depth > maxDepth {
			break // here that is wanted
		}
		next := t.next(segment)
		if segment == "" {
			b.WriteString("{$}") // a pattern that ends in a slash has everything below it
		} else if next != t.wild {
			b.WriteString(segment)
		} else if variables++; variables == 1 {
			b.WriteString("{id}")
		} else {
			b.WriteString("{id" + strconv.Itoa(variables) + "}")
		}
		t = next
	}
	return b.String()
}

func (t *tree) next(segment string) *tree {
	if one := t.children[segment]; one != nil {
		return one
	}
	if segment != "" && !t.full && !isID(segment) && len(t.children) >= maxChildren {
		t.full, t.children = true, map[string]*tree{}
	}
	if segment != "" && (t.full || isID(segment)) {
		if t.wild == nil {
			t.wild = &tree{}
		}
		return t.wild
	}
	if t.children == nil {
		t.children = map[string]*tree{}
	}
	one := &tree{}
	t.children[segment] = one
	return one
}

// isID reports whether a segment looks like the name of one thing: it has a digit and is no version, or is as long as no word is, or
// would be no text of a pattern.
func isID(segment string) bool {
	if len(segment) > 1 && len(segment) <= 3 && segment[0] == 'v' && strings.Trim(segment[1:], "0123456789") == "" {
		return false // v1
	}
	return strings.ContainsAny(segment, "0123456789%{}") || len(segment) > 40
}

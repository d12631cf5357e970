package shared

import (
	"strconv"
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

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// A Target names what an invalidation covers.
type Target struct {
	Kind Kind
	Name string // empty for KindAll
}

func (t Target) String() string {
	if t.Kind == KindAll {
		return "all"
	}
	return t.Kind.String() + " " + t.Name
}

// Class returns the class that a key or a pattern begins with, or "".
func (t Target) Class() string {
	if t.Kind != KindKey && t.Kind != KindPattern {
		return ""
	}
	i := strings.IndexAny(t.Name, ":/*")
	if i < 0 || t.Name[i] == '*' {
		return ""
	}
	return t.Name[:i]
}

// MatchPattern compares without recursion: it goes back to the last '*' only, so its cost is at
// most the product of the two lengths.
func MatchPattern(pattern, key string) bool {
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

package static

import (
	"path"
	"regexp"
)

// The last part of a name before its ending, behind a dot or a hyphen.
var (
	hexadecimal = ending("[0-9a-f]{8,64}")
	ofBase32    = ending("[A-Z2-7]{8}")
	ofBase64    = ending("[0-9A-Za-z_-]{8}")
)

func ending(hash string) *regexp.Regexp {
	return regexp.MustCompile(`[.-](` + hash + `)(?:\.chunk)?\.[0-9A-Za-z]+(?:\.map)?$`)
}

// Immutable reports whether a name has a hash of the content in it, as bundlers write it: then another content has another
// name. It must be sure, because what a browser keeps for good nobody can call back: hexadecimal with digits and letters
// (webpack, Parcel, Next.js), eight of base32 with digits (esbuild), or eight of base64 that change between capitals,
// small letters, digits and signs so often as no word does (Vite, Rollup).
func Immutable(name string) bool {
	base := path.Base(name)
	for _, form := range []*regexp.Regexp{hexadecimal, ofBase32} {
		if m := form.FindStringSubmatch(base); m != nil {
			return kinds(m[1]) > 1
		}
	}
	m := ofBase64.FindStringSubmatch(base)
	return m != nil && changes(m[1]) >= 4
}

type kind int

const (
	digit kind = iota
	small
	capital
	sign
)

func kindOf(c byte) kind {
	switch {
	case c >= '0' && c <= '9':
		return digit
	case c >= 'a' && c <= 'z':
		return small
	case c >= 'A' && c <= 'Z':
		return capital
	}
	return sign
}

// kinds counts the kinds of characters.
func kinds(s string) int {
	seen := map[kind]bool{}
	for i := range len(s) {
		seen[kindOf(s[i])] = true
	}
	return len(seen)
}

// changes counts how often the kind of a character is not that of the one before.
func changes(s string) (n int) {
	for i := 1; i < len(s); i++ {
		if kindOf(s[i]) != kindOf(s[i-1]) {
			n++
		}
	}
	return n
}

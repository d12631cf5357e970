package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"regexp"
	"strings"
)

// An identity is whom a request is from, and whether it may change something; all may see keys.
type identity struct {
	name    string // of its token; empty: it has none, or the only one
	operate bool
}

// A token gives its bearer an identity. Hashes are compared, so that a comparison tells nothing of the length either.
type token struct {
	identity
	hash [sha256.Size]byte
}

// named is a token with its name and role: alice/operate:SECRET.
var named = regexp.MustCompile(`^([A-Za-z0-9_.-]+)/(read|operate):(.+)$`)

// parseTokens reads tokens with names and roles, separated by commas; or one that may operate, of any form.
func parseTokens(text string) []token {
	if text == "" {
		return nil
	}
	var out []token
	for part := range strings.SplitSeq(text, ",") {
		m := named.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			return []token{{identity{operate: true}, sha256.Sum256([]byte(text))}}
		}
		out = append(out, token{identity{m[1], m[2] == "operate"}, sha256.Sum256([]byte(m[3]))})
	}
	return out
}

// identify returns whose token it is. It looks at all of them, whichever it is.
func (a *Admin) identify(given string) (who identity, ok bool) {
	hash := sha256.Sum256([]byte(given))
	for _, t := range a.tokens {
		if subtle.ConstantTimeCompare(t.hash[:], hash[:]) == 1 {
			who, ok = t.identity, true
		}
	}
	return who, ok
}

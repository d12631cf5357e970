package edge

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/forebay-cache/forebay/shared"
)

// Tags of a CDN's entries are short, of one case and of letters and digits alone: what every vendor takes, and many of them
// into one field. 60 bits of a hash: two of a million tags are the same with a chance of one in two million, and then
// one purge removes a little more.
const tagLength = 12

var tagEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func hashed(kind, name string) string {
	sum := sha256.Sum256([]byte(kind + " " + name))
	return tagEncoding.EncodeToString(sum[:8])[:tagLength]
}

// Tags that stand for many.
var (
	allTag = hashed("all", "")
	// moreTag is on what has more tags than its CDN takes: every purge of a tag has it too.
	moreTag = hashed("more", "")
)

func tagTag(tag string) string { return hashed("tag", tag) }

func classTag(class string) string { return hashed("class", class) }

// keyTag is of a key, whatever the variant.
func keyTag(key string) string {
	key, _, _ = strings.Cut(key, ";")
	return hashed("key", key)
}

// again begins the tags of invalidations that concern CDNs alone: what follows is purged as it is.
const again = "~edge:"

// tagsOf returns the tags that a CDN is to purge for an invalidation: more than it covers where there is no other way.
func tagsOf(t shared.Target) []string {
	switch t.Kind {
	case shared.KindTag:
		if one, ok := strings.CutPrefix(t.Name, again); ok {
			return []string{one}
		}
		return []string{tagTag(t.Name), moreTag}
	case shared.KindKey:
		if strings.HasPrefix(t.Name, "~") {
			return nil // a self-test's
		}
		return []string{keyTag(t.Name), moreTag}
	case shared.KindClass:
		return []string{classTag(t.Name)}
	case shared.KindPattern:
		if class := t.Class(); class != "" {
			return []string{classTag(class)}
		}
	}
	return []string{allTag}
}

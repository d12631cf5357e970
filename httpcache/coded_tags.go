package httpcache

import (
	"net/http"
	"slices"
	"strings"
)

// tagsOf are the entity tags of a response in each coding; nil where it has none of its own.
func (c *Compression) tagsOf(own []string) (out [][]string) {
	if len(own) == 0 {
		return nil
	}
	for _, name := range c.Codings {
		out = append(out, tagOf(own[0], name))
	}
	return out
}

// tagOf is the entity tag of a response in a coding: a weak one, because its bytes are not the origin's. "+" says that
// the origin's own is a strong one, "fb" that the tag is of ours: servers end theirs in "-gzip". See ownTags.
func tagOf(tag, name string) []string {
	opaque, ok := strings.CutSuffix(tag, `"`)
	if !ok {
		return nil
	}
	if weak, ok := strings.CutPrefix(opaque, "W/"); ok {
		return []string{weakTag + weak + "-fb-" + name + `"`}
	}
	return []string{weakTag + opaque + "+fb-" + name + `"`}
}

const weakTag = "W/"

// ownTags gives the origin its own entity tags back where a client names those of a coding: what it has seen is what
// they stand for, so that a PUT with If-Match works.
func (h *Cache) ownTags(r *http.Request) *http.Request {
	c := h.options.Compression
	if c == nil || r.Header["If-Match"] == nil && r.Header["If-None-Match"] == nil {
		return r
	}
	r = r.WithContext(r.Context())
	r.Header = cloneFields(r.Header)
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if lines := r.Header[name]; lines != nil {
			r.Header[name] = c.ownTags(lines)
		}
	}
	return r
}

func (c *Compression) ownTags(lines []string) []string {
	out := slices.Clone(lines)
	for i, line := range out {
		var all []string
		for line = strings.TrimSpace(line); line != ""; {
			tag, rest := nextTag(line)
			if tag == "" {
				break
			}
			all, line = append(all, c.ownTag(tag)), strings.TrimLeft(rest, ", \t")
		}
		if line == "" {
			out[i] = strings.Join(all, ", ")
		}
	}
	return out
}

func (c *Compression) ownTag(tag string) string {
	for _, name := range c.Codings {
		if strong, ok := strings.CutSuffix(tag, "+fb-"+name+`"`); ok && strings.HasPrefix(tag, weakTag) {
			return strings.TrimPrefix(strong, weakTag) + `"`
		}
		if weak, ok := strings.CutSuffix(tag, "-fb-"+name+`"`); ok && strings.HasPrefix(tag, weakTag) {
			return weak + `"`
		}
	}
	return tag
}

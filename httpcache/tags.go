package httpcache

import (
	"net/http"
	"strings"

	"github.com/dunglas/httpsfv"
)

// tagsOf returns a response's tags: its URI's, those that the origin gives it, and its cache groups,
// which belong to their origin (RFC 9875).
func tagsOf(r *http.Request, h http.Header) (tags []string, ok bool) {
	tags = append(tags, uriTag(r.Host, r.URL.RequestURI()))
	for _, line := range h["Cache-Tag"] {
		for tag := range strings.SplitSeq(line, ",") {
			tags = appendTag(tags, strings.TrimSpace(tag))
		}
	}
	for _, line := range h["Surrogate-Key"] {
		for tag := range strings.FieldsSeq(line) {
			tags = appendTag(tags, tag)
		}
	}
	for _, tag := range groups(h[TagsField]) {
		tags = appendTag(tags, tag)
	}
	for _, group := range groups(h["Cache-Groups"]) {
		tags = appendTag(append(tags, groupTag(r, group)), group)
	}
	return tags, len(tags) <= maxTags
}

// TagsField gives a response tags as a list of strings (RFC 9651), of which each may have any printable characters.
const TagsField = "Forebay-Tags"

// FormatTags writes a [TagsField]; false: a tag has a character that the field cannot carry.
func FormatTags(tags []string) (string, bool) {
	list := make(httpsfv.List, len(tags))
	for i, tag := range tags {
		list[i] = httpsfv.NewItem(tag)
	}
	text, err := httpsfv.Marshal(list)
	return text, err == nil
}

func appendTag(tags []string, tag string) []string {
	if tag == "" {
		return tags
	}
	return append(tags, tag)
}

// groups reads a list of strings; one that cannot be read, or has anything else in it, is not there.
func groups(lines []string) (out []string) {
	if len(lines) == 0 {
		return nil
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil
	}
	for _, member := range list {
		item, isItem := member.(httpsfv.Item)
		if !isItem {
			return nil
		}
		group, isString := item.Value.(string)
		if !isString {
			return nil
		}
		out = append(out, group)
	}
	return out
}

func groupTag(r *http.Request, group string) string {
	return "group:" + scheme(r) + "://" + r.Host + " " + group
}

// HopByHop reports whether a field, in its canonical form, ends at this hop (RFC 9110, section 7.6.1).
func HopByHop(name string) bool { return hopByHop[name] }

// hopByHop are the fields that end at the next hop (RFC 9110, section 7.6.1, and RFC 9111, section 3.1).
var hopByHop = set("Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info",
	"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade")

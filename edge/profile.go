package edge

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Profile is how a vendor is told what it may keep, and under which tags.
type Profile struct {
	// Control is the field that speaks to this CDN alone; empty: Cache-Control, which others read too.
	Control string
	// Tag is the field of the tags, and Separator what stands between them.
	Tag, Separator string
	// Tags and TagBytes bound the field.
	Tags, TagBytes int
	// Varies: the CDN heeds Vary. Others are given only what varies on Accept-Encoding at most.
	Varies bool
}

// Profiles of the vendors, by their names in the gateway's file. Cloudflare and Fastly take 16 KiB of tags; what stands on the way
// often takes 4 to 8 KiB of a field, and answers 502 to more.
var Profiles = map[string]Profile{
	"cloudflare": {Control: "Cloudflare-Cdn-Cache-Control", Tag: "Cache-Tag", Separator: ",", Tags: 300, TagBytes: 4 << 10},
	"fastly":     {Control: "Surrogate-Control", Tag: "Surrogate-Key", Separator: " ", Tags: 300, TagBytes: 4 << 10, Varies: true},
	"cloudfront": {Tag: "Cache-Tag", Separator: ",", Tags: 50, TagBytes: 1 << 10},
	"none":       {Control: "Cdn-Cache-Control", Tag: "Cache-Tag", Separator: ",", Tags: 50, TagBytes: 1 << 10},
}

// controls are the fields of all vendors, in their canonical form: an origin's own end here.
var controls = []string{"Cloudflare-Cdn-Cache-Control", "Cdn-Cache-Control", "Surrogate-Control", "Cache-Tag", "Surrogate-Key", "Edge-Control", "Edge-Cache-Tag"}

// A Response is what a CDN may keep.
type Response struct {
	Class, Key string
	Tags, Vary []string
	Lifetime   time.Duration
}

// Keep tells the CDN that it may keep a response, and under which tags. It returns false where there are more of them than the
// CDN takes: then the response goes with every purge of a tag.
func (p Profile) Keep(h http.Header, r Response) (fits bool) {
	if !p.may(h, r) {
		p.Refuse(h)
		return true
	}
	clear(h, controls)
	seconds := strconv.FormatInt(int64(r.Lifetime/time.Second), 10)
	if p.Control != "" {
		h[p.Control] = []string{"max-age=" + seconds}
	} else {
		h["Cache-Control"] = []string{withShared(h.Get("Cache-Control"), "s-maxage="+seconds)}
	}
	if p.Varies {
		vary(h, r.Vary)
	}
	tags, fits := p.bounded(r)
	h[p.Tag] = []string{strings.Join(tags, p.Separator)}
	return fits
}

// vary adds what Vary does not name yet.
func vary(h http.Header, names []string) {
	said := strings.ToLower(strings.Join(h["Vary"], ","))
	for _, name := range names {
		if !slices.ContainsFunc(strings.Split(said, ","), func(one string) bool { return strings.TrimSpace(one) == strings.ToLower(name) }) {
			h["Vary"] = append(h["Vary"][:len(h["Vary"]):len(h["Vary"])], name)
		}
	}
}

// may reports whether the CDN would give the response to those alone that it is for.
func (p Profile) may(h http.Header, r Response) bool {
	if r.Lifetime < time.Second || h["Set-Cookie"] != nil {
		return false
	}
	if p.Control == "" && forbids(h["Cache-Control"]) {
		return false // the field says it to all, and is not turned into the contrary
	}
	if p.Varies {
		return !slices.Contains(r.Vary, "*")
	}
	return !slices.ContainsFunc(r.Vary, func(name string) bool { return !strings.EqualFold(name, "Accept-Encoding") })
}

// forbids reports whether a Cache-Control keeps a response out of shared caches.
func forbids(lines []string) bool {
	for part := range strings.SplitSeq(strings.ToLower(strings.Join(lines, ",")), ",") {
		switch name, _, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "private", "no-store", "no-cache":
			return true
		}
	}
	return false
}

// Refuse tells the CDN to keep nothing of a response. Browsers may, as before.
func (p Profile) Refuse(h http.Header) {
	clear(h, controls)
	if p.Control != "" {
		h[p.Control] = []string{"no-store"}
		return
	}
	h["Cache-Control"] = []string{withShared(h.Get("Cache-Control"), "private")}
}

// withShared is a Cache-Control whose directives for shared caches are one other.
func withShared(control, directive string) string {
	kept := []string{}
	for part := range strings.SplitSeq(control, ",") {
		name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), "=")
		if name != "" && name != "s-maxage" && name != "public" && name != "private" {
			kept = append(kept, strings.TrimSpace(part))
		}
	}
	return strings.Join(append(kept, directive), ", ")
}

func clear(h http.Header, names []string) {
	for _, name := range names {
		delete(h, name)
	}
}

// bounded returns the tags of a response that fit, the coarse ones first. A response that has more carries moreTag.
func (p Profile) bounded(r Response) (tags []string, fit bool) {
	tags = []string{allTag, classTag(r.Class), keyTag(r.Key)}
	most := min(p.Tags, (p.TagBytes+len(p.Separator))/(tagLength+len(p.Separator)))
	fit = len(r.Tags)+len(tags) <= most
	if !fit {
		tags = append(tags, moreTag)
	}
	for _, tag := range r.Tags[:min(len(r.Tags), most-len(tags))] {
		tags = append(tags, tagTag(tag))
	}
	return tags, fit
}

// ProfileOf returns a vendor's.
func ProfileOf(vendor string) (Profile, error) {
	p, ok := Profiles[vendor]
	if !ok {
		return p, fmt.Errorf("%q is not a vendor: cloudflare, fastly, cloudfront or none", vendor)
	}
	return p, nil
}

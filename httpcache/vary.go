package httpcache

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// varyNames returns the names of a Vary field, sorted and once each. any: "*", which nothing matches.
func varyNames(lines []string) (names []string, any bool) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.TrimSpace(name); name {
			case "":
			case "*":
				return nil, true
			default:
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), false
}

// selectedBy is what a request says in the fields that a response varies on, normalised: two requests
// select the same response if and only if it is equal (RFC 9111, section 4.1).
func selectedBy(names []string, h http.Header) string {
	var b []byte
	for _, name := range names {
		lines, there := h[name]
		b = appendPart(b, name)
		if !there {
			b = append(b, 0)
			continue
		}
		b = appendPart(append(b, 1), normalised(name, lines))
	}
	return string(b)
}

// normalised joins the lines of a field and takes out what has no meaning.
func normalised(name string, lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	if len(lines) == 1 && !strings.ContainsAny(lines[0], ", \t;") && !slices.Contains(negotiated, name) {
		return lines[0]
	}
	var members []string
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			if member = strings.TrimSpace(member); member != "" {
				members = append(members, member)
			}
		}
	}
	if slices.Contains(negotiated, name) {
		members = preferences(members)
	}
	return strings.Join(members, ",")
}

// preferences brings what a client accepts into one order: by weight, then by name. What is refused
// stays, because it says something.
func preferences(members []string) []string {
	type preference struct {
		text   string
		weight float64
	}
	all := make([]preference, len(members))
	for i, member := range members {
		all[i] = preference{weight: 1}
		var kept []string
		for piece := range strings.SplitSeq(strings.ToLower(member), ";") {
			piece = strings.TrimSpace(piece)
			if q, ok := strings.CutPrefix(piece, "q="); ok {
				if w, err := strconv.ParseFloat(q, 64); err == nil {
					all[i].weight = w
					continue
				}
			}
			kept = append(kept, piece)
		}
		all[i].text = strings.Join(kept, ";")
	}
	slices.SortStableFunc(all, func(a, b preference) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return strings.Compare(a.text, b.text)
	})
	out := make([]string, 0, len(all))
	for _, p := range all {
		if p.weight != 1 {
			p.text += ";q=" + strconv.FormatFloat(p.weight, 'g', -1, 64)
		}
		out = append(out, p.text)
	}
	return slices.Compact(out)
}

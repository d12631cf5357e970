package httpcache

import (
	"net/http"
	"strconv"
	"strings"
)

// place finds out what part of the whole a response is. It returns false for a part that cannot be
// stored: several ranges at once, one that is not as long as it says, or one that nobody asked for. A
// part that goes on where the stored one ends makes it whole (RFC 9111, section 3.4).
func (x *exchange) place(r *response) bool {
	if r.status != http.StatusPartialContent {
		return true
	}
	first, last, of, ok := contentRange(r.header.Get("Content-Range"))
	if !ok || x.length >= 0 && x.length != last-first+1 {
		return false
	}
	if !x.continued {
		r.kind, r.first, r.of = part, first, of
		return isRange(x.ask.r.Header)
	}
	x.before, _, _ = x.found.response.body.complete()
	r.status, r.first, r.of = http.StatusOK, 0, 0
	delete(r.header, "Content-Range")
	r.header["Content-Length"] = []string{strconv.FormatInt(of, 10)}
	x.length = of
	return true
}

// continues reports whether an answer is the rest of the part that is stored, or something that stands
// for itself. Parts are combined by the same strong validator alone (RFC 9110, section 15.3.7.3); what an
// origin says of a range that the client did not ask for is not for the client.
func (x *exchange) continues(status int) bool {
	switch {
	case status == http.StatusPartialContent:
		old := x.found.response
		first, last, of, ok := contentRange(x.header.Get("Content-Range"))
		length := announced(x.header)
		return ok && first == old.body.length() && last == of-1 && of == old.of && (length < 0 || length == last-first+1) &&
			old.strongTag() == (&response{header: x.header}).strongTag()
	case status >= 400 && status < 500:
		return false
	}
	return true
}

// wholeAgain asks once more, for the whole: the part that is stored cannot be completed.
func (x *exchange) wholeAgain() error {
	x.found.Drop()
	x.found.response, x.found.Value = nil, nil
	x.again, x.continued, x.failed, x.header = true, false, nil, make(http.Header)
	return x.call()
}

// merged is what will be stored: the response, or the part that it makes with the stored one, if both
// carry the same strong validator and touch (RFC 9110, section 15.3.7.3).
func (x *exchange) merged() *response {
	r, old := x.response, x.found.response
	if r.kind != part || old == nil || old.kind != part || r.of != old.of || r.strongTag() == "" || r.strongTag() != old.strongTag() {
		return r
	}
	a, _, _ := old.body.complete()
	b, _, _ := r.body.complete()
	first, second, start, next := a, b, old.first, r.first
	if r.first < old.first {
		first, second, start, next = b, a, r.first, old.first
	}
	gap := next - (start + int64(len(first)))
	if gap > 0 {
		return r
	}
	data := append(make([]byte, 0, len(first)+len(second)), first...)
	if overlap := -gap; overlap < int64(len(second)) {
		data = append(data, second[overlap:]...)
	}
	both := r.clone()
	both.first, both.body = start, wholeBody(data, nil)
	both.header["Content-Length"] = []string{strconv.Itoa(len(data))}
	if start == 0 && int64(len(data)) == r.of {
		both.kind, both.status, both.of = whole, http.StatusOK, 0
		delete(both.header, "Content-Range")
	} else {
		both.header["Content-Range"] = []string{rangeField(start, start+int64(len(data)), r.of)}
	}
	return both
}

func rangeField(first, end, of int64) string {
	return "bytes " + strconv.FormatInt(first, 10) + "-" + strconv.FormatInt(end-1, 10) + "/" + strconv.FormatInt(of, 10)
}

// slice returns the place of the range that a request asks for, if the response has it. Several ranges
// at once are answered by the whole, which is always allowed.
func (r *response) slice(h http.Header) (first, end int64, ok bool) {
	field := h.Get("Range")
	data, _, isWhole := r.body.complete()
	if field == "" || !isWhole || !r.matchesIfRange(h.Get("If-Range")) {
		return 0, 0, false
	}
	of := r.of
	if r.kind == whole {
		of = int64(len(data))
	}
	first, end, ok = parseRange(field, of)
	return first, end, ok && first >= r.first && end <= r.first+int64(len(data))
}

// parseRange reads one range of bytes of something (RFC 9110, section 14.1.2).
func parseRange(field string, of int64) (first, end int64, ok bool) {
	unit, spec, found := strings.Cut(field, "=")
	from, to, found2 := strings.Cut(strings.TrimSpace(spec), "-")
	if !found || !found2 || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(spec, ",") {
		return 0, 0, false
	}
	if from == "" {
		n, err := strconv.ParseInt(to, 10, 63)
		return max(of-n, 0), of, err == nil && n > 0 && of > 0
	}
	first, err := strconv.ParseInt(from, 10, 63)
	if err != nil || first < 0 {
		return 0, 0, false
	}
	end = of
	if to != "" {
		last, err := strconv.ParseInt(to, 10, 63)
		if err != nil || last < first {
			return 0, 0, false
		}
		end = min(last+1, of)
	}
	return first, end, true
}

// matchesIfRange compares strongly (RFC 9110, section 13.1.5).
func (r *response) matchesIfRange(field string) bool {
	switch {
	case field == "":
		return true
	case strings.HasPrefix(field, `"`):
		return field == r.strongTag()
	case strings.HasPrefix(field, "W/"):
		return false
	}
	asked, ok := httpTime(field)
	modified, ok2 := httpTime(r.header.Get("Last-Modified"))
	date, ok3 := httpTime(r.header.Get("Date"))
	return ok && ok2 && ok3 && asked.Equal(modified) && date.Sub(modified) >= 1e9
}

// notModified evaluates a client's own conditions (RFC 9111, section 4.3.2). The tag is that of the form that the client
// has: of the response as it would be sent, as it is stored, or in another coding.
func (r *response) notModified(h http.Header, sent []string, c *Compression) (tag []string, ok bool) {
	if r.status != http.StatusOK {
		return nil, false
	}
	if lines, ok := h["If-None-Match"]; ok {
		return matchesOne(lines, sent, r.header["Etag"], c)
	}
	return sent, r.unmodifiedSince(h)
}

func matchesOne(lines, sent, stored []string, c *Compression) (tag []string, ok bool) {
	candidates := [][]string{sent, stored}
	if c != nil {
		candidates = append(candidates, c.tagsOf(stored)...)
	}
	for _, one := range candidates {
		if len(one) > 0 && matchesAny(lines, one[0]) {
			return one, true
		}
	}
	return sent, matchesAny(lines, "")
}

// unmodifiedSince evaluates If-Modified-Since.
func (r *response) unmodifiedSince(h http.Header) bool {
	since, ok := httpTime(h.Get("If-Modified-Since"))
	if !ok {
		return false
	}
	modified, ok := httpTime(r.header.Get("Last-Modified"))
	if !ok {
		if modified, ok = httpTime(r.header.Get("Date")); !ok {
			return false
		}
	}
	return !modified.After(since)
}

// matchesAny compares entity tags weakly.
func matchesAny(lines []string, tag string) bool {
	for _, line := range lines {
		for line = strings.TrimSpace(line); line != ""; {
			if line == "*" {
				return true
			}
			one, rest := nextTag(line)
			if one == "" {
				return false
			}
			if tag != "" && strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
			line = strings.TrimLeft(rest, ", \t")
		}
	}
	return false
}

// nextTag cuts the first entity tag off a list; commas may stand inside its quotes.
func nextTag(s string) (tag, rest string) {
	start := len(s) - len(strings.TrimPrefix(s, "W/"))
	if start >= len(s) || s[start] != '"' {
		tag, rest, _ = strings.Cut(s, ",")
		return strings.TrimSpace(tag), rest
	}
	end := strings.IndexByte(s[start+1:], '"')
	if end < 0 {
		return "", ""
	}
	return s[:start+end+2], s[start+end+2:]
}

// contentRange reads "bytes 0-4/10".
func contentRange(field string) (first, last, of int64, ok bool) {
	unit, rest, found := strings.Cut(field, " ")
	span, length, found2 := strings.Cut(rest, "/")
	from, to, found3 := strings.Cut(span, "-")
	if !found || !found2 || !found3 || unit != "bytes" {
		return 0, 0, 0, false
	}
	first, err1 := strconv.ParseInt(from, 10, 63)
	last, err2 := strconv.ParseInt(to, 10, 63)
	of, err3 := strconv.ParseInt(length, 10, 63)
	return first, last, of, err1 == nil && err2 == nil && err3 == nil && first >= 0 && first <= last && last < of
}

package plan

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parse reads a line in the common or the combined format, with a time behind it or not, or a record in JSON.
func parse(line []byte) (Request, error) {
	line = bytes.TrimSpace(line)
	if line[0] == '{' {
		return parseJSON(line)
	}
	return parseCommon(string(line))
}

const commonTime = "02/Jan/2006:15:04:05 -0700"

// parseCommon reads host, ident, user, the time in brackets, "METHOD URI PROTOCOL", status and bytes, and what the combined format and servers add: the
// referer, the agent, and how long it took.
func parseCommon(line string) (r Request, err error) {
	before, rest, ok := strings.Cut(line, " [")
	at, rest, ok2 := strings.Cut(rest, "] ")
	if !ok || !ok2 {
		return r, errors.New(`no [time] in it, as the common log format has`)
	}
	if r.Time, err = time.Parse(commonTime, at); err != nil {
		return r, fmt.Errorf("the time %q: write it as 02/Jan/2006:15:04:05 -0700", at)
	}
	if names := strings.Fields(before); len(names) >= 3 && names[len(names)-1] != "-" { // a host may stand before the three
		r.User = names[len(names)-1]
	}
	quoted, rest, err := cutQuoted(rest)
	if err != nil {
		return r, err
	}
	if err := r.takeRequestLine(quoted); err != nil {
		return r, err
	}
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return r, errors.New("no status and size behind the request")
	}
	if r.Status, err = strconv.Atoi(fields[0]); err != nil {
		return r, fmt.Errorf("the status %q is no number", fields[0])
	}
	r.Bytes, _ = strconv.ParseInt(fields[1], 10, 64) // "-": nothing was sent
	r.Took = lastDuration(rest)
	return r, nil
}

// takeRequestLine reads METHOD URI PROTOCOL.
func (r *Request) takeRequestLine(text string) error {
	parts := strings.Fields(text)
	if len(parts) < 2 {
		return fmt.Errorf("%q is no request", text)
	}
	r.Method = parts[0]
	return r.takeURI(parts[1])
}

// takeURI takes the path and the query of a URI.
func (r *Request) takeURI(uri string) error {
	if _, rest, ok := strings.Cut(uri, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			uri = rest[i:]
		} else {
			uri = "/"
		}
	}
	if !strings.HasPrefix(uri, "/") {
		return fmt.Errorf("%q is no path", uri)
	}
	r.URI, _, _ = strings.Cut(uri, "#")
	return nil
}

// cutQuoted takes a text in quotes off, in which a backslash stands before a quote.
func cutQuoted(text string) (quoted, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", errors.New("no request in quotes behind the time")
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return text[1:i], strings.TrimSpace(text[i+1:]), nil
		}
	}
	return "", "", errors.New("the request's quotes do not end")
}

// lastDuration is what servers write behind the agent: seconds with a point (nginx's $request_time), microseconds without one (Apache's
// %D), or this program's own milliseconds, which stand before a text in quotes that says what the cache did.
func lastDuration(rest string) time.Duration {
	i := strings.LastIndexByte(rest, '"')
	if i < 0 {
		return 0
	}
	if behind := strings.Fields(rest[i+1:]); len(behind) > 0 {
		return bareDuration(behind[0])
	}
	// … "agent" 12.345 "forebay; hit"
	before := strings.TrimRight(rest[:strings.LastIndexByte(rest[:i], '"')+1], `" `)
	fields := strings.Fields(before)
	if len(fields) == 0 {
		return 0
	}
	ms, err := strconv.ParseFloat(fields[len(fields)-1], 64)
	if err != nil {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// bareDuration reads a duration that names no unit.
func bareDuration(text string) time.Duration {
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || n < 0:
		return 0
	case strings.Contains(text, "."):
		return time.Duration(n * float64(time.Second))
	}
	return time.Duration(n * float64(time.Microsecond))
}

package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The names under which servers record the same: this program, nginx (by its usual format), Caddy, Traefik, Envoy.
var (
	methodNames = []string{"method", "request_method", "http_method", "RequestMethod", "verb"}
	uriNames    = []string{"uri", "request_uri", "path", "RequestPath", "url", "request_path"}
	queryNames  = []string{"query", "args", "query_string"}
	statusNames = []string{"status", "status_code", "DownstreamStatus", "response_code", "code"}
	bytesNames  = []string{"bytes", "body_bytes_sent", "size", "bytes_sent", "DownstreamContentSize", "response_size", "length"}
	timeNames   = []string{"time", "ts", "timestamp", "@timestamp", "time_iso8601", "time_local", "start_time", "StartUTC", "msec"}
	userNames   = []string{"user", "remote_user", "user_id", "ClientUsername"}
)

// colours are what terminals are told.
var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// durationNames are with their units.
var durationNames = []struct {
	name string
	unit time.Duration
}{
	{"took", time.Nanosecond}, {"Duration", time.Nanosecond}, {"request_time", time.Second}, {"duration", time.Second}, {"latency", time.Second},
	{"took_ms", time.Millisecond}, {"duration_ms", time.Millisecond}, {"latency_ms", time.Millisecond}, {"elapsed", time.Second}, {"response_time", time.Second}, {"upstream_response_time", time.Second},
}

func parseJSON(line []byte) (r Request, err error) {
	var all map[string]any
	if err := json.Unmarshal(line, &all); err != nil {
		return r, fmt.Errorf("no JSON: %w", err)
	}
	if inner, ok := all["log"].(string); ok && all["stream"] != nil { // Docker's json-file: a line of the container's
		if inner = strings.TrimSpace(colours.ReplaceAllString(inner, "")); inner == "" || strings.HasPrefix(inner, `{"log"`) {
			return r, errors.New("an empty line of a container")
		}
		return parse([]byte(inner))
	}
	if nested, ok := all["request"].(map[string]any); ok { // Caddy
		for name, v := range nested {
			if _, taken := all[name]; !taken {
				all[name] = v
			}
		}
	}
	if text, ok := all["request"].(string); ok && strings.Contains(text, " ") { // "GET /x HTTP/1.1"
		if err := r.takeRequestLine(text); err != nil {
			return r, err
		}
	} else {
		r.Method = textOf(all, methodNames)
		if err := r.takeURI(textOf(all, uriNames)); err != nil {
			return r, err
		}
	}
	if r.Method == "" {
		return r, errors.New("no method: " + strings.Join(methodNames, ", "))
	}
	if query := textOf(all, queryNames); query != "" && query != "-" && !strings.Contains(r.URI, "?") {
		r.URI += "?" + strings.TrimPrefix(query, "?")
	}
	status, ok := number(all, statusNames)
	if !ok {
		return r, errors.New("no status: " + strings.Join(statusNames, ", "))
	}
	r.Status = int(status)
	bytes, _ := number(all, bytesNames)
	r.Bytes = int64(bytes)
	if r.Time, err = timeOf(all); err != nil {
		return r, err
	}
	if user := textOf(all, userNames); user != "-" {
		r.User = user
	}
	for _, d := range durationNames {
		if n, ok := number(all, []string{d.name}); ok && n > 0 {
			r.Took = time.Duration(n * float64(d.unit))
			break
		}
	}
	return r, nil
}

func textOf(all map[string]any, names []string) string {
	for _, name := range names {
		if s, ok := all[name].(string); ok {
			return s
		}
	}
	return ""
}

func number(all map[string]any, names []string) (float64, bool) {
	for _, name := range names {
		switch v := all[name].(type) {
		case float64:
			return v, true
		case string:
			if n, err := strconv.ParseFloat(v, 64); err == nil {
				return n, true
			}
		}
	}
	return 0, false
}

func timeOf(all map[string]any) (time.Time, error) {
	for _, name := range timeNames {
		switch v := all[name].(type) {
		case string:
			for _, form := range []string{time.RFC3339Nano, commonTime, "2006-01-02T15:04:05.999999999-0700", "2006-01-02 15:04:05"} {
				if t, err := time.Parse(form, v); err == nil {
					return t, nil
				}
			}
			if n, err := strconv.ParseFloat(v, 64); err == nil {
				return epoch(n), nil
			}
		case float64:
			return epoch(v), nil
		}
	}
	return time.Time{}, errors.New("no time that can be read: " + strings.Join(timeNames, ", "))
}

// epoch reads seconds, or milliseconds, since 1970.
func epoch(n float64) time.Time {
	if n > 1e11 {
		n /= 1000
	}
	whole, part := math.Modf(n)
	return time.Unix(int64(whole), int64(part*1e9))
}

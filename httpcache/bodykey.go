package httpcache

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

var errNotCanonical = errors.New("httpcache: the body is JSON that different parsers read differently")

// maxDepth bounds the nesting of a body that becomes part of a key.
const maxDepth = 64

// canonicalJSON returns a JSON text with its keys sorted and without insignificant space. Numbers stay
// as they are written. It refuses what parsers are known to read differently, because such a body
// could be one thing to the key and another to the origin: a name twice, broken UTF-8, lone
// surrogates. ignore: fields to leave out.
func canonicalJSON(body []byte, ignore []path) ([]byte, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errNotCanonical
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	c := canonicaliser{decoder: d, ignore: ignore}
	if err := c.value(nil); err != nil {
		return nil, err
	}
	return c.out, nil
}

// A path leads to a member of a JSON text: names, and everyElement for each element of a list.
type path []string

// everyElement is not a name: names are valid UTF-8.
const everyElement = "\xff"

// parsePath reads names joined by dots, "*" for every element of a list. A dot or an asterisk in a name
// is written behind a backslash.
func parsePath(s string) path {
	var out path
	var name strings.Builder
	escaped := false
	end := func() {
		if one := name.String(); one == "*" && !escaped {
			out = append(out, everyElement)
		} else {
			out = append(out, one)
		}
		name.Reset()
		escaped = false
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			escaped = true
			name.WriteByte(s[i])
		case s[i] == '.':
			end()
		default:
			name.WriteByte(s[i])
		}
	}
	end()
	return out
}

type canonicaliser struct {
	decoder *json.Decoder
	ignore  []path
	out     []byte
}

func (c *canonicaliser) value(at path) error {
	if len(at) > maxDepth {
		return errNotCanonical
	}
	token, err := c.decoder.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return c.object(at)
		}
		return c.list(at)
	case string:
		return c.text(v)
	case json.Number:
		c.out = append(c.out, v...)
	case bool:
		c.out = append(c.out, map[bool]string{true: "true", false: "false"}[v]...)
	case nil:
		c.out = append(c.out, "null"...)
	}
	return nil
}

func (c *canonicaliser) text(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return errNotCanonical // it may stand for a lone surrogate
	}
	quoted, err := json.Marshal(s)
	c.out = append(c.out, quoted...)
	return err
}

func (c *canonicaliser) list(at path) error {
	c.out = append(c.out, '[')
	inside := append(slices.Clip(at), everyElement)
	for first := true; c.decoder.More(); first = false {
		if !first {
			c.out = append(c.out, ',')
		}
		if err := c.value(inside); err != nil {
			return err
		}
	}
	c.out = append(c.out, ']')
	_, err := c.decoder.Token()
	return err
}

// object writes the members one by one behind what is there, then sorts and joins them.
func (c *canonicaliser) object(at path) error {
	type member struct{ name, text string }
	var members []member
	start := len(c.out)
	for c.decoder.More() {
		token, err := c.decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if err := c.text(name); err != nil {
			return err
		}
		c.out = append(c.out, ':')
		inside := append(slices.Clip(at), name)
		if err := c.value(inside); err != nil {
			return err
		}
		members = append(members, member{name, string(c.out[start:])})
		c.out = c.out[:start]
	}
	if _, err := c.decoder.Token(); err != nil {
		return err
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	c.out = append(c.out, '{')
	first := true
	for i, m := range members {
		if i > 0 && members[i-1].name == m.name {
			return errNotCanonical
		}
		inside := append(slices.Clip(at), m.name)
		if slices.ContainsFunc(c.ignore, func(p path) bool { return slices.Equal(p, inside) }) {
			continue
		}
		if !first {
			c.out = append(c.out, ',')
		}
		first = false
		c.out = append(c.out, m.text...)
	}
	c.out = append(c.out, '}')
	return nil
}

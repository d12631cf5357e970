// Package canon writes JSON in one form, so that equal texts have equal keys.
package canon

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// ErrAmbiguous: the text is not JSON, or different parsers read it differently.
var ErrAmbiguous = errors.New("the text is JSON that different parsers read differently")

// maxDepth bounds the nesting.
const maxDepth = 64

// JSON returns a JSON text with its keys sorted and without insignificant space. Numbers stay
// as they are written. It refuses what parsers are known to read differently, because such a text
// could be one thing to the key and another to the origin: a name twice, broken UTF-8, lone
// surrogates. ignore: members to leave out.
func JSON(text []byte, ignore []Path) ([]byte, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, ErrAmbiguous
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	c := canonicaliser{decoder: d, ignore: ignore}
	if err := c.value(nil); err != nil {
		return nil, err
	}
	return c.out, nil
}

// A Path leads to a member of a JSON text: names, and everyElement for each element of a list.
type Path []string

// everyElement is not a name: names are valid UTF-8.
const everyElement = "\xff"

// ParsePath reads names joined by dots, "*" for every element of a list. A dot or an asterisk in a name
// is written behind a backslash.
func ParsePath(s string) Path {
	var out Path
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
	ignore  []Path
	out     []byte
}

func (c *canonicaliser) value(at Path) error {
	if len(at) > maxDepth {
		return ErrAmbiguous
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
		return ErrAmbiguous // it may stand for a lone surrogate
	}
	quoted, err := json.Marshal(s)
	c.out = append(c.out, quoted...)
	return err
}

func (c *canonicaliser) list(at Path) error {
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
func (c *canonicaliser) object(at Path) error {
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
			return ErrAmbiguous
		}
		inside := append(slices.Clip(at), m.name)
		if slices.ContainsFunc(c.ignore, func(p Path) bool { return slices.Equal(p, inside) }) {
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

package httpcache

import (
	"bytes"
	"encoding/json"
	"strings"
)

// onlyQueries reports whether a GraphQL request over HTTP, or each of a list of them, holds its document and can only read:
// all operations of the document are queries. A name may choose another operation, so none may change anything. What
// refers to a document that the server knows (persisted queries) does not say what it does.
func onlyQueries(body []byte) bool {
	type request map[string]json.RawMessage // not a struct: that would take "Query" for "query"
	all := make([]request, 1)
	var err error
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		err = json.Unmarshal(body, &all)
	} else {
		err = json.Unmarshal(body, &all[0])
	}
	if err != nil || len(all) == 0 {
		return false
	}
	for _, one := range all {
		var document string
		if json.Unmarshal(one["query"], &document) != nil || !readsOnly(document) {
			return false
		}
	}
	return true
}

// readsOnly looks at the words outside of all brackets, where the kinds of operations stand (GraphQL, October 2021,
// section 2.3). A fragment or a directive of such a name is taken for an operation: then the request is not cached.
func readsOnly(document string) bool {
	depth, any := 0, false
	for i := 0; i < len(document); {
		switch c := document[i]; {
		case c == '#':
			i += strings.IndexAny(document[i:]+"\n", "\r\n")
		case c == '"':
			n := stringLength(document[i:])
			if n == 0 {
				return false
			}
			i += n
		case c == '{' || c == '(' || c == '[':
			depth, any = depth+1, true
			i++
		case c == '}' || c == ')' || c == ']':
			if depth--; depth < 0 {
				return false
			}
			i++
		case isNameStart(c):
			end := i + 1
			for end < len(document) && (isNameStart(document[end]) || document[end] >= '0' && document[end] <= '9') {
				end++
			}
			if word := document[i:end]; depth == 0 && (word == "mutation" || word == "subscription") {
				return false
			}
			i = end
		default:
			i++
		}
	}
	return any && depth == 0
}

func isNameStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// stringLength is how long the string is that a text begins with; 0: it has no end.
func stringLength(s string) int {
	if strings.HasPrefix(s, `"""`) {
		for i := 3; i < len(s); i++ {
			switch {
			case strings.HasPrefix(s[i:], `\"""`):
				i += 3
			case strings.HasPrefix(s[i:], `"""`):
				return i + 3
			}
		}
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		case '\n', '\r':
			return 0
		}
	}
	return 0
}

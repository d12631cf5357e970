package httpcache

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// What a parser of GraphQL finds to change something is never taken for a query.
func FuzzGraphQL(f *testing.F) {
	for _, seed := range []string{"{ a }", "mutation { a }", "query Q($a: String = \"x\") @d { a }", "fragment F on T { a } mutation M { b }", "# x\n{ a(x: \"\"\" \\\"\"\" \"\"\") }", "subscription{a}", "{a}{b}", "\ufeff query { a }"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		parsed, err := parser.ParseQuery(&ast.Source{Input: document})
		if err != nil {
			return
		}
		for _, one := range parsed.Operations {
			if one.Operation != ast.Query && readsOnly(document) {
				t.Errorf("%q has a %s", document, one.Operation)
			}
		}
	})
}

// The origin gets the very tag back that it gave, and one that is not of a coding stays as it is.
func FuzzOwnTags(f *testing.F) {
	for _, seed := range []string{`"a"`, `W/"a"`, `"a+fb-br"`, `W/"x-gzip"`, `"a,b"`, `""`} {
		f.Add(seed)
	}
	c, _ := (&Compression{}).withDefaults()
	f.Fuzz(func(t *testing.T, tag string) {
		one, rest := nextTag(tag)
		if one != tag || rest != "" || !strings.HasSuffix(tag, `"`) || strings.ContainsAny(tag, "\r\n\x00") {
			return // not an entity tag
		}
		for i, name := range c.Codings {
			coded := c.tagsOf([]string{tag})[i]
			if coded == nil {
				return
			}
			if got := c.ownTags(coded); len(got) != 1 || got[0] != tag {
				t.Errorf("%s in %s is %s, and comes back as %q", tag, name, coded, got)
			}
		}
		r := &http.Request{Header: http.Header{"If-Match": {tag}}}
		if strings.HasPrefix(tag, `"`) && (&Cache{options: Options{Compression: c}}).ownTags(r).Header.Get("If-Match") != tag {
			t.Errorf("%s is not of a coding", tag)
		}
	})
}

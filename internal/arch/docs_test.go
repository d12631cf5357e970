package arch

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A comment outlives a renaming: what it is about, and what it links to, must be there.
func TestCommentsNameWhatIsThere(t *testing.T) {
	for _, p := range list(t) {
		d := docOf(t, p)
		about := func(what, text string) {
			first, _, _ := strings.Cut(text, "\n")
			for _, article := range []string{"A ", "An ", "The "} {
				first = strings.TrimPrefix(first, article)
			}
			word, _, _ := strings.Cut(first, " ")
			if word = strings.TrimRight(word, ",:."); text != "" && word != what && what != "init" && isWord(word) {
				t.Errorf("%s: the comment of %s begins with %q", p.ImportPath, what, word)
			}
			for _, link := range ofThePackage.FindAllStringSubmatch(text, -1) {
				if !has(d, link[1], link[2]) {
					t.Errorf("%s: the comment of %s links to %s, which is not there", p.ImportPath, what, link[0])
				}
			}
		}
		for _, f := range d.Funcs {
			about(f.Name, f.Doc)
		}
		for _, ty := range d.Types {
			about(ty.Name, ty.Doc)
			for _, f := range append(append([]*doc.Func(nil), ty.Funcs...), ty.Methods...) {
				about(f.Name, f.Doc)
			}
		}
	}
}

// isWord leaves out comments that begin with an example of what is written.
func isWord(s string) bool { return !strings.ContainsAny(s, `"'[{`) && s != "data" }

// ofThePackage is a link to something of the same package: [Name] or [Type.Name].
var ofThePackage = regexp.MustCompile(`(?:^|[^"])\[([A-Z]\w*)(?:\.([A-Z]\w*))?\]`)

func docOf(t *testing.T, p pkg) *doc.Package {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	dir := filepath.Join("..", "..", strings.TrimPrefix(p.ImportPath, module))
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	d, err := doc.NewFromFiles(fset, files, p.ImportPath, doc.AllDecls)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// has reports whether a package has a name, or a type of it a member.
func has(d *doc.Package, name, member string) bool {
	for _, ty := range d.Types {
		if ty.Name == name {
			return member == "" || hasMember(ty, member)
		}
		for _, f := range ty.Funcs {
			if f.Name == name {
				return true
			}
		}
		for _, v := range append(append([]*doc.Value(nil), ty.Consts...), ty.Vars...) {
			for _, n := range v.Names {
				if n == name {
					return true
				}
			}
		}
	}
	for _, f := range d.Funcs {
		if f.Name == name {
			return true
		}
	}
	for _, v := range append(append([]*doc.Value(nil), d.Consts...), d.Vars...) {
		for _, n := range v.Names {
			if n == name {
				return true
			}
		}
	}
	return false
}

func hasMember(ty *doc.Type, member string) bool {
	for _, m := range ty.Methods {
		if m.Name == member {
			return true
		}
	}
	found := false
	ast.Inspect(ty.Decl, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == member {
			found = true
		}
		return !found
	})
	return found
}

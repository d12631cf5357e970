package keys

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"search": true, "a_b-9": true, "": false, "Search": false, "a/b": false, "a:b": false, "ü": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A long key keeps its leading whole parts, so that a pattern on them still covers it, and ends in a hash of all of it.
func TestLongKeys(t *testing.T) {
	const prefix = "class:"
	long := func(last string) string {
		key := prefix + "org=acme,list=[a,b],text=" + strings.Repeat("x", 300) + last + ","
		return string(HashLong([]byte(key), len(prefix)))
	}
	if a := long("a"); !strings.HasPrefix(a, prefix+"org=acme,list=[a,b],#") || len(a) > MaxReadable {
		t.Errorf("%q", a)
	}
	if long("a") == long("b") {
		t.Error("two keys became one")
	}
	deep := prefix + "{" + strings.Repeat("a,", 200) + "},"
	if got := string(HashLong([]byte(deep), len(prefix))); !strings.HasPrefix(got, prefix+"#") {
		t.Errorf("a part of a part was kept: %q", got)
	}
}

// The caller's length stands before it: no other pair of caller and key gives the same input.
func TestPrivateKeys(t *testing.T) {
	private := func(key, caller, secret string) string {
		return string(HashPrivate([]byte("c:"+key), 2, []byte(secret), caller))
	}
	base := private("a,", "alice", "secret")
	for _, other := range []string{
		private("b,", "alice", "secret"), private("a,", "bob", "secret"), private("a,", "alice", "other"),
		private("ea,", "alic", "secret"), private("", "alicea,", "secret"),
	} {
		if other == base {
			t.Error("two callers, keys or secrets gave one key")
		}
	}
	if !strings.HasPrefix(base, "c:#") || strings.Contains(base, "alice") {
		t.Errorf("%q", base)
	}
}

// What is escaped holds no delimiter, and looks like no number, bool, nil or hash.
func FuzzEscaped(f *testing.F) {
	for _, s := range []string{"", "a", "a,b", "7", "true", "nil", "#x", "'", "%2C", "\xff", "ü", "*"} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		ea, eb := string(AppendEscaped(nil, a)), string(AppendEscaped(nil, b))
		if (a == b) != (ea == eb) {
			t.Errorf("%q and %q: %q and %q", a, b, ea, eb)
		}
		if strings.ContainsAny(ea, ",*={}[]") {
			t.Errorf("%q: %q", a, ea)
		}
	})
}

package httpcache

import "net/http"

// A trait is what the name of a request's field says by itself.
type trait uint8

const (
	single       trait = 1 << iota // it has one value
	repeated                       // such a field is there more often: nobody knows which one the origin takes
	ofCaller                       // it names the caller
	precondition                   // for the origin alone to judge (RFC 9111, section 4.3.2)
	upgrading                      // to another protocol
	wish                           // what the client wants of caches
)

// traits are those of the fields that have any.
var traits = traitsOfFields()

func traitsOfFields() map[string]trait {
	out := map[string]trait{"If-Match": precondition, "Upgrade": upgrading, "Cache-Control": wish, "Pragma": wish}
	for name := range singletons {
		out[name] |= single
	}
	for _, name := range credentialFields {
		out[name] |= ofCaller
	}
	out["If-Unmodified-Since"] |= precondition
	return out
}

// survey is what all fields say, in one pass: to look for each by its name would cost more.
func survey(h http.Header) (all trait) {
	for name, lines := range h {
		t := traits[name]
		if t&single != 0 && len(lines) > 1 {
			t |= repeated
		}
		all |= t
	}
	return all
}

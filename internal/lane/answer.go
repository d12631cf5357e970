package lane

import (
	"bytes"
	"net/http"
	"strconv"
)

// An answer is the head of one, as net/http sent it, without what changes.
type answer struct {
	key      string // of the request, or its whole head where it has what the answer depends on
	reads    fields
	again    Again
	counter  Counter
	head     []byte // without its age and its ttl
	first    int    // where the first of the two was, …
	second   int    // … and the second
	ageFirst bool
	bodiless bool
}

// weight is what an answer takes in memory: what it has itself, and its place in the table.
func (a *answer) weight() uint32 { return uint32(len(a.key)+len(a.head)) + 300 }

var (
	ageField = []byte("\r\nAge: ")
	ttlField = []byte("forebay; hit; ttl=")
	headEnd  = []byte("\r\n\r\n")
	unusual  = [][]byte{[]byte("\r\nConnection:"), []byte("\r\nTransfer-Encoding:"), []byte("\r\nTrailer:"), []byte("\r\nSet-Cookie:")}
)

// answerOf takes what changes out of a head; nil where that cannot be found, or the head does more than answer.
func answerOf(head []byte) *answer {
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) || bytes.Count(head, ageField) != 1 || !bytes.Contains(head, []byte("\r\nDate: ")) {
		return nil
	}
	for _, name := range unusual {
		if bytes.Contains(head, name) {
			return nil
		}
	}
	age := bytes.Index(head, ageField) + len(ageField)
	ttl := bytes.LastIndex(head, ttlField) + len(ttlField)
	if ttl < len(ttlField) {
		return nil
	}
	ageEnd, ttlEnd := digits(head, age), digits(head, ttl)
	if ageEnd == age || ttlEnd == ttl || head[ageEnd] != '\r' || head[ttlEnd] != ';' {
		return nil
	}
	a := &answer{ageFirst: age < ttl}
	if a.ageFirst {
		a.take(head, age, ageEnd, ttl, ttlEnd)
	} else {
		a.take(head, ttl, ttlEnd, age, ageEnd)
	}
	return a
}

func (a *answer) take(head []byte, first, firstEnd, second, secondEnd int) {
	a.head = append(append(append(make([]byte, 0, len(head)-(firstEnd-first)-(secondEnd-second)), head[:first]...), head[firstEnd:second]...), head[secondEnd:]...)
	a.first, a.second = first, second-(firstEnd-first)
}

// digits returns where the digits at a place end.
func digits(b []byte, at int) int {
	for b[at] >= '0' && b[at] <= '9' { // a head ends in something else
		at++
	}
	return at
}

// appendHead appends the head of now.
func (a *answer) appendHead(to []byte, n Next) []byte {
	one, two := n.Age, n.TTL
	if !a.ageFirst {
		one, two = two, one
	}
	to = strconv.AppendInt(append(to, a.head[:a.first]...), one, 10)
	to = strconv.AppendInt(append(to, a.head[a.first:a.second]...), two, 10)
	return append(to, a.head[a.second:]...)
}

// same reports whether two answers say the same but for what changes.
func (a *answer) same(b *answer) bool {
	return a.first == b.first && a.second == b.second && a.ageFirst == b.ageFirst && a.bodiless == b.bodiless && bytes.Equal(a.head, b.head)
}

// status is the answer's.
func (a *answer) status() int {
	n, err := strconv.Atoi(string(a.head[len("HTTP/1.1 "):][:3]))
	if err != nil {
		return http.StatusOK
	}
	return n
}

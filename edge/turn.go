package edge

import (
	"cmp"
	"slices"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// A Turn is what is purged together: all that the log had to say when it began.
type Turn struct {
	ID     string    `json:"id" doc:"Of the last invalidation in it: its place in the log"`
	First  string    `json:"first" doc:"Of the first"`
	Tags   int       `json:"tags"`
	Purges []string  `json:"purges,omitempty" doc:"The CDN's own names of the purges"`
	Nodes  []Applied `json:"nodes,omitempty" doc:"That had applied it before the CDN was asked"`
	Begun  time.Time `json:"begun"`
	Purged time.Time `json:"purged,omitzero" doc:"When the CDN had taken it for the first time"`
	Done   time.Time `json:"done,omitzero" doc:"When it had taken it for the second time, and said that it had ended"`
	Probe  *Probe    `json:"probe,omitempty"`
	Error  string    `json:"error,omitempty" doc:"Why the CDN has refused it"`
}

// Applied says that a node has applied an invalidation. At is zero where that was not heard in time.
type Applied struct {
	Node string    `json:"node"`
	ID   string    `json:"id,omitempty"`
	At   time.Time `json:"at,omitzero"`
}

// A Probe is what a look through the edge has found.
type Probe struct {
	URL   string    `json:"url"`
	At    time.Time `json:"at"`
	New   bool      `json:"new" doc:"The edge answers as the gateway does now"`
	Error string    `json:"error,omitempty"`
}

// A Dead letter is what the CDN has refused: it is purged again when it is retried, or with whatever has its tags.
type Dead struct {
	First  string    `json:"first" doc:"Of the first invalidation in it"`
	ID     string    `json:"id" doc:"Of the last"`
	Tags   []string  `json:"tags"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// state is what the queue has come to. It is kept for all nodes, and changed by the one that holds the lease.
type state struct {
	Cursor shared.Stamp `json:"cursor"`
	Turns  []Turn       `json:"turns,omitempty"` // the latest, the newest last
	Dead   []Dead       `json:"dead,omitempty"`
	Ended  uint64       `json:"ended"` // turns
	Failed uint64       `json:"failed"`
}

// Bounds of the state.
const (
	maxTurns = 50
	maxDead  = 20
	// maxTags of a turn, or of a dead letter: beyond them everything is purged.
	maxTags = 5000
)

// reduce bounds a set of tags.
func reduce(tags []string) []string {
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if len(tags) > maxTags || slices.Contains(tags, allTag) {
		return []string{allTag}
	}
	return tags
}

// bury keeps what was refused. Letters that were refused for the same reason are one.
func (s *state) bury(t Turn, tags []string, reason string) {
	for i := range s.Dead {
		if d := &s.Dead[i]; d.Reason == reason {
			d.ID, d.Tags = t.ID, reduce(append(d.Tags, tags...))
			return
		}
	}
	s.Dead = append(s.Dead, Dead{First: t.First, ID: t.ID, Tags: tags, Reason: reason, Since: t.Begun})
	if len(s.Dead) > maxDead {
		older, old := s.Dead[0], &s.Dead[1]
		old.First, old.Tags, old.Since = older.First, reduce(append(old.Tags, older.Tags...)), older.Since
		s.Dead = s.Dead[1:]
	}
}

// revive takes what was purged since out of the dead letters.
func (s *state) revive(tags []string) {
	all := slices.Contains(tags, allTag)
	for i := range s.Dead {
		s.Dead[i].Tags = slices.DeleteFunc(s.Dead[i].Tags, func(tag string) bool {
			_, purged := slices.BinarySearch(tags, tag)
			return all || purged
		})
	}
	s.Dead = slices.DeleteFunc(s.Dead, func(d Dead) bool { return len(d.Tags) == 0 })
}

// end notes what a turn came to.
func (s *state) end(t Turn, to shared.Stamp) {
	s.Cursor = to
	s.Ended++
	s.Turns = append(s.Turns, t)
	s.Turns = s.Turns[max(0, len(s.Turns)-maxTurns):]
}

// covers reports whether a place is between two others of one epoch.
func covers(first, last string, id shared.ID) bool {
	f, err1 := shared.ParseID(first)
	l, err2 := shared.ParseID(last)
	return err1 == nil && err2 == nil && cmp.Compare(f.Compare(id), 0) <= 0 && id.Compare(l) <= 0
}

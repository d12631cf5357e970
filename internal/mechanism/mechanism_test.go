// Package mechanism proves that the tests can see: each mechanism that keeps a promise is taken
// out of a copy of its file, one at a time, and the named test must fail.
package mechanism

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mechanism is a piece of a file and what remains when it is taken out.
type mechanism struct {
	name      string
	file      string // from the root
	code, out string
	test      string // that notices; a folder before it says which package is its own, default the root

	// also is a second mechanism that would stand in for the first, and goes with it.
	also *mechanism
}

var mechanisms = []mechanism{
	{"a load is judged by the place from before it began", "fill.go",
		"e.number.Store(f.flight.number)", "e.number.Store(f.space.cache.replica.Number())", "LoadAgainstInvalidation", nil},
	{"an obsolete load is not joined", "flight.go",
		"if v == replica.Valid && f.number >= how.from {", "if v == v && f.number >= how.from {", "WhoComesAfter", nil},
	{"who came after an invalidation does not take the older answer", "flight.go",
		"if joined != f.number {", "if false {", "LoadAgainstInvalidation", nil},
	{"an entry is judged when the ledger has moved", "near.go",
		"if e.number.Load() == n.replica.Number() {", "if true {", "LoadAgainstInvalidation", nil},
	{"an invalidation takes its number at once", "internal/replica/ledger.go",
		"	l.number.Store(n)\n	return n\n", "	return n\n", "LoadAgainstInvalidation", nil},
	{"an expire does not hide a remove", "internal/replica/ledger.go",
		"m.expire.raise(at)\n", "m.expire.raise(at)\n\t\tm.remove = place{}\n", "LoadAgainstInvalidation", nil},
	{"what leaves the ledger for room becomes its class", "internal/replica/prune.go",
		"l.markOfLocked(shared.Target{Kind: shared.KindClass, Name: class}).raise(*m)\n", "\n", "LedgerBounds", nil},
	{"a strict class serves nothing that was expired", "entry.go",
		"case v == replica.Expired && e.space.class.now().Strict:", "case false:", "ExpireServes", nil},
	{"the key of a private class holds the caller", "internal/keys/hash.go",
		"	mac.Write([]byte(caller))\n", "", "PrivateClass", nil},
	{"delimiters are escaped", "internal/keys/append.go",
		`[]byte("%,*={}[]")`, `[]byte("%*={}[]")`, "NoTwoParameters", nil},
	{"a hanging load keeps its slot", "fill.go",
		"	f.slot = true\n", "	f.slot = true\n	context.AfterFunc(f.flight.ctx, f.Release)\n", "MaxLoads", nil},

	{"a strict read takes no reading from before it came", "internal/replica/batch.go",
		"	if b.next != nil {\n", "	if b.flying != nil {\n\t\treturn b.flying, nil, false\n\t}\n	if b.next != nil {\n", "StrictReadsConfirmTogether", nil},
	{"what one answer does not hold is read by the follower alone", "internal/replica/read.go",
		"if answer.More && r.ledger.behind.Load() {", "if false {", "FarBehindTheLog", nil},
	{"many targets are appended in steps", "internal/replica/append.go",
		"slices.Chunk(r.records(all), maxAppend)", "slices.Chunk(r.records(all), 1<<30)", "ManyTargetsAreAppendedInSteps", nil},

	{"rule 1: a server's new run begins an epoch", "redis/log.go",
		"local fence = wrote ~= run", "local fence = wrote == ''", "redis FailoverToALagging", nil},
	{"rule 2: stamps of another epoch count for nothing", "internal/replica/judge.go",
		"if stamp.Epoch != l.head.Epoch || stamp.ID", "if stamp.ID", "redis AnEntryOfALostLog", nil},
	{"rule 3: the record at the head must be there", "internal/replica/take.go",
		"		return stale\n	}\n	return gap", "		return stale\n	}\n	return took", "redis AReaderWhoseHeadIsLost", nil},
	{"rule 3: the server's run must be the newest record's", "internal/replica/read.go",
		"if r.tier != nil && answer.Run != r.ledger.writtenBy() {", "if false {", "redis FailoverToALagging", nil},
	{"rule 3: the run of a connection dialled again is asked again", "redis/log.go",
		"r != nil && r.dials == t.dials.Load() {", "r != nil {\n\t\tr = &serverRun{r.id, t.dials.Load()}", "redis FailoverToALagging", nil},
	{"rule 6: what leaves the ledger raises the floor of the shared tier", "internal/replica/prune.go",
		"		l.floor.raise(m.remove)\n		l.floor.raise(m.expire)\n	}\n	l.aging = kept", "	}\n	l.aging = kept", "redis AFullLedger", nil},
	{"rule 7: what no check vouches for is unconfirmed", "internal/replica/read.go",
		"r.caughtUp.Load() && r.now()-r.confirmedAt.Load() < int64(confirmedFor)", "r.caughtUp.Load()", "redis AHeldConnection", nil},
	{"rule 8: which could not confirm joins no older load", "flight.go",
		"if v == replica.Valid && f.created < how.since {", "if false {", "redis AStrictCallerDoesNotJoin", nil},
	{"rule 8: which could not confirm takes nothing that was loaded before", "flight.go",
		"(how.since == 0 || e.loadedSince(how.since))", "true", "CouldNotConfirm", nil},
	{"rule 9: the shared tier is not read before the journal is empty", "internal/replica/read.go",
		"r.caughtUp.Load() && r.ledger.owing.Load() == 0 && r.journal.empty()", "r.caughtUp.Load()", "redis NotReadBeforeTheJournal",
		&mechanism{file: "internal/replica/judge.go", code: "number = l.pending[0] - 1", out: "number += 0"}},
	{"rule 10: what an old epoch acknowledged is appended again", "internal/replica/acknowledged.go",
		"	for mode, targets := range l.acknowledged.takeEarlier(", "	for mode, targets := range (&acknowledged{}).takeEarlier(", "redis WhatADyingMaster", nil},
	{"rule 10: what could not be appended waits in the journal", "internal/replica/append.go",
		"r.reportSave(r.journal.add(targets, mode, done.Number))", "_ = r.journal", "redis TheJournalSurvives", nil},
	{"rule 11: trimming keeps the newest record older than the retention", "redis/log.go",
		"'MINID', keep[1][1])", "'MINID', string.format('%.0f', cut))", "redis Contract/trim", nil},
	{"a lease is released by its holder alone", "redis/lease.go",
		"`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`", "`return redis.call('DEL', KEYS[1])`", "redis Contract/leases", nil},
	{"a relay answers by a read that was sent after the question", "relay/hub.go",
		"	if err := h.catchUp(ctx); err != nil {\n		return shared.Reading{}, err\n	}\n", "	if len(h.kept) == 0 {\n		h.catchUp(ctx)\n	}\n", "relay World/relays,_seed_1", nil},
	{"a parent has applied what its child has", "gateway/parent.go",
		"g.cache.CatchUp(r.Context(), shared.Stamp{Epoch: epoch, ID: at}) == nil", "len(epoch)+int(at.Seq) >= 0", "cmd/forebay ParentAndChild", nil},
	{"a CDN is purged after the nodes have applied it", "edge/work.go",
		"	t.Nodes = awaitNodes(ctx, q.o.Cache, b.last, q.o.Apply)\n", "", "edge InvalidationsArePurgedTwice", nil},
	{"a CDN is purged once more", "edge/work.go",
		"	if err := q.once(ctx, t, b); err != nil {\n		return err\n	}\n	t.Done", "	t.Done", "edge InvalidationsArePurgedTwice", nil},
	{"a log that does not join on purges everything", "edge/work.go",
		"len(records) > 0 && known && at == from", "false", "edge ALostLog", nil},
	{"one node loads", "lease.go",
		"		if held {\n			c.flights.leased(f, token)\n			return false, nil", "		if true {\n			c.flights.leased(f, token)\n			return false, nil", "redis OneLoadForAllNodes", nil},
	{"rule 7: the server says ahead of its answer that it is the master", "redis/log.go",
		`hello["role"] != "master"`, `hello["role"] == ""`, "redis ADemotedMaster", nil},
	{"rule 12: a log that lacks what was seen has gone back in time", "redis/log.go",
		"ARGV[5], 'COUNT', 1)[1] then fence = true end", "ARGV[5], 'COUNT', 1)[1] then end", "redis TimeTravel", nil},
	{"rule 12: so has one in an epoch that was left", "redis/log.go",
		"',' .. epoch .. ',', 1, true) then fence = true end", "',' .. epoch .. ',', 1, true) then end", "redis Swapped", nil},
	{"a lease whose answer was lost is given back", "lease.go",
		"			c.release(f.space.stored(f.key), token)\n			return false, nil", "			return false, nil", "ALateLease", nil},
	{"a renewal that was lost is tried again", "lease.go",
		"if !f.ended && !f.alone && f.ctx.Err() == nil {", "if false {", "ALostRenewal", nil},
	{"a flight takes what is near now, if it is new", "lease.go",
		"if f.held >= 0 && e.created <= f.held+int64(time.Millisecond) {", "if held, st := c.near.get(f.key, c.now()); st != isDead && e.created <= held.created+int64(time.Millisecond) {", "OneLoadHowever", nil},
	{"an entry is known as of before this node's own waiting invalidations", "internal/replica/judge.go",
		"number = l.pending[0] - 1", "number += 0", "InvalidationInFlight", nil},
	{"an envelope's key is compared", "seal.go",
		"if env.Key != key || env.Class", "if env.Class", "redis UnusableValues", nil},
	{"values that do not survive stay near", "losscheck.go",
		`return s.lossyField() == ""`, "return true", "redis/types Types$", nil},
	{"what a type loses is known before any value", "space.go",
		"s.judgeType(c.shared.codec)", "_ = s.judgeType", "redis/types Types$", nil},
	{"a value in doubt is tried", "losscheck.go",
		"doubt == shape.Unsure || n <=", "n <=", "redis/types ALaterValueInDoubt", nil},
	{"values of another form are others", "space.go",
		"func (s *space) stored(key string) string { return key + s.suffix }", "func (s *space) stored(key string) string { return key }", "redis/types TwoVersionsOfAType", nil},
	{"what no key of ours wrote is not read", "internal/codec/keyring.go",
		"k == nil || !hmac.Equal(k.tag(nil, b[:n]), b[n+idSize:])", "k == nil", "Keys$", nil},
	{"a record that no key of ours wrote removes everything", "internal/replica/take.go",
		"		rec.Unreadable = true\n", "		_ = rec.Unreadable\n", "ARecordOfSomebodyElse", nil},
	{"what is asked for at once is leased", "func_batch.go",
		"own := f.leases(l)", "own := *l", "redis GetManyOnTwoNodes", nil},
	{"a kept not-found is the origin's on every node", "seal.go",
		"e.err = &kept{", "e.err = ErrNotFound\n\t\t_ = &kept{", "redis/types KeptNotFound", nil},
}

// TestEveryMechanismIsTested takes each mechanism out and expects the named test to fail. The same test must
// pass while everything is in place: otherwise a broken environment would count as proof.
func TestEveryMechanismIsTested(t *testing.T) {
	root := rootOf(t)
	controls := controlRuns{root: root}
	for _, m := range mechanisms {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			pkg, test, of := strings.Cut(m.test, " ")
			if !of {
				pkg, test = ".", m.test
			}
			args := []string{"-test.run", test, "-test.v", "-test.failfast", "-test.timeout", "60s"}
			mutant := build(t, filepath.Join(root, pkg), m.overlay(t, root))
			if known(mutant, args) {
				return
			}
			controls.mustPass(t, pkg, args)
			out, err := run(filepath.Join(root, pkg), mutant, args)
			if err == nil || !strings.Contains(out, "--- FAIL: Test") && !hungIn(out, test) {
				t.Fatalf("no test noticed; the run ended with %v:\n%s", err, tail(out))
			}
			remember(t, mutant, args)
		})
	}
}

// plans are for the mechanisms that the checker of histories must miss by itself: it knows nothing of them,
// but the promise. The faults are those that each is there for. The other mechanisms are about keys, values
// and the room that things take, which no history shows; they have tests of their own above.
var plans = map[string][]string{
	"a load is judged by the place from before it began":                   aim("hold"),
	"who came after an invalidation does not take the older answer":        aim("hold"),
	"an entry is judged when the ledger has moved":                         aim("hold"),
	"an invalidation takes its number at once":                             aim("hold"),
	"an expire does not hide a remove":                                     aim("hold"),
	"an entry is known as of before this node's own waiting invalidations": aim("hold,freeze"),
	"a lease is released by its holder alone":                              aim("node-frozen-long", "-clients=4"),

	"rule 1: a server's new run begins an epoch":                         aim("partition"),
	"rule 2: stamps of another epoch count for nothing":                  aim("clock"),
	"rule 3: the record at the head must be there":                       aim("clock-back"),
	"rule 3: the server's run must be the newest record's":               aim("partition"),
	"rule 3: the run of a connection dialled again is asked again":       aim("partition"),
	"rule 6: what leaves the ledger raises the floor of the shared tier": aim("hold", "-ledger=8", "-bytag"),
	"rule 7: what no check vouches for is unconfirmed":                   aim("hold-long"),
	"rule 8: which could not confirm joins no older load":                aim("hold,freeze"),
	"rule 9: the shared tier is not read before the journal is empty":    aim("hold"),
	"rule 10: what an old epoch acknowledged is appended again":          aim("dying"),
	"rule 10: what could not be appended waits in the journal":           aim("hold"),
	"rule 11: trimming keeps the newest record older than the retention": aim("flush"),
}

// histories has all plans tried, which takes most of an hour; without it, the first alone is.
var histories = flag.Bool("histories", false, "take out every mechanism that random histories must miss")

func aim(faults string, more ...string) []string { return append([]string{"-aim=" + faults}, more...) }

// TestTheCheckerSees takes each of them out and lets random readers, writers and faults run: the history
// must show it. That the checker accepts the code as it is, is a test of its own package.
func TestTheCheckerSees(t *testing.T) {
	const operations, runs = 20_000, 30 // most are seen in the first; a run that shows nothing costs half a minute
	root := rootOf(t)
	faults := filepath.Join(root, "faults")
	for _, m := range mechanisms {
		plan := plans[m.name]
		if plan == nil || !*histories && m.name != mechanisms[0].name {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-test.timeout=180s", "-test.run", "Linearizable", "-operations", fmt.Sprint(operations), "-clients=16"}, plan...)
			mutant := build(t, faults, m.overlay(t, root))
			if known(mutant, args) {
				return
			}
			for i := range runs {
				if out, err := run(faults, mutant, args); err != nil && strings.Contains(out, "not linearizable") {
					t.Logf("in run %d", i+1)
					remember(t, mutant, args)
					return
				}
			}
			t.Errorf("not seen in %d runs of %d operations", runs, operations)
		})
	}
}

// TestEveryMechanismStands: each piece is there exactly once. It says in a second what the others would say after minutes.
func TestEveryMechanismStands(t *testing.T) {
	root := rootOf(t)
	for _, m := range mechanisms {
		t.Run(m.name, func(t *testing.T) { m.overlay(t, root) })
	}
}

// TestEveryPlanHasItsMechanism: a name that was changed would be one that nobody looks for any more.
func TestEveryPlanHasItsMechanism(t *testing.T) {
	known := map[string]bool{}
	for _, m := range mechanisms {
		known[m.name] = true
	}
	for name := range plans {
		if !known[name] {
			t.Errorf("there is no mechanism %q", name)
		}
	}
}

func rootOf(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// overlay is a file that makes the go command build without the mechanism.
func (m *mechanism) overlay(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	replaced := map[string]string{}
	for i, part := range []*mechanism{m, m.also} {
		if part != nil {
			path := filepath.Join(root, part.file)
			replaced[path] = filepath.Join(dir, fmt.Sprint("changed", i, ".go"))
			part.takeOut(t, path, replaced[path])
		}
	}
	replace, _ := json.Marshal(map[string]any{"Replace": replaced})
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, replace, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// takeOut writes the file without the mechanism.
func (m *mechanism) takeOut(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.code); n != 1 {
		t.Fatalf("%s holds %q %d times", m.file, m.code, n)
	}
	if err := os.WriteFile(to, []byte(strings.Replace(string(source), m.code, m.out, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

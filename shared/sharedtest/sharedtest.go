// Package sharedtest holds the contract of a shared tier as a suite of tests.
package sharedtest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// Run runs the contract of a shared tier against what open returns: an empty tier, new for
// each test, that the test closes.
func Run(t *testing.T, open func(t *testing.T) shared.Tier) {
	for name, test := range map[string]func(t *testing.T, s shared.Tier){
		"values":            testValues,
		"values expire":     testExpiry,
		"unlink":            testUnlink,
		"leases":            testLeases,
		"leases end":        testLeaseEnds,
		"log":               testLog,
		"one epoch":         testOneEpoch,
		"get and read":      testGetAndRead,
		"concurrent append": testConcurrentAppend,
		"doorbell":          testDoorbell,
		"scan":              testScan,
		"trim":              testTrim,
		"clock":             testClock,
		"state":             testState,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("the second Close: %v", err)
				}
			})
			test(t, s)
		})
	}
}

var ctx = context.Background()

func tag(name string) shared.Target { return shared.Target{Kind: shared.KindTag, Name: name} }

func must[V any](t *testing.T) func(V, error) V {
	return func(v V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testValues(t *testing.T, s shared.Tier) {
	get := must[[]byte](t)
	if v := get(s.Get(ctx, "a")); v != nil {
		t.Errorf("got %q from an empty tier", v)
	}
	binary := []byte("bytes \x00\xff\r\n of any kind")
	ok(t, s.Set(ctx, "a", binary, time.Minute))
	ok(t, s.Set(ctx, "b", []byte{}, time.Minute))
	if v := get(s.Get(ctx, "a")); !bytes.Equal(v, binary) {
		t.Errorf("got %q", v)
	}
	ok(t, s.Set(ctx, "a", []byte("two"), time.Minute))
	if v := get(s.Get(ctx, "a")); string(v) != "two" {
		t.Errorf("got %q after the second set", v)
	}
	if all := must[[][]byte](t)(s.GetMany(ctx, []string{"b", "nobody", "a"})); len(all) != 3 || all[0] == nil || all[1] != nil || string(all[2]) != "two" {
		t.Errorf("got %q for three keys", all)
	}
}

// eventually waits, for as long as a clock that is not ours may need.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if holds() {
			return
		}
		<-tick.C
	}
	t.Fatalf("never: %s", what)
}

func testExpiry(t *testing.T, s shared.Tier) {
	ok(t, s.Set(ctx, "a", []byte("1"), 30*time.Millisecond))
	ok(t, s.Set(ctx, "kept", []byte("2"), 0))
	eventually(t, "the value expires", func() bool { v, err := s.Get(ctx, "a"); return err == nil && v == nil })
	if v := must[[]byte](t)(s.Get(ctx, "kept")); string(v) != "2" {
		t.Errorf("what is stored without a time to live: %q", v)
	}
	ok(t, s.Set(ctx, "kept", []byte("3"), time.Millisecond))
	eventually(t, "it is given a time to live, and expires", func() bool { v, err := s.Get(ctx, "kept"); return err == nil && v == nil })
}

func testUnlink(t *testing.T, s shared.Tier) {
	for _, k := range []string{"a", "b", "c"} {
		ok(t, s.Set(ctx, k, []byte(k), time.Minute))
	}
	ok(t, s.Unlink(ctx, "a", "b", "nobody"))
	for k, want := range map[string]string{"a": "", "b": "", "c": "c"} {
		if v := must[[]byte](t)(s.Get(ctx, k)); string(v) != want {
			t.Errorf("%s: %q, want %q", k, v, want)
		}
	}
}

func testLeases(t *testing.T, s shared.Tier) {
	lease := func(token string) (bool, string) {
		t.Helper()
		held, v, err := s.Lease(ctx, "a", token, time.Minute)
		ok(t, err)
		return held, string(v)
	}
	if held, v := lease("one"); !held || v != "" {
		t.Errorf("the first: %v, %q", held, v)
	}
	ok(t, s.Set(ctx, "a", []byte("value"), time.Minute))
	if held, v := lease("two"); held || v != "value" {
		t.Errorf("the second: %v, %q; want the value without the lease", held, v)
	}
	ok(t, s.Release(ctx, "a", "two"))
	if held, _ := lease("two"); held {
		t.Error("a lease was released by another's token")
	}
	leases := must[[]shared.Lease](t)(s.LeaseMany(ctx, []string{"a", "b"}, "two", time.Minute))
	if len(leases) != 2 || leases[0].Held || string(leases[0].Value) != "value" || !leases[1].Held || leases[1].Value != nil {
		t.Errorf("two at once: %+v", leases)
	}
	ok(t, s.Release(ctx, "a", "one"))
	if held, v := lease("two"); !held || v != "value" {
		t.Errorf("after the release: %v, %q", held, v)
	}
}

func testLeaseEnds(t *testing.T, s shared.Tier) {
	held, _, err := s.Lease(ctx, "a", "dead", 40*time.Millisecond)
	ok(t, err)
	if !held {
		t.Fatal("not held")
	}
	if must[bool](t)(s.Renew(ctx, "a", "other", time.Hour)) {
		t.Error("renewed by a token that does not hold it")
	}
	eventually(t, "a dead holder's lease ends", func() bool {
		held, _, err := s.Lease(ctx, "a", "next", time.Minute)
		return err == nil && held
	})
	if !must[bool](t)(s.Renew(ctx, "a", "next", time.Hour)) {
		t.Error("its holder cannot renew it")
	}
	if held, _, _ := s.Lease(ctx, "a", "third", time.Minute); held {
		t.Error("a renewed lease was taken")
	}
}

func record(target shared.Target, mode shared.Mode) []shared.Record {
	return []shared.Record{{Target: target, Mode: mode}}
}

func testLog(t *testing.T, s shared.Tier) {
	reading := must[shared.Reading](t)
	if r := reading(s.Read(ctx, shared.Stamp{})); len(r.Records) != 0 {
		t.Errorf("%d records in an empty log", len(r.Records))
	}
	first := reading(s.Append(ctx, shared.ID{}, nil))
	if len(first.Records) != 1 || !first.Records[0].Fence || first.Records[0].Epoch == "" || first.Run == "" || first.Records[0].Run != first.Run {
		t.Fatalf("a new log begins with %+v", first)
	}
	head := shared.Stamp{Epoch: first.Records[0].Epoch, ID: first.Records[0].ID}
	targets := []shared.Target{shared.Target{Kind: shared.KindKey, Name: "c:a b,\x00\xff"}, tag("t:1"), shared.Target{Kind: shared.KindClass, Name: "c"}, shared.Target{Kind: shared.KindPattern, Name: "c:*"}, shared.Target{Kind: shared.KindAll}}
	for i, target := range targets {
		mode := shared.Mode(i % 2)
		r := reading(s.Append(ctx, head.ID, record(target, mode)))
		last := r.Records[len(r.Records)-1]
		if r.Records[0].ID != head.ID || len(r.Appended) != 1 || r.Appended[0] != last.ID || r.Epoch != head.Epoch {
			t.Fatalf("append of %s answered %+v", target, r)
		}
		if last.Target != target || last.Mode != mode || last.Fence || last.ID.Compare(head.ID) <= 0 || last.Epoch != head.Epoch {
			t.Errorf("got %+v, want %s %s", last, target, mode)
		}
	}
	r := reading(s.Read(ctx, head))
	if len(r.Records) != 1+len(targets) || r.Records[0].ID != head.ID || r.Run != first.Run || r.More {
		t.Errorf("read %+v", r)
	}
	many := make([]shared.Record, 50)
	for i := range many {
		many[i] = shared.Record{Target: tag(fmt.Sprint(i))}
	}
	r = reading(s.Append(ctx, r.Records[len(r.Records)-1].ID, many))
	if len(r.Appended) != 50 || len(r.Records) != 51 {
		t.Errorf("%d appended, %d read", len(r.Appended), len(r.Records))
	}
}

func testOneEpoch(t *testing.T, s shared.Tier) {
	epoch := ""
	for range 10 {
		r := must[shared.Reading](t)(s.Append(ctx, shared.ID{}, nil))
		if epoch != "" && r.Records[0].Epoch != epoch || len(r.Records) != 1 {
			t.Fatalf("appending nothing changed the log: %+v", r)
		}
		epoch = r.Records[0].Epoch
	}
}

func testGetAndRead(t *testing.T, s shared.Tier) {
	begin := must[shared.Reading](t)(s.Append(ctx, shared.ID{}, nil))
	head := shared.Stamp{Epoch: begin.Records[0].Epoch, ID: begin.Records[0].ID}
	ok(t, s.Set(ctx, "a", []byte("v"), time.Minute))
	must[shared.Reading](t)(s.Append(ctx, head.ID, record(tag("t"), shared.Remove)))
	v, r, err := s.GetAndRead(ctx, "a", head)
	ok(t, err)
	if string(v) != "v" || len(r.Records) != 2 || r.Records[1].Target != tag("t") || r.Run == "" {
		t.Errorf("got %q and %+v", v, r)
	}
	if v, _, err := s.GetAndRead(ctx, "b", head); err != nil || v != nil {
		t.Errorf("nothing there: %q, %v", v, err)
	}
}

func testConcurrentAppend(t *testing.T, s shared.Tier) {
	const writers, each = 8, 25
	begin := must[shared.Reading](t)(s.Append(ctx, shared.ID{}, nil))
	head := begin.Records[0]
	var mu sync.Mutex
	seen := map[shared.ID]bool{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				r, err := s.Append(ctx, head.ID, record(tag(fmt.Sprint(w, " ", i)), shared.Remove))
				if err != nil || len(r.Appended) != 1 {
					t.Errorf("%+v, %v", r, err)
					return
				}
				mu.Lock()
				if seen[r.Appended[0]] {
					t.Errorf("the ID %s was given twice", r.Appended[0])
				}
				seen[r.Appended[0]] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r := must[shared.Reading](t)(s.Read(ctx, shared.Stamp{Epoch: head.Epoch, ID: head.ID}))
	if len(r.Records) != 1+writers*each {
		t.Errorf("%d records, want %d", len(r.Records), 1+writers*each)
	}
	for i := 1; i < len(r.Records); i++ {
		if r.Records[i].ID.Compare(r.Records[i-1].ID) <= 0 {
			t.Errorf("record %d is not later than the one before", i)
		}
	}
}

func testDoorbell(t *testing.T, s shared.Tier) {
	begin := must[shared.Reading](t)(s.Append(ctx, shared.ID{}, nil))
	head := begin.Records[0].ID
	rung := make(chan error)
	go func() { rung <- s.Follow(ctx, head) }()
	must[shared.Reading](t)(s.Append(ctx, head, record(shared.Target{Kind: shared.KindAll}, shared.Remove)))
	ok(t, <-rung)
	ok(t, s.Follow(ctx, head)) // there is something already
	stopped, stop := context.WithCancel(ctx)
	stop()
	r := must[shared.Reading](t)(s.Append(ctx, shared.ID{}, nil))
	if s.Follow(stopped, r.Records[len(r.Records)-1].ID) == nil {
		t.Error("the doorbell outlasts its context")
	}
}

func testScan(t *testing.T, s shared.Tier) {
	want := map[string]bool{}
	for i := range 500 {
		key := fmt.Sprintf("c:%d*[x],", i)
		ok(t, s.Set(ctx, key, []byte("head of "+key), time.Minute))
		want[key] = true
	}
	ok(t, s.Set(ctx, "d:other", []byte("other"), time.Minute))
	got := map[string]bool{}
	for cursor := uint64(0); ; {
		page, next, err := s.Scan(ctx, cursor, "c:")
		ok(t, err)
		for _, f := range page {
			if string(f.Head) != "head of "+f.Key {
				t.Errorf("%s has the head %q", f.Key, f.Head)
			}
			got[f.Key] = true
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	if len(got) != len(want) || got["d:other"] {
		t.Errorf("found %d keys, want %d", len(got), len(want))
	}
}

func testTrim(t *testing.T, s shared.Tier) {
	if _, is := s.(shared.LogOnly); is {
		return // those whose log it is trim it, by their own retention
	}
	must[shared.Reading](t)(s.Append(ctx, shared.ID{}, nil))
	must[shared.Reading](t)(s.Append(ctx, shared.ID{}, record(tag("old"), shared.Remove)))
	tick := time.NewTimer(60 * time.Millisecond) // the tier's own clock must move
	<-tick.C
	must[shared.Reading](t)(s.Append(ctx, shared.ID{}, record(tag("new"), shared.Remove)))
	ok(t, s.Trim(ctx, 30*time.Millisecond))
	r := must[shared.Reading](t)(s.Append(ctx, shared.ID{}, nil))
	// The newest of the old ones stays: an entry loaded since then is later than it.
	if len(r.Records) != 2 || r.Records[0].Target != tag("old") || r.Records[1].Target != tag("new") {
		t.Errorf("after trimming: %+v", r.Records)
	}
	ok(t, s.Trim(ctx, time.Hour))
	if again := must[shared.Reading](t)(s.Append(ctx, shared.ID{}, nil)); len(again.Records) != 2 {
		t.Errorf("trimmed what is young: %+v", again.Records)
	}
}

// testClock: it goes on, and what is asked together is told alike.
func testClock(t *testing.T, s shared.Tier) {
	first, begun := s.Clock(), time.Now()
	tick := time.NewTimer(20 * time.Millisecond)
	<-tick.C
	if went, took := s.Clock().Sub(first), time.Since(begun); (went - took).Abs() > time.Second {
		t.Errorf("it went on by %s in %s", went, took)
	}
}

func testState(t *testing.T, s shared.Tier) {
	st := s.State()
	if ok, why := st.Usable(); !ok || st.Version == "" {
		t.Errorf("state %+v: %s", st, why)
	}
}

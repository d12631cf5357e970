package faults

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// statedLag is what a read that is not strict, on a node that says nothing of being unconfirmed, may be
// behind what was acknowledged anywhere.
const statedLag = 2 * time.Second

// lagged keeps what was acknowledged of a key, and what was read without a promise but the lag.
type lagged struct {
	mu    sync.Mutex // guards the fields below
	acks  []versionAt
	reads []versionAt
}

type versionAt struct {
	version int
	at      time.Time
}

func (l *lagged) acked(version int, ended time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks = append(l.acks, versionAt{version, ended})
}

func (l *lagged) read(version int, begun time.Time, unconfirmed bool) {
	if unconfirmed {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = append(l.reads, versionAt{version, begun})
}

// lags are how far behind the reads were that were behind at all.
type lags []time.Duration

func (l *lagged) check(t *testing.T, name string, seen *lags) {
	t.Helper()
	slices.SortFunc(l.acks, func(a, b versionAt) int { return a.version - b.version })
	// The earliest time at which a version, or a later one, was acknowledged.
	for i := len(l.acks) - 2; i >= 0; i-- {
		if l.acks[i+1].at.Before(l.acks[i].at) {
			l.acks[i].at = l.acks[i+1].at
		}
	}
	for _, r := range l.reads {
		i, _ := slices.BinarySearchFunc(l.acks, r.version+1, func(a versionAt, v int) int { return a.version - v })
		if i == len(l.acks) {
			continue
		}
		behind := r.at.Sub(l.acks[i].at)
		if behind <= 0 {
			continue
		}
		*seen = append(*seen, behind)
		if behind > statedLag {
			t.Errorf("%s: not linearizable within the stated lag: read %d, %s after %d was acknowledged", name, r.version, behind, l.acks[i].version)
			return
		}
	}
}

func (l lags) String() string {
	if len(l) == 0 {
		return "no read was behind"
	}
	slices.Sort(l)
	return fmt.Sprintf("%d reads that are not strict were behind: half of them by %s at most, 99 %% by %s, the last by %s", len(l), l[len(l)/2], l[len(l)*99/100], l[len(l)-1])
}

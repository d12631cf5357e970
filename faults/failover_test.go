package faults

import (
	"slices"
	"strconv"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// ofSeveralServers are the faults of servers that stand in for each other. They mend themselves, or what is
// left of them does.
var ofSeveralServers = []fault{
	{name: "Sentinel: the master killed", on: sentinels, begin: kill, mends: promoted(0), degraded: true},
	{name: "the same, without stale serving", on: sentinels, options: demo.Options{Classes: withoutStale()}, begin: kill, mends: promoted(0), degraded: true},
	{name: "Sentinel: the master killed, its replica behind, and an hour behind by its clock", on: sentinelsApart, begin: sequence(cutReplication, kill), mends: promoted(0), degraded: true},
	{name: "Cluster: the log's master killed", on: cluster, begin: kill, mends: promoted(0), degraded: true},
	{name: "the same without stale serving", on: cluster, options: demo.Options{Classes: withoutStale()}, begin: kill, mends: promoted(0), degraded: true},
	{name: "Cluster: a master of values killed", on: cluster, begin: func(w *world) { w.shards[1].master.Kill() }, mends: promoted(1), slow: true},
	{name: "Cluster: the log's slot moved", on: cluster, begin: during(moveTheLog), end: then(nothing), slow: true},
	{name: "Cluster: the log's master and its replica killed, back empty", on: cluster, begin: func(w *world) {
		w.shards[0].replica.Kill()
		w.server.Kill()
	}, end: func(w *world) {
		w.server.Restart()
		w.shards[0].replica.Restart()
	}, degraded: true},
}

// withoutStale are the platform's classes with nothing served past its time.
func withoutStale() []forebay.Class {
	classes := slices.Clone(demo.Classes)
	for i := range classes {
		classes[i].Stale, classes[i].StaleIfError = -1, -1
	}
	return classes
}

// cutReplication lets the replica miss what is written for a moment.
func cutReplication(w *world) {
	w.replication.Stop()
	time.Sleep(400 * time.Millisecond)
}

// moveTheLog moves the slot of the log to the next master, as redis-cli does.
func moveTheLog(w *world) {
	from, to := w.server, w.shards[1].master
	slot := strconv.Itoa(redistest.SlotOf(from, "forebay:log"))
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.Do("CLUSTER", "MYID"))
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.Do("CLUSTER", "MYID"))
	settle(w)
	from.Do("MIGRATE", "127.0.0.1", strconv.Itoa(to.Port), "forebay:log", "0", "5000")
	time.Sleep(*duration / 4) // until everybody is told
	for _, s := range w.shards {
		s.master.Do("CLUSTER", "SETSLOT", slot, "NODE", to.Do("CLUSTER", "MYID"))
	}
}

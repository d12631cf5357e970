package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/shared"
	"github.com/redis/rueidis"
)

// pageRecords is how many records one answer of the log holds at most.
const pageRecords = 1000

// logScript appends in one step and answers with the log from the caller's head on. It looks at the
// newest record and at the server's run: if there is no record, or it was written under another run,
// it first appends a fence with a fresh epoch. (A plain XADD after a flush would make a log that looks
// whole.) It does so too where the caller has seen a record that the log does not have, though it goes back
// to before it and is still in that epoch, or is in an epoch that the caller has left: the server's data has
// gone back in time, whatever its run says.
// Without "append" it only reads, and says under which run. A log whose last ID is the last possible one takes
// no more: it starts over.
//
// KEYS[1] the log. ARGV: "append" or "read", a name for an epoch that may begin, head, page, place and
// epoch that were seen or two empty strings, the epochs that were left, then target, mode and By of each record.
var logScript = rueidis.NewLuaScript(`
if not string.find(redis.call('INFO', 'replication'), 'role:master', 1, true) then return redis.error_reply('READONLY the server is a replica') end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local ids, epoch = {}, ''
if ARGV[1] == 'append' then
	local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
	local wrote = ''
	if last[1] then
		for i = 1, #last[1][2], 2 do
			if last[1][2][i] == 'e' then epoch = last[1][2][i + 1] elseif last[1][2][i] == 'r' then wrote = last[1][2][i + 1] end
		end
	end
	local fence = wrote ~= run
	if not fence and ARGV[5] ~= '' and epoch == ARGV[6] then
		local first = redis.call('XRANGE', KEYS[1], '-', ARGV[5], 'COUNT', 1)
		if first[1] and not redis.call('XRANGE', KEYS[1], ARGV[5], ARGV[5], 'COUNT', 1)[1] then fence = true end
	end
	if not fence and string.find(',' .. ARGV[7] .. ',', ',' .. epoch .. ',', 1, true) then fence = true end
	if last[1] and string.find(last[1][1], '^18446744073709551615') then
		redis.call('DEL', KEYS[1])
		fence = true
	end
	if fence then
		epoch = ARGV[2]
		redis.call('XADD', KEYS[1], '*', 'f', '1', 'e', epoch, 'r', run)
	end
	for i = 8, #ARGV, 3 do
		ids[#ids + 1] = redis.call('XADD', KEYS[1], '*', 't', ARGV[i], 'm', ARGV[i + 1], 'w', ARGV[i + 2], 'e', epoch, 'r', run)
	end
end
return {run, epoch, ids, redis.call('XRANGE', KEYS[1], ARGV[3], '+', 'COUNT', ARGV[4])}
`)

// trimScript removes what is older than the retention, measured against the newest record, but for
// the newest of those; and what is beyond the count.
var trimScript = rueidis.NewLuaScript(`
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if not last[1] then return 0 end
local cut = tonumber(string.match(last[1][1], '^(%d+)')) - tonumber(ARGV[1])
local n = 0
if cut > 0 then
	local keep = redis.call('XREVRANGE', KEYS[1], '(' .. string.format('%.0f', cut), '-', 'COUNT', 1)
	if keep[1] then n = redis.call('XTRIM', KEYS[1], 'MINID', keep[1][1]) end
end
return n + redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[2])
`)

// fewRecords is what one request appends at the most.
const fewRecords = 16

// maxRecords bounds the log. What nodes have not read of it then, they treat as lost.
const maxRecords = 1_000_000

// A serverRun is the run of the server at the other end of a connection. A TCP connection does not
// move from one process to another, so it holds for as long as nothing was dialled.
type serverRun struct {
	id    string
	dials uint64
}

// knownRun returns the run of the server, nil if a connection was dialled since it was asked.
func (t *Tier) knownRun() *serverRun {
	if r := t.run.Load(); r != nil && r.dials == t.dials.Load() {
		return r
	}
	return nil
}

// Append implements [shared.Log].
func (t *Tier) Append(ctx context.Context, head shared.ID, records []shared.Record) (shared.Reading, error) {
	budget := t.o.Budget
	if head == (shared.ID{}) || len(records) > fewRecords {
		budget = max(budget, appendBudget) // nobody's request: a node that begins, or its journal
	}
	return guard(ctx, t, budget, func(ctx context.Context, c clients) (shared.Reading, error) {
		return t.script(ctx, c.log, true, head, travel{}, records)
	})
}

// Rejoin implements [shared.Log].
func (t *Tier) Rejoin(ctx context.Context, seen shared.Stamp, left []string) (shared.Reading, error) {
	return guard(ctx, t, max(t.o.Budget, appendBudget), func(ctx context.Context, c clients) (shared.Reading, error) {
		return t.script(ctx, c.log, true, shared.ID{}, travel{seen, left}, nil)
	})
}

// Read implements [shared.Log].
func (t *Tier) Read(ctx context.Context, head shared.Stamp) (shared.Reading, error) {
	return guard(ctx, t, t.o.Budget, func(ctx context.Context, c clients) (shared.Reading, error) {
		return t.readLog(ctx, c.log, head)
	})
}

func (t *Tier) readLog(ctx context.Context, c rueidis.Client, head shared.Stamp) (shared.Reading, error) {
	run := t.knownRun()
	if run == nil {
		return t.script(ctx, c, false, head.ID, travel{}, nil)
	}
	replies := c.DoMulti(ctx, roleOf(c), t.xrange(c, head.ID))
	return t.reading(replies[0], replies[1], run)
}

// roleOf asks for the server's role, ahead of what is read on the same connection:
//
//  1. A master is made a replica of another, which is promoted; its connections stay.
//  2. A node invalidates, and the new master acknowledges it.
//  3. Another node, still connected to the old one, reads a log that knows nothing of that.
//
// What a server answers after it has said that it is the master was true after the caller came. HELLO says so at
// half the price of INFO, and needs no right.
func roleOf(c rueidis.Client) rueidis.Completed {
	return c.B().Hello().Build()
}

// errDemoted says that the server is not the master any more. Every Redis error for a write on a replica begins like it.
var errDemoted = errors.New("READONLY the server is a replica")

func demoted(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "READONLY ") }

func (t *Tier) xrange(c rueidis.Client, head shared.ID) rueidis.Completed {
	return c.B().Xrange().Key(t.logKey()).Start(head.String()).End("+").Count(pageRecords).Build()
}

// reading makes sense of an XRANGE, and of the role before it, that were sent when the run was known.
func (t *Tier) reading(role, log rueidis.RedisResult, run *serverRun) (shared.Reading, error) {
	hello, err := role.AsStrMap()
	if err != nil {
		return shared.Reading{}, err
	}
	if hello["role"] != "master" {
		return shared.Reading{}, errDemoted
	}
	entries, err := log.AsXRange()
	if err != nil && !rueidis.IsRedisNil(err) {
		return shared.Reading{}, err
	}
	records, err := recordsOf(entries)
	if err != nil {
		return shared.Reading{}, err
	}
	if run.dials != t.dials.Load() {
		return shared.Reading{}, errDialled
	}
	return shared.Reading{Records: records, Run: run.id, More: len(records) == pageRecords}, nil
}

// errDialled says that the server may have changed between the command and its answer. The caller
// goes on as if the tier had not answered, which is rare.
var errDialled = errors.New("redis: reconnected meanwhile")

// travel is what a node knows that shows whether the server's data has gone back in time.
type travel struct {
	seen shared.Stamp
	left []string // epochs
}

func (t *Tier) script(ctx context.Context, c rueidis.Client, add bool, head shared.ID, known travel, records []shared.Record) (shared.Reading, error) {
	dials := t.dials.Load()
	args := []string{"read", rand.Text(), head.String(), strconv.Itoa(pageRecords), "", "", strings.Join(known.left, ",")}
	if known.seen != (shared.Stamp{}) {
		args[4], args[5] = known.seen.ID.String(), known.seen.Epoch
	}
	if add {
		args[0] = "append"
	}
	for _, r := range records {
		args = append(args, strconv.Itoa(int(r.Target.Kind))+":"+r.Target.Name, strconv.Itoa(int(r.Mode)), r.By)
	}
	reply, err := logScript.Exec(ctx, c, []string{t.logKey()}, args).ToArray()
	if err != nil {
		return shared.Reading{}, err
	}
	if len(reply) != 4 {
		return shared.Reading{}, fmt.Errorf("redis: the log answered with %d parts", len(reply))
	}
	out := shared.Reading{}
	if out.Run, err = reply[0].ToString(); err != nil {
		return shared.Reading{}, err
	}
	if out.Epoch, err = reply[1].ToString(); err != nil {
		return shared.Reading{}, err
	}
	ids, err := reply[2].AsStrSlice()
	if err != nil {
		return shared.Reading{}, err
	}
	for _, s := range ids {
		id, err := shared.ParseID(s)
		if err != nil {
			return shared.Reading{}, err
		}
		out.Appended = append(out.Appended, id)
	}
	entries, err := reply[3].AsXRange()
	if err != nil {
		return shared.Reading{}, err
	}
	if out.Records, err = recordsOf(entries); err != nil {
		return shared.Reading{}, err
	}
	out.More = len(out.Records) == pageRecords
	if dials == t.dials.Load() {
		t.run.Store(&serverRun{out.Run, dials})
	}
	return out, nil
}

func recordsOf(entries []rueidis.XRangeEntry) ([]shared.Record, error) {
	out := make([]shared.Record, 0, len(entries))
	for _, e := range entries {
		id, err := shared.ParseID(e.ID)
		if err != nil {
			return nil, err
		}
		r := shared.Record{ID: id, Epoch: e.FieldValues["e"], Run: e.FieldValues["r"], By: e.FieldValues["w"], Fence: e.FieldValues["f"] != ""}
		if !r.Fence {
			if r.Target, r.Mode, err = targetOf(e.FieldValues["t"], e.FieldValues["m"]); err != nil {
				r.Unreadable = true // nobody knows what it was about
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// targetOf reads what script writes. A kind from a later version covers more than this one knows of.
func targetOf(target, mode string) (shared.Target, shared.Mode, error) {
	if len(target) < 2 || target[1] != ':' || target[0] < '0' || target[0] > '9' {
		return shared.Target{}, 0, fmt.Errorf("target %q", target)
	}
	kind := shared.Kind(target[0] - '0')
	if kind > shared.KindAll {
		return shared.Target{}, 0, fmt.Errorf("target %q", target)
	}
	m := shared.Remove
	if mode == strconv.Itoa(int(shared.Expire)) {
		m = shared.Expire
	}
	return shared.Target{Kind: kind, Name: target[2:]}, m, nil
}

// followFor bounds one wait at the doorbell.
const followFor = 900 * time.Millisecond

// Follow implements [shared.Tier], with a blocking XREAD on a connection of its own. It is only a
// doorbell: after a failover to a server whose clock is behind, or after a flush, it stays silent.
func (t *Tier) Follow(ctx context.Context, head shared.ID) error {
	client := t.client.Load()
	if client == nil || !t.usable() {
		return shared.ErrAway
	}
	// The client does not give a blocking command up before its answer. Close does, by closing the client.
	rung := make(chan error, 1)
	if !t.own(func() { rung <- t.ring(client.log, head) }) {
		return shared.ErrAway
	}
	select {
	case err := <-rung:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Tier) ring(c rueidis.Client, head shared.ID) error {
	ctx, cancel := context.WithTimeout(mayDial(context.Background(), dialToFollow), followFor+2*t.o.Budget)
	defer cancel()
	err := c.Do(ctx, c.B().Xread().Count(1).Block(followFor.Milliseconds()).Streams().Key(t.logKey()).Id(head.String()).Build()).Error()
	if rueidis.IsRedisNil(err) {
		return nil
	}
	return err
}

// Trim implements [shared.Tier].
func (t *Tier) Trim(ctx context.Context, retention time.Duration) error {
	_, err := guard(ctx, t, scanBudget, func(ctx context.Context, c clients) (nothing, error) {
		return nothing{}, trimScript.Exec(ctx, c.log, []string{t.logKey()}, []string{strconv.FormatInt(retention.Milliseconds(), 10), strconv.Itoa(maxRecords)}).Error()
	})
	return err
}

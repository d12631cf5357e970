package admin

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A Proof is one thing that the doctor tried for real.
type Proof struct {
	What   string
	Took   time.Duration
	Err    error
	Remedy string // of the error
}

// The doctor's patience: for one operation, and for something that takes its time.
const (
	proofTimeout = 5 * time.Second
	proofTTL     = 100 * time.Millisecond
)

// ProveNear tries a near tier of its own: load, hit, invalidate, miss.
func ProveNear(ctx context.Context) Proof {
	return prove("near tier: load, hit, invalidate, load", "report this: it is a defect", func() error {
		c, err := forebay.Open(ctx, forebay.Options{})
		if err != nil {
			return err
		}
		defer c.Close()
		loads := 0
		f, err := forebay.Wrap(c, "doctor", func(context.Context, string) (int, error) { loads++; return loads, nil })
		if err != nil {
			return err
		}
		for range 2 {
			if _, err := f.Get(ctx, "a"); err != nil {
				return err
			}
		}
		if _, err := f.Invalidate(ctx, "a"); err != nil {
			return err
		}
		if v, err := f.Get(ctx, "a"); err != nil || v != 2 {
			return fmt.Errorf("read load %d, %v; want the second", v, err)
		}
		return nil
	})
}

// ProveShared tries every ability of a shared tier by a real round trip, then two nodes on it. It
// leaves nothing behind but a few records in the log, of a tag that nobody has.
func ProveShared(ctx context.Context, s shared.Tier) []Proof {
	d := &doctor{ctx: ctx, shared: s, key: "doctor:" + rand.Text() + ","}
	return []Proof{
		prove("values: write, read back, remove", "look at the server's log, and at the ACL of the user", d.values),
		prove("values: expire", "the server does not honour PX: is it really Redis or Valkey?", d.expiry),
		prove("leases: take, refuse, give back", "allow the user SET, GET and EVALSHA in the ACL", d.leases),
		prove("log: append and read back", "allow the user XADD, XRANGE, XREVRANGE and EVALSHA in the ACL, and INFO in scripts", d.log),
		prove("log: follow", "allow the user XREAD; a proxy in between must let it block", d.follow),
		prove("two nodes: load, shared hit, invalidate, seen", "every part works, but not together: compare the nodes' namespaces and versions", d.nodes),
	}
}

// remedyFor is what to do where the server says itself what is wrong.
func remedyFor(err error, otherwise string) string {
	switch text := err.Error(); {
	case strings.Contains(text, "OOM "):
		return "the server is full: raise its maxmemory, or give it an eviction policy (allkeys-lru)"
	case strings.Contains(text, "MISCONF"):
		return "the server cannot write to its disk: free it, or switch its snapshots off"
	case strings.Contains(text, "NOAUTH"), strings.Contains(text, "WRONGPASS"):
		return "the server wants a user and password: put them into the URL, redis://user:password@host"
	case strings.Contains(text, "READONLY"):
		return "this is a replica: give the address of the master, or of the sentinels"
	}
	return otherwise
}

func prove(what, remedy string, try func() error) Proof {
	start := time.Now()
	p := Proof{What: what, Err: try(), Took: time.Since(start)}
	if p.Err != nil {
		p.Remedy = remedyFor(p.Err, remedy)
	}
	return p
}

type doctor struct {
	ctx    context.Context
	shared shared.Tier
	key    string
}

func (d *doctor) values() error {
	want := []byte("bytes \x00\xff of any kind")
	if err := d.shared.Set(d.ctx, d.key, want, time.Minute); err != nil {
		return err
	}
	got, err := d.shared.Get(d.ctx, d.key)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("wrote %q, read %q", want, got)
	}
	if err := d.shared.Unlink(d.ctx, d.key); err != nil {
		return err
	}
	if got, err = d.shared.Get(d.ctx, d.key); err == nil && got != nil {
		err = errors.New("a removed value is still there")
	}
	return err
}

// eventually asks until the answer is yes, or the doctor's patience ends.
func (d *doctor) eventually(what string, holds func() (bool, error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(proofTimeout); time.Now().Before(end); {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			return d.ctx.Err()
		}
	}
	return fmt.Errorf("not within %s: %s", proofTimeout, what)
}

func (d *doctor) expiry() error {
	if err := d.shared.Set(d.ctx, d.key, []byte("x"), proofTTL); err != nil {
		return err
	}
	return d.eventually("a value expires", func() (bool, error) {
		v, err := d.shared.Get(d.ctx, d.key)
		return v == nil, err
	})
}

func (d *doctor) leases() error {
	held, _, err := d.shared.Lease(d.ctx, d.key, "one", time.Minute)
	if err != nil {
		return err
	}
	again, _, err := d.shared.Lease(d.ctx, d.key, "two", time.Minute)
	if err = errors.Join(err, d.shared.Release(d.ctx, d.key, "one")); err != nil {
		return err
	}
	if !held || again {
		return fmt.Errorf("the first holder got %v and the second %v", held, again)
	}
	return nil
}

func (d *doctor) record() []shared.Record {
	return []shared.Record{{Target: forebay.Tag(d.key)}}
}

func (d *doctor) log() error {
	r, err := d.shared.Append(d.ctx, shared.ID{}, nil)
	if err != nil {
		return err
	}
	if len(r.Records) == 0 {
		return errors.New("the log is empty after an append")
	}
	if r, err = d.shared.Append(d.ctx, r.Records[0].ID, d.record()); err != nil {
		return err
	}
	if len(r.Appended) != 1 {
		return fmt.Errorf("%d records appended, want 1", len(r.Appended))
	}
	read, err := d.shared.Read(d.ctx, shared.Stamp{Epoch: r.Epoch, ID: r.Appended[0]})
	if err != nil {
		return err
	}
	if len(read.Records) == 0 || read.Records[0].Target != forebay.Tag(d.key) {
		return errors.New("the record is not where the log put it")
	}
	return nil
}

// follow rings the doorbell itself.
func (d *doctor) follow() error {
	ctx, cancel := context.WithTimeout(d.ctx, proofTimeout)
	defer cancel()
	r, err := d.shared.Append(ctx, shared.ID{}, d.record())
	if err != nil {
		return err
	}
	before := r.Appended[0]
	rung := make(chan error, 1)
	go func() { rung <- d.shared.Follow(ctx, before) }()
	if _, err := d.shared.Append(ctx, before, d.record()); err != nil {
		return err
	}
	return <-rung
}

func (d *doctor) nodes() error {
	version := 0
	var nodes [2]*forebay.Func[string, int]
	for i := range nodes {
		c, err := forebay.Open(d.ctx, forebay.Options{Shared: d.shared, Logger: slog.New(slog.DiscardHandler),
			Classes: []forebay.Class{{Name: "doctor", TTL: time.Minute, Strict: true}}})
		if err != nil {
			return err
		}
		defer c.Close()
		if nodes[i], err = forebay.Wrap(c, "doctor", func(context.Context, string) (int, error) { return version, nil }); err != nil {
			return err
		}
	}
	if _, err := nodes[0].Get(d.ctx, d.key); err != nil {
		return err
	}
	err := d.eventually("the other node hits the shared tier", func() (bool, error) {
		r, ok := nodes[1].Peek(d.ctx, d.key)
		return ok && r.Tier == forebay.TierShared, r.Err
	})
	if err != nil {
		return err
	}
	version = 1
	if _, err := nodes[0].Invalidate(d.ctx, d.key); err != nil {
		return err
	}
	if v, err := nodes[1].Get(d.ctx, d.key); err != nil || v != version {
		if err == nil {
			err = errors.New("an older value")
		}
		return fmt.Errorf("the other node reads %d after %d was acknowledged: %w", v, version, err)
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/redis"
	"github.com/fxamacker/cbor/v2"
	rediscache "github.com/go-redis/cache/v9"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// startRedis starts a server on a free port; stop ends it.
func startRedis() (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir, err := os.MkdirTemp("", "forebay-bench")
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", dir)
	cmd.Stdout = io.Discard
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("redis-server: %w: apt-get install redis-server", err)
	}
	stop = func() { cmd.Process.Kill(); cmd.Wait(); os.RemoveAll(dir) }
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	for range 500 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr, stop, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("redis-server does not answer")
}

var quiet = slog.New(slog.DiscardHandler)

// sharedNode opens a cache on the server. A near tier of the least size makes every hit a shared one.
func sharedNode(addr string, near int64) (*forebay.Cache, func(), error) {
	tier, err := redis.Open(ctx, redis.Options{URL: "redis://" + addr, Logger: quiet})
	if err != nil {
		return nil, nil, err
	}
	c, err := forebay.Open(ctx, forebay.Options{Shared: tier, Logger: quiet, NearBytes: near,
		Classes: []forebay.Class{{Name: "bytes", TTL: time.Hour}, {Name: "structs", TTL: time.Hour}, {Name: "strict", TTL: time.Hour, Strict: true}}})
	if err != nil {
		return nil, nil, err
	}
	return c, func() { c.Close(); tier.Close() }, nil
}

const sharedKeys = 20_000

func shared(w *bytes.Buffer, rounds int) error {
	addr, stop, err := startRedis()
	if err != nil {
		return err
	}
	defer stop()
	s, err := newSharedBench(addr)
	if err != nil {
		return err
	}
	defer s.done()
	fmt.Fprintf(w, "\n## Shared hit\n\n%d keys in redis-server 7.0 on loopback, 64 goroutines, nothing found near. Values: 1.5 KB, and lists of 20 structs.\n", sharedKeys)
	for _, group := range s.contenders() {
		table(w, group, compare(rounds, group))
	}
	return sharedLog(w, addr)
}

// A sharedBench holds everything that the comparison asks, over the same keys.
type sharedBench struct {
	keys        []string
	bare, tuned rueidis.Client
	sided       rueidis.Client // with a client-side cache
	peer        *rediscache.Cache
	bytes       *forebay.Func[string, []byte]
	list        *forebay.Func[string, []item]
	strict      *forebay.Func[string, []item]
	writer      *forebay.Cache
	close       []func()
}

func (s *sharedBench) done() {
	for _, c := range s.close {
		c()
	}
}

func newSharedBench(addr string) (*sharedBench, error) {
	s := &sharedBench{keys: make([]string, sharedKeys)}
	for i := range s.keys {
		s.keys[i] = fmt.Sprint("key-", i)
	}
	var err error
	plain := rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true}
	if s.bare, err = rueidis.NewClient(plain); err != nil {
		return nil, err
	}
	plain.PipelineMultiplex, plain.MaxFlushDelay = -1, 20*time.Microsecond
	if s.tuned, err = rueidis.NewClient(plain); err != nil {
		return nil, err
	}
	if s.sided, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}); err != nil {
		return nil, err
	}
	old := goredis.NewClient(&goredis.Options{Addr: addr})
	s.peer = rediscache.New(&rediscache.Options{Redis: old})
	s.close = append(s.close, s.bare.Close, s.tuned.Close, s.sided.Close, func() { old.Close() })
	return s, errors.Join(s.open(addr), s.fill())
}

// open opens the nodes that read. What they ask for is in the shared tier, so they never load.
func (s *sharedBench) open(addr string) error {
	const least, plenty = 64 << 10, 64 << 20
	reader, closeReader, err := sharedNode(addr, least)
	if err != nil {
		return err
	}
	strict, closeStrict, err := sharedNode(addr, plenty)
	if err != nil {
		return err
	}
	writer, closeWriter, err := sharedNode(addr, plenty)
	if err != nil {
		return err
	}
	s.writer = writer
	s.close = append(s.close, closeReader, closeStrict, closeWriter)
	missing := errors.New("not in the shared tier")
	var errs [3]error
	s.bytes, errs[0] = forebay.Wrap(reader, "bytes", func(context.Context, string) ([]byte, error) { return nil, missing })
	s.list, errs[1] = forebay.Wrap(reader, "structs", func(context.Context, string) ([]item, error) { return nil, missing })
	s.strict, errs[2] = forebay.Wrap(strict, "strict", func(context.Context, string) ([]item, error) { return answer(), nil })
	return errors.Join(errs[:]...)
}

// fill puts the same answers where each contender looks for them.
func (s *sharedBench) fill() error {
	payload := bytes.Repeat([]byte("0123456789abcde"), 100)
	putBytes, err := forebay.Wrap(s.writer, "bytes", func(context.Context, string) ([]byte, error) { return payload, nil })
	if err != nil {
		return err
	}
	putList, err := forebay.Wrap(s.writer, "structs", func(context.Context, string) ([]item, error) { return answer(), nil })
	if err != nil {
		return err
	}
	encoded, err := cbor.Marshal(answer())
	if err != nil {
		return err
	}
	for i, key := range s.keys {
		_, err1 := putBytes.Get(ctx, key)
		_, err2 := putList.Get(ctx, key)
		err3 := s.peer.Set(&rediscache.Item{Ctx: ctx, Key: "old-" + key, Value: answer(), TTL: time.Hour})
		err4 := s.bare.Do(ctx, s.bare.B().Set().Key("plain-"+key).Value(rueidis.BinaryString(encoded)).Build()).Error()
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return err
		}
		for i%500 == 0 && s.writer.Stats().Shared.Queued > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	time.Sleep(200 * time.Millisecond) // the last writes are still on their way
	_, err = s.strict.Get(ctx, "k")
	return err
}

func get(c rueidis.Client, key string) ([]byte, error) {
	return c.Do(ctx, c.B().Get().Key(key).Build()).AsBytes()
}

func (s *sharedBench) contenders() [][]contender {
	envelope := func(c rueidis.Client) func(string) error {
		return func(k string) error { _, err := get(c, "forebay:e:bytes:"+k+",@0-b047183b"); return err }
	}
	forebayBytes := func(k string) error { _, err := s.bytes.Get(ctx, k); return err }
	decode := func(k string) error {
		b, err := get(s.bare, "plain-"+k)
		if err != nil {
			return err
		}
		var out []item
		return cbor.Unmarshal(b, &out)
	}
	peer := func(k string) error {
		var out []item
		return s.peer.Once(&rediscache.Item{Ctx: ctx, Key: "old-" + k, Value: &out, Do: func(*rediscache.Item) (any, error) { return nil, errors.New("missing") }})
	}
	return [][]contender{{
		s.parallel("bare rueidis GET of the same bytes", envelope(s.bare)),
		s.parallel("the same, one connection, writes held back up to 20 µs, as the tier does", envelope(s.tuned)),
		s.parallel("Forebay, bytes", forebayBytes),
	}, {
		s.parallel("bare GET and CBOR decode, 20 structs", decode),
		s.parallel("Forebay, 20 structs", func(k string) error { _, err := s.list.Get(ctx, k); return err }),
		s.parallel("go-redis/cache `Once`, remote, 20 structs", peer),
	}, {
		s.serial("bare rueidis GET of the same bytes, one goroutine", envelope(s.bare)),
		s.serial("Forebay, bytes, one goroutine", forebayBytes),
	}, {
		s.parallel("bare rueidis GET of the same list", func(k string) error { _, err := get(s.bare, "plain-"+k); return err }),
		s.parallel("Forebay, strict, found near", func(string) error { _, err := s.strict.Get(ctx, "k"); return err }),
		s.parallel("rueidis `DoCache`, found in its client-side cache, and CBOR decode", func(string) error {
			b, err := s.sided.DoCache(ctx, s.sided.B().Get().Key("plain-"+s.keys[0]).Cache(), time.Hour).AsBytes()
			if err != nil {
				return err
			}
			var out []item
			return cbor.Unmarshal(b, &out)
		}),
	}}
}

// parallel calls from 64 goroutines on two cores.
func (s *sharedBench) parallel(name string, call func(key string) error) contender {
	return contender{name, func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		var next atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := call(s.keys[next.Add(1)%sharedKeys]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}}
}

func (s *sharedBench) serial(name string, call func(key string) error) contender {
	return contender{name, func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; i < b.N; i++ {
			if err := call(s.keys[i%sharedKeys]); err != nil {
				b.Fatal(err)
			}
		}
	}}
}

// sharedLog measures the log: what one node appends and another follows, the lag between them, and
// what a million records cost.
func sharedLog(w *bytes.Buffer, addr string) error {
	a, closeA, err := sharedNode(addr, 64<<20)
	if err != nil {
		return err
	}
	defer closeA()
	b, closeB, err := sharedNode(addr, 64<<20)
	if err != nil {
		return err
	}
	defer closeB()
	lags, err := lagsOf(a, b)
	if err != nil {
		return err
	}
	before, err := memoryOf(addr)
	if err != nil {
		return err
	}
	heap := liveHeap()
	const records, batch = 1_000_000, 100
	begin := time.Now()
	for i := 0; i < records; i += batch {
		targets := make([]forebay.Target, batch)
		for j := range targets {
			targets[j] = forebay.Key(fmt.Sprint("structs:key-", i+j, ","))
		}
		if _, err := a.Invalidate(ctx, targets...); err != nil {
			return err
		}
	}
	appended := time.Since(begin)
	for b.Stats().Log.Head != a.Stats().Log.Head {
		time.Sleep(time.Millisecond)
	}
	followed := time.Since(begin)
	after, err := memoryOf(addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## The log\n\n| | |\n| --- | --- |\n")
	fmt.Fprintf(w, "| acknowledged on one node to the next read on another | p50 %.2f ms, p99 %.2f ms |\n", ms(quantile(lags, 0.5)), ms(quantile(lags, 0.99)))
	fmt.Fprintf(w, "| appended by one node, %d in a call | %.0f a second |\n", batch, float64(records)/appended.Seconds())
	fmt.Fprintf(w, "| followed by another at the same time | %.0f a second |\n", float64(records)/followed.Seconds())
	fmt.Fprintf(w, "| a million records in Redis | %.0f MB |\n", float64(after-before)/1e6)
	fmt.Fprintf(w, "| and in the two nodes' ledgers, which hold 100,000 targets each | %.0f MB |\n", float64(int64(liveHeap())-int64(heap))/1e6)
	return nil
}

// lagsOf are how long after an invalidation of a was acknowledged b still served what it had.
func lagsOf(a, b *forebay.Cache) (lags []time.Duration, err error) {
	f, err := forebay.Wrap(b, "structs", func(context.Context, string) (int64, error) { return time.Now().UnixNano(), nil })
	if err != nil {
		return nil, err
	}
	for i := range 1000 {
		old, err := f.Get(ctx, "k")
		if err != nil {
			return nil, err
		}
		if _, err := a.Invalidate(ctx, forebay.Tag(fmt.Sprint("none", i)), forebay.Key(f.Key("k"))); err != nil {
			return nil, err
		}
		begin := time.Now()
		for v := old; v == old; {
			time.Sleep(50 * time.Microsecond) // two cores are shared by both nodes and the server
			if v, err = f.Get(ctx, "k"); err != nil {
				return nil, err
			}
		}
		lags = append(lags, time.Since(begin))
	}
	return lags, nil
}

func memoryOf(addr string) (uint64, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	info, err := c.Do(ctx, c.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		return 0, err
	}
	var used uint64
	for _, line := range bytes.Split([]byte(info), []byte("\r\n")) {
		fmt.Sscanf(string(line), "used_memory:%d", &used)
	}
	return used, nil
}

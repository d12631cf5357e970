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
	contenders, done, err := sharedContenders(addr)
	if err != nil {
		return err
	}
	defer done()
	fmt.Fprintf(w, "\n## Shared hit\n\n%d keys in redis-server 7.0 on loopback, 64 goroutines, nothing found near. Values: 1.5 KB, and lists of 20 structs.\n", sharedKeys)
	for _, group := range contenders {
		table(w, group, compare(rounds, group))
	}
	return sharedLog(w, addr)
}

func sharedContenders(addr string) ([][]contender, func(), error) {
	const least = 64 << 10
	writer, closeWriter, err := sharedNode(addr, 64<<20)
	if err != nil {
		return nil, nil, err
	}
	node, closeNode, err := sharedNode(addr, least)
	if err != nil {
		return nil, nil, err
	}
	strictNode, closeStrict, err := sharedNode(addr, 64<<20)
	if err != nil {
		return nil, nil, err
	}
	bare, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		return nil, nil, err
	}
	tuned, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true,
		PipelineMultiplex: -1, MaxFlushDelay: 20 * time.Microsecond})
	if err != nil {
		return nil, nil, err
	}
	old := goredis.NewClient(&goredis.Options{Addr: addr})
	oldCache := rediscache.New(&rediscache.Options{Redis: old})
	done := func() {
		closeWriter()
		closeNode()
		closeStrict()
		bare.Close()
		tuned.Close()
		old.Close()
	}

	var missed atomic.Int64
	never := func(context.Context, string) ([]byte, error) {
		missed.Add(1)
		return nil, errors.New("not in the shared tier")
	}
	neverList := func(context.Context, string) ([]item, error) {
		missed.Add(1)
		return nil, errors.New("not in the shared tier")
	}
	payload := bytes.Repeat([]byte("0123456789abcde"), 100)
	putBytes, err := forebay.Wrap(writer, "bytes", func(context.Context, string) ([]byte, error) { return payload, nil })
	if err != nil {
		return nil, nil, err
	}
	putList, err := forebay.Wrap(writer, "structs", func(context.Context, string) ([]item, error) { return answer(), nil })
	if err != nil {
		return nil, nil, err
	}
	getBytes, err := forebay.Wrap(node, "bytes", never)
	if err != nil {
		return nil, nil, err
	}
	getList, err := forebay.Wrap(node, "structs", neverList)
	if err != nil {
		return nil, nil, err
	}
	strict, err := forebay.Wrap(strictNode, "strict", func(context.Context, string) ([]item, error) { return answer(), nil })
	if err != nil {
		return nil, nil, err
	}
	keys := make([]string, sharedKeys)
	encoded, err := cbor.Marshal(answer())
	if err != nil {
		return nil, nil, err
	}
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
		if _, err := putBytes.Get(ctx, keys[i]); err != nil {
			return nil, nil, err
		}
		if _, err := putList.Get(ctx, keys[i]); err != nil {
			return nil, nil, err
		}
		if err := oldCache.Set(&rediscache.Item{Ctx: ctx, Key: "old-" + keys[i], Value: answer(), TTL: time.Hour}); err != nil {
			return nil, nil, err
		}
		if i%500 == 0 {
			for writer.Stats().Shared.Queued > 0 {
				time.Sleep(time.Millisecond)
			}
		}
		bare.Do(ctx, bare.B().Set().Key("plain-"+keys[i]).Value(rueidis.BinaryString(encoded)).Build())
	}
	time.Sleep(200 * time.Millisecond)
	if _, err := strict.Get(ctx, "k"); err != nil {
		return nil, nil, err
	}
	parallel := func(name string, call func(key string) error) contender {
		return contender{name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			var next atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := call(keys[next.Add(1)%sharedKeys]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}}
	}
	serial := func(name string, call func(key string) error) contender {
		return contender{name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				if err := call(keys[i%sharedKeys]); err != nil {
					b.Fatal(err)
				}
			}
		}}
	}
	plain := func(key string) ([]byte, error) { return bare.Do(ctx, bare.B().Get().Key(key).Build()).AsBytes() }
	return [][]contender{{
		parallel("bare rueidis GET of the same bytes", func(k string) error { _, err := plain("forebay:e:bytes:" + k + ","); return err }),
		parallel("the same, one connection, writes held back up to 20 µs, as the tier does", func(k string) error {
			_, err := tuned.Do(ctx, tuned.B().Get().Key("forebay:e:bytes:"+k+",").Build()).AsBytes()
			return err
		}),
		parallel("Forebay, bytes", func(k string) error { _, err := getBytes.Get(ctx, k); return err }),
	}, {
		parallel("bare GET and CBOR decode, 20 structs", func(k string) error {
			b, err := plain("plain-" + k)
			if err != nil {
				return err
			}
			var out []item
			return cbor.Unmarshal(b, &out)
		}),
		parallel("Forebay, 20 structs", func(k string) error { _, err := getList.Get(ctx, k); return err }),
		parallel("go-redis/cache `Once`, remote, 20 structs", func(k string) error {
			var out []item
			return oldCache.Once(&rediscache.Item{Ctx: ctx, Key: "old-" + k, Value: &out, Do: func(*rediscache.Item) (any, error) { return nil, errors.New("missing") }})
		}),
	}, {
		serial("bare rueidis GET of the same bytes, one goroutine", func(k string) error { _, err := plain("forebay:e:bytes:" + k + ","); return err }),
		serial("Forebay, bytes, one goroutine", func(k string) error { _, err := getBytes.Get(ctx, k); return err }),
	}, {
		parallel("bare rueidis GET of the same list", func(k string) error { _, err := plain("plain-" + k); return err }),
		parallel("Forebay, strict, found near", func(string) error { _, err := strict.Get(ctx, "k"); return err }),
	}}, done, nil
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
	f, err := forebay.Wrap(b, "structs", func(context.Context, string) (int64, error) { return time.Now().UnixNano(), nil })
	if err != nil {
		return err
	}
	var lags []time.Duration
	for i := range 1000 {
		old, err := f.Get(ctx, "k")
		if err != nil {
			return err
		}
		if _, err := a.Invalidate(ctx, forebay.Tag(fmt.Sprint("none", i)), forebay.Key(f.Key("k"))); err != nil {
			return err
		}
		begin := time.Now()
		for v := old; v == old; {
			if v, err = f.Get(ctx, "k"); err != nil {
				return err
			}
		}
		lags = append(lags, time.Since(begin))
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

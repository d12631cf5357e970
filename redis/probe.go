package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"
)

// inspectEvery is how often the prober looks at what changes rarely: memory, version, role.
const inspectEvery = 5 * time.Second

// probe owns the connection: it dials, asks a lost or silent server whether it is back, also without
// traffic, and looks at the server's state. first is closed after the first attempt.
func (t *Tier) probe(ctx context.Context, first chan struct{}) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	inspected, located := time.Time{}, time.Now()
	for {
		if len(t.endpoint.seeds) > 0 && time.Since(located) > locateEvery {
			t.relocate(ctx)
			located = time.Now()
		}
		switch client := t.client.Load(); {
		case client == nil:
			t.connect(ctx)
			inspected = time.Now()
		case t.drills.Load() > 0:
		case !t.usable():
			if t.ping(ctx, client.log) {
				inspected = time.Time{}
			}
		case time.Since(inspected) > inspectEvery:
			t.inspect(ctx, client)
			inspected = time.Now()
		}
		if first != nil {
			close(first)
			first = nil
		}
		select {
		case <-tick.C:
		case <-t.wake:
		case <-ctx.Done():
			return
		}
	}
}

// locateEvery is how often sentinels, or the cluster, are asked where the log is.
const locateEvery = time.Second

// relocate lets the client go when the log is on another server now.
func (t *Tier) relocate(ctx context.Context) {
	client := t.client.Load()
	if client == nil {
		return
	}
	addr, err := t.endpoint.locate(ctx)
	if err != nil || addr == t.endpoint.server.InitAddress[0] {
		if client.values != client.log {
			client.wake(ctx)
		}
		return // callers that have left say nothing about it
	}
	t.o.Logger.Warn("forebay: another server is the master of the log now", "was", t.endpoint.server.InitAddress[0], "is", addr)
	t.drop(client)
}

// drop lets the client go; the prober connects again.
func (t *Tier) drop(c *clients) {
	t.up.Store(false)
	t.client.Store(nil)
	c.close()
}

// connect makes the client, if the server is there and can be used.
func (t *Tier) connect(ctx context.Context) {
	if len(t.endpoint.seeds) > 0 {
		addr, err := t.endpoint.locate(ctx)
		if ctx.Err() != nil {
			return // closing: nothing is wrong
		}
		if err != nil {
			t.problem(remedy(err))
			return
		}
		t.endpoint.server.InitAddress = []string{addr}
		t.endpoint.server.TLSConfig = serverName(t.endpoint.server.TLSConfig, addr)
	}
	o := t.endpoint.server
	// The client dials with a context of its own, so for this once everybody may.
	dial := o.DialCtxFn
	var made atomic.Bool
	o.DialCtxFn = func(c context.Context, addr string, d *net.Dialer, cfg *tls.Config) (net.Conn, error) {
		if !made.Load() {
			c = mayDial(c, dialToProbe)
		}
		return dial(c, addr, d, cfg)
	}
	client, err := rueidis.NewClient(o)
	made.Store(true)
	if err != nil {
		t.problem(remedy(err))
		return
	}
	if err := t.look(ctx, client); err != nil {
		client.Close()
		t.problem(remedy(err))
		return
	}
	all := &clients{client, client}
	if t.endpoint.cluster {
		if all.values, err = t.openValues(); err != nil {
			client.Close()
			t.problem(remedy(err))
			return
		}
		all.wake(ctx)
	}
	t.client.Store(all)
	t.up.Store(true)
	if ctx.Err() != nil {
		return
	}
	t.o.Logger.Info("forebay: the shared tier is connected", "server", t.State().Version)
	t.advise(ctx)
}

// advise looks for what the server's configuration will cost, and says it.
func (t *Tier) advise(ctx context.Context) {
	advice, err := t.Advise(mayDial(ctx, dialToProbe))
	if err != nil {
		return // nothing to say: what works is used
	}
	t.mu.Lock()
	t.state.Advice = advice
	t.mu.Unlock()
	for _, a := range advice {
		t.o.Logger.Warn("forebay: the shared tier will hurt", "problem", a.Problem, "remedy", a.Remedy)
	}
}

// probePayload is what the prober writes to a server that was away, and has it send back: about as much as a value,
// because a way that carries a bare PING in time may still be too narrow for what requests ask for.
var probePayload = strings.Repeat("x", 8<<10)

// ping asks a server that was away; the breaker lets it through when it is time.
func (t *Tier) ping(ctx context.Context, client rueidis.Client) bool {
	ask := func() (struct{}, error) {
		ctx, cancel := context.WithTimeout(mayDial(ctx, dialToProbe), dialTimeout)
		defer cancel()
		if err := client.Do(ctx, client.B().Ping().Build()).Error(); err != nil { // this one may have to dial
			return struct{}{}, err
		}
		// What requests need: a server may answer, and let writes wait (CLIENT PAUSE WRITE).
		key, begun, limit := t.probeKey(), time.Now(), newBudget(ctx, t.o.Budget)
		defer limit.stop()
		err := errors.Join(refused(client.DoMulti(ctx,
			client.B().Set().Key(key).Value(probePayload).PxMilliseconds(probeLife.Milliseconds()).Build(),
			client.B().Get().Key(key).Build()))...)
		if err == nil && limit.spent() {
			err = fmt.Errorf("the server takes %s to answer: requests wait %s at most", time.Since(begun).Round(time.Millisecond), t.o.Budget)
		}
		return struct{}{}, err
	}
	var err error
	if t.breaker.State() == gobreaker.StateOpen {
		return false
	} else if _, err = t.breaker.Execute(ask); err == nil {
		t.up.Store(true)
		return true
	}
	t.problem(remedy(err))
	return false
}

// probeLife is how long what the prober has written is kept.
const probeLife = 10 * time.Second

// probeKey is in the log's slot of a cluster.
func (t *Tier) probeKey() string { return t.o.Namespace + ":probe:{" + t.logKey() + "}" }

// refused are the errors of a probe, but for those that concern writes alone: what is stored can be read.
func refused(replies []rueidis.RedisResult) []error {
	var out []error
	for _, r := range replies {
		if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) && !writesOnly(err) {
			out = append(out, err)
		}
	}
	return out
}

// inspect looks at the server again; one that became a replica is not a server for us.
func (t *Tier) inspect(ctx context.Context, client *clients) {
	if err := t.look(ctx, client.log); err != nil {
		t.problem(remedy(err))
		var unfit *unfitError
		if errors.As(err, &unfit) {
			t.drop(client)
		}
	}
}

// An unfitError says that the server cannot be used as it is.
type unfitError struct{ reason string }

func (e *unfitError) Error() string { return e.reason }

// look reads what the server says of itself.
func (t *Tier) look(ctx context.Context, c rueidis.Client) error {
	ctx, cancel := context.WithTimeout(mayDial(ctx, dialToProbe), dialTimeout)
	defer cancel()
	asked := time.Now()
	text, err := c.Do(ctx, c.B().Info().Build()).ToString()
	if err != nil {
		return err
	}
	info := parseInfo(text)
	t.readClock(info["server_time_usec"], asked, time.Now())
	version := info["redis_version"]
	name := "redis " + version
	if v := info["valkey_version"]; v != "" {
		name = "valkey " + v
	}
	if !atLeast(version, 6, 2) {
		return &unfitError{fmt.Sprintf("the server is %s: 6.2 or later is needed; upgrade it", name)}
	}
	if info["role"] != "master" {
		return &unfitError{fmt.Sprintf("the server is a replica of %s:%s: connect to its master", info["master_host"], info["master_port"])}
	}
	kind, err := c.Do(ctx, c.B().Type().Key(t.logKey()).Build()).ToString()
	if err != nil {
		return err
	}
	if kind != "stream" && kind != "none" {
		return &unfitError{fmt.Sprintf("the key %s is a %s of somebody else: choose another namespace, or remove it", t.logKey(), kind)}
	}
	used, _ := strconv.ParseUint(info["used_memory"], 10, 64) // a server that hides it has none to show
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Version, t.state.UsedMemory, t.state.Problem = name, used, ""
	return nil
}

// parseInfo reads the answer of INFO.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.SplitSeq(text, "\r\n") {
		if k, v, ok := strings.Cut(line, ":"); ok {
			info[k] = v
		}
	}
	return info
}

func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, err1 := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (a > major || a == major && b >= minor)
}

// problem remembers what is wrong, and says it once.
func (t *Tier) problem(text string) {
	t.mu.Lock()
	news := t.state.Problem != text
	t.state.Problem = text
	t.mu.Unlock()
	if news {
		t.o.Logger.Warn("forebay: the shared tier cannot be used", "problem", text)
	}
}

// remedy puts an error into words that say what to do.
func remedy(err error) string {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "WRONGPASS"), strings.HasPrefix(text, "NOAUTH"), strings.Contains(text, "invalid password"):
		return "the server refuses the user or password: correct them in REDIS_URL"
	case strings.HasPrefix(text, "NOPERM"):
		return text + ": give the user the command in the server's ACL"
	case strings.Contains(text, "unknown command") && strings.Contains(strings.ToUpper(text), "HELLO"):
		return "the server or a proxy in between speaks RESP2 alone: connect to Redis 6.2 or Valkey directly"
	case strings.HasPrefix(text, "LOADING"):
		return "the server is loading its data: it is joined when it is ready"
	case strings.Contains(text, "connection refused"):
		return "nothing listens there (" + text + "): start the server, or correct REDIS_URL"
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(text, "i/o timeout"):
		return "the server does not answer: is it hanging, or is something in between?"
	}
	return text
}

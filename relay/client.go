package relay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/shared"
	"github.com/fxamacker/cbor/v2"
)

// Options configure [Open].
type Options struct {
	// Parents are the base URLs of gateways on one log: https://eu.example. The first that answers is asked, until it does not.
	Parents []string
	// Token is what they want to see.
	Token string
	// Keys authenticate the records: see forebay.Options.Keys.
	Keys [][]byte
	// Coarse: keys have other parts in other regions (as those of an HTTP cache have: who asks by TLS, and through whom), so
	// what names a key or a pattern of them covers its class. URLs and tags are the same everywhere.
	Coarse bool
	// Budget bounds each operation: the way to another region, and back. Default 2 s.
	Budget time.Duration
	// Transport is the way. Default: http.DefaultTransport's kind.
	Transport http.RoundTripper
	Logger    *slog.Logger // default slog.Default()
}

// A Client is the shared tier of a child: the log of its parents. What else a tier holds, this process holds alone. It is safe
// for concurrent use.
type Client struct {
	*shared.Memory // values, which are those of self-tests: see [shared.LogOnly]
	o              Options
	keys           *codec.Keyring
	http           *http.Client
	at             atomic.Int64 // the parent that is asked

	mu       sync.Mutex // guards the fields below
	clock    time.Time  // the parent's, …
	read     time.Time  // … when this process's was so late
	problem  string     // why no parent can be used, if none can
	until    time.Time  // nobody is asked before
	lookups  uint64
	failures uint64
	said     bool
}

// again is how soon a parent that did not answer is asked again.
const again = 500 * time.Millisecond

// Open returns the tier. It asks nobody anything yet.
func Open(o Options) (*Client, error) {
	if len(o.Parents) == 0 {
		return nil, errors.New("name a parent, such as https://eu.example")
	}
	if o.Token == "" {
		return nil, errors.New("gateways that are parent and child share FOREBAY_SECRET: set it, the same on all")
	}
	o.Budget = cmp.Or(o.Budget, 2*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 16
		o.Transport = t
	}
	c := &Client{Memory: shared.NewMemory(), o: o, http: &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	c.clock, c.read, c.problem = time.Now(), time.Now(), "no parent was reached yet"
	c.keys = codec.NewKeyring(o.Keys, false)
	return c, nil
}

// LogOnly implements [shared.LogOnly].
func (c *Client) LogOnly() {}

// Append implements [shared.Log].
func (c *Client) Append(ctx context.Context, head shared.ID, records []shared.Record) (shared.Reading, error) {
	return c.reading(ctx, question{Op: opAppend, Head: shared.Stamp{ID: head}, Records: records})
}

// Rejoin implements [shared.Log].
func (c *Client) Rejoin(ctx context.Context, seen shared.Stamp, left []string) (shared.Reading, error) {
	return c.reading(ctx, question{Op: opRejoin, Head: seen, Left: left})
}

// Read implements [shared.Log].
func (c *Client) Read(ctx context.Context, head shared.Stamp) (shared.Reading, error) {
	return c.reading(ctx, question{Op: opRead, Head: head})
}

// GetAndRead implements [shared.Tier].
func (c *Client) GetAndRead(ctx context.Context, key string, head shared.Stamp) ([]byte, shared.Reading, error) {
	r, err := c.Read(ctx, head)
	if err != nil {
		return nil, r, err
	}
	v, err := c.Memory.Get(ctx, key)
	return v, r, err
}

// Follow implements [shared.Tier].
func (c *Client) Follow(ctx context.Context, head shared.ID) error {
	// The epoch is not said: a parent that is in another one rings at once, and is read.
	_, err := c.ask(ctx, question{Op: opFollow, Head: shared.Stamp{ID: head}}, followFor+c.o.Budget)
	return err
}

// Trim implements [shared.Tier]: the parents do.
func (c *Client) Trim(context.Context, time.Duration) error { return nil }

// Clock implements [shared.Tier]: the parent's, as far as it is known.
func (c *Client) Clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.Add(time.Since(c.read))
}

// State implements [shared.Tier].
func (c *Client) State() shared.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := shared.State{Connected: c.problem == "", Version: "parent " + c.o.Parents[c.at.Load()], Breaker: "closed", Problem: c.problem, Lookups: c.lookups, Errors: c.failures}
	if c.problem != "" {
		s.Breaker = "open"
	}
	return s
}

// Close implements [shared.Tier].
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *Client) reading(ctx context.Context, q question) (shared.Reading, error) {
	a, err := c.ask(ctx, q, c.o.Budget)
	if err != nil {
		return shared.Reading{}, err
	}
	for i, rec := range a.Reading.Records {
		if c.o.Coarse {
			a.Reading.Records[i] = c.regional(rec)
		}
	}
	return a.Reading, nil
}

// regional is a record as it counts in this region. One that no node with one of the keys wrote stays as it is: the reader
// does not trust it.
func (c *Client) regional(rec shared.Record) shared.Record {
	to := regional(rec.Target)
	if to == rec.Target || rec.Fence || c.keys != nil && !c.keys.Wrote(rec) {
		return rec
	}
	rec.Target = to
	if c.keys != nil {
		rec.By, _, _ = strings.Cut(rec.By, codec.SignMark)
		rec = c.keys.SignRecord(rec)
	}
	return rec
}

// regional is what a target covers where keys have other parts: see [Options.Coarse].
func regional(t shared.Target) shared.Target {
	if t.Kind != shared.KindKey && t.Kind != shared.KindPattern || strings.HasPrefix(t.Name, "~") {
		return t
	}
	if class := t.Class(); class != "" {
		return shared.Target{Kind: shared.KindClass, Name: class}
	}
	return shared.Target{Kind: shared.KindAll}
}

// ask asks the parent that answered last, or the next one.
func (c *Client) ask(ctx context.Context, q question, budget time.Duration) (answer, error) {
	c.mu.Lock()
	wait := time.Now().Before(c.until)
	if q.Op != opFollow {
		c.lookups++
	}
	c.mu.Unlock()
	if wait {
		return answer{}, shared.ErrAway
	}
	q.Version = Version
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	at := c.at.Load()
	a, err := c.askOne(ctx, c.o.Parents[at], q)
	switch {
	case err == nil && a.Error == "":
		c.well(a)
		return a, nil
	case err == nil && a.Away:
		err = fmt.Errorf("the parent cannot reach the log: %s", a.Error)
	case err == nil:
		return a, errors.New(a.Error) // the log's own refusal
	case ctx.Err() == context.Canceled || q.Op == opFollow && ctx.Err() != nil:
		return a, err // nobody asks any more
	}
	c.failed(at, err)
	return a, fmt.Errorf("%w: %w", shared.ErrAway, err)
}

func (c *Client) askOne(ctx context.Context, parent string, q question) (a answer, err error) {
	text, err := cbor.Marshal(q)
	if err != nil {
		return a, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(parent, "/")+Path, bytes.NewReader(text))
	if err != nil {
		return a, err
	}
	r.Header.Set(TokenField, c.o.Token)
	r.Header.Set("Content-Type", mediaType)
	res, err := c.http.Do(r)
	if err != nil {
		return a, fmt.Errorf("the parent %s does not answer: %w", parent, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return a, fmt.Errorf("the parent %s: %w", parent, err)
	}
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return a, fmt.Errorf("%s is no parent: it needs children: true in its file, and a shared tier", parent)
	case http.StatusConflict:
		return a, fmt.Errorf("%w: %s: %s", errVersion, parent, bytes.TrimSpace(body[:min(len(body), 300)]))
	default:
		return a, fmt.Errorf("the parent %s refuses: %s: %s", parent, res.Status, bytes.TrimSpace(body[:min(len(body), 300)]))
	}
	if err := decoding.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("the parent %s answers something else: %w", parent, err)
	}
	return a, nil
}

// well notes that a parent has answered.
func (c *Client) well(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !a.Clock.IsZero() {
		c.clock, c.read = a.Clock, time.Now()
	}
	if c.said {
		c.said = false
		c.o.Logger.Info("relay: the parent answers again", "parent", c.o.Parents[c.at.Load()])
	}
	c.problem = ""
}

// failed goes on to the next parent, and lets none be asked for a while where there is no other.
func (c *Client) failed(at int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures++
	c.at.CompareAndSwap(at, (at+1)%int64(len(c.o.Parents)))
	if at == int64(len(c.o.Parents)-1) {
		c.until = time.Now().Add(again)
	}
	c.problem = err.Error()
	if !c.said {
		c.said = true
		c.o.Logger.Warn("relay: no invalidation comes from the parent; what is stored is served as its class allows", "error", err)
	}
}

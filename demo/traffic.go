package demo

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"golang.org/x/time/rate"
)

// Traffic is a working day's mix of requests on a platform: most people look at lists, some ask
// the assistant, a few search by name or change something. Organisations and questions follow Zipf's
// law, as people do.
type Traffic struct {
	Base      string // URL of the platform
	PerSecond int
	Client    *http.Client // default: one of its own
}

// mostAtOnce bounds the requests in flight; beyond it the traffic slows down.
const mostAtOnce = 256

// Run sends requests until ctx ends.
func (t Traffic) Run(ctx context.Context) {
	if t.Client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = mostAtOnce
		t.Client = &http.Client{Transport: transport, Timeout: waitForOrigin}
		defer transport.CloseIdleConnections()
	}
	limiter := rate.NewLimiter(rate.Limit(t.PerSecond), max(1, t.PerSecond/10))
	slots := make(chan struct{}, mostAtOnce)
	mix := newMix()
	for limiter.Wait(ctx) == nil {
		method, path, body := mix.next()
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			t.send(ctx, method, path, body)
		}()
	}
	for range mostAtOnce { // wait for those in flight
		slots <- struct{}{}
	}
}

func (t Traffic) send(ctx context.Context, method, path, body string) {
	req, err := http.NewRequestWithContext(ctx, method, t.Base+path, strings.NewReader(body))
	if err != nil {
		return
	}
	res, err := t.Client.Do(req)
	if err != nil {
		return // the platform's own statistics tell
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
}

type mix struct {
	rnd       *rand.Rand
	orgs      *rand.Zipf
	rooms     *rand.Zipf
	questions *rand.Zipf
}

var (
	trafficOrgs = []string{"acme", "borealis", "cobalt", "dune", "ember"}
	phrasings   = []string{"Which partners are in %s?", "List our %s partners", "Who works in %s?", "Show me the companies in %s, please",
		"How many partners do we have in %s?", "Do we have partners in %s?", "Name the %s partners", "What about %s?", "Find partners: %s", "Any new partners in %s?"}
	subjects = []string{"retail", "media", "travel", "finance", "health", "automotive", "telecom", "energy"}
)

func newMix() *mix {
	r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	return &mix{r, rand.NewZipf(r, 1.3, 1, uint64(len(trafficOrgs)-1)), rand.NewZipf(r, 1.2, 2, 39),
		rand.NewZipf(r, 1.1, 4, uint64(len(phrasings)*len(subjects)*12-1))}
}

// next draws a request. Of a hundred, 40 list partners, 20 templates, 8 ask for the status, 28 ask
// the assistant, 3 search by name and 1 changes a partner.
func (m *mix) next() (method, path, body string) {
	org := trafficOrgs[m.orgs.Uint64()]
	switch n := m.rnd.IntN(100); {
	case n < 40:
		return "GET", "/api/partners?org_id=" + org, ""
	case n < 60:
		return "GET", fmt.Sprintf("/api/templates?cleanroom_id=cr-%d", 1+m.rooms.Uint64()), ""
	case n < 68:
		return "GET", "/api/status", ""
	case n < 96:
		return "POST", "/api/chat", fmt.Sprintf(`{"org_id":%q,"message":%q}`, org, question(m.questions.Uint64()))
	case n < 99:
		return "GET", "/api/partners?org_id=" + org + "&q=" + string(rune('a'+m.rnd.IntN(26))), ""
	}
	return "PUT", fmt.Sprintf("/api/partners/p-%d", 1+m.rnd.IntN(300)), fmt.Sprintf(`{"status":%q}`, []string{"active", "paused"}[m.rnd.IntN(2)])
}

// question is one of a thousand ways to ask about a subject.
func question(n uint64) string {
	q := fmt.Sprintf(phrasings[n%uint64(len(phrasings))], subjects[n/uint64(len(phrasings))%uint64(len(subjects))])
	if extra := n / uint64(len(phrasings)*len(subjects)); extra > 0 {
		q += fmt.Sprintf(" I need it for report %d.", extra)
	}
	return q
}

package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/forebay-cache/forebay"
)

// keys counts which keys are asked for, and which are missing, in bounded memory: where there is no
// room, a new key takes the place of the least, with its count (Space-Saving, Metwally 2005). A count is
// thus too high by at most that; halving once a minute makes it speak of the last few.
type keys struct {
	mu      sync.Mutex // guards the fields below
	asked   map[string]*counted
	missing map[string]*counted
	aged    time.Time
}

type counted struct {
	class string
	n     float64
	why   map[string]float64
}

const (
	maxKeys  = 500
	shownTop = 20
	halfLife = time.Minute
)

func newKeys() *keys {
	return &keys{asked: map[string]*counted{}, missing: map[string]*counted{}, aged: time.Now()}
}

// note counts the look-ups of one request, which stands for weight of them.
func (k *keys) note(steps []Step, weight uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	loaded := map[string]string{} // by key: why
	missed := map[string]bool{}   // a caller that waits for a load that will not do, and then loads, has missed once
	for _, s := range steps {
		switch s.Part {
		case "near":
			count(k.asked, s, weight, "")
			loaded[s.Key] = s.Found
		case "log", "shared":
			switch near := loaded[s.Key]; {
			case s.Found == "failed" && (near == "hit" || near == "stale"):
				loaded[s.Key] = "unconfirmed" // there is something, and a strict class may not serve it
			case s.Part == "shared" && s.Found != "failed" && (s.Found != "absent" || near == ""):
				loaded[s.Key] = s.Found
			}
		case "origin", "wait":
			if s.Key != "" && !missed[s.Key] {
				missed[s.Key] = true
				if loaded[s.Key] == "" { // a strict class that cannot be confirmed looks nowhere
					loaded[s.Key] = "unconfirmed"
					count(k.asked, s, weight, "")
				}
				count(k.missing, s, weight, loaded[s.Key])
			}
		}
	}
}

func count(in map[string]*counted, s Step, weight uint64, why string) {
	c := in[s.Key]
	if c == nil {
		c = &counted{class: s.Class, why: map[string]float64{}}
		if len(in) >= maxKeys {
			least, n := "", -1.0
			for key, other := range in {
				if n < 0 || other.n < n {
					least, n = key, other.n
				}
			}
			c.n = n
			delete(in, least)
		}
		in[s.Key] = c
	}
	c.n += float64(weight)
	if why != "" {
		c.why[why] += float64(weight)
	}
}

// counts are how often keys were asked for lately.
func (k *keys) counts() map[string]float64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make(map[string]float64, len(k.asked))
	for key, c := range k.asked {
		out[key] = c.n
	}
	return out
}

// age makes what was long ago count less.
func (k *keys) age(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.aged) < halfLife {
		return
	}
	k.aged = now
	for _, in := range []map[string]*counted{k.asked, k.missing} {
		for key, c := range in {
			if c.n /= 2; c.n < 0.5 {
				delete(in, key)
			}
			for why := range c.why {
				c.why[why] /= 2
			}
		}
	}
}

// A KeyCount is how often a key was asked for lately, estimated from the sample.
type KeyCount struct {
	Key   string  `json:"key"`
	Class string  `json:"class"`
	Count float64 `json:"count" doc:"Requests, weighted towards the last minutes; estimated from the sample"`
	Why   string  `json:"why,omitempty" doc:"The most frequent reason of its misses"`
}

func top(in map[string]*counted) []KeyCount {
	out := []KeyCount{}
	for key, c := range in {
		one := KeyCount{Key: key, Class: c.class, Count: c.n}
		most := 0.0
		for why, n := range c.why {
			if n > most || n == most && why < one.Why {
				one.Why, most = why, n
			}
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b KeyCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
	return out[:min(len(out), shownTop)]
}

// Keys is what an operator asks of keys.
type Keys struct {
	Top      []KeyCount `json:"top"`
	Missing  []KeyCount `json:"missing" doc:"Waited for the origin, with the reason"`
	Expiring []Entry    `json:"expiring" doc:"The fresh entries of the near tier that expire next"`
	TTL      []TTLBin   `json:"ttl" doc:"How long the entries of the near tier have left"`
}

// A TTLBin counts entries by what is left of their TTL.
type TTLBin struct {
	UpToSeconds *float64 `json:"up_to_seconds" doc:"null: longer than all others"`
	Entries     int      `json:"entries"`
	Bytes       uint64   `json:"bytes"`
}

var ttlEnds = []time.Duration{0, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

func (a *Admin) readKeys(context.Context, *struct{}) (*answer[Keys], error) {
	k := Keys{Expiring: []Entry{}}
	for _, end := range ttlEnds {
		s := end.Seconds()
		k.TTL = append(k.TTL, TTLBin{UpToSeconds: &s})
	}
	k.TTL = append(k.TTL, TTLBin{})
	for e := range a.cache.Entries() {
		i, _ := slices.BinarySearch(ttlEnds, e.TTL)
		k.TTL[i].Entries++
		k.TTL[i].Bytes += uint64(e.Bytes)
		if e.TTL > 0 {
			k.Expiring = append(k.Expiring, entryOf(e, nil))
		}
		if len(k.Expiring) > 100*shownTop {
			k.Expiring = soonest(k.Expiring)
		}
	}
	k.Expiring = soonest(k.Expiring)
	q := a.requests.keys
	q.mu.Lock()
	defer q.mu.Unlock()
	k.Top, k.Missing = top(q.asked), top(q.missing)
	return &answer[Keys]{k}, nil
}

func soonest(all []Entry) []Entry {
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.TTLSeconds, b.TTLSeconds), cmp.Compare(a.Key, b.Key))
	})
	return all[:min(len(all), shownTop)]
}

// An Entry of the near tier, without its value.
type Entry struct {
	Key        string   `json:"key"`
	Class      string   `json:"class"`
	Tags       []string `json:"tags"`
	Bytes      uint32   `json:"bytes"`
	AgeSeconds float64  `json:"age_seconds"`
	TTLSeconds float64  `json:"ttl_seconds" doc:"What is left; negative: it is stale"`
	TookMS     float64  `json:"took_ms" doc:"Its load"`
	Shared     bool     `json:"shared" doc:"It came from the shared tier"`
	Asked      float64  `json:"asked" doc:"Requests for it lately, estimated from the sample; 0: it is not among the first 500"`
}

func entryOf(e forebay.Entry, asked map[string]float64) Entry {
	if e.Tags == nil {
		e.Tags = []string{}
	}
	return Entry{Key: e.Key, Class: e.Class, Tags: e.Tags, Bytes: e.Bytes, AgeSeconds: seconds(e.Age), TTLSeconds: seconds(e.TTL), TookMS: inMS(e.LoadTime), Shared: e.Shared, Asked: asked[e.Key]}
}

// Entries is what the near tier holds, all or what a target covers.
type Entries struct {
	Count   int            `json:"count"`
	Bytes   uint64         `json:"bytes"`
	Classes map[string]int `json:"classes"`
	Entries []Entry        `json:"entries" doc:"The first of them, in the order that was asked for"`
	Value   *Value         `json:"value,omitempty" doc:"Of the one key that was asked for, as JSON"`
}

type entriesRequest struct {
	Key     string `query:"key"`
	Tag     string `query:"tag"`
	Class   string `query:"class"`
	Pattern string `query:"pattern"`
	URL     string `query:"url" doc:"What is stored of one URL, all variants and callers"`
	Holds   string `query:"holds" doc:"A part of the key"`
	Sort    string `query:"sort" default:"key" enum:"key,size,age,left,load,asked" doc:"By key; or the largest, the oldest, those that expire next, those that took longest to load, those asked for most first"`
	Value   bool   `query:"value" doc:"With key: show what is stored, its first 64 KiB"`
	Limit   int    `query:"limit" default:"50" minimum:"0" maximum:"1000"`
}

func (a *Admin) readEntries(_ context.Context, in *entriesRequest) (*answer[Entries], error) {
	tag, err := a.tagOf(in)
	if err != nil {
		return nil, err
	}
	target, err := oneTarget(optional(in.Key), optional(tag), optional(in.Class), optional(in.Pattern), false)
	if err != nil || in.URL != "" && in.Tag != "" {
		return nil, huma.Error422UnprocessableEntity("name at most one of key, tag, class, pattern and url")
	}
	out := Entries{Classes: map[string]int{}, Entries: []Entry{}}
	asked := a.requests.keys.counts()
	for e := range a.cache.Entries() {
		if target != nil && !e.Matches(*target) || !strings.Contains(e.Key, in.Holds) {
			continue
		}
		out.Count++
		out.Bytes += uint64(e.Bytes)
		out.Classes[e.Class]++
		if out.Entries = append(out.Entries, entryOf(e, asked)); len(out.Entries) > 2*in.Limit+shownTop {
			out.Entries = first(out.Entries, in.Sort, in.Limit)
		}
	}
	out.Entries = first(out.Entries, in.Sort, in.Limit)
	if in.Value {
		if in.Key == "" {
			return nil, huma.Error422UnprocessableEntity("value: name the key whose value is to be shown")
		}
		if e, ok := a.cache.Entry(in.Key); ok && e.Bytes <= largestShown {
			out.Value = asJSON(e.Value)
		} else if ok {
			out.Value = &Value{Text: fmt.Sprintf("it takes %d bytes: too much to write as JSON for its beginning alone", e.Bytes), Cut: true}
		}
	}
	return &answer[Entries]{out}, nil
}

// asJSON is the beginning of a value, as its type writes it.
func asJSON(value any) (v *Value) {
	defer func() {
		if p := recover(); p != nil {
			v = &Value{Text: fmt.Sprintf("%T panics when it is written as JSON: %v", value, p)}
		}
	}()
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return &Value{Text: fmt.Sprintf("%T cannot be written as JSON: %v", value, err)}
	}
	return valueOf(text[:min(len(text), shownValue)], int64(len(text)))
}

// shownValue is how much of a value is shown.
const (
	shownValue   = 64 << 10
	largestShown = 8 << 20 // of memory: the whole is written before it is cut
)

// tagOf is the tag that was asked for, or that of the URL.
func (a *Admin) tagOf(in *entriesRequest) (string, error) {
	if in.URL == "" {
		return in.Tag, nil
	}
	return a.urlTag(in.URL)
}

// urlTag is the tag of what is stored of a URL.
func (a *Admin) urlTag(text string) (string, error) {
	u, err := url.Parse(text)
	if a.o.URLTag == nil {
		return "", huma.Error422UnprocessableEntity("url: this node caches functions, not requests: ask a gateway (forebay serve)")
	}
	if err != nil || u.Host == "" {
		return "", huma.Error422UnprocessableEntity(fmt.Sprintf("url: %q: write it whole, such as http://api.example.com/api/partners?org_id=acme, with the host that clients use", text))
	}
	return a.o.URLTag(u), nil
}

// first sorts entries, and leaves the first of them.
func first(all []Entry, by string, most int) []Entry {
	order := map[string]func(a, b Entry) int{
		"size":  func(a, b Entry) int { return -cmp.Compare(a.Bytes, b.Bytes) },
		"age":   func(a, b Entry) int { return -cmp.Compare(a.AgeSeconds, b.AgeSeconds) },
		"left":  func(a, b Entry) int { return cmp.Compare(a.TTLSeconds, b.TTLSeconds) },
		"asked": func(a, b Entry) int { return -cmp.Compare(a.Asked, b.Asked) },
		"load":  func(a, b Entry) int { return -cmp.Compare(a.TookMS, b.TookMS) },
	}[by]
	slices.SortFunc(all, func(a, b Entry) int {
		if order != nil {
			if c := order(a, b); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.Key, b.Key)
	})
	return all[:min(len(all), most)]
}

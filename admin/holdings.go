package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// A Holding is what the near tier of a node holds under a key.
type Holding struct {
	Name       string  `json:"name" doc:"Of the node"`
	Self       bool    `json:"self"`
	Stored     bool    `json:"stored"`
	AgeSeconds float64 `json:"age_seconds"`
	TTLSeconds float64 `json:"ttl_seconds" doc:"What is left; negative: it is stale"`
	Bytes      uint32  `json:"bytes"`
	Error      string  `json:"error,omitempty" doc:"Why it is not known"`
}

func (a *Admin) holding(key string) Holding {
	e, ok := a.cache.Entry(key)
	return Holding{Name: a.cache.Stats().Nodes[0].Name, Stored: ok, AgeSeconds: seconds(e.Age), TTLSeconds: seconds(e.TTL), Bytes: e.Bytes}
}

// Nodes ask each other what they hold through the shared tier, as they tell each other how they are: none has to reach
// another, or be trusted with an operator's token.
//
//  1. A node writes the key that an operator asks about under its own name.
//  2. The others look for such questions once a second, and write what they hold under both names.
//  3. The node that asked looks for the answers, and takes those that repeat when it asked.
const (
	questionEvery = time.Second
	answerWait    = 3 * time.Second
	answerEvery   = 100 * time.Millisecond
	questionLife  = 10 * time.Second
	mostAsked     = 64 // nodes
)

// questions are what other nodes asked last.
type questions struct {
	asking   chan struct{} // one question of this node at a time: they have one name
	answered map[string]string
}

func questionKey(asker string) string     { return "@question/" + asker }
func answerKey(asker, node string) string { return "@answer/" + asker + "/" + node }
func (a *Admin) others() (names []string) {
	for _, n := range a.cache.Stats().Nodes[1:] {
		if len(names) < mostAsked {
			names = append(names, n.Name)
		}
	}
	return names
}

// answerQuestions writes what this node holds of what the others ask about.
func (a *Admin) answerQuestions(ctx context.Context, tier shared.Tier) {
	others := a.others()
	if len(others) == 0 {
		return
	}
	keys := make([]string, len(others))
	for i, name := range others {
		keys[i] = questionKey(name)
	}
	asked, err := tier.GetMany(ctx, keys)
	if err != nil {
		return
	}
	self := a.cache.Stats().Nodes[0].Name
	for i, question := range asked {
		var q heldKey
		if len(question) == 0 || len(question) > maxCard || string(question) == a.questions.answered[others[i]] || json.Unmarshal(question, &q) != nil {
			continue
		}
		a.questions.answered[others[i]] = string(question)
		q.Held = a.holding(q.Key)
		if text, err := json.Marshal(q); err == nil {
			tier.Set(ctx, answerKey(others[i], self), text, questionLife) // where it fails, the other says that nothing came
		}
	}
}

// A heldKey is a question, and what is held.
type heldKey struct {
	Key  string    `json:"key"`
	At   time.Time `json:"at"`
	Held Holding   `json:"held"`
}

// holdings are what the nodes hold under a key, this one first.
func (a *Admin) holdings(ctx context.Context, key string) []Holding {
	self := a.holding(key)
	self.Self = true
	out := []Holding{self}
	others := a.others()
	if a.o.Shared == nil || len(others) == 0 {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	select {
	case a.questions.asking <- struct{}{}:
		defer func() { <-a.questions.asking }()
	case <-ctx.Done():
	}
	q := heldKey{Key: key, At: time.Now().UTC()}
	text, err := json.Marshal(q)
	if err == nil {
		err = a.o.Shared.Set(ctx, questionKey(self.Name), text, questionLife)
	}
	held := map[string]Holding{}
	for err == nil && len(held) < len(others) && ctx.Err() == nil {
		a.takeAnswers(ctx, q, self.Name, others, held)
		select {
		case <-time.After(answerEvery):
		case <-ctx.Done():
		}
	}
	for _, name := range others {
		h, ok := held[name]
		if !ok {
			h.Error = "it said nothing in three seconds"
		}
		if h.Name = name; err != nil {
			h.Error = err.Error()
		}
		out = append(out, h)
	}
	return out
}

func (a *Admin) takeAnswers(ctx context.Context, q heldKey, self string, others []string, held map[string]Holding) {
	keys := make([]string, len(others))
	for i, name := range others {
		keys[i] = answerKey(self, name)
	}
	answers, err := a.o.Shared.GetMany(ctx, keys)
	if err != nil {
		return // the next try, or the deadline
	}
	for i, text := range answers {
		var got heldKey
		if len(text) > 0 && len(text) <= maxCard && json.Unmarshal(text, &got) == nil && got.At.Equal(q.At) {
			held[others[i]] = got.Held
		}
	}
}

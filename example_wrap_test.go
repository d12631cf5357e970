package forebay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
)

// must makes the examples short.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A database query: the parameter's fields are the key.
func ExampleWrap_databaseQuery() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()

	type query struct {
		Org   string
		Limit int
	}
	db := func(_ context.Context, q query) ([]string, error) { // SELECT name FROM partners WHERE org = $1 LIMIT $2
		fmt.Println("asking the database")
		return []string{"North Works", "Blue Media"}[:q.Limit], nil
	}
	partners := must(forebay.Wrap(cache, "partners", db))
	fmt.Println(partners.Get(ctx, query{Org: "acme", Limit: 1}))
	fmt.Println(partners.Get(ctx, query{Org: "acme", Limit: 1}))
	// Output:
	// asking the database
	// [North Works] <nil>
	// [North Works] <nil>
}

// A partner's API that is slow, and not always there.
func ExampleWrap_partnerAPI() {
	ctx := context.Background()
	partner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"rate": 1.25}`) }))
	cache := must(forebay.Open(ctx, forebay.Options{Classes: []forebay.Class{
		{Name: "rates", TTL: 20 * time.Millisecond, StaleIfError: 24 * time.Hour, LoadTimeout: 5 * time.Second, MaxLoads: 8, RefreshAhead: -1},
	}}))
	defer cache.Close()

	rates := must(forebay.Wrap(cache, "rates", func(ctx context.Context, currency string) (float64, error) {
		req := must(http.NewRequestWithContext(ctx, http.MethodGet, partner.URL+"/"+currency, nil))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		var answer struct{ Rate float64 }
		return answer.Rate, json.NewDecoder(res.Body).Decode(&answer)
	}))
	rates.Get(ctx, "eur")
	partner.Close()
	time.Sleep(30 * time.Millisecond) // its time is up
	r := rates.Do(ctx, "eur")
	fmt.Println(r.Err, r.Status, r.Reason)
	// Output: <nil> stale load-failed
}

// A model's answers: what is asked in the same words is asked once, and statistics say what that saved.
func ExampleWrap_modelAnswers() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{Classes: []forebay.Class{
		{Name: "answers", TTL: 24 * time.Hour, LoadTimeout: 2 * time.Minute, MaxLoads: 4, Cost: 0.002}, // dollars a call
	}}))
	defer cache.Close()

	type question struct {
		Model, Prompt string
		Temperature   float64
		TraceID       string `forebay:"-"` // shapes no answer
	}
	ask := must(forebay.Wrap(cache, "answers", func(_ context.Context, q question) (string, error) { return "42", nil }))
	for i := range 3 {
		ask.Get(ctx, question{Model: "small", Prompt: "How many?", TraceID: fmt.Sprint(i)})
	}
	saved, _ := cache.Stats().Classes[0].SavedCost()
	fmt.Printf("$%.3f saved\n", saved)
	// Output: $0.004 saved
}

type userKey struct{}

// Data of one caller: the key holds who that is, and nobody else is ever answered from it.
func ExampleWrap_perUserData() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{
		Classes: []forebay.Class{{Name: "settings", Private: true}},
		Caller:  func(ctx context.Context) string { user, _ := ctx.Value(userKey{}).(string); return user },
	}))
	defer cache.Close()
	theme := must(forebay.Wrap(cache, "settings/theme", func(ctx context.Context, _ struct{}) (string, error) {
		return "the theme of " + ctx.Value(userKey{}).(string), nil
	}))
	for _, user := range []string{"anna", "ben", "anna"} {
		r := theme.Do(context.WithValue(ctx, userKey{}, user), struct{}{})
		fmt.Println(r.Value, r.Status)
	}
	// Output:
	// the theme of anna miss
	// the theme of ben miss
	// the theme of anna hit
}

// A list and its items: the list has the tags of all that is on it, so a change of one removes both.
func ExampleWrap_listsAndItems() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()

	type item struct{ ID, Name string }
	names := map[string]string{"1": "one", "2": "two"}
	items := must(forebay.Wrap(cache, "items", func(_ context.Context, id string) (item, error) { return item{id, names[id]}, nil },
		forebay.KeepBy(func(_ context.Context, id string, _ item) forebay.Keep {
			return forebay.Keep{Tags: []string{"item:" + id}}
		})))
	list := must(forebay.Wrap(cache, "items/list", func(context.Context, struct{}) ([]item, error) {
		return []item{{"1", names["1"]}, {"2", names["2"]}}, nil
	}, forebay.KeepBy(func(_ context.Context, _ struct{}, all []item) forebay.Keep {
		keep := forebay.Keep{Tags: []string{"list"}} // of all that may come on it
		for _, one := range all {
			keep.Tags = append(keep.Tags, "item:"+one.ID)
		}
		return keep
	})))
	items.Get(ctx, "1")
	list.Get(ctx, struct{}{})

	names["1"] = "uno"
	cache.Invalidate(ctx, forebay.Tag("item:1"))
	fmt.Println(items.Get(ctx, "1"))
	fmt.Println(list.Get(ctx, struct{}{}))
	// Output:
	// {1 uno} <nil>
	// [{1 uno} {2 two}] <nil>
}

// A function without a parameter has one that is empty.
func ExampleWrap_noParameter() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	count := func(context.Context) (int, error) { return 7, nil }

	users := must(forebay.Wrap(cache, "users/count", func(ctx context.Context, _ struct{}) (int, error) { return count(ctx) }))
	fmt.Println(users.Get(ctx, struct{}{}))
	// Output: 7 <nil>
}

// Two parameters are the fields of one.
func ExampleWrap_twoParameters() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	distance := func(_ context.Context, from, to string) (int, error) { return len(from) + len(to), nil }

	type way struct{ From, To string }
	distances := must(forebay.Wrap(cache, "distances", func(ctx context.Context, w way) (int, error) { return distance(ctx, w.From, w.To) }))
	fmt.Println(distances.Get(ctx, way{"Graz", "Linz"}))
	// Output: 8 <nil>
}

type store struct{ greeting string }

func (s *store) Greet(_ context.Context, name string) (string, error) {
	return s.greeting + ", " + name, nil
}

// A method is a function like others, and so is what Get returns: it takes the method's place wherever that was called.
func ExampleWrap_method() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	s := &store{"Hello"}

	var greet func(context.Context, string) (string, error) = s.Greet
	greet = must(forebay.Wrap(cache, "greetings", s.Greet)).Get
	fmt.Println(greet(ctx, "Anna"))
	// Output: Hello, Anna <nil>
}

// Several results are the fields of one.
func ExampleWrap_severalResults() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	page := func(_ context.Context, after string) (names []string, next string, err error) {
		return []string{"a", "b"}, "b", nil
	}

	type result struct {
		Names []string
		Next  string
	}
	pages := must(forebay.Wrap(cache, "pages", func(ctx context.Context, after string) (r result, err error) {
		r.Names, r.Next, err = page(ctx, after)
		return r, err
	}))
	fmt.Println(pages.Get(ctx, ""))
	// Output: {[a b] b} <nil>
}

// A type of another module, or one that no key can be made of: KeyBy says what of it counts.
func ExampleKeyBy() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	render := func(_ context.Context, r *http.Request) (string, error) { return "the page " + r.URL.Path, nil }

	pages := must(forebay.Wrap(cache, "pages", render, forebay.KeyBy[*http.Request, string](func(r *http.Request) string { return r.URL.Path })))
	fmt.Println(pages.Do(ctx, httptest.NewRequest("GET", "/a?utm_source=mail", nil)).Status)
	fmt.Println(pages.Do(ctx, httptest.NewRequest("GET", "/a", nil)).Status)
	// Output:
	// miss
	// hit
}

type animal interface{ Sound() string }

type dog struct{ Name string }

func (d dog) Sound() string { return d.Name + " barks" }

// Values that no codec reads back, such as interfaces and messages of protobuf, are written by functions of yours. With protobuf
// they are proto.Marshal and proto.Unmarshal.
func ExampleEncodeBy() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	encode := func(a animal) ([]byte, error) { return json.Marshal(a.(dog)) }
	decode := func(b []byte) (animal, error) {
		var d dog
		err := json.Unmarshal(b, &d)
		return d, err
	}

	animals := must(forebay.Wrap(cache, "animals", func(_ context.Context, name string) (animal, error) { return dog{name}, nil },
		forebay.EncodeBy[string](encode, decode)))
	fmt.Println(must(animals.Get(ctx, "Rex")).Sound())
	// Output: Rex barks
}

// What is missing of a list is loaded by one call.
func ExampleBatchBy() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	users := must(forebay.Wrap(cache, "users", func(_ context.Context, id int) (string, error) { return fmt.Sprint("user ", id), nil },
		forebay.BatchBy(func(_ context.Context, ids []int) ([]forebay.Result[string], error) { // SELECT … WHERE id = ANY($1)
			fmt.Println("loading", ids)
			out := make([]forebay.Result[string], len(ids))
			for i, id := range ids {
				out[i].Value = fmt.Sprint("user ", id)
			}
			return out, nil
		})))
	users.Get(ctx, 2)
	results := must(users.GetMany(ctx, []int{1, 2, 3}))
	fmt.Println(results[1].Status, results[2].Value)
	// Output:
	// loading [1 3]
	// hit user 3
}

// Callers that change what they get have a copy each.
func ExampleCloneBy() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	tags := must(forebay.Wrap(cache, "tags", func(context.Context, int) ([]string, error) { return []string{"a", "b"}, nil },
		forebay.CloneBy[int](slices.Clone[[]string])))
	mine := must(tags.Get(ctx, 1))
	mine[0] = strings.ToUpper(mine[0])
	fmt.Println(mine, must(tags.Get(ctx, 1)))
	// Output: [A b] [a b]
}

// Where the size of a value is known, measuring it is spared.
func ExampleSizeBy() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	images := must(forebay.Wrap(cache, "images", func(context.Context, string) ([]byte, error) { return make([]byte, 1<<20), nil },
		forebay.SizeBy[string](func(b []byte) int { return len(b) })))
	images.Get(ctx, "logo")
	entry, _ := cache.Entry(images.Key("logo"))
	fmt.Println(entry.Bytes>>20, "MiB")
	// Output: 1 MiB
}

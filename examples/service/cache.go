package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
)

// A Cached is what the service reads, each with a cache in front of it.
type Cached struct {
	cache  *forebay.Cache
	User   *forebay.Func[int64, User]
	Team   *forebay.Func[string, []User]
	Search *forebay.Func[string, []User]
	Theme  *forebay.Func[struct{}, string] // of the caller
	Rate   *forebay.Func[string, float64]
}

// options are those of the service's cache; what depends on the process is added by main and by the tests.
func options() forebay.Options {
	return forebay.Options{
		Classes: []forebay.Class{
			{Name: "users", TTL: 10 * time.Minute},
			{Name: "settings", TTL: time.Hour, Private: true},
			{Name: "rates", TTL: time.Minute, Stale: time.Minute, StaleIfError: 24 * time.Hour, LoadTimeout: 5 * time.Second},
		},
		IsNotFound: func(err error) bool { return errors.Is(err, sql.ErrNoRows) },
		Caller:     caller,
	}
}

func newCached(c *forebay.Cache, s *Store, partner *Partner) (*Cached, error) {
	k := &Cached{cache: c}
	var errs [5]error
	k.User, errs[0] = forebay.Wrap(c, "users/by-id", s.User, forebay.KeepBy(func(_ context.Context, id int64, _ User) forebay.Keep {
		return forebay.Keep{Tags: []string{userTag(id)}}
	}))
	k.Team, errs[1] = forebay.Wrap(c, "users/team", s.Team, forebay.KeepBy(tagsOfList[string]))
	k.Search, errs[2] = forebay.Wrap(c, "users/search", s.Search, forebay.KeepBy(func(ctx context.Context, text string, list []User) forebay.Keep {
		keep := tagsOfList(ctx, text, list)
		keep.TTL = time.Minute // a new user may match: nothing says so
		return keep
	}), forebay.KeyBy[string, []User](strings.ToLower))
	k.Theme, errs[3] = forebay.Wrap(c, "settings/theme", func(ctx context.Context, _ struct{}) (string, error) { return s.Theme(ctx, userOf(ctx)) })
	k.Rate, errs[4] = forebay.Wrap(c, "rates/to", partner.Rate)
	return k, errors.Join(errs[:]...)
}

func userTag(id int64) string { return fmt.Sprint("user:", id) }

// tagsOfList names everybody on a list, so that a change of one removes it.
func tagsOfList[P any](_ context.Context, _ P, list []User) forebay.Keep {
	var keep forebay.Keep
	for _, u := range list {
		keep.Tags = append(keep.Tags, userTag(u.ID))
	}
	return keep
}

// SetTheme writes through: the next read finds what was written.
func (k *Cached) SetTheme(ctx context.Context, s *Store, theme string) error {
	if err := s.SetTheme(ctx, userOf(ctx), theme); err != nil {
		return err
	}
	_, err := k.Theme.Put(ctx, struct{}{}, theme)
	return err
}

type userKey struct{}

// userOf is who is asking; 0: nobody is known.
func userOf(ctx context.Context) int64 {
	id, _ := ctx.Value(userKey{}).(int64)
	return id
}

func caller(ctx context.Context) string {
	if id := userOf(ctx); id != 0 {
		return fmt.Sprint(id)
	}
	return ""
}

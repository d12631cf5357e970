package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/forebay-cache/forebay"
	"github.com/go-chi/chi/v5"
)

// routes are the service's.
func routes(k *Cached, s *Store) http.Handler {
	r := chi.NewRouter()
	r.Use(authenticate)
	r.Get("/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
		if err != nil {
			http.Error(w, "a user is a number", http.StatusBadRequest)
			return
		}
		reply(w, k.User.Do(r.Context(), id))
	})
	r.Get("/teams/{name}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, k.Team.Do(r.Context(), chi.URLParam(r, "name")))
	})
	r.Get("/search", func(w http.ResponseWriter, r *http.Request) {
		reply(w, k.Search.Do(r.Context(), r.URL.Query().Get("q")))
	})
	r.Get("/rates/{currency}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, k.Rate.Do(r.Context(), chi.URLParam(r, "currency")))
	})
	r.Get("/me/theme", func(w http.ResponseWriter, r *http.Request) { reply(w, k.Theme.Do(r.Context(), struct{}{})) })
	r.Put("/me/theme", func(w http.ResponseWriter, r *http.Request) {
		done(w, k.SetTheme(r.Context(), s, r.FormValue("theme")))
	})
	r.Put("/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
		if err == nil {
			err = s.Rename(r.Context(), id, r.FormValue("name"))
		}
		if err == nil {
			err = drain(r.Context(), s, k.cache) // now, not in a second: whoever wrote reads what was written
		}
		done(w, err)
	})
	return r
}

// authenticate stands for a real one.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, err := strconv.ParseInt(r.Header.Get("X-User"), 10, 64); err == nil {
			r = r.WithContext(context.WithValue(r.Context(), userKey{}, id))
		}
		next.ServeHTTP(w, r)
	})
}

// reply sends an answer, and how it came about.
func reply[V any](w http.ResponseWriter, r forebay.Result[V]) {
	w.Header().Set("X-Cache", r.Status.String())
	var busy *forebay.BusyError
	switch {
	case errors.Is(r.Err, forebay.ErrNotFound):
		http.Error(w, "not found", http.StatusNotFound)
	case errors.As(r.Err, &busy):
		http.Error(w, "busy", http.StatusServiceUnavailable)
	case r.Err != nil:
		http.Error(w, "the service behind does not answer", http.StatusBadGateway)
	default:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(r.Value)
	}
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

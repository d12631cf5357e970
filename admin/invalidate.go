package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/forebay-cache/forebay"
)

// maxBody bounds the requests to the admin listener.
const maxBody = 64 << 10

type invalidation struct {
	Key     *string `json:"key"`
	Tag     *string `json:"tag"`
	Class   *string `json:"class"`
	Pattern *string `json:"pattern"`
	All     *bool   `json:"all"`
	Mode    string  `json:"mode"`
}

// target returns the one thing that the request names.
func (i invalidation) target() (forebay.Target, error) {
	var named []forebay.Target
	for _, n := range []struct {
		name   *string
		target func(string) forebay.Target
	}{{i.Key, forebay.Key}, {i.Tag, forebay.Tag}, {i.Class, forebay.InClass}, {i.Pattern, forebay.Pattern}} {
		if n.name != nil {
			named = append(named, n.target(*n.name))
		}
	}
	if i.All != nil && *i.All {
		named = append(named, forebay.Everything())
	}
	if len(named) != 1 {
		return forebay.Target{}, errors.New(`name exactly one of "key", "tag", "class", "pattern" and "all": true`)
	}
	return named[0], nil
}

func (a *Admin) invalidate(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is over %d bytes", maxBody))
		return
	}
	var req invalidation
	if err := json.Unmarshal(body, &req); err != nil {
		problem(w, http.StatusBadRequest, "the body is no JSON of the form {\"tag\": \"org:acme\"}: "+err.Error())
		return
	}
	target, err := req.target()
	if err != nil {
		problem(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	do := a.cache.Invalidate
	switch req.Mode {
	case "", "remove":
	case "expire":
		do = a.cache.Expire
	default:
		problem(w, http.StatusUnprocessableEntity, fmt.Sprintf("mode: %q is neither remove nor expire", req.Mode))
		return
	}
	receipt, err := do(r.Context(), target)
	if err != nil {
		problem(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	a.o.Logger.Info("invalidated", slog.String("target", target.String()), slog.String("mode", req.Mode),
		slog.String("id", receipt.ID.String()), slog.Bool("deferred", receipt.Deferred), slog.String("by", r.RemoteAddr))
	if receipt.Deferred {
		writeJSON(w, http.StatusAccepted, map[string]any{"deferred": true})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": receipt.ID.String()})
}

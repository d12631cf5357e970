package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/forebay-cache/forebay/shared"
	"github.com/fxamacker/cbor/v2"
)

// A Server answers a gateway's children. It is safe for concurrent use.
type Server struct {
	tier  shared.Tier
	token string
	hub   *hub
}

// NewServer returns a server of a tier's log, for children that show a token.
func NewServer(tier shared.Tier, token string) *Server {
	return &Server{tier, token, newHub(tier)}
}

// Close ends what the server does. It is safe to call twice.
func (s *Server) Close() error {
	s.hub.close()
	return nil
}

// ServeHTTP answers a child.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !Shows(r, s.token) {
		http.Error(w, "this gateway is the parent of others that share its FOREBAY_SECRET: yours is another", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "the relay is asked by POST", http.StatusMethodNotAllowed)
		return
	}
	var q question
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuestion))
	if err == nil {
		err = decoding.Unmarshal(text, &q)
	}
	if err != nil {
		http.Error(w, "the question cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	if q.Version != Version {
		http.Error(w, fmt.Sprintf("this gateway speaks version %d of the relay, and yours version %d: run builds that speak the same", Version, q.Version), http.StatusConflict)
		return
	}
	a, err := s.answer(r.Context(), q)
	if err != nil {
		a = answer{Error: err.Error(), Away: errors.Is(err, shared.ErrAway)}
	}
	a.Clock = s.tier.Clock()
	if text, err = cbor.Marshal(a); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Write(text) // the child may be gone, and there is nobody else to tell
}

func (s *Server) answer(ctx context.Context, q question) (a answer, err error) {
	switch q.Op {
	case opRead:
		a.Reading, err = s.hub.read(ctx, q.Head)
	case opAppend:
		a.Reading, err = s.tier.Append(ctx, q.Head.ID, q.Records)
	case opRejoin:
		a.Reading, err = s.tier.Rejoin(ctx, q.Head, q.Left)
	case opFollow:
		ctx, cancel := context.WithTimeout(ctx, followFor)
		defer cancel()
		s.hub.follow(ctx, q.Head)
	default:
		err = fmt.Errorf("the relay does not know %q", q.Op)
	}
	return a, err
}

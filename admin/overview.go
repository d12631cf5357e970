package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Overview is what a page needs first.
type Overview struct {
	Time   time.Time `json:"time"`
	Health Health    `json:"health"`
	Stats  Stats     `json:"stats"`
	May    May       `json:"may"`
}

// May is what this caller may do here.
type May struct {
	Operate  bool   `json:"operate" doc:"See keys and recent requests"`
	Change   bool   `json:"change" doc:"Invalidate, drill"`
	Why      string `json:"why,omitempty" doc:"Why not, and what would help"`
	SignIn   bool   `json:"sign_in" doc:"The token would"`
	Explain  bool   `json:"explain" doc:"A request can be explained here"`
	Drills   bool   `json:"drills" doc:"Drills are enabled on this node"`
	Platform bool   `json:"platform" doc:"The reference platform is behind this listener"`
}

// overviewRequest keeps the request, for what depends on the caller.
type overviewRequest struct{ r *http.Request }

// Resolve implements huma's resolver.
func (o *overviewRequest) Resolve(ctx huma.Context) []error {
	o.r, _ = humago.Unwrap(ctx)
	return nil
}

// overview answers for a listener that has every operation, or only those that read.
func (a *Admin) overview(all bool) func(context.Context, *overviewRequest) (*answer[Overview], error) {
	return func(ctx context.Context, in *overviewRequest) (*answer[Overview], error) {
		s := a.cache.Stats()
		o := Overview{Time: time.Now().UTC(), Health: a.healthOf(ctx, s), Stats: a.statsOf(s), May: May{Explain: a.o.Explain != nil, Drills: a.o.Drills != nil, Platform: a.o.Platform}}
		switch who, no := a.may(in.r); {
		case !all && a.o.Address != "":
			o.May.Why = "this listener only reads; operate on the admin listener: " + a.o.Address
		case !all:
			o.May.Why = "this listener only reads; operate on the admin listener (--admin)"
		case no != nil:
			o.May.Why, o.May.SignIn = no.detail, no.status == http.StatusUnauthorized
		default:
			o.May.Operate, o.May.Change = true, who.operate
			if !who.operate {
				o.May.Why = "the token of " + who.name + " reads, and changes nothing"
			}
		}
		return &answer[Overview]{o}, nil
	}
}

package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/forebay-cache/forebay/audit"
	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/shared"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A CDN is what stands above the cache, and how far invalidations have come there.
type CDN struct {
	Vendor string `json:"vendor,omitempty" doc:"Empty: nothing is purged"`
	edge.Status
}

// maxReceiptWait bounds how long a question for a receipt waits.
const maxReceiptWait = 30 * time.Second

type receiptQuestion struct {
	ID   string `path:"id" doc:"Place in the log, as the receipt of the invalidation has it: 1732300000000-0"`
	Wait string `query:"wait" doc:"How long to wait until nothing is missing: a duration up to 30s; default: not"`
}

// A Retried says what was retried.
type Retried struct {
	Tags int `json:"tags" doc:"Of the dead letters, that are purged again"`
}

func (a *Admin) registerEdge(api huma.API, guarded func(id, method, path, summary string) huma.Operation) {
	receipt := guarded("receipt", http.MethodGet, "/api/receipts/{id}", "What became of an invalidation: the nodes that have applied it, the purge of the CDN above, and what a probe through it has seen")
	receipt.Errors = append(receipt.Errors, http.StatusNotFound, http.StatusServiceUnavailable)
	huma.Register(api, receipt, a.receipt)
	status := guarded("edge", http.MethodGet, "/api/edge", "The CDN above: how far it is purged, the latest purges, and those that it has refused")
	status.Errors = append(status.Errors, http.StatusServiceUnavailable)
	huma.Register(api, status, a.edgeStatus)
	found := guarded("audit", http.MethodGet, "/api/audit", "What an audit has found: whether caches served what was removed, by tier and by time after the invalidation")
	found.Errors = append(found.Errors, http.StatusServiceUnavailable)
	huma.Register(api, found, a.readAudit)
	retry := guarded("retry-purges", http.MethodPost, "/api/edge/retry", "Purge again what the CDN has refused")
	retry.Metadata = map[string]any{changing: true}
	retry.Errors = append(retry.Errors, http.StatusNotFound, http.StatusServiceUnavailable)
	huma.Register(api, retry, a.retryPurges)
}

var errNoEdge = huma.Error404NotFound("nothing here follows invalidations beyond this node")

func (a *Admin) receipt(ctx context.Context, in *receiptQuestion) (*answer[edge.Delivery], error) {
	if a.o.Edge == nil {
		return nil, errNoEdge
	}
	id, err := shared.ParseID(in.ID)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	wait := time.Duration(0)
	if in.Wait != "" {
		if wait, err = time.ParseDuration(in.Wait); err != nil || wait < 0 || wait > maxReceiptWait {
			return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("wait: %q is not a duration up to %s", in.Wait, maxReceiptWait))
		}
	}
	end := time.Now().Add(wait)
	for {
		r, err := a.o.Edge.Receipt(ctx, id)
		if err != nil {
			return nil, huma.Error503ServiceUnavailable(err.Error())
		}
		if r.Complete() || !time.Now().Before(end) {
			return &answer[edge.Delivery]{r}, nil
		}
		select {
		case <-time.After(receiptLook):
		case <-ctx.Done():
			return nil, huma.Error503ServiceUnavailable("the client left")
		case <-a.stopped:
			end = time.Now()
		}
	}
}

// receiptLook is how often a question that waits looks.
const receiptLook = 50 * time.Millisecond

func (a *Admin) edgeStatus(ctx context.Context, _ *struct{}) (*answer[CDN], error) {
	if a.o.Edge == nil {
		return &answer[CDN]{CDN{Status: edge.Status{Turns: []edge.Turn{}, Dead: []edge.Dead{}}}}, nil
	}
	s, err := a.o.Edge.Status(ctx)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return &answer[CDN]{CDN{a.o.Edge.Vendor(), s}}, nil
}

func (a *Admin) retryPurges(ctx context.Context, _ *struct{}) (*answer[Retried], error) {
	if a.o.Edge == nil {
		return nil, errNoEdge
	}
	n, err := a.o.Edge.Retry(ctx)
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	a.audit(ctx, Item{Text: fmt.Sprintf("purges that the CDN had refused are made again: %d tags", n)})
	return &answer[Retried]{Retried{n}}, nil
}

// An Audit is what the last one has found.
type Audit struct {
	Running bool            `json:"running" doc:"Its last word is less than a minute old"`
	Found   *audit.Findings `json:"found,omitempty" doc:"Missing: there was none"`
}

func (a *Admin) readAudit(ctx context.Context, _ *struct{}) (*answer[Audit], error) {
	r, found, err := audit.Read(ctx, a.cache)
	switch {
	case err != nil:
		return nil, huma.Error503ServiceUnavailable(err.Error())
	case !found:
		return &answer[Audit]{}, nil
	}
	return &answer[Audit]{Audit{time.Since(r.At) < auditFor, &r}}, nil
}

// auditFor is how old the last word of an audit that runs may be.
const auditFor = time.Minute

// collectAudit sends what the last report says.
func (a *Admin) collectAudit(to figures) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, found, err := audit.Read(ctx, a.cache)
	if err != nil || !found || time.Since(r.At) > auditFor {
		return
	}
	for _, n := range r.Counts {
		to.count(auditChecksDesc, float64(n.Checked), n.Tier, n.After)
		to.count(auditViolationsDesc, float64(n.Violations), n.Tier, n.After)
	}
}

type receiptIn struct {
	ID   string `json:"id" jsonschema:"place in the log, as invalidate has returned it: 1732300000000-0"`
	Wait string `json:"wait,omitempty" jsonschema:"how long to wait until nothing is missing, such as 10s; at most 30s; default: not"`
}

// addReceiptTool adds what tells how far an invalidation has come.
func (a *Admin) addReceiptTool(s *mcp.Server) {
	if a.o.Edge == nil {
		return
	}
	mcp.AddTool(s, &mcp.Tool{
		Name: "receipt", Annotations: readOnly("Receipt of an invalidation"),
		Description: "What became of an invalidation: the nodes that have applied it and when, the purge of the CDN above and its state, and whether a probe through the CDN has seen the new answer.",
	}, func(ctx context.Context, _ *mcp.CallToolRequest, in receiptIn) (*mcp.CallToolResult, edge.Delivery, error) {
		got, err := a.receipt(ctx, &receiptQuestion{in.ID, in.Wait})
		if err != nil {
			return nil, edge.Delivery{}, detail(err)
		}
		return nil, got.Body, nil
	})
}

// findEdge finds what is wrong above.
func (a *Admin) findEdge(find finder) {
	if a.o.Certificate != nil {
		if err := a.o.Certificate(); err != nil {
			find(Cause{Check: "certificate", Reason: err.Error(), Impact: "the one that is there is used until it ends; without one no client can connect by TLS",
				Do: "does port 443 of the name lead to the public listener? It is tried again by itself"})
		}
	}
	if a.o.Edge == nil {
		return
	}
	if why, is := a.o.Edge.Problem(); is {
		find(Cause{Check: "cdn", Reason: "the CDN above may serve what was invalidated: " + why, Impact: "the nodes have applied it, and nothing is lost: what waits is purged when the CDN takes it, what was refused when it is retried",
			Do: "look at its token, zone and rate; then retry what was refused: forebay edge --retry"})
	}
}

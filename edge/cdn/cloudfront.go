package cdn

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/forebay-cache/forebay/edge"
)

// A cloudFront invalidates by tag: https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html.
// The distribution has to name Cache-Tag in its CacheTagConfig.
type cloudFront struct {
	o      Options
	keys   aws.Credentials
	signer *v4.Signer
}

func newCloudFront(o Options) (edge.Purger, error) {
	parts := strings.SplitN(o.Token, ":", 3)
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return nil, errors.New("the token for CloudFront is the access key's ID, a colon and its secret: AKIA…:wJalr…")
	}
	c := cloudFront{o: o, keys: aws.Credentials{AccessKeyID: parts[0], SecretAccessKey: parts[1]}, signer: v4.NewSigner()}
	if len(parts) == 3 {
		c.keys.SessionToken = parts[2]
	}
	return c, nil
}

// Limits implements [edge.Purger]: 3,000 items may be in progress; each is billed beyond the first thousand of a month.
func (c cloudFront) Limits() edge.Limits {
	return edge.Limits{Tags: 500, PerMinute: c.o.perMinute(60)}
}

type invalidationBatch struct {
	XMLName   xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ InvalidationBatch"`
	Quantity  int      `xml:"Paths>Quantity"`
	Paths     []string `xml:"Paths>Items>Path"`
	Reference string   `xml:"CallerReference"`
}

type invalidation struct {
	ID     string `xml:"Id"`
	Status string `xml:"Status"`
}

// Purge implements [edge.Purger].
func (c cloudFront) Purge(ctx context.Context, tags []string, _ bool) (string, error) {
	paths := make([]string, len(tags))
	for i, tag := range tags {
		paths[i] = "#" + tag
	}
	body, err := xml.Marshal(invalidationBatch{Quantity: len(paths), Paths: paths, Reference: rand.Text()})
	if err != nil {
		return "", err
	}
	made, err := c.ask(ctx, http.MethodPost, "", append([]byte(xml.Header), body...))
	if err != nil {
		return "", err
	}
	if made.ID == "" {
		return "", errors.New("cloudfront: its answer names no invalidation")
	}
	return made.ID, nil
}

// Done implements [edge.Purger].
func (c cloudFront) Done(ctx context.Context, id string) (bool, error) {
	now, err := c.ask(ctx, http.MethodGet, "/"+id, nil)
	return now.Status == "Completed", err
}

// ask sends a signed request.
func (c cloudFront) ask(ctx context.Context, method, rest string, body []byte) (out invalidation, err error) {
	r, err := http.NewRequest(method, c.o.base("https://cloudfront.amazonaws.com")+"/2020-05-31/distribution/"+c.o.Zone+"/invalidation"+rest, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/xml")
	}
	sum := sha256.Sum256(body)
	if err := c.signer.SignHTTP(ctx, c.keys, r, hex.EncodeToString(sum[:]), "cloudfront", "us-east-1", time.Now()); err != nil {
		return out, fmt.Errorf("cloudfront: sign the request: %w", err)
	}
	answer, err := call(ctx, r)
	if err != nil {
		return out, busyIfThrottled(err)
	}
	if err := xml.Unmarshal(answer, &out); err != nil {
		return out, fmt.Errorf("cloudfront: its answer is not XML: %w", err)
	}
	return out, nil
}

// busyIfThrottled: CloudFront says 400 where too much is under way.
func busyIfThrottled(err error) error {
	var no *edge.RefusedError
	if errors.As(err, &no) && (strings.Contains(no.Reason, "TooManyInvalidationsInProgress") || strings.Contains(no.Reason, "Throttling")) {
		return &edge.BusyError{After: 10 * time.Second, Reason: no.Reason}
	}
	return err
}

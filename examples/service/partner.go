package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// A Partner is an API of somebody else: slow, and not always there.
type Partner struct{ URL string }

// Rate returns what a currency costs.
func (p *Partner) Rate(ctx context.Context, currency string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/rates/"+url.PathEscape(currency), nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the partner answers %s", res.Status)
	}
	var answer struct{ Rate float64 }
	return answer.Rate, json.NewDecoder(res.Body).Decode(&answer)
}

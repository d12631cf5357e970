package redis_test

import (
	"context"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
	"github.com/redis/rueidis"
)

// The options of a client of the user's are taken instead of a URL: its name and credentials are on the tier's connections.
func TestOptionsOfAClient(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "secret")
	tier, err := redis.Open(t.Context(), redis.Options{Client: &rueidis.ClientOption{
		InitAddress: []string{server.Addr()}, ClientName: "orders",
		AuthCredentialsFn: func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			return rueidis.AuthCredentials{Password: "secret"}, nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer tier.Close()
	if s := tier.State(); !s.Connected {
		t.Fatalf("not connected: %s", s.Problem)
	}
	if err := tier.Set(context.Background(), "k", []byte("v"), 0); err != nil {
		t.Error(err)
	}
	if v, err := tier.Get(context.Background(), "k"); string(v) != "v" || err != nil {
		t.Errorf("%q %v", v, err)
	}
}

func TestOptionsOfAClientThatCannotBe(t *testing.T) {
	for want, o := range map[string]redis.Options{
		"leave one of them out": {URL: "redis://127.0.0.1:1", Client: &rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}}},
		"InitAddress":           {Client: &rueidis.ClientOption{}},
		"the URL is not of the": {URL: "http://x"},
	} {
		if _, err := redis.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

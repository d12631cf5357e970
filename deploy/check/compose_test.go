package check

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// The file is what docker compose reads, and its services are those that the documentation names.
func TestCompose(t *testing.T) {
	o, err := cli.NewProjectOptions([]string{"../compose/compose.yaml"}, cli.WithName("forebay"), cli.WithEnv([]string{"FOREBAY_ADMIN_TOKEN=t", "FOREBAY_SECRET=s"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"platform", "gateway", "redis", "prometheus", "grafana"} {
		if _, err := p.GetService(name); err != nil {
			t.Error(err)
		}
	}
}

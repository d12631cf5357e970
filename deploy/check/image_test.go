// Package check holds the validators of the blueprints that need large libraries: a module of its own, for tests alone.
package check

import (
	"context"
	"os"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	digest "github.com/opencontainers/go-digest"
)

// images knows as much of base images as the linter asks for, without a registry.
type images struct{}

// ResolveImageConfig implements the resolver of BuildKit.
func (images) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := []byte(`{"architecture":"amd64","os":"linux","config":{}}`)
	return ref, digest.FromBytes(config), config, nil
}

// BuildKit's own linter, as in docker build --check.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	sources := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", text)
	sources.Definition = &llb.Definition{}
	found, err := dockerfile2llb.DockerfileLint(t.Context(), text, dockerfile2llb.ConvertOpt{SourceMap: sources, MetaResolver: images{}})
	if err != nil {
		t.Fatal(err)
	}
	if found.Error != nil {
		t.Errorf("%s", found.Error.Message)
	}
	for _, w := range found.Warnings {
		t.Errorf("%s: %s", w.RuleName, w.Detail)
	}
}

package check

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

var update = flag.Bool("update", false, "write deploy/k8s/forebay.yaml again")

const chartDir = "../helm/forebay"

func TestHelmLint(t *testing.T) {
	for _, m := range lint.AllWithKubeVersion(chartDir, nil, "default", nil).Messages {
		if m.Severity >= support.WarningSev {
			t.Errorf("%s", m)
		}
	}
}

// render is helm template with values of the caller's.
func render(t *testing.T, values map[string]any) string {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "forebay", Namespace: "forebay"}, chartutil.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(c, all)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); text != "" && !strings.HasSuffix(name, ".tpl") && !strings.HasSuffix(name, ".txt") {
			fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", name, text)
		}
	}
	return out.String()
}

// What the chart makes by its defaults is there for those who take manifests as they are.
func TestManifestsAreTheChart(t *testing.T) {
	const file = "../k8s/forebay.yaml"
	got := "# Made of deploy/helm/forebay by its defaults: kubectl apply -n forebay -f forebay.yaml\n" + render(t, nil)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s is out of date (%v): go test ./... -update", file, err)
	}
}

// Kubernetes' own types read each manifest, and know each field of it.
func TestManifestsAreStrict(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, autoscalingv2.AddToScheme, networkingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	everything := map[string]any{
		"redis": map[string]any{"existingSecret": "redis"}, "admin": map[string]any{"existingSecret": "admin"}, "autoscaling": map[string]any{"enabled": true},
		"networkPolicy": map[string]any{"enabled": true}, "serviceMonitor": map[string]any{"enabled": true}, "httpRoute": map[string]any{"enabled": true, "parents": []any{map[string]any{"name": "gateway"}}, "hostnames": []any{"api.example.com"}},
	}
	for name, values := range map[string]map[string]any{"defaults": nil, "everything": everything} {
		kinds := map[string]int{}
		for doc := range strings.SplitSeq(render(t, values), "---\n") {
			if strings.TrimSpace(doc) == "" || strings.Contains(doc, "monitoring.coreos.com/") || strings.Contains(doc, "gateway.networking.k8s.io/") {
				continue // types of others: looked at by their shape alone
			}
			object, kind, err := decoder.Decode([]byte(doc), nil, nil)
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, doc)
				continue
			}
			kinds[kind.Kind]++
			if d, ok := object.(*appsv1.Deployment); ok {
				checkDeployment(t, d)
			}
		}
		for _, want := range []string{"Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "ServiceAccount"} {
			if kinds[want] == 0 {
				t.Errorf("%s: no %s", name, want)
			}
		}
		if name == "everything" && (kinds["HorizontalPodAutoscaler"] == 0 || kinds["NetworkPolicy"] == 0) {
			t.Errorf("%v", kinds)
		}
	}
}

func checkDeployment(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	if c.LivenessProbe == nil || c.LivenessProbe.HTTPGet.Path != "/health/live" || c.ReadinessProbe == nil || c.StartupProbe == nil {
		t.Error("a probe is missing")
	}
	if s := c.SecurityContext; s == nil || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !*pod.SecurityContext.RunAsNonRoot {
		t.Error("the container may more than it needs")
	}
	if c.Resources.Limits.Memory().IsZero() || len(pod.TopologySpreadConstraints) == 0 {
		t.Error("no limit of memory, or no spread")
	}
}

package size

import (
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestWeights compares what entries weigh with what the heap holds for them, for the types that programs cache.
func TestWeights(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		ID   int64
		Name string
		At   time.Time
		Tags []string
	}
	type typed struct {
		Type reflect.Type
		N    int
	}
	rows := func(i int) (out []row) {
		for n := range 20 {
			out = append(out, row{int64(n), fmt.Sprint("partner ", i, n), time.Unix(int64(i), 0).In(berlin), []string{fmt.Sprint("tag", n)}})
		}
		return out
	}
	weighed(t, "list of structs with a zone", rows)
	weighed(t, "pointer to a time", func(i int) *time.Time { at := time.Unix(int64(i), 0).In(berlin); return &at })
	weighed(t, "list of times", func(i int) (out []time.Time) {
		for range 50 {
			out = append(out, time.Unix(int64(i), 0).In(berlin))
		}
		return out
	})
	weighed(t, "protobuf timestamp", func(i int) *timestamppb.Timestamp { return timestamppb.New(time.Unix(int64(i), 0)) })
	weighed(t, "protobuf struct", func(i int) *structpb.Struct {
		s, err := structpb.NewStruct(map[string]any{"name": fmt.Sprint("partner ", i), "n": float64(i), "list": []any{"a", "b"}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
	weighed(t, "addresses", func(i int) (out []netip.Addr) {
		for n := range 50 {
			out = append(out, netip.AddrFrom4([4]byte{10, 0, byte(n), byte(i)}), netip.MustParseAddr("fe80::1%eth0"))
		}
		return out
	})
	weighed(t, "reflect.Type", func(i int) (out []typed) {
		for range 20 {
			out = append(out, typed{reflect.TypeOf(berlin), i}, typed{reflect.TypeFor[row](), i})
		}
		return out
	})
	weighed(t, "URL", func(i int) *url.URL {
		return &url.URL{Scheme: "https", Host: fmt.Sprint("host", i), Path: strings.Repeat("/p", 20)}
	})
	weighed(t, "big number", func(i int) *big.Int { return new(big.Int).Lsh(big.NewInt(int64(i)+1), 2000) })
	weighed(t, "JSON", func(i int) map[string]any {
		return map[string]any{"id": float64(i), "items": []any{map[string]any{"a": fmt.Sprint(i)}, true, nil}}
	})
	weighed(t, "bytes", func(i int) []byte { return make([]byte, 3000+i%100) })
}

func weighed[V any](t *testing.T, name string, value func(int) V) {
	t.Run(name, func(t *testing.T) {
		const n = 2000
		before := heapNow()
		values := make([]V, n)
		for i := range values {
			values[i] = value(i)
		}
		heap := heapNow() - before
		weight := int64(0)
		for _, v := range values {
			weight += int64(Of(v))
		}
		ratio := float64(weight) / float64(heap)
		t.Logf("%d bytes weighed, %d on the heap: %.2f", weight/n, heap/n, ratio)
		if ratio < 0.8 || ratio > 1.25 {
			t.Errorf("weighs %.2f of what it takes", ratio)
		}
		runtime.KeepAlive(values)
	})
}

func heapNow() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

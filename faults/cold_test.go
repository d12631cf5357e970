package faults

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/demo"
	api "github.com/forebay-cache/forebay/demo/origin"
)

// callerVariable makes the test's program one caller, which asks once for the URL in it.
const callerVariable = "FOREBAY_FAULTS_CALLER"

var coldRuns = flag.Int("cold", 1, "runs of TestOneLoadOfAColdKey")

func beCaller(url string) error {
	client := http.Client{Timeout: patience}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return nil
}

// TestOneLoadOfAColdKey has 200 processes ask two nodes for a key that neither has, 50 at a time: some arrive
// while one node waits for the other's load, some when it has just ended. The origin is asked once.
func TestOneLoadOfAColdKey(t *testing.T) {
	const callers, atOnce = 200, 50
	took := 300 * time.Millisecond
	w := build(t, programs, demo.Options{OriginLatency: api.Latency{Min: took, Max: took}})
	until(t, "both are well", func() bool { return w.mode() == forebay.TwoTier })
	for run := range *coldRuns {
		before := w.loads()
		path := fmt.Sprintf("/api/templates?cleanroom_id=cr-%d", run+1)
		var arriving sync.WaitGroup
		places := make(chan struct{}, atOnce)
		for i := range callers {
			places <- struct{}{}
			arriving.Go(func() {
				defer func() { <-places }()
				url := w.nodes[i%len(w.nodes)].process.url.Load().String() + path
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), callerVariable+"="+url)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("a caller: %s: %s", err, out)
				}
			})
		}
		arriving.Wait()
		time.Sleep(2 * askEvery) // what a program says of itself may be as old
		if n := w.loads() - before; n != 1 {
			t.Errorf("run %d: %d loads", run, n)
		}
	}
}

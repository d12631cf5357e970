package deploy

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
)

// What the image holds, run as the image runs it: this very binary alone in its file system, which is read-only, in namespaces of its own,
// as its first process and as nobody, with few descriptors, the variables and the health check of the Dockerfile, ended by SIGTERM.
func TestTheImageRuns(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("only root may change the root of a process: run this test as root, or in CI")
	}
	root, err := os.MkdirTemp("", "forebay-image") // another user must be able to go there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -X main.release=v9.9.9", "-o", filepath.Join(root, "forebay"), "../cmd/forebay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	port, admin := redistest.FreePort(t), redistest.FreePort(t)
	script := "mount --make-rprivate / && mount --bind $0 $0 && mount -o remount,ro,bind $0 && ulimit -n 1024 && exec chroot --userspec=65532:65532 $0 /forebay \"$@\""
	run := func(args ...string) (*exec.Cmd, *lockedBuffer) {
		cmd, out := exec.Command("/bin/sh", append([]string{"-c", script, root}, args...)...), &lockedBuffer{}
		cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, "/"
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PORT=" + strconv.Itoa(port), "FOREBAY_ADMIN=127.0.0.1:" + strconv.Itoa(admin)}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS, Pdeathsig: syscall.SIGKILL}
		return cmd, out
	}
	server, said := run("demo")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill() })
	healthy := func() bool {
		check, _ := run("healthz", "http://127.0.0.1:"+strconv.Itoa(admin)+"/health/live")
		return check.Run() == nil
	}
	for end := time.Now().Add(20 * time.Second); !healthy(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is not live:\n%s", said)
		}
	}
	res, err := http.Get("http://127.0.0.1:" + strconv.Itoa(port) + "/api/partners?org_id=acme")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%v %v\n%s", res, err, said)
	}
	if err == nil {
		res.Body.Close()
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("SIGTERM: %v\n%s", err, said)
		}
	case <-time.After(40 * time.Second):
		t.Error("SIGTERM does not end it")
	}
	if healthy() {
		t.Error("what has ended is live")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

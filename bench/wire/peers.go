package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A bench has the servers, and where their files are.
type bench struct {
	ctx     context.Context
	dir     string
	rounds  int
	most    int // keys
	each    time.Duration
	root    string // of the unpacked packages
	origin  *server
	redis   *server
	running []*server
	folders []string // to remove
}

// A server is a process, with those that it has begun.
type server struct {
	name string
	addr string // host:port
	cmd  *exec.Cmd
}

// packages are Debian's, of which the files alone are taken: nothing of them is started by the system.
var packages = []string{"nginx", "haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1", "varnish", "libvarnishapi3", "h2o", "libh2o-evloop0.13", "wrk", "nghttp2-client", "libev4", "squid", "squid-common", "libecap3", "libnetfilter-conntrack3", "libnfnetlink0", "libltdl7", "libluajit-5.1-2"}

// marker is the file that says that these are unpacked.
var marker = fmt.Sprint("done-", len(packages))

//go:embed raw.c.txt
var rawSource []byte

// prepare builds what is built here, unpacks what is Debian's, and starts the origin.
func (b *bench) prepare() error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	b.root = filepath.Join(cache, "forebay-wire")
	if err := b.unpack(); err != nil {
		return err
	}
	raw := filepath.Join(b.dir, "raw.c")
	if err := os.WriteFile(raw, rawSource, 0o600); err != nil {
		return err
	}
	for _, build := range [][]string{{"gcc", "-O2", "-o", filepath.Join(b.dir, "raw"), raw}, {"go", "build", "-C", "..", "-o", filepath.Join(b.dir, "forebay"), "./cmd/forebay"}} {
		if out, err := exec.Command(build[0], build[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(build, " "), err, out)
		}
	}
	if b.origin, err = b.start("origin", func(addr string) (*exec.Cmd, error) { return b.role("origin", addr) }); err != nil {
		return err
	}
	b.redis, err = b.start("redis", func(addr string) (*exec.Cmd, error) {
		_, port, err := net.SplitHostPort(addr)
		return exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", b.dir), err
	})
	return err
}

func (b *bench) unpack() error {
	if _, err := os.Stat(filepath.Join(b.root, marker)); err == nil {
		return nil
	}
	if err := os.MkdirAll(b.root, 0o755); err != nil {
		return err
	}
	for _, p := range packages {
		get := exec.Command("apt-get", "download", "-qq", p)
		get.Dir = b.root
		if out, err := get.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get download %s: %w\n%s", p, err, out)
		}
	}
	debs, err := filepath.Glob(filepath.Join(b.root, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if out, err := exec.Command("dpkg", "-x", deb, b.root).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg -x %s: %w\n%s", deb, err, out)
		}
	}
	return os.WriteFile(filepath.Join(b.root, marker), nil, 0o600)
}

func (b *bench) role(role, addr string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, addrVariable+"="+addr, "GOMAXPROCS=1")
	if b.origin != nil && b.redis != nil {
		cmd.Env = append(cmd.Env, originVariable+"="+b.origin.addr, redisVariable+"="+b.redis.addr)
	}
	return cmd, nil
}

// unpacked is the command of a package.
func (b *bench) unpacked(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(b.root, path), args...)
	lib := filepath.Join(b.root, "usr/lib/x86_64-linux-gnu")
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+lib+":"+lib+"/varnish")
	return cmd
}

// start starts a server on the first core, and waits until it answers.
func (b *bench) start(name string, command func(addr string) (*exec.Cmd, error)) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()
	cmd, err := command(addr)
	if err != nil {
		return nil, err
	}
	core := "0"
	if name == "origin" || name == "redis" {
		core = "1"
	}
	cmd.Args = append([]string{"taskset", "-c", core, cmd.Path}, cmd.Args[1:]...)
	if cmd.Path, err = exec.LookPath("taskset"); err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(b.dir, strings.ReplaceAll(name, "/", "-")+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{name: name, addr: addr, cmd: cmd}
	b.running = append(b.running, s)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return s, nil
		}
	}
	said, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("%s does not listen: %s", name, said)
}

func (b *bench) stop(s *server) {
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	s.cmd.Wait()
}

func (b *bench) stopAll() {
	for _, s := range b.running {
		b.stop(s)
	}
	for _, dir := range b.folders {
		os.RemoveAll(dir)
	}
}

// processes are a server's, by its group.
func (s *server) processes() (out []int, err error) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		if fields := statOf(path); len(fields) > 2 && fields[2] == strconv.Itoa(s.cmd.Process.Pid) {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			out = append(out, pid)
		}
	}
	if len(out) == 0 {
		err = errors.Join(err, fmt.Errorf("%s has ended", s.name))
	}
	return out, err
}

// statOf are the fields of a process behind its name: state, parent, group, …
func statOf(path string) []string {
	text, _ := os.ReadFile(path) // it may have ended
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}

// cpu is what a server's processes have taken so far.
func (s *server) cpu() (time.Duration, error) {
	pids, err := s.processes()
	var ticks int
	for _, pid := range pids {
		fields := statOf(fmt.Sprintf("/proc/%d/stat", pid))
		if len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			ticks += user + system
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, err
}

// memory is what a server's processes hold, in bytes.
func (s *server) memory() (n int, err error) {
	pids, err := s.processes()
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if _, rest, ok := strings.Cut(string(text), "VmRSS:"); ok {
			kilobytes, _ := strconv.Atoi(strings.Fields(rest)[0])
			n += kilobytes << 10
		}
	}
	return n, err
}

// Package redistest starts real redis-server processes for tests, each on a free loopback port, and
// ends them by their pid.
package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Server is a redis-server process. It ends with its test.
type Server struct {
	Port int

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd

	command []string // instead of all arguments
	clock   string   // file that says how far its clock is off; "" has the machine's
	loads   bool     // it may be loading when it is started
}

// Start starts a server that keeps nothing on disk, with more arguments where they are given:
// "--appendonly", "yes".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{Port: FreePort(t), t: t, dir: t.TempDir(), args: args}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// URL is the server's address.
func (s *Server) URL() string { return fmt.Sprintf("redis://127.0.0.1:%d", s.Port) }

// Addr is the server's host and port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// Restart starts the process, on the same port and folder, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("redis-server is not installed: apt-get install redis-server")
	}
	args := append([]string{"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--daemonize", "no",
		"--logfile", "redis.log"}, s.args...)
	if s.command != nil {
		args = s.command
	}
	s.cmd = exec.Command(path, args...)
	s.cmd.Env = s.environment()
	// The server must not outlive a test process that is killed.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 500 {
		if s.ping() || s.loading() {
			return
		}
		pause := time.NewTimer(10 * time.Millisecond)
		<-pause.C
	}
	log, _ := os.ReadFile(s.dir + "/redis.log")
	s.t.Fatalf("redis-server does not answer on port %d:\n%s", s.Port, log)
}

// loading reports whether the server is there and says that it is loading its data.
func (s *Server) loading() bool { return s.loads && strings.HasPrefix(s.says(), "-LOADING") }

func (s *Server) ping() bool {
	line := s.says()
	return strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH") || strings.HasPrefix(line, "-MASTERDOWN")
}

// says is the answer to a PING.
func (s *Server) says() string {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(conn, "PING\r\n")
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line
}

// RestartLoading is Restart for a server that takes its time to load its data, for so long for each
// key: it returns when the server says so.
func (s *Server) RestartLoading(each time.Duration) {
	s.t.Helper()
	s.loads = true
	s.args = append(s.args, "--key-load-delay", strconv.Itoa(int(each.Microseconds())), "--loading-process-events-interval-bytes", "1024")
	s.Restart()
}

// BreakDisk takes the server's folder away: what it wants to save fails.
func (s *Server) BreakDisk() {
	s.t.Helper()
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Fatal(err)
	}
}

// Kill ends the process at once, and does nothing if it has ended.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGCONT)
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// Freeze stops the process without ending it; Thaw lets it go on.
func (s *Server) Freeze() { s.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (s *Server) Thaw() { s.cmd.Process.Signal(syscall.SIGCONT) }

// Do sends one command, given word by word, and returns the first line of the answer, or the bulk
// that follows it.
func (s *Server) Do(words ...string) string {
	s.t.Helper()
	return s.DoAs("", words...)
}

// DoAs is Do with a password; none if it is empty.
func (s *Server) DoAs(password string, words ...string) string {
	s.t.Helper()
	return ask(s.t, s.Addr(), password, words)
}

// Ask is Do for a server at an address.
func Ask(t testing.TB, addr string, words ...string) string {
	t.Helper()
	return ask(t, addr, "", words)
}

func ask(t testing.TB, addr, password string, words []string) string {
	t.Helper()
	said, err := try(addr, password, words)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// Try is Do for a server that may be about to close its connections.
func (s *Server) Try(words ...string) (string, error) { return try(s.Addr(), "", words) }

func try(addr, password string, words []string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(conn)
	if password != "" {
		fmt.Fprintf(conn, "AUTH %s\r\n", password)
		if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, "+OK") {
			return "", fmt.Errorf("AUTH: %s", line)
		}
	}
	fmt.Fprintf(conn, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(w), w)
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	n, err := strconv.Atoi(strings.TrimPrefix(line, "$"))
	if err != nil || line[0] != '$' || n < 0 {
		return line, nil
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// Sentinel starts a sentinel that alone decides about the server, and knows it by a name; more lines may
// be given for its configuration. It returns the sentinel's host and port.
func (s *Server) Sentinel(name string, more ...string) string {
	s.t.Helper()
	watcher := &Server{Port: FreePort(s.t), t: s.t, dir: s.t.TempDir()}
	config := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nlogfile redis.log\nsentinel monitor %s 127.0.0.1 %d 1\nsentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 2000\n",
		watcher.Port, watcher.dir, name, s.Port, name, name) + strings.Join(more, "\n") + "\n"
	file := watcher.dir + "/sentinel.conf"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	watcher.command = []string{file, "--sentinel"}
	watcher.Restart()
	s.t.Cleanup(watcher.Kill)
	return watcher.Addr()
}

// Slots is how many slots a cluster has.
const Slots = 16384

// SlotOf asks a server of a cluster for the slot of a key.
func SlotOf(s *Server, key string) int {
	s.t.Helper()
	slot, err := strconv.Atoi(strings.TrimPrefix(s.Do("CLUSTER", "KEYSLOT", key), ":"))
	if err != nil {
		s.t.Fatal(err)
	}
	return slot
}

// Cluster starts a cluster of masters, each with a replica, and waits until it is ready. The servers are
// the masters, then their replicas; each has the more arguments of its own, if any are given.
func Cluster(t testing.TB, masters int, more ...[]string) []*Server {
	t.Helper()
	var all []*Server
	for i := range 2 * masters {
		args := []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2500", "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"}
		if i < len(more) {
			args = append(args, more[i]...)
		}
		all = append(all, Start(t, args...))
	}
	for i, s := range all {
		if i > 0 {
			s.Do("CLUSTER", "MEET", "127.0.0.1", all[0].clusterPort())
		}
		if i < masters {
			s.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*Slots/masters), strconv.Itoa((i+1)*Slots/masters-1))
		}
	}
	for i, s := range all[masters:] {
		id := all[i].Do("CLUSTER", "MYID")
		waitUntil(t, "a replica has its master", func() bool { return s.Do("CLUSTER", "REPLICATE", id) == "+OK" })
	}
	for i, s := range all {
		waitUntil(t, "the cluster is ready", func() bool {
			return strings.Contains(s.Do("CLUSTER", "INFO"), "cluster_state:ok") &&
				(i < masters || strings.Contains(s.Do("INFO", "replication"), "master_link_status:up"))
		})
	}
	return all
}

// clusterPort is the port that other servers of a cluster know this one by: that of TLS, where it has one.
func (s *Server) clusterPort() string {
	if i := slices.Index(s.args, "--tls-port"); i >= 0 {
		return s.args[i+1]
	}
	return strconv.Itoa(s.Port)
}

func waitUntil(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		pause := time.NewTimer(10 * time.Millisecond)
		<-pause.C
	}
	t.Fatalf("not within 20 s: %s", what)
}

// Package postgrestest starts a real Postgres for tests, on a free loopback port, and ends it by its pid.
package postgrestest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/forebay-cache/forebay/internal/redistest"
)

// root is where the programs of Debian's package are unpacked: see internal/install.sh.
const root = "/usr/local/lib/postgres-for-tests"

// nobody runs the server where the test is root, as whom it refuses to.
const nobody = 65534

// A Server is a Postgres process. It ends with its test.
type Server struct {
	t    testing.TB
	port int
	n    int
}

// Start makes an empty server and starts it. It keeps nothing safe from a crash of the machine, and is quick for it.
func Start(t testing.TB) *Server {
	t.Helper()
	found, _ := filepath.Glob(root + "/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("Postgres is not there: sh internal/install.sh unpacks it")
	}
	bin := filepath.Dir(found[0])
	dir, err := os.MkdirTemp("", "forebay-postgres") // not the test's: nobody must be able to go there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{t: t, port: redistest.FreePort(t)}
	data := filepath.Join(dir, "data")
	if out, err := command(filepath.Join(bin, "initdb"), "-D", data, "-U", "forebay", "-A", "trust", "--no-sync", "-N").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := command(filepath.Join(bin, "postgres"), "-D", data, "-p", fmt.Sprint(s.port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=100")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	server.SysProcAttr.Pdeathsig = syscall.SIGQUIT // it must not outlive a test process that is killed
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGQUIT)
		server.Wait()
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := s.exec("SELECT 1")
		if err == nil {
			return s
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("Postgres does not answer: %v\n%s", err, said)
		}
	}
}

// command is one of the server's programs, run as nobody where the test is root.
func command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	libs, _ := filepath.Glob(root + "/usr/lib/*-linux-gnu")
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	if len(libs) > 0 {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+libs[0])
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: false}
	}
	return cmd
}

func (s *Server) url(name string) string {
	return fmt.Sprintf("postgres://forebay@127.0.0.1:%d/%s?sslmode=disable", s.port, name)
}

func (s *Server) exec(statement string) error {
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// Database makes an empty database, and returns its URL.
func (s *Server) Database() string {
	s.t.Helper()
	s.n++
	name := fmt.Sprint("test", s.n)
	if err := s.exec("CREATE DATABASE " + name); err != nil {
		s.t.Fatal(err)
	}
	return s.url(name)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process hands its listeners over to its successor, which the same command starts, so that no connection is lost: the
// kernel has one queue, and both hold it.
//
//  1. SIGUSR2 comes. The process starts its program again, with its listeners and a pipe.
//  2. The successor serves, and says so on the pipe. If it ends or is silent for too long, nothing has changed.
//  3. The process accepts no more, tells its clients with each answer that their connections end, and stops.
const (
	handoverNames = "FOREBAY_LISTENERS" // of the listeners from the third descriptor on, and "ready"
	firstInherit  = 3
	readyWithin   = time.Minute
	// farewell is how long connections that are idle may still be used: their next answer closes them.
	farewell = 2 * time.Second
)

// inherited are the listeners that this process was started with: by the one before it, or by systemd (sd_listen_fds(3)).
type inherited struct {
	by    map[string]net.Listener
	ready *os.File // where to say that they are served; nil: nobody waits for it
}

func inherit() (*inherited, error) {
	var names []string
	switch {
	case os.Getenv(handoverNames) != "":
		names = strings.Split(os.Getenv(handoverNames), ",")
	case os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()):
		names = ofSystemd(os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"))
	}
	for _, name := range []string{handoverNames, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	out := &inherited{by: map[string]net.Listener{}}
	for i, name := range names {
		syscall.CloseOnExec(firstInherit + i)
		f := os.NewFile(uintptr(firstInherit+i), name)
		if name == "ready" {
			out.ready = f
			continue
		}
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("the listener %s that this process was started with: %w", name, err)
		}
		out.by[name] = l
	}
	return out, nil
}

// ofSystemd are the names of the sockets of a unit: the first is the public one, the second the operators'.
func ofSystemd(count, given string) (names []string) {
	n, _ := strconv.Atoi(count)
	called := strings.Split(given, ":")
	for i := range min(n, 2) {
		name := []string{"public", "admin"}[i]
		if len(called) == n && slices.Contains([]string{"public", "admin"}, called[i]) {
			name = called[i]
		}
		names = append(names, name)
	}
	return names
}

// served says that the listeners are.
func (i *inherited) served() {
	if i != nil && i.ready != nil {
		i.ready.Write([]byte{1}) // who does not read it has gone
		i.ready.Close()
	}
}

// succeed starts the successor, and returns when it serves.
func succeed(ctx context.Context, listeners map[string]net.Listener) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	defer write.Close()
	if os.Getpid() == 1 { // a container ends with its first process
		return errors.New("this is the first process of its container: start another container instead")
	}
	path, err := os.Executable()
	if err != nil {
		return err
	}
	next := exec.Command(path, os.Args[1:]...)
	next.Stdin, next.Stdout, next.Stderr = os.Stdin, os.Stdout, os.Stderr
	var names []string
	for name, l := range listeners {
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return fmt.Errorf("the listener %s is not one of TCP", name)
		}
		f, err := tcp.File()
		if err != nil {
			return err
		}
		defer f.Close()
		names, next.ExtraFiles = append(names, name), append(next.ExtraFiles, f)
	}
	next.ExtraFiles = append(next.ExtraFiles, write)
	next.Env = append(os.Environ(), handoverNames+"="+strings.Join(append(names, "ready"), ","))
	if err := next.Start(); err != nil {
		return err
	}
	write.Close()
	ended := make(chan error, 1)
	go func() { ended <- next.Wait() }()                                               // it outlives this process, or ends at once
	stopped := context.AfterFunc(ctx, func() { next.Process.Signal(syscall.SIGTERM) }) // whoever stops this one means both
	read.SetReadDeadline(time.Now().Add(readyWithin))
	if _, err := read.Read(make([]byte, 1)); err != nil {
		next.Process.Kill()
		return errors.Join(fmt.Errorf("the successor does not serve"), <-ended)
	}
	if !stopped() {
		return ctx.Err()
	}
	return nil
}

// onHandover calls do for each SIGUSR2, until ctx ends.
func onHandover(ctx context.Context, do func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	defer signal.Stop(signals)
	for {
		select {
		case <-signals:
			do()
		case <-ctx.Done():
			return
		}
	}
}

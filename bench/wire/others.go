package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

const idleConnections = 5000

// others are what is not a load: idle connections, and a start.
func (b *bench) others(w *bytes.Buffer) error {
	fmt.Fprintf(w, "\n### Idle connections\n\n%d connections, each after one hit: the growth of the server's memory.\n\n| | KiB each |\n| --- | --- |\n", idleConnections)
	for _, one := range []contender{forebay, withoutL, nginx, haproxy} {
		each, err := b.idle(one)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		fmt.Fprintf(w, "| %s | %.1f |\n", one.name, each/1024)
	}
	var starts []float64
	for range b.rounds {
		took, err := b.coldStart()
		if err != nil {
			return err
		}
		starts = append(starts, took)
	}
	fmt.Fprintf(w, "\n### Start\n\nFrom the start of the process to the first answer, a miss: %.0f ms.\n", median(starts))
	return nil
}

func (b *bench) idle(one contender) (float64, error) {
	s, err := b.start(one.name, func(addr string) (*exec.Cmd, error) { return one.begin(b, addr) })
	if err != nil {
		return 0, err
	}
	defer b.stop(s)
	if _, _, err := b.load(kase{path: "/1024/"}, s, 2*time.Second); err != nil {
		return 0, err
	}
	time.Sleep(2 * time.Second)
	before, err := s.memory()
	if err != nil {
		return 0, err
	}
	for range idleConnections {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		io.WriteString(c, "GET /1024/1 HTTP/1.1\r\nHost: "+s.addr+"\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return 0, err
		}
		io.Copy(io.Discard, res.Body)
	}
	time.Sleep(2 * time.Second)
	after, err := s.memory()
	return float64(after-before) / idleConnections, err
}

// coldStart is in milliseconds.
func (b *bench) coldStart() (float64, error) {
	begun := time.Now()
	s, err := b.start(forebay.name, func(addr string) (*exec.Cmd, error) { return forebay.begin(b, addr) })
	if err != nil {
		return 0, err
	}
	defer b.stop(s)
	res, err := http.Get("http://" + s.addr + "/1024/0")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return float64(time.Since(begun)) / float64(time.Millisecond), nil
}

// profile shows where a hit's time goes.
func (b *bench) profile(w *bytes.Buffer) error {
	s, operators, err := b.withOperators()
	if err != nil {
		return err
	}
	defer b.stop(s)
	hits := kase{path: "/1024/"}
	if _, _, err := b.load(hits, s, 4*time.Second); err != nil {
		return err
	}
	loaded := make(chan error, 1)
	go func() {
		_, _, err := b.load(hits, s, 7*time.Second)
		loaded <- err
	}()
	top, err := exec.Command("go", "tool", "pprof", "-top", "-cum", "-nodecount=40", "-seconds=5", "http://"+operators+"/debug/pprof/profile").Output()
	if err != nil {
		return fmt.Errorf("go tool pprof: %w", err)
	}
	_, rows, _ := strings.Cut(string(top), "\n      flat")
	fmt.Fprintf(w, "\n### Where a hit's time goes\n\n`go tool pprof -top -cum`, 1 KiB, 64 connections:\n\n```\n      flat%s```\n", rows)
	return <-loaded
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(text), "model name\t: ")
	name, _, _ := strings.Cut(rest, "\n")
	return name
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return "Linux " + strings.TrimSpace(string(text))
}

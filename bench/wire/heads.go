package main

import (
	"bytes"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// askHeads asks with HEAD on 64 connections, and says how often it was answered, as wrk does.
func askHeads(addr, span string) error {
	length, err := time.ParseDuration(span)
	if err != nil {
		return err
	}
	var answered atomic.Int64
	var asking errgroup.Group
	end := time.Now().Add(length)
	for range 64 {
		asking.Go(func() error {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			defer c.Close()
			answer := make([]byte, 4096)
			for i := 0; time.Now().Before(end); i++ {
				if _, err := fmt.Fprintf(c, "HEAD /1024/%d HTTP/1.1\r\nHost: %s\r\n\r\n", i%urls, addr); err != nil {
					return err
				}
				n, err := c.Read(answer) // a head comes in one piece
				if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) || !bytes.HasSuffix(answer[:n], []byte("\r\n\r\n")) {
					return fmt.Errorf("not one head: %w: %q", err, answer[:n])
				}
				answered.Add(1)
			}
			return nil
		})
	}
	err = asking.Wait()
	fmt.Printf("%d requests in %s\n", answered.Load(), span)
	return err
}

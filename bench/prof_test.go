package main

import (
	"testing"
)

func BenchmarkShared(b *testing.B) {
	addr, stop, err := startRedis()
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	cs, done, err := sharedContenders(addr)
	if err != nil {
		b.Fatal(err)
	}
	defer done()
	for _, g := range cs {
		for _, c := range g {
			b.Run(c.name, c.run)
		}
	}
}

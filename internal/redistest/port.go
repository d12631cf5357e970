package redistest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are drawn from below those that the system gives to connections and to programs that ask for any port: one of those could
// take the port between two lives of a server, or before its first. A cluster's bus is 10,000 above.
const (
	firstPort = 11_000
	lastPort  = 22_000
)

var drawn sync.Map // by this process

// FreePort is a port of the loopback address that nobody listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if _, taken := drawn.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

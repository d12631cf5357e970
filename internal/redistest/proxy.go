package redistest

import (
	"net"
	"sync"
	"testing"
)

// A Proxy stands between a node and a server, so that a test can hold what they say to each other
// or lead the node to another server.
type Proxy struct {
	listener net.Listener

	mu     sync.Mutex // guards the fields below
	target string
	conns  map[net.Conn]struct{}
	held   chan struct{} // closed while everything flows
	open   bool
	change func([]byte) []byte
}

// Change rewrites what is said from now on, in both directions, as it passes.
func (p *Proxy) Change(change func([]byte) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = change
}

// NewProxy starts a proxy in front of a server. It ends with its test.
func NewProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: s.Addr(), conns: map[net.Conn]struct{}{}, held: make(chan struct{}), open: true}
	close(p.held)
	var serving sync.WaitGroup
	serving.Go(func() { p.serve(&serving) })
	t.Cleanup(func() {
		l.Close()
		p.Flow()
		p.Cut()
		serving.Wait()
	})
	return p
}

// URL is the proxy's address.
func (p *Proxy) URL() string { return "redis://" + p.listener.Addr().String() }

// Hold stops everything that is said, in both directions, and keeps it.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		p.held, p.open = make(chan struct{}), false
	}
}

// Flow lets everything go on.
func (p *Proxy) Flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open {
		close(p.held)
		p.open = true
	}
}

// Switch cuts all connections and leads new ones to another server.
func (p *Proxy) Switch(s *Server) {
	p.mu.Lock()
	p.target = s.Addr()
	p.mu.Unlock()
	p.Cut()
}

// Cut ends all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *Proxy) serve(wg *sync.WaitGroup) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		server, err := net.Dial("tcp", target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		p.mu.Unlock()
		wg.Go(func() { p.copy(server, client) })
		wg.Go(func() { p.copy(client, server) })
	}
}

func (p *Proxy) copy(to, from net.Conn) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.conns, to)
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		held, change := p.held, p.change
		p.mu.Unlock()
		<-held
		if n > 0 {
			said := buf[:n]
			if change != nil {
				said = change(said)
			}
			if _, err := to.Write(said); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Command early asks for a path before its handshake is complete, a few times, and prints each status. It is a program of
// its own because the library's client races with itself there (quic-go v0.65.0), which its server does not.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/quic-go/quic-go/http3"
)

func main() {
	cert, method, url, fields := os.Args[1], os.Args[2], os.Args[3], os.Args[4:]
	text, err := os.ReadFile(cert)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	config := &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(10)}
	for i := range 10 {
		transport := &http3.Transport{TLSClientConfig: config}
		r, err := http.NewRequest(method, url, nil)
		if err != nil {
			log.Fatal(err)
		}
		for n := 0; n < len(fields); n += 2 {
			r.Header.Set(fields[n], fields[n+1])
		}
		if i == 0 { // there is no ticket yet
			r.Method, r.URL.Path = http.MethodGet, "/first"
			r.Header = http.Header{}
		}
		res, err := transport.RoundTrip(r)
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if i > 0 {
			fmt.Println(res.StatusCode)
		}
		time.Sleep(20 * time.Millisecond) // for the ticket of the next
		transport.Close()
	}
}

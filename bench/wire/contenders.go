package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A contender is a server that answers from what it has stored, or from nothing at all.
type contender struct {
	name  string
	begin func(b *bench, addr string) (*exec.Cmd, error)
	as    func(*kase) // what it is asked instead of the case; nil: the same
}

// asks is the load of a contender.
func (c contender) asks(k kase) kase {
	if c.as != nil {
		c.as(&k)
	}
	return k
}

var (
	raw      = contender{name: "epoll loop in C, one answer for everything", begin: beginRaw}
	forebay  = contender{name: "forebay", begin: func(b *bench, addr string) (*exec.Cmd, error) { return b.forebay(addr), nil }}
	withoutL = contender{name: "forebay without its lane", begin: func(b *bench, addr string) (*exec.Cmd, error) { return b.forebay(addr, "--lane", "off"), nil }}
	nginx    = contender{name: "nginx", begin: func(b *bench, addr string) (*exec.Cmd, error) { return b.nginx(addr, "") }}
	haproxy  = contender{name: "HAProxy", begin: beginHAProxy}
	varnish  = contender{name: "Varnish", begin: beginVarnish}
	squid    = contender{name: "Squid", begin: beginSquid}
	h2o      = contender{name: "h2o, files", begin: beginH2O}
	netHTTP  = contender{name: "net/http, one answer", begin: func(b *bench, addr string) (*exec.Cmd, error) { return b.role("net/http", addr) }}
	fast     = contender{name: "fasthttp, one answer", begin: func(b *bench, addr string) (*exec.Cmd, error) { return b.role("fasthttp", addr) }}

	events = contender{name: "forebay", begin: func(b *bench, addr string) (*exec.Cmd, error) {
		return b.configured(addr, "events.yaml", "routes: [{match: GET /events/, events: done}]\n")
	}}
	reverse   = contender{name: "httputil.ReverseProxy", begin: func(b *bench, addr string) (*exec.Cmd, error) { return b.role("proxy", addr) }}
	bareRedis = contender{name: "net/http, a bare GET for each", begin: func(b *bench, addr string) (*exec.Cmd, error) { return b.role("redis", addr) }}
	sharedHit = contender{name: "forebay, near tier of 64 KiB", begin: func(b *bench, addr string) (*exec.Cmd, error) {
		return b.forebay(addr, "--redis", "redis://"+b.redis.addr, "--near-bytes", "64KiB"), nil
	}}
	strictHit = contender{name: "forebay, a strict class, found near", begin: func(b *bench, addr string) (*exec.Cmd, error) {
		return b.configured(addr, "strict.yaml", "classes: {now: {ttl: 1h, strict: true}}\nroutes: [{match: GET /, class: now}]\n", "--redis", "redis://"+b.redis.addr)
	}}

	forebayTLS = contender{name: "forebay", begin: func(b *bench, addr string) (*exec.Cmd, error) {
		cert, key, err := b.certificate()
		return b.forebay(addr, "--tls-cert", cert, "--tls-key", key, "--http3", "off"), err
	}}
	nginxTLS = contender{name: "nginx", begin: func(b *bench, addr string) (*exec.Cmd, error) { return b.nginx(addr, "ssl http2") }}
	coded    = contender{name: "forebay, compressed by it", begin: func(b *bench, addr string) (*exec.Cmd, error) {
		return b.configured(addr, "coded.yaml", "compression: {}\n")
	}}
)

func beginRaw(b *bench, addr string) (*exec.Cmd, error) {
	_, port, err := net.SplitHostPort(addr)
	return exec.Command(filepath.Join(b.dir, "raw"), port), err
}

func (b *bench) forebay(addr string, more ...string) *exec.Cmd {
	return exec.Command(filepath.Join(b.dir, "forebay"), append([]string{"serve", "--addr", addr, "--admin", "off", "--origin", "http://" + b.origin.addr}, more...)...)
}

func (b *bench) file(name, text string) (string, error) {
	path := filepath.Join(b.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

func (b *bench) nginx(addr, protocols string) (*exec.Cmd, error) {
	cert, key, err := b.certificate()
	if err != nil {
		return nil, err
	}
	stored, err := os.MkdirTemp("/dev/shm", "forebay-wire-nginx")
	if err != nil {
		return nil, err
	}
	b.folders = append(b.folders, stored)
	tls := ""
	if protocols != "" {
		tls = fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s; ssl_session_cache shared:s:10m;", cert, key)
	}
	conf, err := b.file("nginx"+strings.ReplaceAll(protocols, " ", "")+".conf", fmt.Sprintf(`user root;
worker_processes 1;
worker_rlimit_nofile 30000;
daemon off;
pid %[1]s/nginx.pid;
error_log stderr;
events { worker_connections 20000; }
http {
  access_log off;
  keepalive_requests 100000000;
  sendfile on;
  tcp_nodelay on;
  open_file_cache max=10000 inactive=600s;
  open_file_cache_valid 600s;
  open_file_cache_min_uses 1;
  client_body_temp_path %[1]s; proxy_temp_path %[2]s/t; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  proxy_cache_path %[2]s/c levels=1:2 keys_zone=z:50m max_size=1g use_temp_path=off;
  upstream origin { server %[3]s; keepalive 64; }
  server {
    listen %[4]s reuseport backlog=4096 %[5]s;
    %[6]s
    location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache z; proxy_cache_valid 200 3600s; add_header X-Cache $upstream_cache_status; }
  }
}
`, b.dir, stored, b.origin.addr, addr, protocols, tls))
	return b.unpacked("usr/sbin/nginx", "-c", conf, "-p", b.dir), err
}

func beginHAProxy(b *bench, addr string) (*exec.Cmd, error) {
	conf, err := b.file("haproxy.cfg", fmt.Sprintf(`global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
cache c
  total-max-size 256
  max-object-size 300000
  max-age 900
frontend f
  bind %s
  http-request cache-use c
  http-response cache-store c
  default_backend b
backend b
  server s %s
`, addr, b.origin.addr))
	return b.unpacked("usr/sbin/haproxy", "-f", conf), err
}

func beginVarnish(b *bench, addr string) (*exec.Cmd, error) {
	return b.unpacked("usr/sbin/varnishd", "-F", "-j", "none", "-a", addr, "-b", b.origin.addr, "-s", "malloc,512m", "-n", filepath.Join(b.dir, "varnish"),
		"-p", "thread_pools=1", "-p", "thread_pool_min=100", "-p", "timeout_idle=60"), nil
}

// beginAsked is the gateway with what lets the answers to POST be stored.
func beginAsked(b *bench, addr string) (*exec.Cmd, error) {
	return b.configured(addr, "asked.yaml", "routes:\n  - {match: POST /, ttl: 1h, body_key: {}}\n  - {match: QUERY /, ttl: 1h}\n")
}

// configured is the gateway with a file.
func (b *bench) configured(addr, name, text string, more ...string) (*exec.Cmd, error) {
	file, err := b.file(name, "origin: http://"+b.origin.addr+"\n"+text)
	return exec.Command(filepath.Join(b.dir, "forebay"), append([]string{"serve", "--addr", addr, "--admin", "off", "--config", file}, more...)...), err
}

func beginSquid(b *bench, addr string) (*exec.Cmd, error) {
	errors := filepath.Join(b.dir, "squid-errors") // none: they are in another package
	if err := os.MkdirAll(errors, 0o755); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(b.origin.addr)
	if err != nil {
		return nil, err
	}
	conf, err := b.file("squid.conf", fmt.Sprintf(`http_port %[1]s accel defaultsite=%[2]s no-vhost
cache_peer %[2]s parent %[3]s 0 no-query no-digest originserver name=o
http_access allow all
cache_mem 256 MB
maximum_object_size_in_memory 512 KB
memory_cache_shared off
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
pinger_enable off
cache_effective_user nobody
unlinkd_program %[4]s/usr/lib/squid/unlinkd
mime_table %[4]s/usr/share/squid/mime.conf
icon_directory %[4]s/usr/share/squid/icons
error_directory %[5]s
`, addr, host, port, b.root, errors))
	return b.unpacked("usr/sbin/squid", "-N", "-n", "wire"+port, "-f", conf), err
}

func beginH2O(b *bench, addr string) (*exec.Cmd, error) {
	files := filepath.Join(b.dir, "files", "1024")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return nil, err
	}
	for i := range urls {
		if err := os.WriteFile(filepath.Join(files, fmt.Sprint(i)), kilobyte, 0o644); err != nil {
			return nil, err
		}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	conf, err := b.file("h2o.yaml", fmt.Sprintf("user: root\nnum-threads: 1\nlisten: {host: %s, port: %s}\nhosts:\n  default:\n    paths:\n      /: {file.dir: %s}\n", host, port, filepath.Dir(files)))
	return b.unpacked("usr/bin/h2o", "-c", conf), err
}

// certificate makes one for loopback.
func (b *bench) certificate() (cert, key string, err error) {
	cert, key = filepath.Join(b.dir, "cert.pem"), filepath.Join(b.dir, "key.pem")
	if _, err := os.Stat(cert); err == nil {
		return cert, key, nil
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return "", "", err
	}
	return cert, key, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

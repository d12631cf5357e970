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
}

var (
	raw      = contender{"epoll loop in C, one answer for everything", beginRaw}
	forebay  = contender{"forebay", func(b *bench, addr string) (*exec.Cmd, error) { return b.forebay(addr), nil }}
	withoutL = contender{"forebay without its lane", func(b *bench, addr string) (*exec.Cmd, error) { return b.forebay(addr, "--lane", "off"), nil }}
	nginx    = contender{"nginx", func(b *bench, addr string) (*exec.Cmd, error) { return b.nginx(addr, "") }}
	haproxy  = contender{"HAProxy", beginHAProxy}
	varnish  = contender{"Varnish", beginVarnish}
	h2o      = contender{"h2o, files", beginH2O}
	netHTTP  = contender{"net/http, one answer", func(b *bench, addr string) (*exec.Cmd, error) { return b.role("net/http", addr) }}
	fast     = contender{"fasthttp, one answer", func(b *bench, addr string) (*exec.Cmd, error) { return b.role("fasthttp", addr) }}

	forebayTLS = contender{"forebay", func(b *bench, addr string) (*exec.Cmd, error) {
		cert, key, err := b.certificate()
		return b.forebay(addr, "--tls-cert", cert, "--tls-key", key, "--http3", "off"), err
	}}
	nginxTLS = contender{"nginx", func(b *bench, addr string) (*exec.Cmd, error) { return b.nginx(addr, "ssl http2") }}
	coded    = contender{"forebay, compressed by it", func(b *bench, addr string) (*exec.Cmd, error) {
		file, err := b.file("coded.yaml", "origin: http://"+b.origin.addr+"\ncompression: {}\n")
		return exec.Command(filepath.Join(b.dir, "forebay"), "serve", "--addr", addr, "--admin", "off", "--config", file), err
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

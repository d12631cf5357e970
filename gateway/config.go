package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// A Config is what the gateway's file says.
type Config struct {
	Origin       string
	Limits       Limits
	Profile      httpcache.Profile
	MaxBody      int
	Ignore       []string // fields of requests: see httpcache.Options.IgnoreHeaders
	Listen       Listen
	RequestIDs   bool           // each request has an X-Request-Id, in the answer and at the origin
	Trusted      []netip.Prefix // of the proxies in front that may say who the client is
	Upstreams    []Upstream     // further origins, by their names
	Ways         []Way          // how the requests of routes go to their origin, where that is not the usual one
	KeysEnv      string         // the variable that holds the keys of the shared tier, separated by commas; the first writes
	Encrypt      bool           // the values in the shared tier
	KeepControl  bool           // see httpcache.Options.KeepControl
	Compression  httpcache.Compression
	Parents      []string // gateways that are asked instead of an origin: see package relay
	Children     bool     // others may have this one for a parent
	CDN          *CDN     // above the gateway; nil: none
	Uncompressed bool     // nothing is compressed but by the origin
	Warnings     []string // of what is not a mistake, but very likely not meant
	Classes      []forebay.Class
	Rules        []httpcache.Rule
	MCP          []MCPRule // of MCP servers behind the gateway
}

func (c Config) compression() *httpcache.Compression {
	if c.Uncompressed {
		return nil
	}
	return &c.Compression
}

// CDN is a cache above the gateway, which is told what it may keep, and has removed what is invalidated.
type CDN struct {
	Vendor    string // of edge.Profiles
	Zone      string // that is purged; with the vendor none: nothing is purged
	TokenEnv  string // the variable that holds the token; default CDN_TOKEN
	API       string // of the vendor; default: its own
	Probe     string // URL that is fetched through the CDN after each purge; default: none
	PerMinute int    // purges that the account may make; default: the vendor's
	Settle    time.Duration
}

// Listen is how clients reach the gateway.
type Listen struct {
	Addr          string // default: the flag's
	Cert, Key     string // files in PEM: then TLS is spoken, with HTTP/2 and HTTP/1.1
	ACME          ACME   // whose certificates are used instead of files; no domains: none
	HTTP3         *bool  // nil: where TLS is spoken
	ProxyProtocol bool   // trusted proxies say who the client is before the first byte (HAProxy's PROXY protocol, 1 and 2)
}

// ACME is how certificates are obtained (RFC 8555).
type ACME struct {
	Domains   []string
	Email     string // that the authority may write to; default: none
	Directory string // URL of the authority's directory; default: Let's Encrypt's
	CA        string // file in PEM of who vouches for the directory's own certificate; default: the system's
	Storage   string // folder of what was obtained, where there is no shared tier; default: forebay/certificates in the user's configuration
}

// ReadConfig reads a file. Its error names every mistake, each with its line and column.
func ReadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := ParseConfig(text)
	if err != nil {
		return Config{}, inFile(path, err)
	}
	return c, nil
}

// inFile puts the file's name before each mistake.
func inFile(path string, err error) error {
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		all = append(all, fmt.Errorf("%s:%s", path, line))
	}
	return errors.Join(all...)
}

// ParsePrefix reads an address, or a range of them (CIDR).
func ParsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not a range of addresses: write 10.0.0.0/8 or 192.0.2.1", s)
	}
	return p.Masked(), nil
}

// ParseRule reads a rule as a flag has it: 'GET /api/partners=15m'.
func ParseRule(text string) (httpcache.Rule, error) {
	i := strings.LastIndexByte(text, '=')
	if i < 0 {
		return httpcache.Rule{}, fmt.Errorf("%q is not a rule: write 'GET /api/partners=15m'", text)
	}
	match := strings.TrimSpace(text[:i])
	ttl, err := parseDuration(strings.TrimSpace(text[i+1:]))
	if err != nil || ttl <= 0 {
		return httpcache.Rule{}, fmt.Errorf("%q: %q is not a time to keep: write 90s, 15m or 2h", text, text[i+1:])
	}
	if err := checkPattern(match); err != nil || match == "" {
		return httpcache.Rule{}, fmt.Errorf("%q: %q is not a pattern: write 'GET /api/partners=15m'", text, match)
	}
	return httpcache.Rule{Match: match, TTL: ttl}, nil
}

// parseDuration reads a duration, and "off".
func parseDuration(s string) (time.Duration, error) {
	if s == "off" {
		return -1, nil
	}
	return time.ParseDuration(s)
}

// SetRule adds a rule, or takes the place of that with the same pattern's TTL: flags win over the file.
func (c *Config) SetRule(rule httpcache.Rule) {
	for i := range c.Rules {
		if c.Rules[i].Match == rule.Match {
			c.Rules[i].TTL, c.Rules[i].Bypass = rule.TTL, false
			return
		}
	}
	c.Rules = append(c.Rules, rule)
}

package gateway

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// acme reads how certificates are obtained.
func (d *decoder) acme(n ast.Node, c *Config) {
	to := &c.Listen.ACME
	d.mapping(n, fields{
		"domains": func(n ast.Node) {
			d.list(n, func(n ast.Node) {
				name := ""
				d.text(&name)(n)
				if !isDomain(name) {
					d.wrong(n, "%q is not a domain: write www.example.com", name)
				}
				to.Domains = append(to.Domains, name)
			})
		},
		"email": d.text(&to.Email), "ca": d.text(&to.CA), "storage": d.text(&to.Storage),
		"directory": func(n ast.Node) {
			d.text(&to.Directory)(n)
			if u, err := url.Parse(to.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
				d.wrong(n, "%q is not the address of a directory: write https://acme-v02.api.letsencrypt.org/directory", to.Directory)
			}
		},
	})
	switch {
	case len(to.Domains) == 0:
		d.wrong(n, "acme needs domains: the names that certificates are for")
	case c.Listen.Cert != "":
		d.wrong(n, "tls and acme exclude each other: files, or certificates that are obtained")
	}
}

// isDomain reports whether a name can be one of the DNS, without a wildcard: the challenge in the handshake does not prove those.
func isDomain(name string) bool {
	if len(name) > 253 || !strings.Contains(name, ".") {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return true
}

// CheckDomain says what is wrong with a name that a certificate is asked for, if anything is.
func CheckDomain(name string) error {
	if !isDomain(name) {
		return fmt.Errorf("%q is not a domain: write www.example.com, in lower case", name)
	}
	return nil
}

package main

import (
	"fmt"

	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
)

// config is the file's, with the flags over it.
func (c *serveCommand) config() (gateway.Config, error) {
	var config gateway.Config
	if c.Config != "" {
		var err error
		if config, err = gateway.ReadConfig(c.Config); err != nil {
			return config, fmt.Errorf("--config: %w", err)
		}
	}
	if c.Origin != "" {
		config.Origin = c.Origin
	}
	if err := c.overListen(&config.Listen); err != nil {
		return config, err
	}
	if err := c.overRules(&config); err != nil {
		return config, err
	}
	if len(config.Parents) > 0 && c.Origin != "" {
		return config, fmt.Errorf("--origin and parents exclude each other: a child asks its parents")
	}
	if config.Origin == "" && len(config.Upstreams) == 0 && len(config.Parents) == 0 {
		return config, fmt.Errorf("no origin: say which API to stand in front of, with --origin http://127.0.0.1:5000 or origin: or origins: in --config")
	}
	return config, nil
}

// overListen puts the flags of the public listener over the file.
func (c *serveCommand) overListen(l *gateway.Listen) error {
	if c.TLSCert != "" || c.TLSKey != "" {
		l.Cert, l.Key = c.TLSCert, c.TLSKey
	}
	l.ACME.Domains = append(l.ACME.Domains, c.ACME...)
	for _, name := range c.ACME {
		if err := gateway.CheckDomain(name); err != nil {
			return fmt.Errorf("--acme: %w", err)
		}
	}
	if len(l.ACME.Domains) > 0 && (c.TLS != "" || l.Cert != "") {
		return fmt.Errorf("--acme, --tls self-signed and a certificate of yours exclude each other: choose one")
	}
	if c.TLS != "" && l.Cert != "" {
		return fmt.Errorf("--tls self-signed and a certificate of yours exclude each other")
	}
	if c.HTTP3 != "" {
		on := c.HTTP3 == "on"
		l.HTTP3 = &on
	}
	if (l.Cert == "") != (l.Key == "") {
		return fmt.Errorf("--tls-cert and --tls-key belong together: each names a file in PEM")
	}
	return nil
}

// overRules puts the other flags over the file.
func (c *serveCommand) overRules(config *gateway.Config) error {
	switch c.Profile {
	case "":
	case string(httpcache.Safe), string(httpcache.RFC):
		config.Profile = httpcache.Profile(c.Profile)
	default:
		return fmt.Errorf("--profile %s: safe or rfc", c.Profile)
	}
	for _, text := range c.Trusted {
		prefix, err := gateway.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("--trusted-proxies: %w", err)
		}
		config.Trusted = append(config.Trusted, prefix)
	}
	for _, text := range c.Cache {
		rule, err := gateway.ParseRule(text)
		if err != nil {
			return fmt.Errorf("--cache %w", err)
		}
		config.SetRule(rule)
	}
	return nil
}

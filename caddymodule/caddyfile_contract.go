package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// parseContract parses an authentication procedure. Syntax:
//
//	contract <uri> {
//		name <text>
//		method password|totp|webauthn ...
//		level <n>
//		timeout <duration>
//		default
//	}
func (p *authzParser) parseContract(d *caddyfile.Dispenser) error {
	uri, err := name(d, p.contracts)
	if err != nil {
		return err
	}
	c := Contract{URI: uri}
	err = words{
		"name":    text(&c.Name),
		"method":  list(&c.Methods),
		"level":   level(&c.Level),
		"timeout": span(&c.Timeout),
		"default": present(&c.Default),
	}.block(d)
	p.config.Contracts = append(p.config.Contracts, c)
	return err
}

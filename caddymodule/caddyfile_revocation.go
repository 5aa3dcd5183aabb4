package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func (p *authzParser) revocation(d *caddyfile.Dispenser) error {
	revocation := made(&p.config.Revocation)
	if err := onOff(&revocation.On)(d); err != nil {
		return err
	}
	return words{"check_after": span(&revocation.CheckAfter)}.block(d)
}

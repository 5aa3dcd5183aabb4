package caddymodule

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatewright/gatewright/authz"
)

// parseContract parses an authentication procedure. Syntax:
//
//	contract <uri> {
//		name <text>
//		method password|totp|webauthn|<module> ...
//		level <n>
//		timeout <duration>
//		default
//	}
//
// A module of the namespace authz.methods may have a block of its own where it stands last.
func (p *authzParser) parseContract(d *caddyfile.Dispenser) error {
	uri, err := name(d, p.contracts)
	if err != nil {
		return err
	}
	c := Contract{URI: uri}
	err = words{
		"name":    text(&c.Name),
		"method":  p.methods(&c.Methods),
		"level":   level(&c.Level),
		"timeout": span(&c.Timeout),
		"default": present(&c.Default),
	}.block(d)
	p.config.Contracts = append(p.config.Contracts, c)
	return err
}

// methods takes the names of methods, and the configuration of the one that is a module.
func (p *authzParser) methods(dst *[]string) parser {
	return func(d *caddyfile.Dispenser) error {
		if d.CountRemainingArgs() == 0 {
			return d.Err("method needs a value")
		}
		for d.NextArg() {
			*dst = append(*dst, d.Val())
			if err := p.methodModule(d); err != nil {
				return err
			}
		}
		return nil
	}
}

func (p *authzParser) methodModule(d *caddyfile.Dispenser) error {
	name := d.Val()
	if slices.Contains([]string{authz.MethodPassword, authz.MethodTOTP, authz.MethodWebAuthn}, name) {
		return nil
	}
	info, err := caddy.GetModule(methodNamespace + "." + name)
	if err != nil {
		return d.Errf("method %s is none of password, totp, webauthn, and there is no module %s.%s", name, methodNamespace, name)
	}
	raw := json.RawMessage("{}")
	if _, configurable := info.New().(caddyfile.Unmarshaler); configurable && d.CountRemainingArgs() == 0 {
		configured, err := caddyfile.UnmarshalModule(d, methodNamespace+"."+name)
		if err != nil {
			return err
		}
		if raw, err = json.Marshal(configured); err != nil {
			return d.WrapErr(err)
		}
	}
	if p.config.MethodsRaw == nil {
		p.config.MethodsRaw = make(caddy.ModuleMap)
	}
	if known := p.config.MethodsRaw[name]; known != nil && string(raw) != "{}" && string(known) != string(raw) {
		return d.Errf("method %s is configured already", name)
	} else if known == nil || string(raw) != "{}" {
		p.config.MethodsRaw[name] = raw
	}
	return nil
}

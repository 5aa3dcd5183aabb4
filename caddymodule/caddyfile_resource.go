package caddymodule

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// parseResourceServer parses an API that takes the server's access tokens. Syntax:
//
//	resource_server <name> {
//		default
//		identifier <uri...>
//		encryption none|server_key|resource_key
//		signed <alg>
//		jwks <url> | file <path> | inline <json>
//		alg <alg>
//		enc <enc>
//		scope_format string|array
//		scope <name> {
//			description <text>
//			require_consent [on|off]
//			optional
//			attribute [<set>/]<claim...> [to access_token|id_token|both|userinfo]
//			permission <string...> [to access_token|id_token|both]
//			roles [to access_token|id_token|both]
//			implies <scope...>
//		}
//	}
func (p *authzParser) parseResourceServer(d *caddyfile.Dispenser) error {
	given, err := name(d, p.resourceServers)
	if err != nil {
		return err
	}
	rs := ResourceServer{Name: given}
	err = words{
		"default":      present(&rs.Default),
		"identifier":   list(&rs.Identifiers),
		"encryption":   text(&rs.Encryption),
		"signed":       text(&rs.Signed),
		"jwks":         jwks(&rs.JWKS),
		"alg":          text(&rs.Alg),
		"enc":          text(&rs.Enc),
		"scope_format": text(&rs.ScopeFormat),
		"scope": func(d *caddyfile.Dispenser) error {
			scope, err := p.parseScope(d, given)
			rs.Scopes = append(rs.Scopes, scope)
			return err
		},
	}.block(d)
	p.config.ResourceServers = append(p.config.ResourceServers, rs)
	return err
}

// jwks parses a set of keys: where to fetch it, a file, or the set itself.
func jwks(dst **JWKS) parser {
	return func(d *caddyfile.Dispenser) error {
		if *dst != nil {
			return d.Err("jwks is set already")
		}
		args := d.RemainingArgs()
		if len(args) == 1 && args[0] != "file" && args[0] != "inline" {
			made(dst).URL = args[0]
			return nil
		}
		if len(args) != 2 {
			return d.Err("jwks needs <url>, file <path> or inline <json>")
		}
		set := made(dst)
		switch args[0] {
		case "file":
			set.File = args[1]
		case "inline":
			if !json.Valid([]byte(args[1])) {
				return d.Err("jwks inline: this is no JSON")
			}
			set.Inline = json.RawMessage(args[1])
		default:
			return d.Errf("unrecognized jwks: %s", args[0])
		}
		return nil
	}
}

func (p *authzParser) parseScope(d *caddyfile.Dispenser, resourceServer string) (Scope, error) {
	if !d.NextArg() {
		return Scope{}, d.Err("scope needs a name")
	}
	scope := Scope{Name: d.Val()}
	if other, taken := p.scopes[scope.Name]; taken {
		return Scope{}, d.Errf("scope %s is defined already, by resource_server %s", scope.Name, other)
	}
	p.scopes[scope.Name] = resourceServer
	p.config.Places[placeKey("scope", scope.Name)] = here(d)
	err := words{
		"description":     text(&scope.Description),
		"require_consent": requireConsent(&scope.RequireConsent),
		"optional":        present(&scope.Optional),
		"implies":         list(&scope.Implies),
		"attribute": func(d *caddyfile.Dispenser) error {
			claims, to, err := placed(d, toAccessToken, toIDToken, toBoth, toUserinfo)
			scope.Attributes = append(scope.Attributes, ScopeAttribute{Claims: claims, To: to})
			return err
		},
		"permission": func(d *caddyfile.Dispenser) error {
			values, to, err := placed(d, toAccessToken, toIDToken, toBoth)
			scope.Permissions = append(scope.Permissions, ScopePermission{Values: values, To: to})
			return err
		},
		"roles": func(d *caddyfile.Dispenser) error {
			scope.Roles = toUserinfo // they are always there
			if !d.NextArg() {
				return nil
			}
			if d.Val() != "to" {
				return d.Errf("unexpected argument: %s", d.Val())
			}
			to, err := destination(d, toAccessToken, toIDToken, toBoth)
			scope.Roles = to
			return err
		},
	}.only(d)
	return scope, err
}

func requireConsent(dst *bool) parser {
	return func(d *caddyfile.Dispenser) (err error) {
		*dst = true
		if !d.NextArg() {
			return nil
		}
		if *dst, err = isOn(d); err != nil {
			return err
		}
		return lineEnds(d)
	}
}

// placed parses values and where they go: <value...> [to <destination>].
func placed(d *caddyfile.Dispenser, destinations ...string) (values []string, to string, err error) {
	word := d.Val()
	for d.NextArg() {
		if d.Val() == "to" {
			to, err = destination(d, destinations...)
			break
		}
		values = append(values, d.Val())
	}
	if err == nil && len(values) == 0 {
		err = d.Errf("%s needs a value", word)
	}
	return values, to, err
}

// destination parses the word after "to", which ends the line.
func destination(d *caddyfile.Dispenser, allowed ...string) (string, error) {
	if !d.NextArg() {
		return "", d.Errf("to needs one of %s", strings.Join(allowed, ", "))
	}
	for _, to := range allowed {
		if d.Val() == to {
			return to, lineEnds(d)
		}
	}
	return "", d.Errf("to one of %s, not %s", strings.Join(allowed, ", "), d.Val())
}

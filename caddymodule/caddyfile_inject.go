package caddymodule

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// parseTokenInject sets up the handler token_inject. Syntax:
//
//	token_inject [<matcher>] {
//		issuer <name or url> {
//			tls_ca <file...>
//			roles <claim>
//			introspect ...
//		}
//		resource_server <name>
//		audience <value...>
//		decrypt_key <jwks file>
//		introspect [<url>] {
//			client <id> <secret>
//			cache <duration>
//			insecure_any_audience
//		}
//		session {
//			client <id> [<secret>]
//			scope <scope...>
//			idle <duration>
//			absolute <duration>
//			callback <path>
//			logout <path>
//			login <path>
//			login_rate <n>/s
//			domain <name>
//			cookie <name>
//			host <name[:port]...>
//		}
//		optional
//		require scope <scope...>
//		require role <role...>
//		require claim <name> <value...>
//		require contract <uri...>
//		policy {
//			permit|deny [priority <n>] {
//				scope|role|client|issuer|contract|method|path|remote_ip <value...>
//				claim <name> <value...>
//				expression <CEL>
//			}
//			on_deny <status> | redirect <url>
//		}
//		missing skip|empty|deny
//		refresh <duration>
//		inject header <name> <value> [repeat|list]
//		inject tag <header> <tag>=<value> [list]
//		inject cookie <name> <value> [list]
//		inject query <name> <value> [repeat|list]
//		inject basic <user> <password>
//		inject token {
//			issuer <name or url>
//			client <id> <secret>
//			grant token_exchange|client_credentials
//			resource_server <name>
//			scope <scope...>
//			renew_before <duration>
//		}
//		pass_token
//		phantom
//	}
func parseTokenInject(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	d := helper.Dispenser
	d.Next() // the directive's own name
	// The file's folder is left out: the same site may lie elsewhere on the next machine.
	h := &TokenInject{Place: fmt.Sprintf("%s:%d", filepath.Base(d.File()), d.Line())}
	err := words{
		"issuer":          gateIssuer(&h.Issuers),
		"introspect":      introspection(&h.Introspect),
		"resource_server": text(&h.ResourceServer),
		"audience":        list(&h.Audiences),
		"decrypt_key":     text(&h.DecryptKey),
		"session":         gateSession(&h.Session),
		"optional":        present(&h.Optional),
		"require":         requirements(&h.Require),
		"policy":          gatePolicy(&h.Policy),
		"missing":         missing(&h.Missing),
		"refresh":         span(&h.Refresh),
		"inject":          inject(&h.Inject),
		"pass_token":      present(&h.PassToken),
		"phantom":         present(&h.Phantom),
	}.only(d)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func gateSession(dst **GateSession) parser {
	return func(d *caddyfile.Dispenser) error {
		if *dst != nil {
			return d.Err("session is set already")
		}
		s := made(dst)
		return words{
			"login_rate": perSecond(&s.LoginRate),
			"scope":      list(&s.Scopes),
			"idle":       span(&s.Idle),
			"absolute":   span(&s.Absolute),
			"callback":   text(&s.Callback),
			"logout":     text(&s.Logout),
			"login":      text(&s.Login),
			"domain":     text(&s.Domain),
			"cookie":     text(&s.Cookie),
			"host":       list(&s.Hosts),
			"client":     clientPair(&s.Client, &s.Secret),
		}.only(d)
	}
}

// clientPair reads a client's ID and, where it has one, its secret.
func clientPair(id, secret *string) parser {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if *id != "" || len(args) < 1 || len(args) > 2 {
			return d.Err("client needs an ID and, where it has one, its secret, once")
		}
		*id = args[0]
		if len(args) == 2 {
			*secret = args[1]
		}
		return nil
	}
}

func gateIssuer(dst *[]GateIssuer) parser {
	return func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		i := GateIssuer{Name: d.Val()}
		if d.NextArg() {
			return d.ArgErr()
		}
		err := words{
			"tls_ca":     list(&i.CA),
			"roles":      text(&i.Roles),
			"introspect": introspection(&i.Introspect),
		}.block(d)
		*dst = append(*dst, i)
		return err
	}
}

func introspection(dst **Introspection) parser {
	return func(d *caddyfile.Dispenser) error {
		if *dst != nil {
			return d.Err("introspect is set already")
		}
		q := made(dst)
		if d.NextArg() {
			q.URL = d.Val()
		}
		if d.NextArg() {
			return d.ArgErr()
		}
		return words{
			"client":                clientPair(&q.Client, &q.Secret),
			"cache":                 span(&q.Cache),
			"insecure_any_audience": present(&q.InsecureAnyAudience),
		}.block(d)
	}
}

func requirements(dst *[]Requirement) parser {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.Err("require needs scope, role, claim or contract, and a value")
		}
		switch args[0] {
		case "scope":
			*dst = append(*dst, Requirement{Scopes: args[1:]})
		case "role":
			*dst = append(*dst, Requirement{Roles: args[1:]})
		case "contract":
			*dst = append(*dst, Requirement{Contracts: args[1:]})
		case "claim":
			if len(args) < 3 {
				return d.Err("require claim needs a name and a value")
			}
			*dst = append(*dst, Requirement{Claim: args[1], Values: args[2:]})
		default:
			return d.Errf("unrecognized requirement: %s", args[0])
		}
		return nil
	}
}

func missing(dst *string) parser {
	return func(d *caddyfile.Dispenser) error {
		if err := text(dst)(d); err != nil {
			return err
		}
		switch *dst {
		case "skip", "empty", "deny":
			return nil
		}
		return d.Errf("missing skip, empty or deny, not %s", *dst)
	}
}

func inject(dst **Injection) parser {
	return func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.Err("inject needs what: header, tag, cookie, query, basic or token")
		}
		i, kind := made(dst), d.Val()
		if kind == "token" {
			return injectToken(d, i)
		}
		args := d.RemainingArgs()
		repeat := len(args) == 3 && args[2] == "repeat" && (kind == "header" || kind == "query")
		list := len(args) == 3 && args[2] == "list" && kind != "basic"
		if len(args) != 2 && !repeat && !list {
			return d.Errf("inject %s needs two values", kind)
		}
		value := NamedValue{Name: args[0], Value: Template(args[1]), Repeat: repeat, List: list}
		switch kind {
		case "header":
			i.Headers = append(i.Headers, value)
		case "cookie":
			i.Cookies = append(i.Cookies, value)
		case "query":
			i.Query = append(i.Query, value)
		case "tag":
			tag, text, ok := strings.Cut(args[1], "=")
			if !ok || tag == "" {
				return d.Errf("inject tag needs <tag>=<value>, not %s", args[1])
			}
			i.Tags = append(i.Tags, TagValue{Header: args[0], Tag: tag, Value: Template(text), List: list})
		case "basic":
			if i.Basic != nil {
				return d.Err("inject basic is set already")
			}
			i.Basic = &BasicValue{User: Template(args[0]), Password: Template(args[1])}
		default:
			return d.Errf("unrecognized injection: %s", kind)
		}
		return nil
	}
}

func injectToken(d *caddyfile.Dispenser, i *Injection) error {
	if i.Token != nil {
		return d.Err("inject token is set already")
	}
	policy := made(&i.Token)
	return words{
		"issuer":          text(&policy.Issuer),
		"client":          clientPair(&policy.Client, &policy.Secret),
		"grant":           text(&policy.Grant),
		"resource_server": text(&policy.ResourceServer),
		"renew_before":    span(&policy.RenewBefore),
		"scope": func(d *caddyfile.Dispenser) error {
			var given []string
			if err := list(&given)(d); err != nil {
				return err
			}
			for _, scopes := range given {
				policy.Scopes = append(policy.Scopes, splitScopes(scopes)...)
			}
			return nil
		},
	}.only(d)
}

// splitScopes takes a list apart that is written with commas or spaces.
func splitScopes(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

package caddymodule

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// gatePolicy parses the rules of a gate. Syntax:
//
//	policy {
//		permit|deny [priority <n>] {
//			scope|role|client|issuer|contract|method|path|remote_ip <value...>
//			claim <name> <value...>
//			expression <CEL>
//		}
//		on_deny <status> | redirect <url>
//	}
func gatePolicy(dst **GatePolicy) parser {
	return func(d *caddyfile.Dispenser) error {
		if *dst != nil {
			return d.Err("policy is set already")
		}
		p := made(dst)
		return words{"permit": policyRule(p), "deny": policyRule(p), "on_deny": onDeny(&p.OnDeny)}.only(d)
	}
}

func policyRule(p *GatePolicy) parser {
	return func(d *caddyfile.Dispenser) error {
		r := PolicyRule{Effect: d.Val()}
		if d.NextArg() {
			if d.Val() != "priority" || !d.NextArg() {
				return d.Errf("%s takes priority and a number, and then its block", r.Effect)
			}
			var err error
			if r.Priority, err = parseCount(d); err != nil {
				return err
			}
		}
		lines := words{}
		for _, word := range []string{
			"scope", "role", "client", "issuer", "contract", "method", "path", "remote_ip", "claim", "expression",
		} {
			lines[word] = policyLine(&r)
		}
		if err := lines.only(d); err != nil {
			return err
		}
		if len(r.When) == 0 {
			return d.Errf("a %s rule needs a line; expression true fits everything", r.Effect)
		}
		p.Rules = append(p.Rules, r)
		return nil
	}
}

func policyLine(r *PolicyRule) parser {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if word == "expression" {
			return policyExpression(d, r)
		}
		values := d.RemainingArgs()
		line := PolicyLine{}
		if word == "claim" {
			if len(values) < 2 {
				return d.Err("claim needs a name and a value")
			}
			line.Claim, line.Values = values[0], values[1:]
			return r.add(d, line)
		}
		if len(values) == 0 {
			return d.Errf("%s needs a value", word)
		}
		*map[string]*[]string{
			"scope": &line.Scopes, "role": &line.Roles, "client": &line.Clients, "issuer": &line.Issuers,
			"contract": &line.Contracts, "method": &line.Methods, "path": &line.Paths, "remote_ip": &line.RemoteIPs,
		}[word] = values
		return r.add(d, line)
	}
}

// policyExpression takes quotes that are part of an expression for what they are, as Caddy's own matcher does.
func policyExpression(d *caddyfile.Dispenser, r *PolicyRule) error {
	text := ""
	if d.CountRemainingArgs() > 1 {
		text = strings.Join(d.RemainingArgsRaw(), " ")
	} else if d.NextArg() {
		text = d.Val()
	}
	if text == "" {
		return d.Err("expression needs an expression")
	}
	return r.add(d, PolicyLine{Expression: text})
}

// add checks a line here, where its place is known, unless a placeholder stands in it.
func (r *PolicyRule) add(d *caddyfile.Dispenser, line PolicyLine) error {
	for _, condition := range line.conditions() {
		if values := strings.Join(condition.Values, " "); strings.Contains(values, "{env.") || strings.Contains(values, "{file.") {
			continue
		}
		if err := condition.Check(); err != nil {
			return d.WrapErr(err)
		}
	}
	r.When = append(r.When, line)
	return nil
}

func onDeny(dst **Denial) parser {
	return func(d *caddyfile.Dispenser) error {
		if *dst != nil {
			return d.Err("on_deny is set already")
		}
		denial := made(dst)
		if !d.NextArg() {
			return d.Err("on_deny needs a status, or redirect and a URL")
		}
		if d.Val() == "redirect" {
			return text(&denial.Redirect)(d)
		}
		status, err := strconv.Atoi(d.Val())
		if err != nil || status < 400 || status > 599 {
			return d.Errf("%q is no status of a refusal, 400 to 599", d.Val())
		}
		denial.Status = status
		return lineEnds(d)
	}
}

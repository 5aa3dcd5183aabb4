package caddymodule

import (
	"strings"

	"github.com/gatewright/gatewright/tokeninject"
)

// GatePolicy decides by rules: they are asked by priority, deny before permit, and the first that fits
// decides. Where none fits, the request is refused.
type GatePolicy struct {
	// The rules; their order does not matter.
	Rules []PolicyRule `json:"rule,omitempty"`
	// What a refusal is answered with.
	OnDeny *Denial `json:"on_deny,omitempty"`
}

// PolicyRule permits or denies what all its lines fit.
type PolicyRule struct {
	// permit or deny.
	Effect string `json:"effect"`
	// 1 is asked first; default: 1.
	Priority int `json:"priority,omitempty"`
	// What has to hold, all of it.
	When []PolicyLine `json:"when"`
}

// PolicyLine holds where each of its members has one value that fits.
type PolicyLine struct {
	// One of these scopes.
	Scopes []string `json:"scope,omitempty"`
	// One of these roles.
	Roles []string `json:"role,omitempty"`
	// One of these clients.
	Clients []string `json:"client,omitempty"`
	// The word of one of these issuers of the gate, each by its name or URL.
	Issuers []string `json:"issuer,omitempty"`
	// Signed in by one of these contracts.
	Contracts []string `json:"contract,omitempty"`
	// One of these methods.
	Methods []string `json:"method,omitempty"`
	// One of these paths, as they go on to the upstream; a * at either end is anything, in between
	// anything but a slash.
	Paths []string `json:"path,omitempty"`
	// The client's address is one of these, or in one of these ranges.
	RemoteIPs []string `json:"remote_ip,omitempty"`
	// This claim has one of the values.
	Claim string `json:"claim,omitempty"`
	// The values of the claim.
	Values []string `json:"value,omitempty"`
	// A CEL expression over subject, client, issuer, contract, scopes, roles, claims, username, user, method,
	// path, host and remote_ip.
	Expression string `json:"expression,omitempty"`
}

// Denial is the answer to who may not pass: 403, this status, or a redirect.
type Denial struct {
	// 400 to 599.
	Status int `json:"status,omitempty"`
	// Where to.
	Redirect string `json:"redirect,omitempty"`
}

func (p *GatePolicy) domain() *tokeninject.Policy {
	if p == nil {
		return nil
	}
	policy := &tokeninject.Policy{}
	if p.OnDeny != nil {
		policy.DenyStatus, policy.DenyRedirect = p.OnDeny.Status, p.OnDeny.Redirect
	}
	for _, r := range p.Rules {
		rule := tokeninject.Rule{Effect: tokeninject.Effect(r.Effect), Priority: r.Priority}
		for _, line := range r.When {
			rule.Conditions = append(rule.Conditions, line.conditions()...)
		}
		policy.Rules = append(policy.Rules, rule)
	}
	return policy
}

func (l PolicyLine) conditions() (all []tokeninject.Condition) {
	add := func(kind tokeninject.ConditionKind, name string, values []string) {
		if len(values) > 0 || name != "" {
			all = append(all, tokeninject.Condition{Kind: kind, Name: name, Values: values})
		}
	}
	add(tokeninject.IfScope, "", l.Scopes)
	add(tokeninject.IfRole, "", l.Roles)
	add(tokeninject.IfClient, "", l.Clients)
	add(tokeninject.IfIssuer, "", l.Issuers)
	add(tokeninject.IfContract, "", l.Contracts)
	add(tokeninject.IfMethod, "", l.Methods)
	add(tokeninject.IfPath, "", l.Paths)
	add(tokeninject.IfRemoteIP, "", l.RemoteIPs)
	add(tokeninject.IfClaim, l.Claim, l.Values)
	if l.Expression != "" {
		add(tokeninject.IfExpression, "", []string{l.Expression})
	}
	return all
}

// scopes are those that the rules name.
func (p *GatePolicy) scopes() []string {
	return p.named(func(l PolicyLine) []string { return l.Scopes })
}

// contracts are those that the rules name.
func (p *GatePolicy) contracts() []string {
	return p.named(func(l PolicyLine) []string { return l.Contracts })
}

// clients are those that the rules name.
func (p *GatePolicy) clients() []string {
	return p.named(func(l PolicyLine) []string { return l.Clients })
}

// asksIssuer tells whether a rule looks at whose word it is.
func (p *GatePolicy) asksIssuer() bool {
	return len(p.named(func(l PolicyLine) []string {
		if strings.Contains(l.Expression, "issuer") {
			return []string{l.Expression}
		}
		return l.Issuers
	})) > 0
}

func (p *GatePolicy) named(of func(PolicyLine) []string) (all []string) {
	if p == nil {
		return nil
	}
	for _, rule := range p.Rules {
		for _, line := range rule.When {
			all = append(all, of(line)...)
		}
	}
	return all
}

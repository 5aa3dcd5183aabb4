package caddymodule

import (
	"errors"
	"net/http"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatewright/gatewright/tokeninject"
)

// MatchScope matches requests that passed a gate with one of these scopes. Like the other matchers of
// this module it looks at what a gate found out, so it matches nothing in front of one: in routes and
// directives that come before token_inject, and for requests that the gate does not see.
type MatchScope = listMatcher[ofScope]

// MatchRole matches requests of somebody who has one of these roles; see MatchScope.
type MatchRole = listMatcher[ofRole]

// MatchClient matches requests with a token or session of one of these clients; see MatchScope.
type MatchClient = listMatcher[ofClient]

// MatchClaim matches requests of somebody who has, for each claim named, one of its values; see MatchScope.
type MatchClaim map[string][]string

// listMatcher matches requests for which a condition of one kind holds.
type listMatcher[K ofKind] []string

// ofKind is what the values of a listMatcher are.
type ofKind interface {
	kind() tokeninject.ConditionKind
}

type (
	ofScope  struct{}
	ofRole   struct{}
	ofClient struct{}
)

func (ofScope) kind() tokeninject.ConditionKind  { return tokeninject.IfScope }
func (ofRole) kind() tokeninject.ConditionKind   { return tokeninject.IfRole }
func (ofClient) kind() tokeninject.ConditionKind { return tokeninject.IfClient }

func (m listMatcher[K]) condition() tokeninject.Condition {
	var k K
	return tokeninject.Condition{Kind: k.kind(), Values: m}
}

// name is the matcher's word in a Caddyfile and an expression.
func (m listMatcher[K]) name() string { return "authz_" + string(m.condition().Kind) }

// CaddyModule returns the Caddy module information.
func (m listMatcher[K]) CaddyModule() caddy.ModuleInfo {
	return matcherInfo(m.name(), func() caddy.Module { return new(listMatcher[K]) })
}

// CaddyModule returns the Caddy module information.
func (MatchClaim) CaddyModule() caddy.ModuleInfo {
	return matcherInfo("authz_claim", func() caddy.Module { return new(MatchClaim) })
}

func matcherInfo(name string, made func() caddy.Module) caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: caddy.ModuleID("http.matchers." + name), New: made}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	authz_scope|authz_role|authz_client <value...>
func (m *listMatcher[K]) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		word := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s needs a value", word)
		}
		*m = append(*m, args...)
		if d.NextBlock(0) {
			return d.Errf("%s has no block", word)
		}
	}
	return nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	authz_claim <name> <value...>
func (m *MatchClaim) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.Err("authz_claim needs a name and a value")
		}
		if *m == nil {
			*m = MatchClaim{}
		}
		(*m)[args[0]] = append((*m)[args[0]], args[1:]...)
		if d.NextBlock(0) {
			return d.Err("authz_claim has no block")
		}
	}
	return nil
}

// Provision checks the values.
func (m *listMatcher[K]) Provision(caddy.Context) error {
	return errors.Join(expand(m.name(), (*[]string)(m)), m.condition().Check())
}

// Provision checks the values.
func (m *MatchClaim) Provision(caddy.Context) error {
	if len(*m) == 0 {
		return errors.New("authz_claim: no claim")
	}
	if err := expand("authz_claim", (*map[string][]string)(m)); err != nil {
		return err
	}
	for name, values := range *m {
		if err := claimCondition(name, values).Check(); err != nil {
			return err
		}
	}
	return nil
}

func claimCondition(name string, values []string) tokeninject.Condition {
	return tokeninject.Condition{Kind: tokeninject.IfClaim, Name: name, Values: values}
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m listMatcher[K]) MatchWithError(r *http.Request) (bool, error) {
	return m.condition().Holds(identityOf(r)), nil
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m MatchClaim) MatchWithError(r *http.Request) (bool, error) {
	id := identityOf(r)
	for name, values := range m {
		if !claimCondition(name, values).Holds(id) {
			return false, nil
		}
	}
	return true, nil
}

// Match implements caddyhttp.RequestMatcher.
func (m listMatcher[K]) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r) // it has none
	return ok
}

// Match implements caddyhttp.RequestMatcher.
func (m MatchClaim) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r) // it has none
	return ok
}

// identityOf is who a gate found a request to be of; nil for nobody, and where no gate was.
func identityOf(r *http.Request) *tokeninject.Identity { return varsOf(r).passed().front().Identity }

// CELLibrary makes the matcher a function of expressions: authz_scope('orders.read', 'orders.write').
func (m listMatcher[K]) CELLibrary(ctx caddy.Context) (cel.Library, error) {
	return caddyhttp.CELMatcherImpl(m.name(), m.name()+"_matcher", []*cel.Type{cel.ListType(cel.StringType)},
		func(data ref.Val) (caddyhttp.RequestMatcherWithError, error) {
			list, err := data.ConvertToNative(reflect.TypeFor[[]string]())
			if err != nil {
				return nil, err
			}
			made := listMatcher[K](list.([]string))
			return made, made.Provision(ctx)
		})
}

// CELLibrary makes the matcher a function of expressions: authz_claim({'tenant': ['a', 'b']}).
func (MatchClaim) CELLibrary(ctx caddy.Context) (cel.Library, error) {
	return caddyhttp.CELMatcherImpl("authz_claim", "authz_claim_matcher", []*cel.Type{caddyhttp.CELTypeJSON},
		func(data ref.Val) (caddyhttp.RequestMatcherWithError, error) {
			claims, err := caddyhttp.CELValueToMapStrList(data)
			if err != nil {
				return nil, err
			}
			m := MatchClaim(claims)
			return m, m.Provision(ctx)
		})
}

// Interface guards.
var (
	_ caddyhttp.RequestMatcherWithError = (*MatchScope)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchClaim)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchScope)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchClaim)(nil)
	_ caddyfile.Unmarshaler             = (*MatchScope)(nil)
	_ caddyfile.Unmarshaler             = (*MatchClaim)(nil)
	_ caddy.Provisioner                 = (*MatchScope)(nil)
	_ caddy.Provisioner                 = (*MatchClaim)(nil)
)

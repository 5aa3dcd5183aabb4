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
type MatchScope []string

// MatchRole matches requests of somebody who has one of these roles; see MatchScope.
type MatchRole []string

// MatchClient matches requests with a token or session of one of these clients; see MatchScope.
type MatchClient []string

// MatchClaim matches requests of somebody who has, for each claim named, one of its values; see MatchScope.
type MatchClaim map[string][]string

// CaddyModule returns the Caddy module information.
func (MatchScope) CaddyModule() caddy.ModuleInfo { return matcherInfo[MatchScope]("authz_scope") }

// CaddyModule returns the Caddy module information.
func (MatchRole) CaddyModule() caddy.ModuleInfo { return matcherInfo[MatchRole]("authz_role") }

// CaddyModule returns the Caddy module information.
func (MatchClient) CaddyModule() caddy.ModuleInfo { return matcherInfo[MatchClient]("authz_client") }

// CaddyModule returns the Caddy module information.
func (MatchClaim) CaddyModule() caddy.ModuleInfo { return matcherInfo[MatchClaim]("authz_claim") }

func matcherInfo[T any, P interface {
	*T
	caddy.Module
}](name string) caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: caddy.ModuleID("http.matchers." + name), New: func() caddy.Module { return P(new(T)) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	authz_scope <scope...>
func (m *MatchScope) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return matcherValues(d, (*[]string)(m))
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	authz_role <role...>
func (m *MatchRole) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return matcherValues(d, (*[]string)(m))
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	authz_client <client...>
func (m *MatchClient) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return matcherValues(d, (*[]string)(m))
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

func matcherValues(d *caddyfile.Dispenser, dst *[]string) error {
	for d.Next() {
		word := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s needs a value", word)
		}
		*dst = append(*dst, args...)
		if d.NextBlock(0) {
			return d.Errf("%s has no block", word)
		}
	}
	return nil
}

// Provision checks the values.
func (m *MatchScope) Provision(caddy.Context) error {
	return errors.Join(expand("authz_scope", (*[]string)(m)), m.condition().Check())
}

// Provision checks the values.
func (m *MatchRole) Provision(caddy.Context) error {
	return errors.Join(expand("authz_role", (*[]string)(m)), m.condition().Check())
}

// Provision checks the values.
func (m *MatchClient) Provision(caddy.Context) error {
	return errors.Join(expand("authz_client", (*[]string)(m)), m.condition().Check())
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

func (m MatchScope) condition() tokeninject.Condition {
	return tokeninject.Condition{Kind: tokeninject.IfScope, Values: m}
}

func (m MatchRole) condition() tokeninject.Condition {
	return tokeninject.Condition{Kind: tokeninject.IfRole, Values: m}
}

func (m MatchClient) condition() tokeninject.Condition {
	return tokeninject.Condition{Kind: tokeninject.IfClient, Values: m}
}

func claimCondition(name string, values []string) tokeninject.Condition {
	return tokeninject.Condition{Kind: tokeninject.IfClaim, Name: name, Values: values}
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m MatchScope) MatchWithError(r *http.Request) (bool, error) {
	return m.condition().Holds(identityOf(r)), nil
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m MatchRole) MatchWithError(r *http.Request) (bool, error) {
	return m.condition().Holds(identityOf(r)), nil
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m MatchClient) MatchWithError(r *http.Request) (bool, error) {
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
func (m MatchScope) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r) // it has none
	return ok
}

// Match implements caddyhttp.RequestMatcher.
func (m MatchRole) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r) // it has none
	return ok
}

// Match implements caddyhttp.RequestMatcher.
func (m MatchClient) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r) // it has none
	return ok
}

// Match implements caddyhttp.RequestMatcher.
func (m MatchClaim) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r) // it has none
	return ok
}

// identityOf is who a gate found a request to be of; nil for nobody, and where no gate was.
func identityOf(r *http.Request) *tokeninject.Identity {
	if held, ok := caddyhttp.GetVar(r.Context(), identityVar).(*exposed); ok {
		return held.id
	}
	return nil
}

// CELLibrary makes the matcher a function of expressions: authz_scope('orders.read', 'orders.write').
func (MatchScope) CELLibrary(ctx caddy.Context) (cel.Library, error) {
	return listLibrary("authz_scope", func(list []string) (caddyhttp.RequestMatcherWithError, error) {
		m := MatchScope(list)
		return m, m.Provision(ctx)
	})
}

// CELLibrary makes the matcher a function of expressions: authz_role('admin').
func (MatchRole) CELLibrary(ctx caddy.Context) (cel.Library, error) {
	return listLibrary("authz_role", func(list []string) (caddyhttp.RequestMatcherWithError, error) {
		m := MatchRole(list)
		return m, m.Provision(ctx)
	})
}

// CELLibrary makes the matcher a function of expressions: authz_client('robot').
func (MatchClient) CELLibrary(ctx caddy.Context) (cel.Library, error) {
	return listLibrary("authz_client", func(list []string) (caddyhttp.RequestMatcherWithError, error) {
		m := MatchClient(list)
		return m, m.Provision(ctx)
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

func listLibrary(name string, of func([]string) (caddyhttp.RequestMatcherWithError, error)) (cel.Library, error) {
	return caddyhttp.CELMatcherImpl(name, name+"_matcher", []*cel.Type{cel.ListType(cel.StringType)},
		func(data ref.Val) (caddyhttp.RequestMatcherWithError, error) {
			list, err := data.ConvertToNative(reflect.TypeFor[[]string]())
			if err != nil {
				return nil, err
			}
			return of(list.([]string))
		})
}

// Interface guards.
var (
	_ caddyhttp.RequestMatcherWithError = (*MatchScope)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchRole)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchClient)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchClaim)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchScope)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchRole)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchClient)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchClaim)(nil)
	_ caddyfile.Unmarshaler             = (*MatchScope)(nil)
	_ caddyfile.Unmarshaler             = (*MatchRole)(nil)
	_ caddyfile.Unmarshaler             = (*MatchClient)(nil)
	_ caddyfile.Unmarshaler             = (*MatchClaim)(nil)
	_ caddy.Provisioner                 = (*MatchScope)(nil)
	_ caddy.Provisioner                 = (*MatchRole)(nil)
	_ caddy.Provisioner                 = (*MatchClient)(nil)
	_ caddy.Provisioner                 = (*MatchClaim)(nil)
)

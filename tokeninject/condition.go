package tokeninject

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// compiled is a condition that is ready to be asked.
type compiled struct {
	test
	ofRequest  bool // an identity alone does not decide
	mixed      bool // nor does a request alone
	seesPath   bool
	seesMethod bool
}

// errAddress: a client without an address is inside no range, and outside of none.
var errAddress = errors.New("the client's address is not known")

// Holds tells whether a condition that an identity alone decides (scope, role, client, issuer, claim) holds for
// one; for nobody, nil, none does.
func (c Condition) Holds(id *Identity) bool {
	if id == nil {
		return false
	}
	switch c.Kind {
	case IfScope:
		return slices.ContainsFunc(c.Values, func(scope string) bool { return hasScope(id.Scope, scope) })
	case IfRole:
		return Requirement{Kind: RequireRole, Values: c.Values}.met(id)
	case IfClient:
		return slices.Contains(c.Values, id.ClientID)
	case IfIssuer:
		return slices.Contains(c.Values, id.Issuer())
	case IfClaim:
		return Requirement{Kind: RequireClaim, Name: c.Name, Values: c.Values}.met(id)
	}
	return false
}

// contract compares how somebody signed in. Who is permitted by a contract is by a better one as well, while it
// lasts, as `require contract` has it; who is denied by one is not if they did more than it asks.
func (c Condition) contract(deny bool) compiled {
	return compiled{ofRequest: true, test: func(f facts) (ok bool, err error) {
		acr, at := f.id.Login()
		switch {
		case acr == "":
			return false, nil
		case deny:
			return slices.Contains(c.Values, acr), nil
		}
		ok, _ = satisfies(f.p.from.issuer, c.Values, acr, at)
		return ok, nil
	}}
}

// compile checks a condition of a rule that denies or permits.
func (c Condition) compile(deny bool) (compiled, error) {
	if len(c.Values) == 0 || slices.Contains(c.Values, "") && c.Kind != IfClaim {
		return compiled{}, fmt.Errorf("%s: no value", c.Kind)
	}
	switch c.Kind {
	case IfScope, IfRole, IfClient, IfIssuer, IfClaim:
		if c.Kind == IfScope && !allScopes(c.Values) {
			return compiled{}, fmt.Errorf("scope: %q is no list of scopes", c.Values)
		}
		if c.Kind == IfClaim && c.Name == "" {
			return compiled{}, errors.New("claim: no name")
		}
		return compiled{test: func(f facts) (bool, error) { return c.Holds(f.id), nil }}, nil
	case IfContract:
		return c.contract(deny), nil
	case IfMethod:
		return c.method(deny)
	case IfPath:
		return c.path(deny)
	case IfRemoteIP:
		return c.remoteIP()
	case IfExpression:
		return c.expression()
	}
	return compiled{}, fmt.Errorf("%q is none of scope, role, client, issuer, contract, method, path, remote_ip, claim, expression", c.Kind)
}

// method compares as the method's letters are written: those of other case are others (RFC 9110 §9.1). Some
// upstreams don't think so, so that a rule that denies takes them all for one.
func (c Condition) method(deny bool) (compiled, error) {
	for _, method := range c.Values {
		if !httpguts.ValidHeaderFieldName(method) || method != strings.ToUpper(method) { // both are tokens
			return compiled{}, fmt.Errorf("method: %q is no method in capital letters", method)
		}
	}
	return compiled{ofRequest: true, seesMethod: true, test: func(f facts) (bool, error) {
		method := forwardedMethod(f.p.r)
		if deny {
			method = strings.ToUpper(method)
		}
		return slices.Contains(c.Values, method), nil
	}}, nil
}

func (c Condition) path(deny bool) (compiled, error) {
	var patterns []pathPattern
	for _, value := range c.Values {
		pattern, err := newPathPattern(value, deny)
		if err != nil {
			return compiled{}, err
		}
		patterns = append(patterns, pattern)
	}
	return compiled{ofRequest: true, seesPath: true, test: func(f facts) (bool, error) {
		return slices.ContainsFunc(patterns, func(p pathPattern) bool { return p.matches(f.p.path) }), nil
	}}, nil
}

func (c Condition) remoteIP() (compiled, error) {
	var prefixes []netip.Prefix
	for _, value := range c.Values {
		prefix, err := netip.ParsePrefix(value)
		if address, notPrefix := netip.ParseAddr(value); notPrefix == nil {
			prefix, err = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()), nil
		}
		if err != nil || prefix.Addr().Is4In6() || prefix.Addr().Zone() != "" {
			return compiled{}, fmt.Errorf("remote_ip: %q is no address and no prefix", value)
		}
		prefixes = append(prefixes, prefix)
	}
	return compiled{ofRequest: true, test: func(f facts) (bool, error) {
		address := f.p.clientAddress()
		if !address.IsValid() {
			return false, errAddress
		}
		return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(address) }), nil
	}}, nil
}

func (c Condition) expression() (compiled, error) {
	if len(c.Values) != 1 {
		return compiled{}, errors.New("expression: one is needed; write it in quotes")
	}
	e, err := newExpression(c.Values[0])
	if err != nil {
		return compiled{}, err
	}
	return compiled{
		test: e.holds, ofRequest: e.asks(ofRequest), mixed: e.asks(ofRequest) && e.asks(ofIdentity),
		seesPath: e.names["path"], seesMethod: e.names["method"],
	}, nil
}

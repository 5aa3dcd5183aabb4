package authz

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gatewright/gatewright/authz/oauth"
)

// ScopeOpenID asks for an ID token (OpenID Connect Core §3.1.2.1).
const ScopeOpenID = "openid"

// scope is a Scope with the resource server that defines it; standard scopes have none.
type scope struct {
	Scope
	resource *resource
}

// standardScopes are there without being configured: OpenID Connect Core §5.4 and §11, and NAAPS
// (C17). They ask for consent, save openid (S11).
var standardScopes = []Scope{
	{Name: ScopeOpenID},
	{Name: "profile", RequireConsent: true},
	{Name: "email", RequireConsent: true},
	{Name: "address", RequireConsent: true},
	{Name: "phone", RequireConsent: true},
	{Name: "offline_access", RequireConsent: true},
	{Name: "NAAPS", Implies: []string{ScopeOpenID}},
}

// compileScopes gathers the scopes of every resource server under their names (R6).
func compileScopes(resources []*resource, registration bool) (map[string]*scope, error) {
	scopes := make(map[string]*scope)
	for _, s := range standardScopes {
		scopes[s.Name] = &scope{Scope: s}
	}
	if registration {
		for _, name := range []string{ScopeRegistrationRead, ScopeRegistrationFull} {
			scopes[name] = &scope{Scope: Scope{Name: name, RequireConsent: true}}
		}
	}
	var errs []error
	for _, rs := range resources {
		for _, s := range rs.Scopes {
			if err := addScope(scopes, &scope{Scope: s, resource: rs}); err != nil {
				errs = append(errs, wrong("resource_server", rs.Name, wrong("scope", s.Name, err)))
			}
		}
	}
	for _, s := range scopes {
		if err := checkImplied(scopes, s.Name, nil); err != nil {
			errs = append(errs, wrong("scope", s.Name, err))
		}
	}
	return scopes, errors.Join(errs...)
}

func addScope(scopes map[string]*scope, s *scope) error {
	if !oauth.ValidScopeToken(s.Name) {
		return errors.New("the name holds a character that RFC 6749 §3.3 does not allow")
	}
	if other, taken := scopes[s.Name]; taken {
		if other.resource == nil {
			return errors.New("the name belongs to a standard scope")
		}
		return fmt.Errorf("resource_server %s defines it too", other.resource.Name)
	}
	scopes[s.Name] = s
	return nil
}

// checkImplied follows `implies` and refuses unknown names and circles.
func checkImplied(scopes map[string]*scope, name string, above []string) error {
	if slices.Contains(above, name) {
		return errors.New("implies itself")
	}
	for _, next := range scopes[name].Implies {
		if scopes[next] == nil {
			return fmt.Errorf("implies the unknown scope %q", next)
		}
		if err := checkImplied(scopes, next, append(above, name)); err != nil {
			return err
		}
	}
	return nil
}

// withImplied adds what the scopes imply (C17).
func (s *Server) withImplied(names []string) []string {
	all := slices.Clone(names)
	for i := 0; i < len(all); i++ {
		for _, next := range s.scopes[all[i]].Implies {
			if !slices.Contains(all, next) {
				all = append(all, next)
			}
		}
	}
	return all
}

// grantable narrows a request to the scopes the client may have; the rest is ignored, not an error
// (S8).
func (c *client) grantable(requested []string) []string {
	granted := make([]string, 0, len(requested))
	for _, name := range requested {
		if slices.Contains(c.Scopes, name) {
			granted = append(granted, name)
		}
	}
	return granted
}

// consentable are the scopes among names that a person has to agree to (S4).
func (s *Server) consentable(names []string) []string {
	var list []string
	for _, name := range names {
		if sc := s.scopes[name]; sc != nil && sc.RequireConsent {
			list = append(list, name)
		}
	}
	return list
}

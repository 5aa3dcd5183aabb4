package caddymodule

import (
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz"
)

// ResourceServer is an API that takes the server's access tokens.
type ResourceServer struct {
	// How sites and requests speak of it; "issuer" is reserved.
	Name string `json:"name"`
	// The one whose encryption counts where a request names none.
	Default bool `json:"default,omitempty"`
	// Absolute URIs (RFC 8707 §2); the first one becomes the audience.
	Identifiers []string `json:"identifier,omitempty"`
	// How its tokens are protected: none, server_key (default) or resource_key.
	Encryption string `json:"encryption,omitempty"`
	// What signs its tokens; default: signing's access_token.
	Signed string `json:"signed,omitempty"`
	// Its public keys, for resource_key.
	JWKS *JWKS `json:"jwks,omitempty"`
	// The key management algorithm (RFC 7518 §4) of resource_key.
	Alg string `json:"alg,omitempty"`
	// The content encryption (RFC 7518 §5) of resource_key.
	Enc string `json:"enc,omitempty"`
	// How the claim "scope" is written: string (default) or array.
	ScopeFormat string `json:"scope_format,omitempty"`
	// What clients may ask of it.
	Scopes []Scope `json:"scope,omitempty"`
}

// Scope is a permission that a client may ask for.
type Scope struct {
	// Case-sensitive (RFC 6749 §3.3), and defined by one resource server only.
	Name string `json:"name"`
	// What the consent page says.
	Description string `json:"description,omitempty"`
	// Whether people are asked.
	RequireConsent bool `json:"require_consent,omitempty"`
	// Whether people may decline just this one.
	Optional bool `json:"optional,omitempty"`
	// Claims of the person that come with it; userinfo always has them.
	Attributes []ScopeAttribute `json:"attribute,omitempty"`
	// Strings that it puts in the list "claims".
	Permissions []ScopePermission `json:"permission,omitempty"`
	// Gives the person's roles, to userinfo, or to access_token, id_token or both as well.
	Roles string `json:"roles,omitempty"`
	// Scopes that come along.
	Implies []string `json:"implies,omitempty"`
}

// ScopeAttribute is claims of a person that a scope gives.
type ScopeAttribute struct {
	// "claim", or "set/claim" where two attribute sets define it.
	Claims []string `json:"claim"`
	// access_token, id_token, both or userinfo (default).
	To string `json:"to,omitempty"`
}

// ScopePermission is strings that a scope puts in the list "claims".
type ScopePermission struct {
	// The strings.
	Values []string `json:"value"`
	// access_token (default), id_token or both.
	To string `json:"to,omitempty"`
}

// Where claims go.
const (
	toAccessToken = "access_token"
	toIDToken     = "id_token"
	toBoth        = "both"
	toUserinfo    = "userinfo"
)

func (rs *ResourceServer) domain() (authz.ResourceServer, error) {
	jwks, err := rs.JWKS.read()
	if err != nil {
		return authz.ResourceServer{}, err
	}
	converted := authz.ResourceServer{
		Name:              rs.Name,
		Default:           rs.Default,
		Identifiers:       rs.Identifiers,
		Encryption:        authz.Encryption(rs.Encryption),
		Signed:            jose.SignatureAlgorithm(rs.Signed),
		JWKS:              jwks,
		KeyAlgorithm:      rs.Alg,
		ContentEncryption: rs.Enc,
	}
	if rs.JWKS != nil {
		converted.JWKSURL = rs.JWKS.URL
	}
	switch rs.ScopeFormat {
	case "", "string":
	case "array":
		converted.ScopeAsArray = true
	default:
		return authz.ResourceServer{}, fmt.Errorf("scope_format is string or array, not %q", rs.ScopeFormat)
	}
	for _, scope := range rs.Scopes {
		s, err := scope.domain()
		if err != nil {
			return authz.ResourceServer{}, fmt.Errorf("scope %q: %w", scope.Name, err)
		}
		converted.Scopes = append(converted.Scopes, s)
	}
	return converted, nil
}

func (s *Scope) domain() (authz.Scope, error) {
	converted := authz.Scope{
		Name:           s.Name,
		Description:    s.Description,
		RequireConsent: s.RequireConsent,
		Optional:       s.Optional,
		Implies:        s.Implies,
	}
	for _, a := range s.Attributes {
		to, err := placement(a.To, toUserinfo)
		if err != nil {
			return authz.Scope{}, fmt.Errorf("attribute: %w", err)
		}
		converted.Attributes = append(converted.Attributes, authz.ScopeAttributes{Claims: a.Claims, To: to})
	}
	for _, p := range s.Permissions {
		to, err := placement(p.To, toAccessToken)
		if err != nil {
			return authz.Scope{}, fmt.Errorf("permission: %w", err)
		}
		if p.To == toUserinfo {
			return authz.Scope{}, fmt.Errorf("permission: to %s alone is not possible", toUserinfo)
		}
		converted.Permissions = append(converted.Permissions, authz.ScopePermissions{Permissions: p.Values, To: to})
	}
	if s.Roles != "" {
		to, err := placement(s.Roles, toUserinfo)
		if err != nil {
			return authz.Scope{}, fmt.Errorf("roles: %w", err)
		}
		converted.Roles = &to
	}
	return converted, nil
}

// placement reads where claims go; userinfo has them anyway and therefore means no token.
func placement(to, byDefault string) (authz.Placement, error) {
	if to == "" {
		to = byDefault
	}
	switch to {
	case toAccessToken:
		return authz.Placement{AccessToken: true}, nil
	case toIDToken:
		return authz.Placement{IDToken: true}, nil
	case toBoth:
		return authz.Placement{AccessToken: true, IDToken: true}, nil
	case toUserinfo:
		return authz.Placement{}, nil
	}
	return authz.Placement{}, fmt.Errorf("to %s, %s, %s or %s, not %q", toAccessToken, toIDToken, toBoth, toUserinfo, to)
}

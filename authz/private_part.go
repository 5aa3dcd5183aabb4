package authz

import (
	"encoding/json"
	"errors"

	"github.com/gatewright/gatewright/authz/token"
)

// claimPrivate is the part of a token that only the server reads (R11).
const claimPrivate = "prv"

// errFormerDefault is R8: the token was encrypted to a resource server because that one was the
// default, and it is the default no more.
var errFormerDefault = errors.New("minted for a former default resource server")

// privatePart is what a token says to the server alone. Most tokens have none: the family and all that
// the endpoints need is in claims.
type privatePart struct {
	// Default is the resource server that a resource_key token went to because it was the default (R8).
	Default string `json:"d,omitempty"`
	// UserInfo are the single claims that userinfo answers with, as requestedClaims has them.
	UserInfo []string `json:"u,omitempty"`
}

func (s *Server) privateOf(a *Authorization) privatePart {
	p := privatePart{UserInfo: a.claims.userInfo()}
	if a.resource.Encryption == EncryptionResourceKey && !a.named && a.client.resource == nil && a.resource == s.defaultResource {
		p.Default = a.resource.Name
	}
	return p
}

// sealPrivate makes the claim for a private part, none for an empty one.
func (s *Server) sealPrivate(p privatePart, id string) map[string]any {
	if p.Default == "" && len(p.UserInfo) == 0 {
		return nil
	}
	plain, _ := json.Marshal(p) // strings: can't fail
	return map[string]any{claimPrivate: s.run.private.Seal(plain, []byte(id))}
}

// openPrivate reads the private part, refuses what R8 refuses, and takes the claim out, which nobody
// else should see.
func (s *Server) openPrivate(t *token.AccessToken) (p privatePart, err error) {
	sealed, ok := t.Extra[claimPrivate].(string)
	if !ok {
		return p, nil
	}
	delete(t.Extra, claimPrivate)
	plain, err := s.run.private.Open(sealed, []byte(t.ID))
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(plain, &p); err != nil {
		return p, err
	}
	if p.Default != "" && (s.defaultResource == nil || s.defaultResource.Name != p.Default) {
		return p, errFormerDefault
	}
	return p, nil
}

package authz

import (
	"errors"
	"strings"

	"github.com/gatewright/gatewright/authz/token"
)

// claimPrivate is the part of a token that only the server reads (R11).
const claimPrivate = "prv"

// errFormerDefault is R8: the token was encrypted to a resource server because that one was the
// default, and it is the default no more.
var errFormerDefault = errors.New("minted for a former default resource server")

// mark gives a resource_key token that went to the default, not to a server the request named, its
// private part (R8). Of other tokens there is nothing to keep from their readers: the family and all that
// the endpoints need is in claims.
func (s *Server) mark(a *Authorization, id string, extra map[string]any) {
	if a.resource.Encryption == EncryptionResourceKey && !a.named && a.client.resource == nil && a.resource == s.defaultResource {
		extra[claimPrivate] = s.run.private.Seal([]byte("default "+a.resource.Name), []byte(id))
	}
}

// checkPrivate refuses what R8 refuses. It takes the private part out, which nobody else should see.
func (s *Server) checkPrivate(t *token.AccessToken) error {
	sealed, ok := t.Extra[claimPrivate].(string)
	if !ok {
		return nil
	}
	delete(t.Extra, claimPrivate)
	plain, err := s.run.private.Open(sealed, []byte(t.ID))
	if err != nil {
		return err
	}
	former, _ := strings.CutPrefix(string(plain), "default ")
	if s.defaultResource == nil || s.defaultResource.Name != former {
		return errFormerDefault
	}
	return nil
}

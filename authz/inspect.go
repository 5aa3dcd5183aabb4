package authz

import (
	"context"
	"errors"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/token"
)

// leeway is how far clocks may be apart.
const leeway = 5 * time.Second

// errForeign: a token of another issuer.
var errForeign = errors.New("issued by somebody else")

// open takes an access token as far as its cryptography goes: our own encryption, one to a resource
// server that we made (R11), our signature, and a typ that no other kind of token has (A6). It returns
// the claims as they were signed.
func (s *Server) open(ctx context.Context, raw string) ([]byte, error) {
	if isBinary(raw) {
		return s.openBinary(ctx, raw)
	}
	if token.IsJWE(raw) {
		signed, err := s.run.keys().Decrypt(raw)
		if errors.Is(err, token.ErrNotOurs) {
			signed, err = s.run.owner.OpenJWE(raw)
		}
		if err != nil {
			return nil, err
		}
		raw = signed
	}
	return s.run.keys().Verifier().Verify(raw, token.TypeAccessToken)
}

// inspect opens an access token that was sent to one of the server's own endpoints and checks
// everything that can be wrong with it. Every failure is invalid_token.
func (s *Server) inspect(ctx context.Context, raw string) (*token.AccessToken, error) {
	payload, err := s.open(ctx, raw)
	if err != nil {
		return nil, errInvalidToken.Because(err)
	}
	t, err := token.ParseAccessToken(payload, s.now(), leeway)
	switch {
	case err != nil:
		return nil, errInvalidToken.Because(err)
	case t.Issuer != s.cfg.Issuer:
		return nil, errInvalidToken.Because(errForeign)
	case s.run.feed.Revoked(revocationSubject(t)):
		return nil, errInvalidToken.Because(errRevoked)
	}
	if err := s.checkPrivate(t); err != nil {
		return nil, errInvalidToken.Because(err)
	}
	return t, nil
}

var errInvalidToken = oauth.Errorf(oauth.InvalidToken, "the token is invalid, expired or revoked")

// revocationSubject is what a token says of itself to the revocation feed.
func revocationSubject(t *token.AccessToken) revocation.Subject {
	return revocation.Subject{
		Family:   t.GrantID,
		Session:  t.SessionID,
		Token:    t.ID,
		User:     t.Subject,
		Client:   t.ClientID,
		IssuedAt: t.IssuedAt,
	}
}

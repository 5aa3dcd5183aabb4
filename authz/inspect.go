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

// decode reads an access token of ours that has not expired. What is wrong with it is invalid_token;
// a fault of the server is not, since it says nothing of the token.
func (s *Server) decode(ctx context.Context, raw string) (*token.AccessToken, error) {
	payload, err := s.open(ctx, raw)
	if err != nil {
		return nil, refusal(err)
	}
	t, err := token.ParseAccessToken(payload, s.now(), leeway)
	switch {
	case err != nil:
		return nil, refusal(err)
	case t.Issuer != s.cfg.Issuer:
		return nil, refusal(errForeign)
	case !s.now().Before(t.ExpiresAt): // the leeway is for clocks of other nodes, not for more life
		return nil, refusal(token.ErrExpired)
	}
	return t, nil
}

// inspect is decode, and everything else that ends a token: revocation, and R8.
func (s *Server) inspect(ctx context.Context, raw string) (*token.AccessToken, error) {
	t, _, err := s.inspectAll(ctx, raw)
	return t, err
}

// inspectAll also returns the token's private part.
func (s *Server) inspectAll(ctx context.Context, raw string) (*token.AccessToken, privatePart, error) {
	t, err := s.decode(ctx, raw)
	if err != nil {
		return nil, privatePart{}, err
	}
	if s.run.feed.Revoked(s.revocationSubject(t)) {
		return nil, privatePart{}, refusal(errRevoked)
	}
	private, err := s.openPrivate(t)
	if err != nil {
		return nil, privatePart{}, refusal(err)
	}
	return t, private, nil
}

// refusal is invalid_token, unless the cause is a fault.
func refusal(cause error) error {
	if errors.Is(cause, oauth.TemporarilyUnavailable) {
		return cause
	}
	return errInvalidToken.Because(cause)
}

var errInvalidToken = oauth.Errorf(oauth.InvalidToken, "the token is invalid, expired or revoked")

// revocationSubject is what a token says of itself to the revocation feed.
func (s *Server) revocationSubject(t *token.AccessToken) revocation.Subject {
	return revocation.Subject{
		Family:   t.GrantID,
		Session:  t.SessionID,
		Token:    t.ID,
		User:     s.Account(t.Subject),
		Client:   t.ClientID,
		IssuedAt: t.IssuedAt,
	}
}

// forItself tells a token that a client got for itself from a person's: those have an auth_time, or come of an
// assertion, which may be about anybody but the client's namesake.
func forItself(t *token.AccessToken) bool { return t.Subject == t.ClientID && t.AuthTime.IsZero() }

package authz

import (
	"context"
	"errors"
	"slices"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// clientCredentialsGrant is the client credentials grant (RFC 6749 §4.4): the client acts for itself.
type clientCredentialsGrant struct{ s *Server }

func (clientCredentialsGrant) Type() string { return GrantClientCredentials }

// errSubjectClash: sub would name a person and a client alike (RFC 9068 §5).
var errSubjectClash = errors.New("a user has the client's ID as subject")

func (g clientCredentialsGrant) Authorize(ctx context.Context, r *TokenRequest) (*Authorization, error) {
	_, err := g.s.cfg.Users.Lookup(ctx, r.client.ID)
	switch {
	case err == nil || errors.Is(err, users.ErrDisabled):
		return nil, oauth.Errorf(oauth.UnauthorizedClient, "the client may not act for itself").Because(errSubjectClash)
	case !errors.Is(err, users.ErrNotFound):
		return nil, errUserStore.Because(err)
	}
	asked := r.scope
	if len(asked) == 0 {
		asked = r.client.Scopes
	}
	scope := slices.DeleteFunc(r.client.grantable(asked), g.s.forPeople)
	target, named, err := g.s.target(r, "", scope)
	if errors.Is(err, errSeveral) && len(r.scope) == 0 {
		target, err = g.s.resourceNamed(IssuerResource), nil // nobody asked for these scopes: all that there are
	}
	if err != nil {
		return nil, err
	}
	return &Authorization{
		client:   r.client,
		scope:    scope,
		resource: target,
		named:    named,
		format:   r.client.TokenFormat,
		grantID:  oauth.NewID(),
	}, nil
}

// forPeople tells scopes that mean nothing without a person: openid, and those a person would have to
// agree to (S6).
func (s *Server) forPeople(name string) bool {
	return name == ScopeOpenID || s.scopes[name].RequireConsent
}

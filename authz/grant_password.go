package authz

import (
	"context"
	"errors"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// passwordGrant is the resource owner password credentials grant (RFC 6749 §4.3), for applications
// that can't show a page. Who types a password into a client agrees to what it asks for.
type passwordGrant struct{ s *Server }

func (passwordGrant) Type() string { return GrantPassword }

func (g passwordGrant) Authorize(ctx context.Context, r *TokenRequest) (*Authorization, error) {
	if !r.Params.Has("username") || !r.Params.Has("password") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "username or password is missing")
	}
	user, _, err := g.s.authenticate(ctx, r.address, users.Credentials{Username: r.Params.Get("username"), Password: r.Params.Get("password")})
	if err != nil {
		failed := Event{Grant: GrantPassword, ClientID: r.client.ID, Address: r.address}.failed(err, r.Params.Get("username"))
		failed.Issuer = g.s.cfg.Issuer
		g.s.cfg.Observe(ctx, failed)
	}
	switch {
	case errors.Is(err, users.ErrCredentials), errors.Is(err, users.ErrDisabled), errors.Is(err, errLocked):
		return nil, oauth.Errorf(oauth.InvalidGrant, "the name or the password is wrong, or the account can't be used now").Because(err)
	case err != nil:
		return nil, errUserStore.Because(err)
	case !r.client.admits(user):
		return nil, oauth.Errorf(oauth.InvalidGrant, "this person may not use the client")
	}
	a, err := g.s.authorization(r, user, r.scope, "")
	if err != nil {
		return nil, err
	}
	a.grantID, a.authTime = oauth.NewID(), r.now
	g.s.beginFamily(a, r.now)
	return a, nil
}

package authz

import (
	"context"
	"errors"
	"net/http"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
)

// revoke ends a token (RFC 7009): a refresh token with everything of its family, an access token
// alone. A token that is none is no error: it is what the client wanted.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	params, err := oauth.ParseForm(r)
	var c *client
	if err == nil {
		c, err = s.authenticateClient(r, params)
	}
	if err == nil {
		err = s.revokeToken(r.Context(), w, r, c, params.Get("token"))
	}
	if err != nil {
		e := oauth.From(err)
		s.log(r, "revocation refused", e)
		challengeClient(w, e)
		status := e.Code.Status()
		if errors.Is(e, errOrigin) {
			status = http.StatusForbidden // G3
		}
		writeErrorStatus(w, status, e)
		return
	}
	s.observe(r, Event{Name: "revoked", ClientID: c.ID})
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func (s *Server) revokeToken(ctx context.Context, w http.ResponseWriter, r *http.Request, c *client, raw string) error {
	if raw == "" {
		return oauth.Errorf(oauth.InvalidRequest, "token is missing")
	}
	t, err := s.openRefresh(ctx, raw)
	if err == nil {
		return s.revokeRefresh(w, r, c, t)
	}
	if !errors.Is(err, oauth.InvalidGrant) {
		return err
	}
	access, err := s.decode(ctx, raw)
	switch {
	case errors.Is(err, oauth.InvalidToken):
		return nil // it is worth nothing already
	case err != nil:
		return err
	case access.ClientID != c.ID:
		return errNotYours
	case !s.allowOrigin(w, r, c):
		return errUnlisted
	}
	return s.run.feed.Revoke(ctx, revocation.Token, access.ID, access.ExpiresAt.Add(leeway))
}

func (s *Server) revokeRefresh(w http.ResponseWriter, r *http.Request, c *client, t *refreshToken) error {
	if t.ClientID != c.ID {
		return errNotYours
	}
	if !s.allowOrigin(w, r, c) {
		return errUnlisted
	}
	return s.endFamily(r.Context(), t.Subject, t.GrantID)
}

// errNotYours refuses to revoke another client's token (RFC 7009 §2.1).
var errNotYours = oauth.Errorf(oauth.InvalidGrant, "the token was issued to another client")

var errUnlisted = &oauth.Error{Code: oauth.InvalidRequest, Cause: errOrigin}

// errOrigin: sent by a web page of an origin that is not listed (G3).
var errOrigin = errors.New("the request comes from an origin that is not listed")

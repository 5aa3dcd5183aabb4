package authz

import (
	"context"
	"errors"
	"net/http"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/token"
)

// revoke ends a token (RFC 7009): a refresh token with everything of its family, an access token
// alone. A token that is none is no error: it is what the client wanted.
//
// With revocation_id, or device_id, the token only says whose device is meant, and that the client may
// speak for them: the families that this client got for that device of the person end (E7). The token
// itself ends where it is of such a family. Here it has to be good, since nothing else names the person.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	params, err := oauth.ParseForm(r)
	var c *client
	if err == nil {
		c, err = s.authenticateClient(r, params)
	}
	if err == nil {
		err = s.revokeAsked(w, r, c, params)
	}
	if err != nil {
		e := oauth.From(err)
		s.log(r, "revocation refused", e)
		challengeClient(w, e)
		status := statusOf(w, e)
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

// revoking is what a revocation request is about: a refresh token or an access token of the client.
type revoking struct {
	refresh *refreshToken
	access  *token.AccessToken
}

func (s *Server) revokeAsked(w http.ResponseWriter, r *http.Request, c *client, params oauth.Params) error {
	if s.cfg.Revocation.Off {
		return oauth.Errorf(oauth.UnsupportedTokenType, "revocation is off")
	}
	if !params.Has("token") {
		return oauth.Errorf(oauth.InvalidRequest, "token is missing")
	}
	device, err := deviceParam(params)
	if err != nil {
		return err
	}
	about, err := s.revocable(r.Context(), params.Get("token"))
	switch {
	case err != nil:
		return err
	case about == nil && device != "":
		return errRefresh.Because(errWhoseDevice)
	case about == nil:
		return nil // it is worth nothing already
	case about.clientID() != c.ID:
		return errNotYours
	case !s.allowOrigin(w, r, c):
		return errUnlisted
	case device != "":
		return s.revokeDeviceOf(r.Context(), c, about, device)
	case about.refresh != nil:
		return s.endFamily(r.Context(), about.refresh.Subject, about.refresh.GrantID)
	}
	return s.run.feed.Revoke(r.Context(), revocation.Token, about.access.ID, about.access.ExpiresAt.Add(leeway))
}

// revocable reads a token that may be ended, nil when it is none.
func (s *Server) revocable(ctx context.Context, raw string) (*revoking, error) {
	refresh, err := s.openRefresh(ctx, raw)
	if err == nil {
		return &revoking{refresh: refresh}, nil
	}
	if !errors.Is(err, oauth.InvalidGrant) {
		return nil, err
	}
	access, err := s.decode(ctx, raw)
	if errors.Is(err, oauth.InvalidToken) {
		return nil, nil
	}
	return &revoking{access: access}, err
}

func (t *revoking) clientID() string {
	if t.refresh != nil {
		return t.refresh.ClientID
	}
	return t.access.ClientID
}

// revokeDeviceOf ends a device of the person that a token is for. A token that has ended proves nothing.
func (s *Server) revokeDeviceOf(ctx context.Context, c *client, t *revoking, device string) error {
	if t.refresh != nil {
		if err := s.checkFamily(ctx, c, t.refresh, s.now()); err != nil {
			return err
		}
		return s.RevokeDevice(ctx, t.refresh.Subject, c.ID, device)
	}
	if forItself(t.access) || s.run.feed.Revoked(s.revocationSubject(t.access)) {
		return errRefresh.Because(errWhoseDevice)
	}
	return s.RevokeDevice(ctx, s.Account(t.access.Subject), c.ID, device)
}

// errWhoseDevice: a device is named, and no living token of a person that says whose it is.
var errWhoseDevice = errors.New("the token does not tell whose device it is")

// errNotYours refuses to revoke another client's token (RFC 7009 §2.1).
var errNotYours = oauth.Errorf(oauth.InvalidGrant, "the token was issued to another client")

var errUnlisted = &oauth.Error{Code: oauth.InvalidRequest, Cause: errOrigin}

// errOrigin: sent by a web page of an origin that is not listed (G3).
var errOrigin = errors.New("the request comes from an origin that is not listed")

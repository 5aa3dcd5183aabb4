package authz

import (
	"errors"
	"maps"
	"net/http"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/token"
)

// introspect tells an authenticated client what a token is worth (RFC 7662).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	params, err := oauth.ParseForm(r)
	if err == nil {
		err = s.authenticateIntrospector(r, params)
	}
	if err == nil && !params.Has("token") {
		err = oauth.Errorf(oauth.InvalidRequest, "token is missing")
	}
	if err != nil {
		e := oauth.From(err)
		s.log(r, "introspection refused", e)
		challengeClient(w, e)
		writeError(w, e)
		return
	}
	writeJSON(w, http.StatusOK, s.introspection(w, r, params.Get("token")))
}

// authenticateIntrospector takes Basic, else a bearer that a client got for itself, else the form; a
// wrong Basic ends it (E6).
func (s *Server) authenticateIntrospector(r *http.Request, p oauth.Params) error {
	raw, err := bearerToken(r)
	if err != nil {
		return err
	}
	if raw != "" {
		return s.checkIntrospectionBearer(r, raw)
	}
	presented := clientCredentials{p.Get("client_id"), p.Get("client_secret"), AuthPost}
	basic, err := basicCredentials(r)
	if err != nil {
		return err
	}
	if basic != nil {
		presented = *basic
	}
	c, err := s.checkClient(presented)
	if err == nil && c.public() {
		return oauth.Errorf(oauth.InvalidClient, "client authentication failed").Because(errSecretMissing)
	}
	return err
}

var errNotForItself = errors.New("the token is not one that a client got for itself")

func (s *Server) checkIntrospectionBearer(r *http.Request, raw string) error {
	t, err := s.inspect(r.Context(), raw)
	if err != nil {
		return oauth.Errorf(oauth.InvalidClient, "client authentication failed").Because(err)
	}
	if c := s.clients[t.ClientID]; c == nil || c.Disabled || t.Subject != t.ClientID {
		return oauth.Errorf(oauth.InvalidClient, "client authentication failed").Because(errNotForItself)
	}
	return nil
}

// introspection is the answer's document. What is wrong with an inactive token stays in the log
// (RFC 7662 §2.2).
func (s *Server) introspection(w http.ResponseWriter, r *http.Request, raw string) map[string]any {
	inactive := map[string]any{"active": false}
	t, err := s.inspect(r.Context(), raw)
	if err != nil {
		if refresh := s.introspectRefresh(r, raw); refresh != nil {
			return refresh
		}
		s.log(r, "token is not active", oauth.From(err))
		return inactive
	}
	if !s.allowTokenOrigin(w, r, t) {
		return inactive
	}
	return s.describe(r, t)
}

func (s *Server) describe(r *http.Request, t *token.AccessToken) map[string]any {
	doc := map[string]any{}
	maps.Copy(doc, t.Extra)
	maps.Copy(doc, map[string]any{
		"active":     true,
		"iss":        t.Issuer,
		"sub":        t.Subject,
		"aud":        t.Audience[0],
		"client_id":  t.ClientID,
		"jti":        t.ID,
		"iat":        t.IssuedAt.Unix(),
		"exp":        t.ExpiresAt.Unix(),
		"scope":      oauth.FormatScope(t.Scope),
		"token_type": "Bearer",
		"grant_id":   t.GrantID,
	})
	if t.SessionID != "" {
		doc["sid"] = t.SessionID
	}
	if !t.AuthTime.IsZero() {
		doc["auth_time"] = t.AuthTime.Unix()
	}
	if len(t.Roles) > 0 {
		doc[claimRoles] = t.Roles
	}
	if user, err := s.cfg.Users.Lookup(r.Context(), t.Subject); err == nil {
		doc["username"] = user.Username
	}
	return doc
}

// introspectRefresh describes a live refresh token, nil when it is none.
func (s *Server) introspectRefresh(r *http.Request, raw string) map[string]any {
	t, err := s.openRefresh(r.Context(), raw)
	if err != nil || !s.now().Before(t.Expires) ||
		s.run.feed.Revoked(revocation.Subject{Family: t.GrantID, User: t.Subject, Client: t.ClientID, IssuedAt: t.Issued}) {
		return nil
	}
	record, err := s.run.grants.Load(r.Context(), t.Subject)
	if err != nil || record.Family(t.ClientID, t.GrantID) == nil {
		return nil
	}
	return map[string]any{
		"active":    true,
		"iss":       s.cfg.Issuer,
		"sub":       t.Subject,
		"client_id": t.ClientID,
		"iat":       t.Issued.Unix(),
		"exp":       t.Expires.Unix(),
		"scope":     oauth.FormatScope(t.Scope),
		"grant_id":  t.GrantID,
	}
}

package authz

import (
	"encoding/json"
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
	body, err := s.introspection(w, r, params.Get("token"))
	writeDocument(w, http.StatusOK, body, err)
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

// inactive is all that is said of a token that is worth nothing. What is wrong with it stays in the
// log (RFC 7662 §2.2).
var inactive = []byte(`{"active":false}`)

// introspected is what is said of a live token (RFC 7662 §2.2). An access token's own claims join it.
type introspected struct {
	Active    bool     `json:"active"`
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud,omitempty"`
	ClientID  string   `json:"client_id"`
	ID        string   `json:"jti,omitempty"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	Scope     string   `json:"scope"`
	TokenType string   `json:"token_type,omitempty"`
	GrantID   string   `json:"grant_id"`
	SessionID string   `json:"sid,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	Username  string   `json:"username,omitempty"`
}

// introspection is the answer's document.
func (s *Server) introspection(w http.ResponseWriter, r *http.Request, raw string) ([]byte, error) {
	t, err := s.inspect(r.Context(), raw)
	if err != nil {
		if refresh := s.introspectRefresh(r, raw); refresh != nil {
			return json.Marshal(refresh)
		}
		s.log(r, "token is not active", oauth.From(err))
		return inactive, nil
	}
	if !s.allowTokenOrigin(w, r, t) {
		return inactive, nil
	}
	return s.describe(r, t)
}

func (s *Server) describe(r *http.Request, t *token.AccessToken) ([]byte, error) {
	about := introspected{
		Active:    true,
		Issuer:    t.Issuer,
		Subject:   t.Subject,
		Audience:  t.Audience[0],
		ClientID:  t.ClientID,
		ID:        t.ID,
		IssuedAt:  t.IssuedAt.Unix(),
		ExpiresAt: t.ExpiresAt.Unix(),
		Scope:     oauth.FormatScope(t.Scope),
		TokenType: "Bearer",
		GrantID:   t.GrantID,
		SessionID: t.SessionID,
		Roles:     t.Roles,
	}
	if !t.AuthTime.IsZero() {
		about.AuthTime = t.AuthTime.Unix()
	}
	if user, err := s.cfg.Users.Lookup(r.Context(), t.Subject); err == nil {
		about.Username = user.Username
	}
	return about.with(t.Extra)
}

// with encodes the answer and the claims of the token that have no field in it. It is one document
// beside the other, since encoding a map of everything costs as much as all the rest of the request.
func (i introspected) with(extra map[string]any) ([]byte, error) {
	for _, ours := range []string{"active", "token_type", "username"} {
		if _, taken := extra[ours]; taken && (ours != "username" || i.Username != "") {
			extra = maps.Clone(extra)
			delete(extra, ours)
		}
	}
	body, err := json.Marshal(i)
	if err != nil || len(extra) == 0 {
		return body, err
	}
	claims, err := json.Marshal(extra)
	if err != nil {
		return nil, err
	}
	return append(append(body[:len(body)-1], ','), claims[1:]...), nil
}

// introspectRefresh describes a live refresh token, nil when it is none.
func (s *Server) introspectRefresh(r *http.Request, raw string) *introspected {
	t, err := s.openRefresh(r.Context(), raw)
	if err != nil || !s.now().Before(t.Expires) ||
		s.run.feed.Revoked(revocation.Subject{Family: t.GrantID, User: t.Subject, Client: t.ClientID, IssuedAt: t.Issued}) {
		return nil
	}
	record, err := s.run.grants.Load(r.Context(), t.Subject)
	if err != nil || record.Family(t.ClientID, t.GrantID) == nil {
		return nil
	}
	return &introspected{
		Active:    true,
		Issuer:    s.cfg.Issuer,
		Subject:   t.Subject,
		ClientID:  t.ClientID,
		IssuedAt:  t.Issued.Unix(),
		ExpiresAt: t.Expires.Unix(),
		Scope:     oauth.FormatScope(t.Scope),
		GrantID:   t.GrantID,
	}
}

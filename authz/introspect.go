package authz

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/token"
)

// introspect tells an authenticated client what a token is worth (RFC 7662).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	params, err := oauth.ParseForm(r)
	var c *client
	if err == nil {
		c, err = s.authenticateIntrospector(r, params)
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
	body, err := s.introspection(w, r, c, params.Get("token"))
	if err != nil {
		e := oauth.From(err)
		s.log(r, "introspection failed", e)
		writeError(w, e)
		return
	}
	writeDocument(w, http.StatusOK, body, nil)
}

// authenticateIntrospector takes Basic, else a bearer that a client got for itself, else the form; a
// wrong Basic ends it (E6).
func (s *Server) authenticateIntrospector(r *http.Request, p oauth.Params) (*client, error) {
	raw, err := bearerToken(r)
	if err != nil {
		return nil, err
	}
	if raw != "" {
		return s.checkIntrospectionBearer(r, raw)
	}
	presented := clientCredentials{id: p.Get("client_id"), secret: p.Get("client_secret"), method: AuthPost}
	basic, err := basicCredentials(r)
	switch {
	case err != nil:
		return nil, err
	case basic != nil:
		presented = *basic
	case p.Has("client_assertion"):
		if presented, err = assertedClient(p); err != nil {
			return nil, err
		}
	}
	c, err := s.checkClient(r.Context(), presented)
	if err == nil && c.public() {
		return nil, oauth.Errorf(oauth.InvalidClient, "client authentication failed").Because(errSecretMissing)
	}
	return c, err
}

var errNotForItself = errors.New("the token is not one that a client got for itself")

func (s *Server) checkIntrospectionBearer(r *http.Request, raw string) (*client, error) {
	t, err := s.inspect(r.Context(), raw)
	if err != nil {
		return nil, oauth.Errorf(oauth.InvalidClient, "client authentication failed").Because(err)
	}
	c, err := s.activeClient(r.Context(), t.ClientID)
	if err != nil {
		return nil, err
	}
	if c == nil || !forItself(t) {
		return nil, oauth.Errorf(oauth.InvalidClient, "client authentication failed").Because(errNotForItself)
	}
	return c, s.admitClient(t.ClientID)
}

// mayRead tells whether a client hears of another's access tokens: not one that registered itself, else
// introspection were for everybody (RFC 7662 §2.1, §4).
func (c *client) mayRead(clientID string) bool { return !c.unverified || c.ID == clientID }

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
	NotBefore int64    `json:"nbf,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	Actor     *actor   `json:"act,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	Username  string   `json:"username,omitempty"`
}

// introspection is the document that answers a client.
func (s *Server) introspection(w http.ResponseWriter, r *http.Request, asks *client, raw string) ([]byte, error) {
	t, err := s.inspect(r.Context(), raw)
	if errors.Is(err, oauth.InvalidToken) {
		return s.introspectRefresh(w, r, asks, raw, err)
	}
	if err != nil {
		return nil, err
	}
	if !asks.mayRead(t.ClientID) || !s.allowTokenOrigin(w, r, t) {
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
		ACR:       t.ACR,
		AMR:       t.AMR,
		Actor:     actorOf(t.Actors),
	}
	if !t.AuthTime.IsZero() {
		about.AuthTime = t.AuthTime.Unix()
	}
	if !t.NotBefore.IsZero() {
		about.NotBefore = t.NotBefore.Unix()
	}
	if forItself(t) {
		return about.with(t.Extra)
	}
	account := s.Account(t.Subject)
	user, err := s.cfg.Users.Lookup(r.Context(), account)
	switch {
	case err == nil && account != t.Subject:
		// A name would tell what a pairwise sub is there to hide.
	case err == nil:
		about.Username = user.Username
	case gone(err):
		return inactive, nil
	default:
		return nil, errUserStore.Because(err)
	}
	return about.with(t.Extra)
}

// actor is who acts for the subject, and who did before (RFC 8693 §4.1).
type actor struct {
	Subject string `json:"sub"`
	Before  *actor `json:"act,omitempty"`
}

func actorOf(names []string) *actor {
	if len(names) == 0 {
		return nil
	}
	return &actor{Subject: names[0], Before: actorOf(names[1:])}
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

// introspectRefresh describes a refresh token that the token endpoint would take now, to the client that it was
// issued to: nobody else has a use for it (RFC 7662 §4).
func (s *Server) introspectRefresh(w http.ResponseWriter, r *http.Request, asks *client, raw string, notAccess error) ([]byte, error) {
	t, err := s.openRefresh(r.Context(), raw)
	switch {
	case err == nil && t.ClientID != asks.ID:
		err = errRefresh.Because(errOtherClient)
	case err == nil:
		err = s.checkRefresh(r.Context(), asks, t)
	}
	switch {
	case errors.Is(err, oauth.InvalidGrant):
		s.log(r, "token is not active", oauth.From(errors.Join(notAccess, err)))
		return inactive, nil
	case err != nil:
		return nil, err
	case !s.allowOrigin(w, r, asks):
		return inactive, nil
	}
	return json.Marshal(&introspected{
		Active:    true,
		Issuer:    s.cfg.Issuer,
		Subject:   s.subjectFor(asks, t.Subject),
		ClientID:  t.ClientID,
		IssuedAt:  t.Issued.Unix(),
		ExpiresAt: t.Expires.Unix(),
		Scope:     oauth.FormatScope(t.Scope),
		GrantID:   t.GrantID,
	})
}

// checkRefresh asks of a refresh token all that its use would, and changes nothing.
func (s *Server) checkRefresh(ctx context.Context, c *client, t *refreshToken) error {
	if err := s.checkFamily(ctx, c, t, s.now()); err != nil || s.cfg.Revocation.Off {
		return err
	}
	state, err := s.run.families.Get(ctx, t.GrantID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return oauth.Errorf(oauth.TemporarilyUnavailable, "the family could not be read").Because(err)
	}
	_, err = s.nextState(c, t, state, s.now())
	return err
}

package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// userInfo answers with all claims of the granted scopes, wherever else they are placed (E4, OpenID
// Connect Core §5.3).
func (s *Server) userInfo(w http.ResponseWriter, r *http.Request) {
	contentType, body, err := s.userInfoAnswer(w, r)
	if err != nil {
		s.bearerError(w, r, oauth.From(err), ScopeOpenID)
		return
	}
	writeAs(w, contentType, http.StatusOK, body)
}

func (s *Server) userInfoAnswer(w http.ResponseWriter, r *http.Request) (contentType string, body []byte, err error) {
	t, private, err := s.presented(w, r)
	if err != nil {
		return "", nil, err
	}
	c, err := s.findClient(r.Context(), t.ClientID)
	if err != nil {
		return "", nil, err
	}
	if c == nil { // or does not fit the configuration any more: in which form it may be told is unknown (A16)
		return "", nil, errInvalidToken.Because(errNoClient)
	}
	claims, err := s.userClaims(r, c, t, private)
	if err != nil {
		return "", nil, err
	}
	if c.UserInfoAlg == "" && c.userInfoKeys == nil {
		body, err = json.Marshal(claims)
		return typeJSON, body, err
	}
	raw, err := s.mintUserInfo(r.Context(), c, claims)
	return "application/jwt", []byte(raw), err
}

// mintUserInfo signs and encrypts the claims as the client registered it: nothing else will do (A16).
func (s *Server) mintUserInfo(ctx context.Context, c *client, claims map[string]any) (string, error) {
	claims["iss"], claims["aud"] = s.cfg.Issuer, c.ID
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := ""
	if c.UserInfoAlg != "" {
		if signed, err = s.run.keys().Sign(c.UserInfoAlg, "JWT", payload); err != nil || c.userInfoKeys == nil {
			return signed, err
		}
	}
	encrypter, err := c.userInfoKeys.get(ctx)
	if err != nil {
		return "", fmt.Errorf("userinfo for %s: %w", c.ID, err)
	}
	if signed == "" {
		return encrypter.EncryptClaims(payload, s.now())
	}
	return encrypter.Encrypt(signed, s.now(), nil)
}

func (s *Server) userClaims(r *http.Request, c *client, t *token.AccessToken, private privatePart) (map[string]any, error) {
	if !slices.Contains(t.Scope, ScopeOpenID) {
		return nil, oauth.Errorf(oauth.InsufficientScope, "the token lacks the scope openid")
	}
	user, err := s.cfg.Users.Lookup(r.Context(), s.Account(t.Subject))
	switch {
	case err != nil && gone(err):
		return nil, errInvalidToken.Because(err)
	case err != nil:
		return nil, errUserStore.Because(err)
	}
	claims := s.claimsOf(t.Scope, user, everywhere)
	s.addRequested(claims, c, user, private.UserInfo)
	addContext(claims, t, private.UserInfo)
	claims["sub"] = t.Subject
	return claims, nil
}

// presented is the token that a request is about, sent by its bearer.
func (s *Server) presented(w http.ResponseWriter, r *http.Request) (t *token.AccessToken, private privatePart, err error) {
	raw, err := tokenOf(r)
	if err != nil {
		return nil, private, err
	}
	if raw == "" {
		return nil, private, errNoToken
	}
	t, private, err = s.inspectAll(r.Context(), raw)
	if err == nil && !s.allowTokenOrigin(w, r, t) {
		err = errInvalidToken.Because(errOrigin)
	}
	if err == nil {
		err = s.admitClient(t.ClientID)
	}
	return t, private, err
}

// errNoToken asks for a token without calling anything wrong (RFC 6750 §3.1).
var errNoToken = errors.New("no token")

// tokenOf reads the token of a request by the header or, in a POST, the form (RFC 6750 §2.1, §2.2),
// not both. In a URL it is not looked for (RFC 9700 §4.3.2).
func tokenOf(r *http.Request) (string, error) {
	raw, err := bearerToken(r)
	if err != nil || r.Method != http.MethodPost || !oauth.IsForm(r) {
		return raw, err
	}
	params, err := oauth.ParseForm(r)
	if err != nil {
		return "", err
	}
	inForm := params.Get("access_token")
	if raw != "" && inForm != "" {
		return "", oauth.Errorf(oauth.InvalidRequest, "the token is sent twice")
	}
	return raw + inForm, nil
}

// bearerError answers as RFC 6750 §3 wants it; scope is what the endpoint asks for.
func (s *Server) bearerError(w http.ResponseWriter, r *http.Request, e *oauth.Error, scope string) {
	challenge := oauth.Challenge{Realm: s.cfg.Issuer}
	if errors.Is(e, errNoToken) {
		w.Header().Set("WWW-Authenticate", challenge.String())
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.log(r, "token refused", e)
	challenge.Code, challenge.Description = e.Code, e.Description
	if e.Code == oauth.InsufficientScope {
		challenge.Scope = scope
	}
	if status := e.Code.Status(); status < http.StatusInternalServerError {
		w.Header().Set("WWW-Authenticate", challenge.String())
	}
	writeError(w, e)
}

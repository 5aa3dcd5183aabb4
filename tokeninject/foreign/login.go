package foreign

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/tokeninject"
)

// refreshAhead is how long before its end a session's access token is replaced: longer than the gate's
// pause between two looks at a session, so that one in use always has a good one.
const refreshAhead = 90 * time.Second

// maxLifetime is the longest lifetime of a token that is believed, in seconds; some say "for ever" by a number.
const maxLifetime = 10 * 366 * 24 * 60 * 60

var (
	errNoLogins   = errors.New("the issuer's metadata have no authorization_endpoint or no token_endpoint")
	errNoPKCE     = errors.New("the issuer does not take PKCE with S256")
	errNoIDToken  = errors.New("the issuer gave no ID token")
	errNotBearer  = errors.New("the issuer's access token is no bearer token")
	errUserInfo   = errors.New("userinfo is about somebody else than the ID token")
	errOtherLogin = errors.New("the refreshed ID token is about somebody else")
)

// tokens are what the issuer gave at a login. They are kept in the session's Stamp.
type tokens struct {
	Access  string    `json:"access,omitempty"`
	Expires time.Time `json:"expires,omitzero"` // of Access; zero: nobody knows
	Refresh string    `json:"refresh,omitempty"`
	ID      string    `json:"id,omitempty"` // a hint for the logout
}

func (t *tokens) stamp() string {
	text, _ := json.Marshal(t) // strings and a time: can't fail
	return string(text)
}

func tokensOf(s *tokeninject.Session) *tokens {
	t := new(tokens)
	_ = json.Unmarshal([]byte(s.Stamp), t) // what can't be read has no tokens in it
	return t
}

// tokenAnswer is RFC 6749 §5.1.
type tokenAnswer struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Seconds int64  `json:"expires_in"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`
}

// BeginLogin makes an authorization request (OpenID Connect Core §3.1.2.1) with PKCE (RFC 7636).
func (i *Issuer) BeginLogin(ctx context.Context, l tokeninject.LoginRequest) (string, error) {
	m, err := i.metadata.get(ctx)
	switch {
	case err != nil:
		return "", err
	case m.Authorization == "" || m.Token == "":
		return "", errNoLogins
	case !offers(m.ChallengeMethods, oauth.ChallengeS256):
		return "", errNoPKCE
	}
	scope := l.Scope
	if !slices.Contains(scope, "openid") {
		scope = append([]string{"openid"}, scope...)
	}
	query := url.Values{
		"response_type":         {"code"},
		"client_id":             {l.ClientID},
		"redirect_uri":          {l.RedirectURI},
		"scope":                 {oauth.FormatScope(scope)},
		"state":                 {l.State},
		"nonce":                 {l.Nonce},
		"code_challenge":        {oauth.S256(l.Verifier)},
		"code_challenge_method": {oauth.ChallengeS256},
	}
	if len(l.ACRValues) > 0 {
		query.Set("acr_values", strings.Join(l.ACRValues, " "))
	}
	switch {
	case l.Another && slices.Contains(m.Prompts, "select_account"):
		query.Set("prompt", "select_account")
	case l.Another:
		query.Set("prompt", "login")
	}
	separator := "?"
	if strings.Contains(m.Authorization, "?") {
		separator = "&"
	}
	return m.Authorization + separator + query.Encode(), nil
}

// RedeemLogin turns a code into tokens, and those into who signed in.
func (i *Issuer) RedeemLogin(ctx context.Context, code string, l tokeninject.LoginRequest) (*tokeninject.Session, error) {
	answer, err := i.token(ctx, Client{l.ClientID, l.ClientSecret}, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {l.RedirectURI}, "code_verifier": {l.Verifier},
	})
	if err != nil {
		return nil, err
	}
	if answer.ID == "" {
		return nil, errNoIDToken
	}
	id, err := i.idToken(ctx, answer.ID, l.ClientID, answer.Access)
	if err != nil {
		return nil, err
	}
	if id.claims["nonce"] != l.Nonce {
		return nil, errors.New("the ID token has another nonce")
	}
	claims, err := i.aboutPerson(ctx, id, answer.Access)
	if err != nil {
		return nil, err
	}
	granted := l.Scope
	if answer.Scope != "" {
		granted = strings.Fields(answer.Scope)
	}
	session := &tokeninject.Session{
		Subject: id.subject, ClientID: l.ClientID, SessionID: id.session, GrantID: oauth.NewID(), Scope: granted,
		AuthTime: id.authTime, Stamp: i.kept(answer, &tokens{}).stamp(),
	}
	session.ACR, _ = id.claims["acr"].(string)
	return session, i.describe(session, claims)
}

// kept is what is remembered of a token answer; what it does not replace stays.
func (i *Issuer) kept(answer *tokenAnswer, before *tokens) *tokens {
	t := *before
	t.Access, t.Expires = answer.Access, time.Time{}
	if answer.Seconds > 0 {
		lifetime := time.Duration(min(answer.Seconds, maxLifetime)) * time.Second
		t.Expires = i.cfg.Now().Add(lifetime).Truncate(time.Second)
	}
	if answer.Refresh != "" {
		t.Refresh = answer.Refresh
	}
	if answer.ID != "" {
		t.ID = answer.ID
	}
	return &t
}

// token asks the token endpoint.
func (i *Issuer) token(ctx context.Context, as Client, form url.Values) (*tokenAnswer, error) {
	m, err := i.metadata.get(ctx)
	switch {
	case err != nil:
		return nil, err
	case m.Token == "":
		return nil, errNoLogins
	}
	status, _, body, err := i.post(ctx, m.Token, form, as, m.TokenAuth, "application/json")
	switch {
	case err != nil:
		return nil, err
	case status != http.StatusOK:
		return nil, refusal(status, body)
	}
	answer := new(tokenAnswer)
	switch err := json.Unmarshal(body, answer); {
	case err != nil:
		return nil, fmt.Errorf("token endpoint: %w", err)
	case answer.Access == "" || !strings.EqualFold(answer.Type, "Bearer"):
		return nil, errNotBearer
	}
	return answer, nil
}

// protocolClaims are about the ID token rather than the person.
var protocolClaims = []string{"aud", "exp", "iat", "nbf", "jti", "nonce", "azp", "at_hash", "c_hash", "s_hash"}

// aboutPerson are the claims of the ID token and, where the issuer has it, of userinfo.
func (i *Issuer) aboutPerson(ctx context.Context, id *idToken, access string) (map[string]any, error) {
	claims := make(map[string]any, len(id.claims))
	m, err := i.metadata.get(ctx)
	if err != nil {
		return nil, err
	}
	if m.UserInfo != "" {
		body, err := i.get(ctx, m.UserInfo, access)
		if err != nil {
			return nil, fmt.Errorf("userinfo: %w", err)
		}
		if claims, err = readClaims(body); err != nil {
			return nil, fmt.Errorf("userinfo: %w", err)
		}
		if claims["sub"] != id.subject { // OpenID Connect Core §5.3.4
			return nil, errUserInfo
		}
	}
	for name, value := range id.claims {
		if !slices.Contains(protocolClaims, name) {
			claims[name] = value
		}
	}
	return claims, nil
}

// describe writes what is known of the person into a session.
func (i *Issuer) describe(s *tokeninject.Session, claims map[string]any) error {
	s.Username, _ = claims["preferred_username"].(string)
	s.Roles = nil
	switch roles := claims[i.cfg.RolesClaim].(type) {
	case string:
		s.Roles = []string{roles}
	case []any:
		for _, role := range roles {
			if name, ok := role.(string); ok {
				s.Roles = append(s.Roles, name)
			}
		}
	}
	text, err := json.Marshal(claims)
	s.Claims = text
	return err
}

// Refresh asks for new tokens when the access token is about to end; without a refresh token the session
// goes on by the gate's own limits. A refusal ends it: the issuer has ended what the login gave. Where the tokens
// are there and who they are of can't be read, the session comes with an error: the old tokens are worth nothing now.
func (i *Issuer) Refresh(ctx context.Context, s *tokeninject.Session) (*tokeninject.Session, error) {
	if !i.Renews(s) {
		return s, nil
	}
	held := tokensOf(s)
	answer, err := i.token(ctx, i.as(s.ClientID), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held.Refresh}})
	switch {
	case errors.Is(err, oauth.InvalidGrant):
		return nil, fmt.Errorf("%w: %w", tokeninject.ErrSessionEnded, err)
	case err != nil:
		return nil, err
	}
	next := *s
	next.Stamp = i.kept(answer, held).stamp()
	if answer.ID == "" {
		return &next, nil
	}
	id, err := i.idToken(ctx, answer.ID, s.ClientID, answer.Access)
	switch {
	case err != nil:
		return &next, err
	case id.subject != s.Subject: // OpenID Connect Core §12.2
		return nil, fmt.Errorf("%w: %w", tokeninject.ErrSessionEnded, errOtherLogin)
	}
	claims, err := i.aboutPerson(ctx, id, answer.Access)
	if err != nil {
		return &next, err
	}
	return &next, i.describe(&next, claims)
}

// Renews implements tokeninject.Renewer: the access token is about to end, and a refresh token may be good once only.
func (i *Issuer) Renews(s *tokeninject.Session) bool {
	held := tokensOf(s)
	return held.Refresh != "" && !held.Expires.IsZero() && !i.cfg.Now().Add(refreshAhead).Before(held.Expires)
}

// as is the client of a login, with its secret.
func (i *Issuer) as(clientID string) Client {
	if clientID == i.cfg.Client.ID {
		return i.cfg.Client
	}
	return Client{ID: clientID}
}

// EndSession revokes the refresh token (RFC 7009), and says where the browser signs out (OpenID Connect
// RP-Initiated Logout §2); ErrSessionRemains where nobody can there.
func (i *Issuer) EndSession(ctx context.Context, s *tokeninject.Session) (next string, err error) {
	m, err := i.metadata.get(ctx)
	if err != nil {
		return "", err
	}
	held := tokensOf(s)
	var revoked error
	if m.Revocation != "" && held.Refresh != "" {
		status, _, body, err := i.post(ctx, m.Revocation, url.Values{"token": {held.Refresh}, "token_type_hint": {"refresh_token"}},
			i.as(s.ClientID), m.RevocationAuth, "application/json")
		if err == nil && status != http.StatusOK {
			err = refusal(status, body)
		}
		if err != nil {
			revoked = fmt.Errorf("revoke the refresh token: %w", err)
		}
	}
	if m.EndSession == "" {
		return "", cmp.Or(revoked, tokeninject.ErrSessionRemains)
	}
	query := url.Values{"client_id": {s.ClientID}}
	if held.ID != "" {
		query.Set("id_token_hint", held.ID)
	}
	separator := "?"
	if strings.Contains(m.EndSession, "?") {
		separator = "&"
	}
	return m.EndSession + separator + query.Encode(), revoked
}

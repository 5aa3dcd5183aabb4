package foreign

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/tokeninject"
)

func aLogin() tokeninject.LoginRequest {
	return tokeninject.LoginRequest{
		ClientID: "gate", ClientSecret: "gate-secret", RedirectURI: "https://app.example/.authz/callback",
		State: "gw-state", Nonce: "nonce-1", Verifier: oauth.NewSecret(), Scope: []string{"profile"},
	}
}

// idToken is a good one with changes.
func (s *server) idToken(change map[string]any) string {
	now := s.clock.now().Unix()
	return s.sign("JWT", with(map[string]any{
		"iss": s.URL, "sub": "alice", "aud": "gate", "iat": now, "exp": now + 300, "nonce": "nonce-1", "sid": "sid-1",
		"auth_time": now - 60, "roles": []string{"boss"},
	}, change))
}

// gives makes the token endpoint answer.
func (s *server) gives(change map[string]any) {
	s.on("/token", s.json(func() any {
		return with(map[string]any{
			"access_token": "at-1", "token_type": "bearer", "expires_in": 600, "refresh_token": "rt-1", "id_token": s.idToken(nil),
		}, change)
	}))
}

func (s *server) knows(change map[string]any) {
	s.on("/userinfo", s.json(func() any {
		return with(map[string]any{"sub": "alice", "preferred_username": "al", "email": "alice@example.com"}, change)
	}))
}

func TestW5_AForeignLogin(t *testing.T) {
	s := newServer(t)
	s.knows(nil)
	i, l := s.issuer(nil), aLogin()
	target, err := i.BeginLogin(t.Context(), l)
	require.NoError(t, err)
	require.True(t, i.NamesItself())
	u, err := url.Parse(target)
	require.NoError(t, err)
	require.Equal(t, s.URL+"/authorize", u.Scheme+"://"+u.Host+u.Path)
	require.Equal(t, url.Values{
		"response_type": {"code"}, "client_id": {"gate"}, "redirect_uri": {l.RedirectURI}, "scope": {"openid profile"},
		"state": {l.State}, "nonce": {l.Nonce}, "code_challenge": {oauth.S256(l.Verifier)}, "code_challenge_method": {"S256"},
	}, u.Query())

	s.gives(nil)
	session, err := i.RedeemLogin(t.Context(), "the-code", l)
	require.NoError(t, err)
	form := s.lastForm()
	require.Equal(t, "authorization_code", form["grant_type"])
	require.Equal(t, "the-code", form["code"])
	require.Equal(t, l.Verifier, form["code_verifier"])
	require.Equal(t, "gate:gate-secret", form["basic"])
	require.Equal(t, "alice", session.Subject)
	require.Equal(t, "al", session.Username)
	require.Equal(t, "sid-1", session.SessionID)
	require.Equal(t, []string{"boss"}, session.Roles)
	require.Equal(t, s.clock.now().Add(-time.Minute).Unix(), session.AuthTime.Unix())
	var claims map[string]any
	require.NoError(t, json.Unmarshal(session.Claims, &claims))
	require.Equal(t, "alice@example.com", claims["email"])
	require.NotContains(t, claims, "nonce")
}

func TestW5_AForeignLoginFailsClosed(t *testing.T) {
	for name, row := range map[string]struct {
		answer, person map[string]any
		endpoint       http.HandlerFunc
		id             map[string]any
		want           string
	}{
		"no ID token":              {answer: map[string]any{"id_token": nil}, want: errNoIDToken.Error()},
		"not a bearer token":       {answer: map[string]any{"token_type": "DPoP"}, want: errNotBearer.Error()},
		"no token type":            {answer: map[string]any{"token_type": nil}, want: errNotBearer.Error()},
		"another nonce":            {id: map[string]any{"nonce": "x"}, want: "another nonce"},
		"no nonce":                 {id: map[string]any{"nonce": nil}, want: "another nonce"},
		"of another issuer":        {id: map[string]any{"iss": "https://evil.example"}, want: errIDTokenIssuer.Error()},
		"for another client":       {id: map[string]any{"aud": "other"}, want: errIDTokenClient.Error()},
		"for several, none named":  {id: map[string]any{"aud": []string{"gate", "other"}}, want: errIDTokenClient.Error()},
		"for several, other named": {id: map[string]any{"aud": []string{"gate", "other"}, "azp": "other"}, want: errIDTokenClient.Error()},
		"expired":                  {id: map[string]any{"exp": 1777889000}, want: errIDTokenTime.Error()},
		"of the future":            {id: map[string]any{"iat": 1787890000}, want: errIDTokenTime.Error()},
		"no end":                   {id: map[string]any{"exp": nil}, want: errIDTokenClaims.Error()},
		"an end in words":          {id: map[string]any{"exp": "9999999999"}, want: errIDTokenClaims.Error()},
		"about nobody":             {id: map[string]any{"sub": nil}, want: errIDTokenClaims.Error()},
		"another access token":     {id: map[string]any{"at_hash": "x"}, want: errIDTokenHash.Error()},
		"userinfo about another":   {person: map[string]any{"sub": "mallory"}, want: errUserInfo.Error()},
		"the code is refused":      {endpoint: refuses("invalid_grant"), want: "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.knows(row.person)
			if row.id != nil {
				row.answer = map[string]any{"id_token": s.idToken(row.id)}
			}
			s.gives(row.answer)
			if row.endpoint != nil {
				s.on("/token", row.endpoint)
			}
			_, err := s.issuer(nil).RedeemLogin(t.Context(), "code", aLogin())
			require.ErrorContains(t, err, row.want)
		})
	}
	t.Run("A6: an access token as ID token", func(t *testing.T) {
		s := newServer(t)
		s.gives(map[string]any{"id_token": s.accessToken(map[string]any{"aud": "gate", "nonce": "nonce-1"})})
		_, err := s.issuer(nil).RedeemLogin(t.Context(), "code", aLogin())
		require.ErrorIs(t, err, token.ErrType)
	})
	t.Run("no PKCE", func(t *testing.T) {
		s := newServer(t)
		s.on("/.well-known/openid-configuration", s.json(func() any {
			return with(s.document(), map[string]any{"code_challenge_methods_supported": []string{"plain"}})
		}))
		_, err := s.issuer(nil).BeginLogin(t.Context(), aLogin())
		require.ErrorIs(t, err, errNoPKCE)
	})
}

func refuses(code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"` + code + `"}`))
	}
}

// signedIn is a session of a login.
func (s *server) signedIn(i *Issuer) *tokeninject.Session {
	s.t.Helper()
	s.knows(nil)
	s.gives(nil)
	session, err := i.RedeemLogin(s.t.Context(), "code", aLogin())
	require.NoError(s.t, err)
	return session
}

func TestW5_ASessionIsRenewedBeforeItsTokenEnds(t *testing.T) {
	s := newServer(t)
	i := s.issuer(nil)
	session := s.signedIn(i)
	same, err := i.Refresh(t.Context(), session)
	require.NoError(t, err)
	require.Same(t, session, same, "there is time")

	s.clock.advance(9 * time.Minute)
	s.gives(map[string]any{"access_token": "at-2", "refresh_token": "rt-2", "id_token": s.idToken(map[string]any{"roles": "clerk"})})
	next, err := i.Refresh(t.Context(), session)
	require.NoError(t, err)
	require.Equal(t, "rt-1", s.lastForm()["refresh_token"])
	require.NotEqual(t, session.Stamp, next.Stamp)
	require.Equal(t, []string{"clerk"}, next.Roles)
	minted, err := i.Mint(t.Context(), tokeninject.MintRequest{Session: next, SessionIssuer: s.URL})
	require.NoError(t, err)
	require.Equal(t, "at-2", minted.Token)

	s.clock.advance(9 * time.Minute)
	s.gives(map[string]any{"id_token": s.idToken(map[string]any{"sub": "mallory"})})
	_, err = i.Refresh(t.Context(), next)
	require.ErrorIs(t, err, tokeninject.ErrSessionEnded, "somebody else")
	s.on("/token", status(http.StatusServiceUnavailable))
	_, err = i.Refresh(t.Context(), next)
	require.ErrorIs(t, err, oauth.TemporarilyUnavailable)
	require.NotErrorIs(t, err, tokeninject.ErrSessionEnded)
	s.on("/token", refuses("invalid_grant"))
	_, err = i.Refresh(t.Context(), next)
	require.ErrorIs(t, err, tokeninject.ErrSessionEnded)
}

func TestW5_AForeignIssuerIsAskedForSomebodyElse(t *testing.T) {
	for want, offered := range map[string][]string{"login": nil, "select_account": {"none", "login", "select_account"}} {
		s := newServer(t)
		s.on("/.well-known/openid-configuration", s.json(func() any {
			return with(s.document(), map[string]any{"prompt_values_supported": offered})
		}))
		l := aLogin()
		l.Another = true
		target, err := s.issuer(nil).BeginLogin(t.Context(), l)
		require.NoError(t, err)
		u, err := url.Parse(target)
		require.NoError(t, err)
		require.Equal(t, want, u.Query().Get("prompt"))
	}
}

func TestW5_ALogoutKnowsWhatItCanNotEnd(t *testing.T) {
	s := newServer(t)
	s.on("/.well-known/openid-configuration", s.json(func() any {
		return with(s.document(), map[string]any{"end_session_endpoint": nil})
	}))
	s.on("/revoke", status(http.StatusOK))
	i := s.issuer(nil)
	next, err := i.EndSession(t.Context(), s.signedIn(i))
	require.ErrorIs(t, err, tokeninject.ErrSessionRemains)
	require.Empty(t, next)
}

func TestW5_ALogoutRevokesAndSendsTheBrowserOn(t *testing.T) {
	s := newServer(t)
	i := s.issuer(nil)
	session := s.signedIn(i)
	s.on("/revoke", status(http.StatusOK))
	next, err := i.EndSession(t.Context(), session)
	require.NoError(t, err)
	require.Equal(t, "rt-1", s.lastForm()["token"])
	u, err := url.Parse(next)
	require.NoError(t, err)
	require.Equal(t, "/end", u.Path)
	require.Equal(t, "gate", u.Query().Get("client_id"))
	require.NotEmpty(t, u.Query().Get("id_token_hint"))

	s.on("/revoke", status(http.StatusBadGateway))
	again, err := i.EndSession(t.Context(), session)
	require.ErrorIs(t, err, oauth.TemporarilyUnavailable)
	require.Equal(t, next, again, "the browser signs out all the same")
}

func TestW5_ARotatedRefreshTokenIsNotLost(t *testing.T) {
	s := newServer(t)
	i := s.issuer(nil)
	session := s.signedIn(i)
	s.clock.advance(9 * time.Minute)
	s.gives(map[string]any{"access_token": "at-2", "refresh_token": "rt-2", "expires_in": 1 << 40})
	s.on("/userinfo", status(http.StatusServiceUnavailable))
	next, err := i.Refresh(t.Context(), session)
	require.ErrorIs(t, err, oauth.TemporarilyUnavailable)
	held := tokensOf(next)
	require.Equal(t, "rt-2", held.Refresh)
	require.True(t, held.Expires.After(s.clock.now().AddDate(9, 0, 0)), "an expires_in that overflows")
	require.Equal(t, session.Claims, next.Claims)
}

// Two issuers have nothing of each other's, so that what one gave is never handed out as the other's.
func TestW10_ASessionOfAnotherIssuerIsExchangedOrNothing(t *testing.T) {
	a, b := newServer(t), newServer(t)
	session := a.signedIn(a.issuer(nil))
	b.gives(map[string]any{"access_token": "of-b", "id_token": nil})
	minted, err := b.issuer(nil).Mint(t.Context(), tokeninject.MintRequest{Session: session, SessionIssuer: a.URL})
	require.NoError(t, err)
	require.Equal(t, "of-b", minted.Token)
	require.Equal(t, "at-1", b.lastForm()["subject_token"])
	local := &tokeninject.Session{Subject: "x", Stamp: "note"}
	_, err = b.issuer(nil).Mint(t.Context(), tokeninject.MintRequest{Session: local, SessionIssuer: "https://id.example"})
	require.ErrorIs(t, err, errNoSubject)
}

func TestW10_TokensAreExchangedForThoseOfAnUpstream(t *testing.T) {
	s := newServer(t)
	i := s.issuer(nil)
	session := s.signedIn(i)
	s.gives(map[string]any{"access_token": "for-orders", "id_token": nil, "expires_in": 60})
	want := tokeninject.MintRequest{Session: session, SessionIssuer: s.URL, ResourceServer: "https://orders.example", Scope: []string{"read", "list"}}
	minted, err := i.Mint(t.Context(), want)
	require.NoError(t, err)
	require.Equal(t, &tokeninject.MintedToken{Token: "for-orders", Expires: s.clock.now().Add(time.Minute)}, minted)
	form := s.lastForm()
	require.Equal(t, grantExchange, form["grant_type"])
	require.Equal(t, "at-1", form["subject_token"])
	require.Equal(t, "https://orders.example", form["resource"])
	require.Equal(t, "read list", form["scope"])

	_, err = i.Mint(t.Context(), tokeninject.MintRequest{Raw: "callers", CallerIssuer: s.URL, ResourceServer: "orders"})
	require.NoError(t, err)
	require.Equal(t, "callers", s.lastForm()["subject_token"])
	require.Equal(t, "orders", s.lastForm()["audience"])

	_, err = i.Mint(t.Context(), tokeninject.MintRequest{ForGate: true, Scope: []string{"read"}})
	require.NoError(t, err)
	require.Equal(t, "client_credentials", s.lastForm()["grant_type"])
	require.NotContains(t, s.lastForm(), "subject_token")

	s.on("/token", refuses("invalid_target"))
	_, err = i.Mint(t.Context(), want)
	require.ErrorIs(t, err, oauth.InsufficientScope)
	s.on("/token", refuses("invalid_grant"))
	_, err = i.Mint(t.Context(), tokeninject.MintRequest{Raw: "callers", CallerIssuer: s.URL, ResourceServer: "orders"})
	require.ErrorIs(t, err, tokeninject.ErrSessionEnded, "the caller's token is of no use any more")
	for name, m := range map[string]tokeninject.MintRequest{
		"a session that is good":      want,
		"a token of another issuer's": {Raw: "callers", CallerIssuer: "https://other.example", ResourceServer: "orders"},
	} {
		_, err = i.Mint(t.Context(), m)
		require.ErrorIs(t, err, errNotTaken, name)
		require.NotErrorIs(t, err, tokeninject.ErrSessionEnded, "%s: the next one would not do either", name)
	}
	s.clock.advance(time.Hour)
	_, err = i.Mint(t.Context(), want)
	require.ErrorIs(t, err, tokeninject.ErrSessionEnded, "the session's own token has ended")

	s.on("/.well-known/openid-configuration", s.json(func() any {
		return with(s.document(), map[string]any{"grant_types_supported": []string{"authorization_code"}})
	}))
	_, err = s.issuer(nil).Mint(t.Context(), tokeninject.MintRequest{Raw: "callers", ResourceServer: "orders"})
	require.ErrorIs(t, err, errNoExchange)
}

package authz_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users/static"
)

// gateLogin is a login as a gate begins it.
func gateLogin(scope ...string) authz.GateLogin {
	return authz.GateLogin{
		RedirectURI: "https://app.example.com/deep/page", State: "s", Nonce: "n", Verifier: rfcVerifier, Scope: scope,
	}
}

// signInAtGate goes through the pages and returns the session.
func signInAtGate(t *testing.T, f *authztest.Fixture, b *authztest.Browser, l authz.GateLogin) *authz.GateSession {
	t.Helper()
	target, err := f.Server.BeginLogin(t.Context(), l)
	require.NoError(t, err)
	answer := b.Authorize(target, "alice")
	assert.Equal(t, "s", answer.Get("state"))
	assert.Equal(t, f.URL, answer.Get("iss"))
	session, err := f.Server.RedeemLogin(t.Context(), answer.Get("code"), l)
	require.NoError(t, err)
	return session
}

func TestW5_ALoginPushedByAGate(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	session := signInAtGate(t, f, f.NewBrowser(), gateLogin("openid", "email", "orders.read"))
	assert.Equal(t, "alice", session.Subject)
	assert.Equal(t, authz.GateClientID, session.ClientID)
	assert.Equal(t, []string{"employee", "buyer"}, session.Roles)
	var claims map[string]any
	require.NoError(t, json.Unmarshal(session.Claims, &claims))
	assert.Equal(t, "alice@example.com", claims["email"])
}

func TestW5_AGateMayAskForSomebodyElse(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	login := gateLogin("openid")
	signInAtGate(t, f, browser, login)
	login.Another = true
	target, err := f.Server.BeginLogin(t.Context(), login)
	require.NoError(t, err)
	assert.Equal(t, "login", browser.Get(target).ID())
}

func TestW5_TheCodeOfAGateIsForThatLoginOnly(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	for name, change := range map[string]func(*authz.GateLogin){
		"another verifier": func(l *authz.GateLogin) { l.Verifier = rfcVerifier[1:] + "x" },
		"another page":     func(l *authz.GateLogin) { l.RedirectURI = "https://evil.example/" },
		"another nonce":    func(l *authz.GateLogin) { l.Nonce = "m" },
	} {
		t.Run(name, func(t *testing.T) {
			l := gateLogin("openid")
			target, err := f.Server.BeginLogin(t.Context(), l)
			require.NoError(t, err)
			code := browser.Authorize(target, "alice").Get("code")
			change(&l)
			_, err = f.Server.RedeemLogin(t.Context(), code, l)
			require.ErrorIs(t, err, oauth.InvalidGrant)
		})
	}
	l := gateLogin("openid")
	target, err := f.Server.BeginLogin(t.Context(), l)
	require.NoError(t, err)
	code := browser.Authorize(target, "alice").Get("code")
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code, "redirect_uri", l.RedirectURI, "code_verifier", rfcVerifier).Get("error"),
		"no client redeems it at the token endpoint")

	f.Clock.Advance(11 * time.Minute)
	assert.Equal(t, "error", f.NewBrowser().Get(target).ID(), "RFC 9126 §2.2: a pushed request expires")
	assert.Equal(t, "error", f.NewBrowser().Get(f.AuthorizeURL("client_id", authz.GateClientID, "redirect_uri", "https://evil.example/")).ID(),
		"the built-in client only by a pushed request")
}

func TestW5_TheSessionOfAGateEndsWithThePerson(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	session := signInAtGate(t, f, browser, gateLogin("openid", "orders.read"))

	people := authztest.Users(t)
	people[0].Roles = []string{"manager"}
	cfg.Users, _ = static.New(people)
	f.Reload(cfg)
	fresh, err := f.Server.RefreshSession(t.Context(), session)
	require.NoError(t, err)
	assert.Equal(t, []string{"manager"}, fresh.Roles)

	people[0].Disabled = true
	cfg.Users, _ = static.New(people)
	f.Reload(cfg)
	_, err = f.Server.RefreshSession(t.Context(), session)
	require.ErrorIs(t, err, authz.ErrEnded)
	_, _, err = f.Server.Mint(t.Context(), authz.GateMint{Session: session, ResourceServer: "orders", Scope: []string{"orders.read"}})
	require.ErrorIs(t, err, authz.ErrEnded)
}

func TestW5_LogoutAtAGateEndsBoth(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	app := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
	session := signInAtGate(t, f, browser, gateLogin("openid", "orders.read"))
	raw, _, err := f.Server.Mint(t.Context(), authz.GateMint{Session: session, ResourceServer: "orders", Scope: []string{"orders.read"}})
	require.NoError(t, err)
	require.NoError(t, f.Server.EndSession(t.Context(), session))

	_, err = f.Server.RefreshSession(t.Context(), session)
	require.ErrorIs(t, err, authz.ErrEnded)
	assert.Equal(t, "login", browser.Get(f.AuthorizeURL()).ID(), "signed out at the server too")
	assert.Equal(t, http.StatusUnauthorized, f.Bearer(http.MethodGet, "/userinfo", raw).Status, "A66: and the injected tokens")
	assert.Equal(t, http.StatusOK, refresh(f, "shop", app.Get("refresh_token")).Status, "G10: applications' tokens stay")
	assert.True(t, active(f, app.Get("access_token")))
}

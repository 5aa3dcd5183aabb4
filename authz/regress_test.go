package authz_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/authz/users"
)

// faulty is a store of users that can be made to fail: no real one fails on demand.
type faulty struct {
	users.Store
	failure atomic.Pointer[error]
}

func (f *faulty) Authenticate(ctx context.Context, c users.Credentials) (*users.User, error) {
	if err := f.failure.Load(); err != nil {
		return nil, *err
	}
	return f.Store.Authenticate(ctx, c)
}

func TestA33_AGrantStaysWithItsResourceServer(t *testing.T) {
	cfg := authztest.Config()
	cfg.ResourceServers = append(cfg.ResourceServers, authz.ResourceServer{Name: "payroll", Identifiers: []string{"https://payroll.example.com"}})
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	named := f.AuthorizeURL("resource", "https://orders.example.com")
	wider := f.Redeem("shop", browser.Authorize(named, "alice").Get("code"), "resource", "https://payroll.example.com")
	assert.Equal(t, "invalid_target", wider.Get("error"), "RFC 8707 §2.2")
	tokens := f.Redeem("shop", browser.Authorize(named, "alice").Get("code"))
	require.Equal(t, http.StatusOK, tokens.Status)
	assert.Equal(t, "invalid_target", refresh(f, "shop", tokens.Get("refresh_token"), "resourceServer", "payroll").Get("error"))
	assert.Equal(t, http.StatusOK, refresh(f, "shop", tokens.Get("refresh_token"), "resourceServer", "orders").Status)

	free := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
	assert.Equal(t, http.StatusOK, refresh(f, "shop", free.Get("refresh_token"), "resourceServer", "payroll").Status, "R5: where the grant named none")
}

func TestU9_AnAbortedRequestWashesNoGuessAway(t *testing.T) {
	cfg := authztest.Config()
	cfg.Lockout = authz.Lockout{Guesses: 3}
	store := &faulty{Store: people(t)}
	cfg.Users = store
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL())
	page = browser.Submit(page, "username", "alice", "password", "wrong")
	page = browser.Submit(page, "username", "alice", "password", "wrong")
	fault := errors.Join(users.ErrUnavailable, context.Canceled)
	store.failure.Store(&fault)
	page = browser.Submit(page, "username", "alice", "password", "wrong")
	assert.Equal(t, http.StatusServiceUnavailable, page.Status)
	store.failure.Store(nil)
	page = browser.Submit(page, "username", "alice", "password", "wrong")
	page = browser.Submit(page, "username", "alice", "password", authztest.Password)
	assert.Equal(t, http.StatusTooManyRequests, page.Status, "the guesses before the fault still count")
}

func TestE3_ARefreshWhoseTokenCantBeMadeChangesNothing(t *testing.T) {
	key := newResourceKey("rs1-key")
	rs := resourceKeyServer("orders", "orders.read", key, t)
	cfg := authztest.Config()
	cfg.ResourceServers = []authz.ResourceServer{rs}
	cfg.Clients = cfg.Clients[1:2]
	f := authztest.New(t, cfg)
	first := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code")).Get("refresh_token")

	broken := cfg
	broken.ResourceServers = []authz.ResourceServer{rs}
	broken.ResourceServers[0].JWKS, broken.ResourceServers[0].JWKSURL = nil, "https://127.0.0.1:1/jwks.json"
	f.Reload(broken)
	assert.Equal(t, "server_error", refresh(f, "rotating", first).Get("error"))
	assert.Equal(t, "invalid_target", refresh(f, "rotating", first, "resource", "https://nobody.example").Get("error"))
	f.Clock.Advance(time.Minute)
	f.Reload(cfg)
	assert.Equal(t, http.StatusOK, refresh(f, "rotating", first).Status, "the client's token is still the last generation")
}

func TestA66_AnOldSessionIsNotBroughtBack(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	var old *http.Cookie
	for _, c := range browser.Cookies() {
		if strings.HasSuffix(c.Name, "session") {
			old = c
		}
	}
	require.NotNil(t, old)
	f.Clock.Advance(2 * time.Minute)
	browser.Submit(browser.Get(f.AuthorizeURL("prompt", "login")), "username", "alice", "password", authztest.Password)
	req, err := http.NewRequest(http.MethodGet, f.AuthorizeURL("prompt", "none"), nil)
	require.NoError(t, err)
	req.Header.Set("Cookie", old.Name+"="+old.Value)
	answer := f.NewBrowser().Do(req)
	require.NotNil(t, answer.Location)
	assert.Equal(t, "login_required", answer.Location.Query().Get("error"), "the secret was replaced")
}

func TestE7_ARevokedTokenStaysDeadToItsLastSecond(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	raw := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("access_token")
	require.Equal(t, http.StatusOK, f.Post("/revoke", "shop", url.Values{"token": {raw}}).Status)
	for range 4 {
		f.Clock.Advance(150*time.Second + time.Second)
		f.State.Purge()
		assert.False(t, active(f, raw))
	}
}

func TestE6_ADeadRefreshTokenIsInactive(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	first := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code")).Get("refresh_token")
	second := refresh(f, "rotating", first).Get("refresh_token")
	f.Clock.Advance(time.Minute)
	assert.False(t, active(f, first), "superseded, past the grace")
	assert.True(t, active(f, second))
	assert.Equal(t, http.StatusOK, refresh(f, "rotating", second).Status, "asking has changed nothing")
	f.Clock.Advance(8 * 24 * time.Hour)
	assert.False(t, active(f, second), "C16: idle")
}

func TestG3_RefreshTokensFromUnlistedOrigins(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	raw := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("refresh_token")
	call := func(path, client string) authztest.Answer {
		form := url.Values{"token": {raw}, "client_id": {client}, "client_secret": {authztest.Secret}}
		req, err := http.NewRequest(http.MethodPost, f.URL+path, strings.NewReader(form.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://evil.example")
		return f.Do(req)
	}
	assert.Equal(t, map[string]any{"active": false}, call("/introspect", "robot").JSON)
	refused := call("/revoke", "shop")
	assert.Equal(t, http.StatusForbidden, refused.Status)
	assert.True(t, active(f, raw))
}

func TestO4_ARemovedRedirectURIGetsNothingMore(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("scope", "openid email"), "alice")
	require.Equal(t, "consent", page.ID())
	changed := authztest.Config()
	changed.Clients[0].RedirectURIs = []string{"https://shop.example.com/elsewhere"}
	f.Reload(changed)
	done := browser.Submit(page, "decision", "allow")
	assert.Nil(t, done.Location)
	assert.Equal(t, "error", done.ID())
}

func TestW4_MintOnBehalfAsksWhoMay(t *testing.T) {
	caller := func(f *authztest.Fixture) *token.AccessToken {
		return &token.AccessToken{
			Subject: "alice", ClientID: "shop", GrantID: oauth.NewID(), Scope: []string{"orders.read"},
			IssuedAt: f.Clock.Now(), ExpiresAt: f.Clock.Now().Add(time.Minute), AuthTime: f.Clock.Now(),
		}
	}
	for name, edit := range map[string]func(*authz.Client){
		"C3 a disabled client":          func(c *authz.Client) { c.Disabled = true },
		"C22 a client for other people": func(c *authz.Client) { c.AllowUsers = []string{"bob"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			edit(&cfg.Clients[0])
			f := authztest.New(t, cfg)
			_, _, err := f.Server.Mint(t.Context(), authz.GateMint{Caller: caller(f), ResourceServer: "orders", Scope: []string{"orders.read"}, Gate: "g"})
			require.ErrorIs(t, err, authz.ErrEnded)
		})
	}
}

func TestC6_IDTokens(t *testing.T) {
	key := newResourceKey("rs1-key")
	cfg := authztest.Config()
	cfg.Clients[0].IDTokenKeyAlgorithm, cfg.Clients[0].JWKS = "RSA-OAEP-256", key.jwks(t)
	cfg.Clients[1].IDTokenAlg = authz.AlgNone
	f := authztest.New(t, cfg)
	encrypted := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("id_token")
	signed := key.decrypt(t, encrypted)
	assert.Equal(t, "RS256", f.Header(signed)["alg"], "signed, then encrypted")
	assert.Equal(t, "alice", f.Claims(signed)["sub"])
	plain := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code")).Get("id_token")
	assert.Equal(t, "none", f.Header(plain)["alg"], "by explicit choice")
	assert.True(t, strings.HasSuffix(plain, "."))

	for name, c := range map[string]struct {
		edit    func(*authz.Client)
		problem string
	}{
		"signed with no key":         {func(c *authz.Client) { c.IDTokenAlg = "PS512" }, "no key"},
		"encrypted without keys":     {func(c *authz.Client) { c.IDTokenKeyAlgorithm = "RSA-OAEP-256" }, "needs jwks"},
		"none with implicit":         {func(c *authz.Client) { c.IDTokenAlg, c.GrantTypes = authz.AlgNone, []string{"implicit"} }, "implicit"},
		"encrypted, no key fits":     {func(c *authz.Client) { c.IDTokenKeyAlgorithm, c.JWKS = "ECDH-ES", key.jwks(t) }, "no key of the JWKS fits"},
		"C16 a lifetime of too much": {func(c *authz.Client) { c.Lifetimes.Code = time.Hour }, "10 minutes"},
		"C10 all origins":            {func(c *authz.Client) { c.CORS = []string{"*"} }, "not an origin"},
		"G6 an unknown token type":   {func(c *authz.Client) { c.TokenTypes = []authz.TokenType{"acces_token"} }, "acces_token"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
			cfg.GrantTypes = []string{"authorization_code", "implicit", "refresh_token", "client_credentials"}
			c.edit(&cfg.Clients[0])
			_, err := authz.New(cfg)
			require.ErrorContains(t, err, c.problem)
		})
	}
}

func TestG6_ServerTokenTypesLeaveCodesAlone(t *testing.T) {
	cfg := authztest.Config()
	cfg.TokenTypes = []authz.TokenType{"id_token", "access_token"}
	f := authztest.New(t, cfg)
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	assert.Empty(t, tokens.Get("refresh_token"))
}

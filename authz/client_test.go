package authz_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
)

func TestC21_AccessTokenTypeIsBearer(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	assert.Equal(t, "Bearer", tokens.Get("token_type"))
	assert.Equal(t, "Bearer", refresh(f, "shop", tokens.Get("refresh_token")).Get("token_type"))
}

func TestG6_RefreshTokenByConfiguration(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		edit func(*authz.Client)
		want bool
	}{
		"default":               {func(*authz.Client) {}, true},
		"refresh_token off":     {func(c *authz.Client) { c.RefreshToken = &no }, false},
		"refresh_token on wins": {func(c *authz.Client) { c.RefreshToken, c.TokenTypes = &yes, []authz.TokenType{"code", "access_token"} }, true},
		"token_type without":    {func(c *authz.Client) { c.TokenTypes = []authz.TokenType{"code", "access_token", "id_token"} }, false},
		"grant_type without":    {func(c *authz.Client) { c.GrantTypes = []string{"authorization_code"} }, false},
		"C13 a service client": {func(c *authz.Client) {
			c.AccessType, c.GrantTypes = authz.AccessService, []string{"authorization_code", "refresh_token"}
		}, false},
		"C13 a service client that asks": {func(c *authz.Client) {
			c.AccessType, c.GrantTypes, c.RefreshToken = authz.AccessService, []string{"authorization_code"}, &yes
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			c.edit(&cfg.Clients[0])
			f := authztest.New(t, cfg)
			tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
			require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
			assert.Equal(t, c.want, tokens.Get("refresh_token") != "")
		})
	}
}

func TestC3_ADisabledClientGetsNothingNew(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	cfg.Clients[0].Disabled = true
	f.Reload(cfg)
	assert.Equal(t, "invalid_client", refresh(f, "shop", tokens.Get("refresh_token")).Get("error"))
	assert.Equal(t, "error", f.NewBrowser().Get(f.AuthorizeURL()).ID())
	assert.True(t, active(f, tokens.Get("access_token")), "issued ones stay valid")
}

func TestG6_ServerTokenTypesLeaveCodesAlone(t *testing.T) {
	cfg := authztest.Config()
	cfg.TokenTypes = []authz.TokenType{"id_token", "access_token"}
	f := authztest.New(t, cfg)
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	assert.Empty(t, tokens.Get("refresh_token"))
}

func TestC22_OnlyAllowedPeopleSignIn(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].AllowRoles = []string{"employee"}
	f := authztest.New(t, cfg)
	assert.NotEmpty(t, f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	refused := f.NewBrowser().SignIn(f.AuthorizeURL(), "bob")
	assert.Equal(t, "error", refused.ID())
	assert.Equal(t, http.StatusForbidden, refused.Status)
	assert.Contains(t, refused.Body, "https://shop.example.com/callback?error=access_denied", "the way back tells the client")
}

func TestC22_TheWayBackIsAsTheClientWantsIt(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].AllowUsers = []string{"bob"}
	cfg.Clients = append(cfg.Clients, authz.Client{
		ID: "native", Type: authz.ClientNative, RedirectURIs: []string{"com.example.app:/cb"}, Scopes: []string{"openid"}, AllowUsers: []string{"bob"},
	})
	f := authztest.New(t, cfg)
	refused := f.NewBrowser().SignIn(f.AuthorizeURL("response_mode", "fragment"), "alice")
	assert.Contains(t, refused.Body, `href="https://shop.example.com/callback#error=access_denied`)

	native := f.AuthorizeURL("client_id", "native", "redirect_uri", "com.example.app:/cb", "scope", "openid",
		"code_challenge", oauth.S256(strings.Repeat("a", 43)), "code_challenge_method", "S256")
	refused = f.NewBrowser().SignIn(native, "alice")
	assert.Contains(t, refused.Body, `href="com.example.app:/cb?error=access_denied`)

	refused = f.NewBrowser().SignIn(f.AuthorizeURL("response_mode", "form_post"), "alice")
	require.Equal(t, "error", refused.ID())
	action, fields := refused.Form()
	require.NotNil(t, action, refused.Body)
	assert.Equal(t, "https://shop.example.com/callback", action.String())
	assert.Equal(t, "access_denied", fields.Get("error"))
	assert.Equal(t, "the-state", fields.Get("state"))
	assert.Contains(t, refused.Header.Get("Content-Security-Policy"), "form-action 'self' https://shop.example.com;")
}

func TestC18_PromptUser(t *testing.T) {
	on, off := true, false
	cfg := authztest.Config()
	cfg.Clients[0].PromptUser = &on
	cfg.Clients[1].PromptUser = &off
	f := authztest.New(t, cfg)
	assert.Equal(t, "consent", f.NewBrowser().SignIn(f.AuthorizeURL("scope", "openid"), "alice").ID(), "on: the page though no scope asks")
	page := f.NewBrowser().SignIn(f.AuthorizeURL("client_id", "rotating", "redirect_uri", "https://rotating.example.com/callback", "scope", "openid"), "alice")
	assert.NotNil(t, page.Location, "off: never")
}

func TestC18_ClientsAnybodyCanImpersonateAlwaysAsk(t *testing.T) {
	off := false
	native := func(id string, redirect string, prompt *bool) authz.Client {
		return authz.Client{ID: id, Type: authz.ClientNative, RedirectURIs: []string{redirect}, Scopes: []string{"openid", "orders.read"}, PromptUser: prompt}
	}
	cfg := authztest.Config()
	cfg.Clients = append(
		cfg.Clients,
		native("scheme", "com.example.app:/callback", nil),
		native("loopback", "http://127.0.0.1/callback", nil),
		native("trusted", "com.example.app:/callback", &off),
		native("claimed", "https://app.example.com/callback", nil),
		authz.Client{ID: "local", RedirectURIs: []string{"https://localhost:8445/callback"}, Scopes: []string{"openid", "orders.read"}},
	)
	for id, c := range map[string]struct {
		redirect string
		asks     bool
	}{
		"scheme":   {"com.example.app:/callback", true},
		"loopback": {"http://127.0.0.1:49152/callback", true}, // RFC 8252 §7.3: any port
		"trusted":  {"com.example.app:/callback", false},
		"claimed":  {"https://app.example.com/callback", false},
		"local":    {"https://localhost:8445/callback", true},
	} {
		t.Run(id, func(t *testing.T) {
			f := authztest.New(t, cfg)
			browser := f.NewBrowser()
			request := f.AuthorizeURL("client_id", id, "redirect_uri", c.redirect, "scope", "openid orders.read",
				"code_challenge", rfcChallenge, "code_challenge_method", "S256")
			page := browser.SignIn(request, "alice")
			assert.Equal(t, c.asks, page.ID() == "consent", page.Body)
			if c.asks {
				done := browser.Submit(page, "decision", "allow")
				require.NotNil(t, done.Location)
				assert.Equal(t, "consent", browser.Get(request).ID(), "RFC 8252 §8.6: every time")
				silent := browser.Get(request + "&prompt=none")
				require.NotNil(t, silent.Location)
				assert.Equal(t, "consent_required", silent.Location.Query().Get("error"))
			}
		})
	}
}

func TestC17_NAAPSSelectsOpenID(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].Scopes = []string{"NAAPS"}
	f := authztest.New(t, cfg)
	code := f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid NAAPS"), "alice").Get("code")
	assert.Equal(t, "openid NAAPS", f.Redeem("shop", code).Get("scope"))
}

func TestC4_DefaultGrantsAreThoseOfTheServer(t *testing.T) {
	cfg := authztest.Config()
	cfg.GrantTypes = []string{authz.GrantAuthorizationCode}
	cfg.Clients = cfg.Clients[:1]
	cfg.Clients[0].GrantTypes = nil
	f := authztest.New(t, cfg)
	code := f.NewBrowser().Authorize(f.AuthorizeURL("client_id", cfg.Clients[0].ID), "alice").Get("code")
	tokens := f.Redeem(cfg.Clients[0].ID, code)
	assert.NotEmpty(t, tokens.Get("access_token"), tokens.JSON)
	assert.Empty(t, tokens.Get("refresh_token"))
}

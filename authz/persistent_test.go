package authz_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users/static"
)

const appURI = "https://app.example.com/callback"

// appConfig has a native client that takes the persistent cookie, beside the shop, which does not.
func appConfig() authz.Config {
	cfg := logoutConfig(true)
	cfg.GrantTypes = []string{authz.GrantAuthorizationCode, authz.GrantRefreshToken, authz.GrantImplicit, authz.GrantClientCredentials}
	cfg.Clients = append(cfg.Clients, authz.Client{
		ID: "app", Type: authz.ClientNative, SecretHash: oauth.Fingerprint(authztest.Secret), PersistentCookie: true,
		RedirectURIs: []string{appURI}, GrantTypes: []string{authz.GrantAuthorizationCode, authz.GrantImplicit},
	})
	return cfg
}

func appURL(f *authztest.Fixture, pairs ...string) string {
	return f.AuthorizeURL(append([]string{"client_id", "app", "redirect_uri", appURI, "scope", "openid", "revocation_id", "phone"}, pairs...)...)
}

// leftFor signs alice in on her phone and comes back a time later.
func leftFor(t *testing.T, cfg authz.Config, away time.Duration) (*authztest.Fixture, *authztest.Browser) {
	t.Helper()
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	require.NotNil(t, browser.SignIn(f.AuthorizeURL("device_id", "phone"), "alice").Location)
	f.Clock.Advance(away)
	return f, browser
}

const days = 24 * time.Hour

func TestC5_WhoSignedInOnADeviceIsKnownDaysLater(t *testing.T) {
	f, browser := leftFor(t, appConfig(), 5*days)
	signedInAt := f.Clock.Now().Add(-5 * days).Unix()
	page := browser.Get(appURL(f))
	require.NotNil(t, page.Location, page.Body)
	tokens := f.Redeem("app", page.Location.Query().Get("code"))
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	assert.EqualValues(t, signedInAt, f.Claims(tokens.Get("id_token"))["auth_time"], "it is no new login")
	assert.Contains(t, f.Events(), authz.Event{Name: "login_resumed", Issuer: f.URL, ClientID: "app", Subject: "alice", Address: "127.0.0.1"})

	assert.Equal(t, "login", browser.Get(f.AuthorizeURL("revocation_id", "phone")).ID(), "nobody else profits by it")
	assert.Equal(t, "login", browser.Get(appURL(f, "revocation_id", "tablet")).ID())
	assert.NotNil(t, browser.Get(appURL(f)).Location)
	f.Clock.Advance(24 * days)
	assert.NotNil(t, browser.Get(appURL(f, "prompt", "none")).Location.Query()["code"])
	f.Clock.Advance(days)
	assert.Equal(t, "login", browser.Get(appURL(f)).ID(), "use never extends it")
}

func TestC5_ElseCredentialsAreAsked(t *testing.T) {
	for name, c := range map[string]struct {
		pairs []string
		away  time.Duration
		first func(t *testing.T, f *authztest.Fixture, browser *authztest.Browser)
	}{
		"no id":                    {pairs: []string{"revocation_id", ""}},
		"another id":               {pairs: []string{"revocation_id", "tablet"}},
		"a client without it":      {pairs: []string{"client_id", "shop", "redirect_uri", "https://shop.example.com/callback"}},
		"no code":                  {pairs: []string{"response_type", "id_token", "nonce", "n"}},
		"prompt=login":             {pairs: []string{"prompt", "login"}},
		"prompt=select_account":    {pairs: []string{"prompt", "select_account"}},
		"max_age":                  {pairs: []string{"max_age", "3600"}},
		"after a refresh lifetime": {away: 30 * days},
		"the person was revoked": {first: func(t *testing.T, f *authztest.Fixture, _ *authztest.Browser) {
			require.NoError(t, f.Server.RevokeUser(t.Context(), "alice"))
		}},
		"the device was revoked": {first: func(t *testing.T, f *authztest.Fixture, _ *authztest.Browser) {
			require.NoError(t, f.Server.RevokeDevice(t.Context(), "alice", "shop", "phone"))
		}},
		"the password has changed": {first: func(t *testing.T, f *authztest.Fixture, _ *authztest.Browser) {
			cfg, list := appConfig(), authztest.Users(t)
			list[0].Password = newHash(t)
			store, err := static.New(list)
			require.NoError(t, err)
			cfg.Users = store
			f.Reload(cfg)
		}},
		"somebody else signed in": {first: func(t *testing.T, f *authztest.Fixture, browser *authztest.Browser) {
			browser.SignIn(f.AuthorizeURL(), "bob")
			f.Clock.Advance(days)
		}},
		"signed out, the session long over": {first: func(t *testing.T, f *authztest.Fixture, browser *authztest.Browser) {
			page := browser.Get(f.URL + "/end_session")
			require.Equal(t, "logout", page.ID(), "it asks")
			require.Equal(t, "logged-out", browser.Submit(page, "decision", "logout").ID())
		}},
		"the operator wants contracts fresh": {first: func(_ *testing.T, f *authztest.Fixture, _ *authztest.Browser) {
			cfg := appConfig()
			cfg.Contracts = []authz.Contract{{URI: "urn:fresh", Timeout: time.Hour, Default: true}}
			f.Reload(cfg)
		}},
		"the client lost the option": {first: func(_ *testing.T, f *authztest.Fixture, _ *authztest.Browser) {
			cfg := appConfig()
			cfg.Clients[len(cfg.Clients)-1].PersistentCookie = false
			f.Reload(cfg)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f, browser := leftFor(t, appConfig(), max(c.away, 2*days))
			if c.first != nil {
				c.first(t, f, browser)
			}
			assert.Equal(t, "login", browser.Get(appURL(f, c.pairs...)).ID())
			if c.away == 0 {
				assert.NotNil(t, browser.SignIn(appURL(f, "prompt", "login"), "bob").Location, "and work")
			}
		})
	}
}

func TestC5_TheCookie(t *testing.T) {
	f := authztest.New(t, appConfig())
	persistent := func(device string) *http.Cookie {
		browser := f.NewBrowser()
		page := browser.SignIn(f.AuthorizeURL("revocation_id", device), "alice")
		resp := http.Response{Header: page.Header}
		for _, c := range resp.Cookies() {
			if strings.HasSuffix(c.Name, "-persistent") {
				return c
			}
		}
		return nil
	}
	assert.Nil(t, persistent(""), "only where a device is named")
	cookie := persistent("phone")
	require.NotNil(t, cookie)
	assert.True(t, strings.HasPrefix(cookie.Name, "__Host-"))
	assert.Equal(t, 30*24*60*60, cookie.MaxAge)
	assert.True(t, cookie.Secure && cookie.HttpOnly)
}

func TestE7_ARevokedDeviceIsSignedOut(t *testing.T) {
	f, browser := leftFor(t, appConfig(), time.Second)
	require.NotNil(t, browser.Get(f.AuthorizeURL()).Location, "signed in")
	require.NoError(t, f.Server.RevokeDevice(t.Context(), "alice", "", "phone"))
	f.Clock.Advance(time.Second)
	require.Equal(t, "login", browser.Get(f.AuthorizeURL()).ID())
}

func TestC5_OnlyNativeClients(t *testing.T) {
	cfg := appConfig()
	cfg.Issuer, cfg.Users = "https://id.example.com", people(t)
	_, err := authz.New(cfg)
	require.NoError(t, err)
	cfg.Clients[0].PersistentCookie = true
	_, err = authz.New(cfg)
	require.ErrorContains(t, err, "client shop: persistent_cookie is for clients of type native")
}

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
)

func TestS4_ConsentMatrix(t *testing.T) {
	for _, c := range []struct {
		scope, prompt string
		want          string // page, "code", or the error
	}{
		{"orders.write", "consent", "consent"},
		{"orders.write", "none", "consent_required"},
		{"orders.read", "consent", "code"},
		{"orders.read", "none", "code"},
	} {
		t.Run(c.scope+" "+c.prompt, func(t *testing.T) {
			f := authztest.New(t, authztest.Config())
			browser := f.NewBrowser()
			browser.Authorize(f.AuthorizeURL("scope", "openid"), "alice")
			page := browser.Get(f.AuthorizeURL("scope", "openid "+c.scope, "prompt", c.prompt))
			got := page.ID()
			if page.Location != nil {
				got = page.Location.Query().Get("error")
				if page.Location.Query().Has("code") {
					got = "code"
				}
			}
			assert.Equal(t, c.want, got)
		})
	}
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

func TestC9_TheConsentPageSaysWhoAsks(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].Logo = "https://static.example.com/logo.png"
	cfg.Clients[0].Policy = "https://shop.example.com/privacy"
	cfg.Clients[0].Terms = "https://shop.example.com/terms"
	cfg.Clients[0].Contacts = []string{"help@shop.example.com"}
	f := authztest.New(t, cfg)
	page := f.NewBrowser().SignIn(f.AuthorizeURL("scope", "openid email"), "alice")
	for _, want := range []string{"https://static.example.com/logo.png", "https://shop.example.com/privacy", "https://shop.example.com/terms", "mailto:help@shop.example.com"} {
		assert.Contains(t, page.Body, want)
	}
	policy := page.Header.Get("Content-Security-Policy")
	assert.Contains(t, policy, "img-src https://static.example.com;")
	assert.NotContains(t, policy, "img-src *")
}

func TestC17_NAAPSSelectsOpenID(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].Scopes = []string{"NAAPS"}
	f := authztest.New(t, cfg)
	code := f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid NAAPS"), "alice").Get("code")
	assert.Equal(t, "openid NAAPS", f.Redeem("shop", code).Get("scope"))
}

func TestC7_LifetimesPerClient(t *testing.T) {
	cfg := authztest.Config()
	cfg.Lifetimes = authz.Lifetimes{AccessToken: 5 * time.Minute, Code: 30 * time.Second}
	cfg.Clients[0].Lifetimes = authz.Lifetimes{AccessToken: time.Minute, IDToken: 2 * time.Minute, RefreshToken: 3 * time.Minute, RefreshIdle: 100 * time.Second}
	f := authztest.New(t, cfg)
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	assert.InDelta(t, 60, tokens.JSON["expires_in"], 0)
	id := f.Claims(tokens.Get("id_token"))
	assert.InDelta(t, 120, id["exp"].(float64)-id["iat"].(float64), 0)
	assert.InDelta(t, 300, f.Token("robot", "grant_type", "client_credentials").JSON["expires_in"], 0, "the server's own")
	f.Clock.Advance(101 * time.Second)
	assert.Equal(t, "invalid_grant", refresh(f, "shop", tokens.Get("refresh_token")).Get("error"), "C16: idle")
	code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
	f.Clock.Advance(31 * time.Second)
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code).Get("error"), "G11: the code's")
}

func TestR12_ScopeAsArray(t *testing.T) {
	cfg := authztest.Config()
	cfg.ResourceServers[0].ScopeAsArray = true
	f := authztest.New(t, cfg)
	raw := f.Token("robot", "grant_type", "client_credentials").Get("access_token")
	assert.Equal(t, []any{"orders.read"}, f.Claims(raw)["scope"])
	assert.True(t, active(f, raw), "the server reads both shapes")
}

func TestR12_AccessTokensFollowRFC9068(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	raw := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("access_token")
	claims := f.Claims(raw)
	for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope", "auth_time"} {
		assert.Contains(t, claims, name, "RFC 9068 §2.2")
	}
	assert.Equal(t, "at+jwt", f.Header(raw)["typ"], "RFC 9068 §2.1")
	assert.Equal(t, "ES256", f.Header(raw)["alg"])
}

func TestR13_WithCompatNAM(t *testing.T) {
	cfg := authztest.Config()
	cfg.Compat = authz.CompatNAM
	f := authztest.NewBelow(t, cfg, "/nidp/oauth/nam")
	mint := func(pairs ...string) map[string]any {
		answer := f.Token("robot", append([]string{"grant_type", "client_credentials"}, pairs...)...)
		require.Equal(t, http.StatusOK, answer.Status, answer.JSON)
		raw := answer.Get("access_token")
		if strings.Count(raw, ".") == 4 {
			return f.Bearer(http.MethodGet, "/tokeninfo", raw).JSON
		}
		return map[string]any{"audience": f.Claims(raw)["aud"]}
	}
	assert.Equal(t, f.URL, mint("scope", "orders.read")["audience"], "the only one whose scopes are asked for is no step here")
	assert.Equal(t, "https://orders.example.com", mint("scope", "orders.read", "resourceServer", "orders")["audience"])
}

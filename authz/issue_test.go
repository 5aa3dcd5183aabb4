package authz_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

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
		"none with implicit":         {func(c *authz.Client) { c.IDTokenAlg, c.GrantTypes = authz.AlgNone, []string{"implicit"} }, "authorization endpoint"},
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

func TestC6_UnsignedIDTokensBesideTokensInFront(t *testing.T) {
	cfg := implicitConfig()
	cfg.Clients[0].IDTokenAlg, cfg.Clients[0].ResponseTypes = authz.AlgNone, []string{"code", "code token"}
	f := authztest.New(t, cfg)
	page := f.NewBrowser().SignIn(f.AuthorizeURL("response_type", "code token"), "alice")
	require.NotNil(t, page.Location, page.Body)
	values, err := url.ParseQuery(page.Location.Fragment)
	require.NoError(t, err)
	plain := f.Redeem("shop", values.Get("code")).Get("id_token")
	assert.Equal(t, "none", f.Header(plain)["alg"], "oidcc-idtoken-unsigned")
	page = f.NewBrowser().Get(f.AuthorizeURL("response_type", "code id_token", "nonce", "n"))
	assert.Contains(t, page.Location.Fragment, "unauthorized_client", "never from the front channel")
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

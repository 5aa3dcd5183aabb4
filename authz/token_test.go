package authz_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

func TestE2_ClientCredentials(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	tokens := f.Token("robot", "grant_type", "client_credentials")
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	assert.Equal(t, "orders.read", tokens.Get("scope"), "S6: scopes that need consent are left out")
	assert.Empty(t, tokens.Get("refresh_token"))
	assert.Empty(t, tokens.Get("id_token"))
	claims := f.Claims(tokens.Get("access_token"))
	assert.Equal(t, "robot", claims["sub"], "RFC 9068 §2.2")
	assert.Equal(t, "robot", claims["client_id"])
}

func TestE2_TokenRequestErrors(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"RFC 6749 §5.2 grant_type missing":             {nil, "invalid_request"},
		"RFC 6749 §5.2 grant_type unknown":             {[]string{"grant_type", "magic"}, "unsupported_grant_type"},
		"RFC 6749 §5.2 grant_type of others":           {[]string{"grant_type", "authorization_code", "code", "x"}, "unauthorized_client"},
		"RFC 6749 §5.2 scope malformed":                {[]string{"grant_type", "client_credentials", "scope", "a\"b"}, "invalid_scope"},
		"RFC 8707 §2 resource unknown":                 {[]string{"grant_type", "client_credentials", "resource", "https://x"}, "invalid_target"},
		"RFC 8707 §2 resource relative":                {[]string{"grant_type", "client_credentials", "resource", "/orders"}, "invalid_target"},
		"R13 resourceServer and resource differ":       {[]string{"grant_type", "client_credentials", "resourceServer", "issuer", "resource", "https://orders.example.com"}, "invalid_target"},
		"client assertion":                             {[]string{"client_assertion", "x", "grant_type", "client_credentials"}, "invalid_request"},
		"RFC 6749 §3.2 parameter with a NUL character": {[]string{"grant_type", "client_credentials", "scope", "a\x00b"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, f.Token("robot", c.pairs...).Get("error"))
		})
	}
	req, err := http.NewRequest(http.MethodGet, f.URL+"/token", nil)
	require.NoError(t, err)
	answer := f.Do(req)
	assert.Equal(t, http.StatusMethodNotAllowed, answer.Status)
	assert.Equal(t, "POST", answer.Header.Get("Allow"))
	assert.Equal(t, "invalid_request", answer.Get("error"))
	assert.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
}

func TestO4_StateSurvivesAReload(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	code := browser.Authorize(f.AuthorizeURL(), "alice").Get("code")
	pending := f.NewBrowser()
	login := pending.Get(f.AuthorizeURL())
	f.Reload(cfg)
	tokens := f.Redeem("shop", code)
	require.Equal(t, http.StatusOK, tokens.Status, "the code")
	assert.NotNil(t, browser.Get(f.AuthorizeURL()).Location, "the session")
	assert.NotNil(t, pending.Submit(login, "username", "bob", "password", authztest.Password).Location, "a login in progress")
	assert.Equal(t, http.StatusOK, refresh(f, "shop", tokens.Get("refresh_token")).Status, "the grant")
}

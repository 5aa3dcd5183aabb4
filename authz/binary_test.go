package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users/static"
)

func TestR10_BinaryTokens(t *testing.T) {
	cfg := authztest.Config()
	cfg.TokenFormat = authz.FormatBinary
	long := strings.Repeat("u", 64)
	people := authztest.Users(t)
	people[0].Name = long
	store, err := static.New(people)
	require.NoError(t, err)
	cfg.Users = store
	cfg.Clients[0].ID = strings.Repeat("c", 64)
	cfg.Clients[0].RotateRefreshToken = true
	f := authztest.New(t, cfg)
	id := cfg.Clients[0].ID
	authorized := f.NewBrowser().Authorize(f.AuthorizeURL("client_id", id, "scope", "openid email orders.read who"), long)
	tokens := f.Redeem(id, authorized.Get("code"), "redirect_uri", "https://shop.example.com/callback")
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	raw := tokens.Get("access_token")
	assert.LessOrEqual(t, len(raw), 256)
	assert.LessOrEqual(t, len(tokens.Get("refresh_token")), 256)
	assert.NotContains(t, raw, ".")

	described := f.Post("/introspect", "robot", url.Values{"token": {raw}})
	assert.Equal(t, true, described.JSON["active"])
	assert.Equal(t, long, described.Get("sub"))
	assert.Equal(t, id, described.Get("client_id"))
	assert.Equal(t, "email openid orders.read who", described.Get("scope"), "in one order, whatever the request's")
	assert.Equal(t, "https://orders.example.com", described.Get("aud"))
	assert.NotContains(t, described.JSON, "roles", "no attributes or custom claims")
	assert.Equal(t, "alice@example.com", f.Bearer(http.MethodGet, "/userinfo", raw).Get("email"), "userinfo looks them up")
	info := f.Bearer(http.MethodGet, "/tokeninfo", raw)
	assert.ElementsMatch(t, []any{"openid", "email", "orders.read", "who"}, info.JSON["scope"])

	next := refresh(f, id, tokens.Get("refresh_token"))
	require.Equal(t, http.StatusOK, next.Status, next.JSON)
	assert.Equal(t, "openid email orders.read who", next.Get("scope"))
	assert.Equal(t, http.StatusOK, f.Post("/revoke", id, url.Values{"token": {raw}}).Status)
	assert.False(t, active(f, raw), "revocable here")
	assert.Equal(t, http.StatusOK, f.Post("/revoke", id, url.Values{"token": {next.Get("refresh_token")}}).Status)
	assert.False(t, active(f, next.Get("access_token")))
	f.Clock.Advance(700e9)
	assert.False(t, active(f, f.Token("robot", "grant_type", "client_credentials").Get("access_token")+"A"), "tampered")
}

func TestG16_ClientsOnDefaultFollowTheFormat(t *testing.T) {
	cfg := authztest.Config()
	own := cfg.Clients[3]
	own.ID, own.TokenFormat = "jwt-robot", authz.FormatJWT
	cfg.Clients = append(cfg.Clients, own)
	f := authztest.New(t, cfg)
	mint := func(client string) string {
		return f.Token(client, "grant_type", "client_credentials").Get("access_token")
	}
	before := mint("robot")
	assert.Equal(t, 2, strings.Count(before, "."))
	cfg.TokenFormat = authz.FormatBinary
	f.Reload(cfg)
	assert.Equal(t, 0, strings.Count(mint("robot"), "."), "C7: default follows a change")
	assert.Equal(t, 2, strings.Count(mint("jwt-robot"), "."), "C7: the client's own overrides it")
	assert.True(t, active(f, before), "S9: tokens already out never change")
}

package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

func TestE4_UserInfoHasAllClaims(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL("scope", "openid profile email orders.read who"), "alice").Get("code"))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		info := f.Bearer(method, "/userinfo", tokens.Get("access_token"))
		require.Equal(t, http.StatusOK, info.Status)
		assert.Equal(t, map[string]any{
			"sub": "alice", "email": "alice@example.com", "given_name": "Alice", "family_name": "Liddell",
			"preferred_username": "alice", "roles": []any{"employee", "buyer"}, "claims": []any{"read"},
		}, info.JSON)
	}
	inForm := f.Post("/userinfo", "", url.Values{"access_token": {tokens.Get("access_token")}})
	assert.Equal(t, http.StatusOK, inForm.Status, "RFC 6750 §2.2")

	assert.NotContains(t, f.Claims(tokens.Get("id_token")), "email", "OIDC Core §5.4: with an access token, claims are at userinfo")
	assert.Equal(t, []any{"employee", "buyer"}, f.Claims(tokens.Get("access_token"))["roles"], "S7: placed in the access token")
}

func TestE4_UserInfoRefusals(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	none := f.Bearer(http.MethodGet, "/userinfo", "")
	assert.Equal(t, http.StatusUnauthorized, none.Status)
	assert.NotContains(t, none.Header.Get("WWW-Authenticate"), "error", "RFC 6750 §3.1: nothing was wrong yet")

	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	robot := f.Token("robot", "grant_type", "client_credentials").Get("access_token")
	access := tokens.Get("access_token")
	for name, c := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"garbage":              {"garbage", 401, "invalid_token"},
		"A6 an ID token":       {tokens.Get("id_token"), 401, "invalid_token"},
		"A6 a refresh token":   {tokens.Get("refresh_token"), 401, "invalid_token"},
		"a changed signature":  {access[:len(access)-8] + "AAAAAAAA", 401, "invalid_token"},
		"A1 without signature": {strings.Join(strings.Split(access, ".")[:2], ".") + ".", 401, "invalid_token"},
		"without openid":       {robot, 403, "insufficient_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := f.Bearer(http.MethodGet, "/userinfo", c.token)
			assert.Equal(t, c.status, answer.Status)
			assert.Equal(t, c.code, answer.Get("error"))
			assert.Contains(t, answer.Header.Get("WWW-Authenticate"), `error="`+c.code+`"`)
		})
	}
	req, err := http.NewRequest(http.MethodGet, f.URL+"/userinfo?access_token="+access, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, f.Do(req).Status, "RFC 9700 §4.3.2: not in a URL")
	f.Clock.Advance(600e9 + 6e9)
	assert.Equal(t, http.StatusUnauthorized, f.Bearer(http.MethodGet, "/userinfo", access).Status, "expired, past the leeway")
}

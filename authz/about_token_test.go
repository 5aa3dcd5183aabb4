package authz_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
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

func TestE6_Introspection(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	answer := f.Post("/introspect", "robot", url.Values{"token": {tokens.Get("access_token")}})
	require.Equal(t, http.StatusOK, answer.Status)
	for name, want := range map[string]any{
		"active": true, "sub": "alice", "client_id": "shop", "scope": "openid orders.read", "token_type": "Bearer",
		"iss": f.URL, "aud": "https://orders.example.com", "username": "alice",
	} {
		assert.Equal(t, want, answer.JSON[name], name)
	}
	answer = f.Post("/introspect", "robot", url.Values{"token": {tokens.Get("refresh_token")}})
	assert.Equal(t, true, answer.JSON["active"])
	answer = f.Post("/introspect", "robot", url.Values{"token": {"garbage"}})
	assert.Equal(t, map[string]any{"active": false}, answer.JSON)
}

func TestE6_CallersOfIntrospection(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	own := f.Token("robot", "grant_type", "client_credentials").Get("access_token")
	person := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("access_token")
	for name, c := range map[string]struct {
		authorization string
		id, secret    string
		want          int
	}{
		"a bearer that a client got for itself": {"Bearer " + own, "", "", 200},
		"a person's bearer":                     {"Bearer " + person, "", "", 401},
		"a bad bearer":                          {"Bearer nonsense", "", "", 401},
		"post":                                  {"", "robot", authztest.Secret, 200},
		"a wrong Basic ends it":                 {"Basic cm9ib3Q6d3Jvbmc=", "robot", authztest.Secret, 401},
		"nobody":                                {"", "", "", 401},
		"a public client":                       {"", "spa", "", 401},
	} {
		t.Run(name, func(t *testing.T) {
			form := url.Values{"token": {own}}
			authztest.Set(form, "client_id", c.id, "client_secret", c.secret)
			req, err := http.NewRequest(http.MethodPost, f.URL+"/introspect", strings.NewReader(form.Encode()))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if c.authorization != "" {
				req.Header.Set("Authorization", c.authorization)
			}
			assert.Equal(t, c.want, f.Do(req).Status)
		})
	}
}

func TestE7_Revocation(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	grant := func() authztest.Answer {
		return f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
	}
	revoke := func(client, token string) authztest.Answer {
		return f.Post("/revoke", client, url.Values{"token": {token}})
	}
	t.Run("a refresh token ends its access tokens", func(t *testing.T) {
		tokens := grant()
		assert.Equal(t, http.StatusOK, revoke("shop", tokens.Get("refresh_token")).Status)
		assert.False(t, active(f, tokens.Get("access_token")))
		assert.Equal(t, "invalid_grant", refresh(f, "shop", tokens.Get("refresh_token")).Get("error"))
	})
	t.Run("an access token ends alone", func(t *testing.T) {
		tokens := grant()
		assert.Equal(t, http.StatusOK, revoke("shop", tokens.Get("access_token")).Status)
		assert.False(t, active(f, tokens.Get("access_token")))
		assert.Equal(t, http.StatusOK, refresh(f, "shop", tokens.Get("refresh_token")).Status)
	})
	t.Run("RFC 7009 §2.1 another client's token", func(t *testing.T) {
		tokens := grant()
		assert.Equal(t, "invalid_grant", revoke("rotating", tokens.Get("refresh_token")).Get("error"))
		assert.Equal(t, "invalid_grant", revoke("rotating", tokens.Get("access_token")).Get("error"))
		assert.True(t, active(f, tokens.Get("access_token")))
	})
	t.Run("RFC 7009 §2.2 garbage is fine", func(t *testing.T) {
		assert.Equal(t, http.StatusOK, revoke("shop", "garbage").Status)
	})
	t.Run("RFC 7009 §2.1 no token, no client", func(t *testing.T) {
		assert.Equal(t, "invalid_request", revoke("shop", "").Get("error"))
		assert.Equal(t, "invalid_client", revoke("", "x").Get("error"))
	})
}

func TestE8_Metadata(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	document := func(path string) map[string]any {
		req, err := http.NewRequest(http.MethodGet, f.URL+path, nil)
		require.NoError(t, err)
		answer := f.Do(req)
		require.Equal(t, http.StatusOK, answer.Status)
		assert.Equal(t, "*", answer.Header.Get("Access-Control-Allow-Origin"))
		return answer.JSON
	}
	metadata := document("/.well-known/openid-configuration")
	assert.Equal(t, metadata, document("/.well-known/oauth-authorization-server"))
	assert.Equal(t, f.URL, metadata["issuer"])
	assert.Equal(t, f.URL+"/token", metadata["token_endpoint"])
	assert.Equal(t, []any{"S256"}, metadata["code_challenge_methods_supported"])
	assert.Contains(t, metadata["scopes_supported"], "orders.write")
	assert.NotContains(t, metadata["scopes_supported"], "orders.read", "S4: a scope nobody is asked about is hidden")
	for name, value := range metadata {
		if s, ok := value.(string); ok && strings.HasSuffix(name, "_endpoint") {
			req, err := http.NewRequest(http.MethodOptions, s, nil)
			require.NoError(t, err)
			assert.NotEqual(t, http.StatusNotFound, f.Do(req).Status, name)
		}
	}
	var set jose.JSONWebKeySet
	raw, err := json.Marshal(document("/jwks.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &set))
	assert.Len(t, set.Keys, 2, "G12: RS256 and ES256")
	for _, key := range set.Keys {
		assert.True(t, key.IsPublic())
	}
}

func TestE8_MetadataBelowAPath(t *testing.T) {
	cfg := authztest.Config()
	cfg.Issuer = "https://localhost/auth/main"
	cfg.Users = people(t)
	server, err := authz.New(cfg)
	require.NoError(t, err)
	for path, want := range map[string]bool{
		"/auth/main/.well-known/openid-configuration":       true,
		"/.well-known/oauth-authorization-server/auth/main": true,
		"/auth/main/token":                        true,
		"/.well-known/oauth-authorization-server": false,
		"/token":     false,
		"/":          false,
		"/auth/main": false,
	} {
		req, err := http.NewRequest(http.MethodGet, "https://localhost"+path, nil)
		require.NoError(t, err)
		assert.Equal(t, want, server.Handles(req), path)
	}
}

func TestG3_CORS(t *testing.T) {
	cfg := authztest.Config()
	cfg.CORS = []string{"https://everywhere.example", "beem://host:99"}
	f := authztest.New(t, cfg)
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	call := func(method, path, origin, token string, form url.Values) authztest.Answer {
		req, err := http.NewRequest(method, f.URL+path, strings.NewReader(form.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return f.Do(req)
	}
	for origin, listed := range map[string]bool{
		"https://everywhere.example": true, "beem://host:99": true, f.URL: true,
		"https://spa.example.com": false, "https://evil.example": false, "null": false, "https://everywhere.example:444": false,
	} {
		info := call(http.MethodGet, "/userinfo", origin, tokens.Get("access_token"), nil)
		assert.Equal(t, listed, info.Status == http.StatusOK, origin)
		assert.Equal(t, listed, info.Header.Get("Access-Control-Allow-Origin") == origin, origin)
		assert.Contains(t, info.Header.Values("Vary"), "Origin")
	}
	refreshed := call(http.MethodPost, "/token", "https://evil.example", "", url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {tokens.Get("refresh_token")}, "client_id": {"shop"}, "client_secret": {authztest.Secret},
	})
	assert.Equal(t, http.StatusOK, refreshed.Status, "the token endpoint issues whatever the Origin")
	assert.Empty(t, refreshed.Header.Get("Access-Control-Allow-Origin"))

	preflight := call(http.MethodOptions, "/token", "https://spa.example.com", "", nil)
	assert.Equal(t, "https://spa.example.com", preflight.Header.Get("Access-Control-Allow-Origin"), "C10: the union of all listed")
	preflight = call(http.MethodOptions, "/token", "https://evil.example", "", nil)
	assert.Empty(t, preflight.Header.Get("Access-Control-Allow-Origin"))

	inactive := call(http.MethodPost, "/introspect", "https://evil.example", "", url.Values{
		"token": {tokens.Get("access_token")}, "client_id": {"robot"}, "client_secret": {authztest.Secret},
	})
	assert.Equal(t, map[string]any{"active": false}, inactive.JSON)
	refused := call(http.MethodPost, "/revoke", "https://evil.example", "", url.Values{
		"token": {tokens.Get("access_token")}, "client_id": {"shop"}, "client_secret": {authztest.Secret},
	})
	assert.Equal(t, http.StatusForbidden, refused.Status)
	assert.Equal(t, "invalid_request", refused.Get("error"))
}

func TestG4_Credentials(t *testing.T) {
	for _, on := range []bool{true, false} {
		cfg := authztest.Config()
		cfg.CORS, cfg.CORSCredentials = []string{"https://everywhere.example"}, on
		f := authztest.New(t, cfg)
		req, err := http.NewRequest(http.MethodOptions, f.URL+"/userinfo", nil)
		require.NoError(t, err)
		req.Header.Set("Origin", "https://everywhere.example")
		assert.Equal(t, on, f.Do(req).Header.Get("Access-Control-Allow-Credentials") == "true")
		req, err = http.NewRequest(http.MethodGet, f.URL+"/jwks.json", nil)
		require.NoError(t, err)
		assert.Empty(t, f.Do(req).Header.Get("Access-Control-Allow-Credentials"), "G3: metadata and keys never")
	}
}

func TestO6_Health(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	req, err := http.NewRequest(http.MethodGet, f.URL+"/health", nil)
	require.NoError(t, err)
	answer := f.Do(req)
	assert.Equal(t, http.StatusOK, answer.Status)
	assert.Equal(t, "ready", answer.Get("status"))
	assert.Equal(t, map[string]any{"store": "ok", "keys": "ok"}, answer.JSON["parts"], "details only to loopback")

	cfg := authztest.Config()
	cfg.ClientIP = func(*http.Request) string { return "203.0.113.7" }
	f = authztest.New(t, cfg)
	req, err = http.NewRequest(http.MethodGet, f.URL+"/health", nil)
	require.NoError(t, err)
	assert.NotContains(t, f.Do(req).JSON, "parts")
}

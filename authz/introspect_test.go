package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

// active asks about an access token, as an API would.
func active(f *authztest.Fixture, token string) bool { return activeTo(f, "robot", token) }

// activeTo asks about a token as a client: refresh tokens are for the one that they were issued to.
func activeTo(f *authztest.Fixture, client, token string) bool {
	answer := f.Post("/introspect", client, url.Values{"token": {token}})
	return answer.JSON["active"] == true
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
	answer = f.Post("/introspect", "shop", url.Values{"token": {tokens.Get("refresh_token")}})
	for name, want := range map[string]any{"active": true, "sub": "alice", "client_id": "shop", "scope": "openid orders.read", "iss": f.URL} {
		assert.Equal(t, want, answer.JSON[name], name)
	}
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

func TestE6_ADeadRefreshTokenIsInactive(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	first := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code")).Get("refresh_token")
	second := refresh(f, "rotating", first).Get("refresh_token")
	f.Clock.Advance(time.Minute)
	assert.False(t, activeTo(f, "rotating", first), "superseded, past the grace")
	assert.True(t, activeTo(f, "rotating", second))
	assert.Equal(t, http.StatusOK, refresh(f, "rotating", second).Status, "asking has changed nothing")
	f.Clock.Advance(8 * 24 * time.Hour)
	assert.False(t, activeTo(f, "rotating", second), "C16: idle")
}

// RFC 7662 §4: what a protected resource has no use for, it is not told.
func TestE6_ARefreshTokenIsItsClientsToRead(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	raw := tokens.Get("refresh_token")
	byBearer, err := http.NewRequest(http.MethodPost, f.URL+"/introspect", strings.NewReader(url.Values{"token": {raw}}.Encode()))
	require.NoError(t, err)
	byBearer.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	byBearer.Header.Set("Authorization", "Bearer "+f.Token("robot", "grant_type", "client_credentials").Get("access_token"))
	for name, answer := range map[string]authztest.Answer{
		"an API":                      f.Post("/introspect", "robot", url.Values{"token": {raw}}),
		"an API, by a bearer":         f.Do(byBearer),
		"another client":              f.Post("/introspect", "rotating", url.Values{"token": {raw}}),
		"whatever token_type_hint is": f.Post("/introspect", "robot", url.Values{"token": {raw}, "token_type_hint": {"refresh_token"}}),
	} {
		assert.Equal(t, http.StatusOK, answer.Status, name)
		assert.Equal(t, map[string]any{"active": false}, answer.JSON, name)
	}
	assert.True(t, activeTo(f, "shop", raw))
	assert.True(t, activeTo(f, "rotating", tokens.Get("access_token")), "access tokens are for all that see them")
}

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

func TestA42_ClientAuthentication(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	post := func(edit func(url.Values, *http.Request)) authztest.Answer {
		form := url.Values{"grant_type": {"client_credentials"}}
		req, err := http.NewRequest(http.MethodPost, f.URL+"/token", nil)
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		edit(form, req)
		withBody, err := http.NewRequest(http.MethodPost, req.URL.String(), strings.NewReader(form.Encode()))
		require.NoError(t, err)
		withBody.Header = req.Header
		return f.Do(withBody)
	}
	for name, c := range map[string]struct {
		edit   func(url.Values, *http.Request)
		status int
		want   string
	}{
		"RFC 6749 §2.3.1 basic": {func(_ url.Values, r *http.Request) { r.SetBasicAuth("robot", authztest.Secret) }, 200, ""},
		"RFC 6749 §2.3.1 post": {func(v url.Values, _ *http.Request) {
			v.Set("client_id", "robot")
			v.Set("client_secret", authztest.Secret)
		}, 200, ""},
		"two at once": {func(v url.Values, r *http.Request) {
			r.SetBasicAuth("robot", authztest.Secret)
			v.Set("client_secret", authztest.Secret)
		}, 400, "invalid_request"},
		"another client_id in the body": {func(v url.Values, r *http.Request) {
			r.SetBasicAuth("robot", authztest.Secret)
			v.Set("client_id", "shop")
		}, 400, "invalid_request"},
		"A43 wrong secret":   {func(_ url.Values, r *http.Request) { r.SetBasicAuth("robot", "wrong") }, 401, "invalid_client"},
		"A43 unknown client": {func(_ url.Values, r *http.Request) { r.SetBasicAuth("nobody", "wrong") }, 401, "invalid_client"},
		"none for a confidential client": {func(v url.Values, _ *http.Request) {
			v.Set("client_id", "robot")
		}, 401, "invalid_client"},
		"nothing": {func(url.Values, *http.Request) {}, 401, "invalid_client"},
		"secret in the query": {func(_ url.Values, r *http.Request) {
			r.URL.RawQuery = "client_id=robot&client_secret=" + authztest.Secret
		}, 400, "invalid_request"},
		"JSON body": {func(_ url.Values, r *http.Request) {
			r.SetBasicAuth("robot", authztest.Secret)
			r.Header.Set("Content-Type", "application/json")
		}, 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := post(c.edit)
			assert.Equal(t, c.status, answer.Status, answer.JSON)
			assert.Equal(t, c.want, answer.Get("error"))
			assert.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
			if c.status == http.StatusUnauthorized {
				assert.Contains(t, answer.Header.Get("WWW-Authenticate"), "Basic")
			}
		})
	}
	unknown := post(func(_ url.Values, r *http.Request) { r.SetBasicAuth("nobody", "x") })
	wrong := post(func(_ url.Values, r *http.Request) { r.SetBasicAuth("robot", "x") })
	assert.Equal(t, unknown.JSON, wrong.JSON, "A43: the same body")
}

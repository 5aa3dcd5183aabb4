package authz_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

// fuzzServer is a started server without a network.
func fuzzServer(f *testing.F) *authz.Server {
	cfg := authztest.Config()
	cfg.Issuer = "https://login.example.com"
	cfg.Users = people(f)
	server, err := authz.New(cfg)
	require.NoError(f, err)
	require.NoError(f, server.Start(f.Context(), authztest.NewState(f, time.Now)))
	return server
}

// registered are the origins that clients of the fuzzed server may be sent back to.
var registered = []string{"https://shop.example.com/callback", "https://rotating.example.com/callback", "https://spa.example.com/callback"}

// FuzzAuthorize: whatever a stranger puts in the URL, the answer is a page, or a redirect to our own
// login or to a registered URI (A18), and never a fault of ours.
func FuzzAuthorize(f *testing.F) {
	server := fuzzServer(f)
	f.Add("client_id=shop&response_type=code&scope=openid&redirect_uri=https%3A%2F%2Fshop.example.com%2Fcallback&state=x")
	f.Add("client_id=spa&response_type=code&code_challenge=" + rfcChallenge + "&code_challenge_method=S256")
	f.Add("client_id=shop&redirect_uri=https%3A%2F%2Fevil.example")
	f.Add("client_id=shop&client_id=spa")
	f.Add("client_id=urn:gatewright:gate&request_uri=urn:ietf:params:oauth:request_uri:x")
	f.Add("client_id=shop&response_type=code&prompt=none&response_mode=form_post&max_age=0")
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, Host: "login.example.com", Header: http.Header{}, URL: &url.URL{Path: "/authorize", RawQuery: query}}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		assert.Less(t, w.Code, 500)
		if location := w.Header().Get("Location"); location != "" && !strings.HasPrefix(location, "/login?") {
			target, _, _ := strings.Cut(strings.ReplaceAll(location, "#", "?"), "?")
			assert.Contains(t, registered, target)
		}
	})
}

// FuzzToken: whatever a stranger posts, the answer is JSON with a code of RFC 6749, never a token
// (nobody has a secret or a code here), and never a fault of ours.
func FuzzToken(f *testing.F) {
	server := fuzzServer(f)
	f.Add("grant_type=authorization_code&code=x&client_id=spa", "")
	f.Add("grant_type=client_credentials", "Basic cm9ib3Q6d3Jvbmc=")
	f.Add("grant_type=refresh_token&refresh_token=AAAA&client_id=spa", "")
	f.Add("client_id=shop&client_secret=x&grant_type=refresh_token", "Bearer x")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		for _, path := range []string{"/token", "/introspect", "/revoke", "/userinfo"} {
			r := httptest.NewRequest(http.MethodPost, "https://login.example.com"+path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header["Authorization"] = []string{authorization}
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			assert.Less(t, w.Code, 500)
			assert.NotContains(t, w.Body.String(), "access_token\":")
			if w.Code >= 400 && w.Body.Len() > 0 {
				assert.Contains(t, w.Body.String(), `"error":"`)
			}
		}
	})
}

// FuzzPage: a form that was not made for this browser changes nothing.
func FuzzPage(f *testing.F) {
	server := fuzzServer(f)
	f.Add("interaction=x&csrf=y&username=alice&password=open+sesame", "__Host-gw-00000000-browser=x")
	f.Add("decision=allow&scope=openid", "")
	f.Fuzz(func(t *testing.T, body, cookie string) {
		for _, path := range []string{"/login", "/consent"} {
			r := httptest.NewRequest(http.MethodPost, "https://login.example.com"+path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header["Cookie"] = []string{cookie}
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			assert.Equal(t, http.StatusBadRequest, w.Code)
			assert.Empty(t, w.Header().Values("Set-Cookie"))
		}
	})
}

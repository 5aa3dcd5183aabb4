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
)

func implicitConfig() authz.Config {
	cfg := authztest.Config()
	cfg.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials", "implicit"}
	cfg.Clients[0].GrantTypes = []string{"authorization_code", "refresh_token", "implicit"}
	return cfg
}

func TestE1_ResponseTypes(t *testing.T) {
	f := authztest.New(t, implicitConfig())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	for responseType, want := range map[string]string{
		"code":                "code",
		"token":               "access_token expires_in scope token_type",
		"id_token":            "id_token",
		"id_token token":      "access_token expires_in id_token scope token_type",
		"token id_token":      "access_token expires_in id_token scope token_type",
		"code id_token":       "code id_token",
		"code token":          "access_token code expires_in scope token_type",
		"code id_token token": "access_token code expires_in id_token scope token_type",
		"none":                "",
	} {
		t.Run(responseType, func(t *testing.T) {
			page := browser.Get(f.AuthorizeURL("response_type", responseType, "nonce", "n", "scope", "openid email orders.read"))
			if page.ID() == "consent" {
				page = browser.Submit(page, "decision", "allow")
			}
			require.NotNil(t, page.Location, page.Body)
			values := page.Location.Query()
			if responseType != "code" && responseType != "none" {
				assert.Empty(t, values, "tokens never go in a query")
				var err error
				values, err = url.ParseQuery(page.Location.Fragment)
				require.NoError(t, err)
			}
			assert.Equal(t, "the-state", values.Get("state"))
			assert.Equal(t, f.URL, values.Get("iss"))
			for name := range strings.FieldsSeq(want) {
				assert.NotEmpty(t, values.Get(name), name)
			}
			assert.Len(t, values, len(strings.Fields(want))+2)
			if id := values.Get("id_token"); id != "" {
				claims := f.Claims(id)
				assert.Equal(t, "n", claims["nonce"])
				assert.Equal(t, values.Has("access_token"), claims["at_hash"] != nil)
				assert.Equal(t, values.Has("code"), claims["c_hash"] != nil)
				assert.NotEmpty(t, claims["s_hash"])
				assert.Equal(t, responseType == "id_token", claims["email"] != nil, "OIDC Core §5.4: without an access token, claims are here")
			}
			if access := values.Get("access_token"); access != "" {
				assert.True(t, active(f, access))
			}
			if code := values.Get("code"); code != "" {
				assert.Equal(t, http.StatusOK, f.Redeem("shop", code).Status)
			}
		})
	}
}

func TestE1_ResponseTypeRefusals(t *testing.T) {
	f := authztest.New(t, implicitConfig())
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"a client without the grant":        {[]string{"client_id", "rotating", "redirect_uri", "https://rotating.example.com/callback", "response_type", "token"}, "unauthorized_client"},
		"OIDC Core §3.2.2.1 nonce missing":  {[]string{"response_type", "id_token"}, "invalid_request"},
		"OIDC Core §3.2.2.1 openid missing": {[]string{"response_type", "id_token", "nonce", "n", "scope", "orders.read"}, "invalid_scope"},
		"tokens in a query":                 {[]string{"response_type", "token", "response_mode", "query"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			page := f.NewBrowser().Get(f.AuthorizeURL(c.pairs...))
			require.NotNil(t, page.Location, page.Body)
			values := page.Location.Query()
			if page.Location.Fragment != "" {
				values, _ = url.ParseQuery(page.Location.Fragment)
			}
			assert.Equal(t, c.want, values.Get("error"))
		})
	}
	assert.Equal(t, "unsupported_grant_type", f.Token("shop", "grant_type", "implicit").Get("error"))
}

func TestC4_OutOfBandShowsTheCode(t *testing.T) {
	cfg := implicitConfig()
	cfg.Clients[0].RedirectURIs = append(cfg.Clients[0].RedirectURIs, "urn:ietf:wg:oauth:2.0:oob")
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	oob := "urn:ietf:wg:oauth:2.0:oob"
	page := browser.SignIn(f.AuthorizeURL("redirect_uri", oob), "alice")
	require.Equal(t, "oob", page.ID())
	fields := strings.Fields(page.Text())
	code := ""
	for _, word := range fields {
		if len(word) == 43 {
			code = word
		}
	}
	require.NotEmpty(t, code, page.Text())
	assert.Equal(t, http.StatusOK, f.Redeem("shop", code, "redirect_uri", oob).Status)
	assert.Equal(t, "error", browser.Get(f.AuthorizeURL("redirect_uri", oob, "response_type", "token")).ID(), "the code grant only")
}

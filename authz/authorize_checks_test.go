package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

func TestE1_ErrorsComeInTheModeThatWasAskedFor(t *testing.T) {
	f := authztest.New(t, implicitConfig())
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"oidcc-response-type-missing":               {[]string{"response_type", ""}, "invalid_request"},
		"response_type unknown":                     {[]string{"response_type", "magic"}, "unsupported_response_type"},
		"oidcc-ensure-request-without-nonce-fails":  {[]string{"response_type", "code id_token"}, "invalid_request"},
		"oidcc-prompt-none-not-logged-in":           {[]string{"prompt", "none"}, "login_required"},
		"the mode of tokens, with tokens forbidden": {[]string{"client_id", "rotating", "redirect_uri", "https://rotating.example.com/callback", "response_type", "id_token"}, "unauthorized_client"},
	} {
		t.Run(name, func(t *testing.T) {
			page := f.NewBrowser().Get(f.AuthorizeURL(append(c.pairs, "response_mode", "form_post")...))
			require.Equal(t, "form-post", page.ID(), page.Body)
			_, fields := page.Form()
			assert.Equal(t, c.want, fields.Get("error"))
			assert.Equal(t, "the-state", fields.Get("state"))
			for name := range fields {
				assert.Contains(t, []string{"error", "error_description", "state", "iss"}, name, "OIDC Core §3.1.2.6")
			}
		})
	}
	page := f.NewBrowser().Get(f.AuthorizeURL("response_type", ""))
	assert.Equal(t, "invalid_request", page.Location.Query().Get("error"), "without a type, the query")
}

func TestE1_ParametersThatOnlyMustNotHurt(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	answer := f.NewBrowser().Authorize(f.AuthorizeURL(
		"display", "popup", "ui_locales", "se fr", "claims_locales", "se", "login_hint", "buffy@example.com",
		"acr_values", "urn:nobody:has:this", "extra", "foobar", "scope", "email openid",
	), "alice")
	tokens := f.Redeem("shop", answer.Get("code"))
	require.Equal(t, http.StatusOK, tokens.Status)
	assert.Equal(t, "email openid", tokens.Get("scope"), "oidcc-alternate-happy-flow: in any order")
	require.NotNil(t, f.Claims(tokens.Get("id_token"))["auth_time"], "require_auth_time holds for every client")
}

func TestE1_LoginHintIsTypedAlready(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	_, fields := f.NewBrowser().Get(f.AuthorizeURL("login_hint", "alice")).Form()
	assert.Equal(t, "alice", fields.Get("username"))
	_, fields = f.NewBrowser().Get(f.AuthorizeURL("login_hint", strings.Repeat("x", 257))).Form()
	assert.Empty(t, fields.Get("username"))
}

func TestE1_SelectAccountLetsAnotherPersonIn(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	page := browser.SignIn(f.AuthorizeURL("prompt", "select_account"), "bob")
	require.NotNil(t, page.Location, page.Body)
	tokens := f.Redeem("shop", page.Location.Query().Get("code"))
	assert.Equal(t, "bob", f.Claims(tokens.Get("id_token"))["sub"])
}

func TestE1_DefaultMaxAge(t *testing.T) {
	cfg := authztest.Config()
	minute := 60
	cfg.Clients[0].DefaultMaxAge = &minute
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	assert.NotNil(t, browser.Get(f.AuthorizeURL()).Location)
	f.Clock.Advance(2 * time.Minute)
	assert.Equal(t, "login", browser.Get(f.AuthorizeURL()).ID(), "OIDC Dynamic Client Registration §2")
	assert.NotNil(t, browser.Get(f.AuthorizeURL("max_age", "600")).Location, "the request's own max_age overrides it")
	silent := browser.Get(f.AuthorizeURL("prompt", "none"))
	assert.Equal(t, "login_required", silent.Location.Query().Get("error"))
}

func TestE1_IDTokenHint(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
	hint := tokens.Get("id_token")
	query := func(page *authztest.Page) url.Values {
		require.NotNil(t, page.Location, page.Body)
		return page.Location.Query()
	}
	f.Clock.Advance(20 * time.Minute)
	silent := query(browser.Get(f.AuthorizeURL("prompt", "none", "id_token_hint", hint)))
	assert.NotEmpty(t, silent.Get("code"), "oidcc-id-token-hint: an expired one too")

	other := f.NewBrowser()
	other.Authorize(f.AuthorizeURL(), "bob")
	silent = query(other.Get(f.AuthorizeURL("prompt", "none", "id_token_hint", hint)))
	assert.Equal(t, "login_required", silent.Get("error"), "somebody else is signed in")
	for _, prompt := range []string{"", "login"} {
		page := other.Get(f.AuthorizeURL("id_token_hint", hint, "prompt", prompt))
		require.Equal(t, "login", page.ID(), "the person named may sign in")
		wrong := query(other.Submit(page, "username", "bob", "password", authztest.Password))
		assert.Equal(t, "login_required", wrong.Get("error"), "OIDC Core §3.1.2.1: no answer about anybody else")
	}
	right := query(other.SignIn(f.AuthorizeURL("id_token_hint", hint), "alice"))
	assert.NotEmpty(t, right.Get("code"))

	elsewhere := f.Redeem("rotating", browser.Authorize(f.AuthorizeURL("client_id", "rotating", "redirect_uri", "https://rotating.example.com/callback"), "alice").Get("code"))
	for name, bad := range map[string]string{
		"another client's":           elsewhere.Get("id_token"),
		"an access token":            tokens.Get("access_token"),
		"garbage":                    "garbage",
		"without its signature (A1)": strings.Join(strings.Split(hint, ".")[:2], ".") + ".",
	} {
		assert.Equal(t, "invalid_request", query(browser.Get(f.AuthorizeURL("id_token_hint", bad))).Get("error"), name)
	}
}

func TestE1_RedirectURIMayHaveAQuery(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].RedirectURIs = []string{"https://shop.example.com/callback?dummy1=lorem&dummy2=ipsum", "https://shop.example.com/callback"}
	f := authztest.New(t, cfg)
	answer := f.NewBrowser().Authorize(f.AuthorizeURL("redirect_uri", cfg.Clients[0].RedirectURIs[0]), "alice")
	assert.Equal(t, "lorem", answer.Get("dummy1"), "oidcc-redirect-uri-query-OK")
	assert.Equal(t, "ipsum", answer.Get("dummy2"))
	assert.NotEmpty(t, answer.Get("code"))
	for name, uri := range map[string]string{
		"oidcc-redirect-uri-query-mismatch":                   "https://shop.example.com/callback?dummy1=lorem&dummy2=other",
		"oidcc-redirect-uri-query-added":                      "https://shop.example.com/callback?dummy1=lorem",
		"oidcc-ensure-redirect-uri-in-authorization-request":  "",
		"oidcc-ensure-registered-redirect-uri":                "https://shop.example.com/callback/" + "x",
		"RFC 6749 §3.1.2 a fragment":                          "https://shop.example.com/callback#f",
		"RFC 6749 §3.1.2.3 two are registered, none is named": "",
	} {
		page := f.NewBrowser().Get(f.AuthorizeURL("redirect_uri", uri))
		assert.Equal(t, "error", page.ID(), name)
		assert.Nil(t, page.Location, name)
	}
}

func TestE1_AFormIsPostedToTheWebOnly(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients = append(cfg.Clients, authz.Client{ID: "native", Type: authz.ClientNative, RedirectURIs: []string{"com.example.app:/cb"}, Scopes: []string{"openid"}})
	f := authztest.New(t, cfg)
	page := f.NewBrowser().Get(f.AuthorizeURL("client_id", "native", "redirect_uri", "com.example.app:/cb", "scope", "openid", "response_mode", "form_post"))
	require.NotNil(t, page.Location, page.Body)
	assert.Equal(t, "com.example.app", page.Location.Scheme)
	assert.Equal(t, "invalid_request", page.Location.Query().Get("error"), "before anybody signs in")
}

func TestE1_WhatIsTakenFitsInAURL(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	longest := strings.Repeat("<", 2048) // one byte here, one in the page's URL
	page := f.NewBrowser().SignIn(f.AuthorizeURL("state", longest, "nonce", longest, "acr_values", longest), "alice")
	require.NotNil(t, page.Location, page.Body)
	assert.Equal(t, longest, page.Location.Query().Get("state"))

	assert.Equal(t, "error", f.NewBrowser().Get(f.AuthorizeURL("state", longest+"<")).ID())
	many := strings.Repeat("\x01", 2048) // six bytes each
	page = f.NewBrowser().Get(f.AuthorizeURL("nonce", many, "acr_values", many))
	require.NotNil(t, page.Location, page.Body)
	assert.Equal(t, "invalid_request", page.Location.Query().Get("error"))
	assert.Equal(t, "the-state", page.Location.Query().Get("state"))
}

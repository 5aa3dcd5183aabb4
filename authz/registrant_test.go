package authz_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users/static"
)

func TestA7_TokensForOthersDontRegister(t *testing.T) {
	cfg := registryConfig(t, authz.RegistrationProtected)
	cfg.Clients[0].ResourceServer = "orders"
	g := &registry{authztest.New(t, cfg), t}
	admin := g.token("alice", "registration.full")
	assert.Equal(t, g.URL, g.Bearer(http.MethodGet, "/tokeninfo", admin).Get("audience"), "R13: neither for the client's own resource server")
	g.register(admin, app)
	for _, target := range [][]string{{"resourceServer", "orders"}, {"resource", "https://orders.example.com"}} {
		answer := g.NewBrowser().Get(g.AuthorizeURL(append(target, "scope", "openid registration.read")...))
		assert.Equal(t, "invalid_target", answer.Location.Query().Get("error"))
	}

	other := g.Redeem("shop", g.NewBrowser().Authorize(g.AuthorizeURL("scope", "openid orders.read"), "alice").Get("code")).Get("access_token")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		refused := g.call(method, "/register", other, app)
		assert.Equal(t, http.StatusUnauthorized, refused.Status)
		assert.Equal(t, "invalid_token", refused.Get("error"), "before anybody looks at its scopes")
	}
}

func TestC2_ARegistrationTokenIsWorthNoMoreThanItsOwner(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	owned := g.register(g.token("bob", "registration.full"), app)
	self := g.register("", app)
	put := func(c authztest.Answer) authztest.Answer {
		return g.update(c.Get("registration_access_token"), c.Get("client_id"), app)
	}
	for name, c := range map[string]struct {
		change func(*static.User)
		want   int
	}{
		"a developer":      {func(*static.User) {}, 200},
		"an administrator": {func(bob *static.User) { bob.Roles = []string{"admin"} }, 200},
		"neither any more": {func(bob *static.User) { bob.Roles = []string{"employee"} }, 401},
		"disabled":         {func(bob *static.User) { bob.Disabled = true }, 401},
		"gone":             {func(bob *static.User) { bob.Name = "robert" }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := registryConfig(t, authz.RegistrationOpen)
			people := authztest.Users(t)
			people[1].Roles = []string{"developer"}
			c.change(&people[1])
			list, err := static.New(people)
			require.NoError(t, err)
			cfg.Users = list
			g.Reload(cfg)
			answer := put(owned)
			assert.Equal(t, c.want, answer.Status, answer.JSON)
			if c.want == http.StatusUnauthorized {
				assert.Equal(t, "invalid_token", answer.Get("error"))
			}
			assert.Equal(t, http.StatusOK, put(self).Status, "it has no owner")
		})
	}
	cfg := registryConfig(t, authz.RegistrationOpen)
	store, away := &faulty{Store: cfg.Users}, errors.New("the directory is away")
	store.failure.Store(&away)
	cfg.Users = store
	g.Reload(cfg)
	assert.Equal(t, http.StatusServiceUnavailable, put(owned).Status, "nobody knows")
}

func TestA52_AConsentIsNotForTheNextClientOfAnID(t *testing.T) {
	g := newRegistry(t, authz.RegistrationProtected)
	admin := g.token("alice", "registration.full")
	register := func(redirect string) {
		g.register(admin, members{"client_id": "reused", "redirect_uris": []string{redirect}, "scope": "openid email"})
	}
	browser := g.NewBrowser()
	ask := func(redirect string) *authztest.Page {
		return browser.SignIn(g.AuthorizeURL("client_id", "reused", "redirect_uri", redirect, "scope", "openid email"), "bob")
	}
	register("https://one.example.com/")
	require.NotNil(t, browser.Submit(ask("https://one.example.com/"), "decision", "allow").Location)
	again := func(redirect string) *authztest.Page {
		return browser.Get(g.AuthorizeURL("client_id", "reused", "redirect_uri", redirect, "scope", "openid email"))
	}
	require.NotEmpty(t, again("https://one.example.com/").Location.Query().Get("code"), "agreed to")
	require.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, "/register/reused", admin, nil).Status)
	g.Clock.Advance(time.Second)
	register("https://two.example.com/")
	page := again("https://two.example.com/")
	require.Equal(t, "consent", page.ID())
	require.NotNil(t, browser.Submit(page, "decision", "allow").Location)
	assert.NotEmpty(t, again("https://two.example.com/").Location.Query().Get("code"))
}

func TestE6_WhatRegisteredItselfReadsItsOwnTokensOnly(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	c := g.register("", app)
	id, secret := c.Get("client_id"), c.Get("client_secret")
	browser := g.NewBrowser()
	page := browser.SignIn(g.AuthorizeURL("client_id", id, "redirect_uri", "https://app.example.com/callback", "scope", "openid"), "erin")
	code := browser.Submit(page, "decision", "allow").Location.Query().Get("code")
	own := g.asClient(id, secret, map[string]string{"grant_type": "authorization_code", "code": code, "redirect_uri": "https://app.example.com/callback"})
	others := g.Redeem("shop", g.NewBrowser().Authorize(g.AuthorizeURL(), "bob").Get("code"))
	about := func(token string) any {
		answer := g.Post("/introspect", "", url.Values{"token": {token}, "client_id": {id}, "client_secret": {secret}})
		require.Equal(t, http.StatusOK, answer.Status, answer.JSON)
		if answer.JSON["active"] == false {
			assert.Len(t, answer.JSON, 1)
		}
		return answer.JSON["active"]
	}
	for _, kind := range []string{"access_token", "refresh_token"} {
		assert.Equal(t, true, about(own.Get(kind)), kind)
		assert.Equal(t, false, about(others.Get(kind)), kind)
	}
	verified := members{"redirect_uris": app["redirect_uris"], "client_name": app["client_name"], "verified": true}
	require.Equal(t, http.StatusOK, g.update(g.token("alice", "registration.full"), id, verified).Status)
	assert.Equal(t, true, about(others.Get("access_token")), "an administrator says so")
}

func TestA36_AStrangerIsNoRedirector(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	ask := func(browser *authztest.Browser, c authztest.Answer, pairs ...string) *authztest.Page {
		return browser.Get(g.AuthorizeURL(append([]string{"client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid"}, pairs...)...))
	}
	c, verified := g.register("", app), g.register("", app)
	owned := g.register(g.token("bob", "registration.full"), app)
	body := members{"redirect_uris": app["redirect_uris"], "verified": true}
	require.Equal(t, http.StatusOK, g.update(g.token("alice", "registration.full"), verified.Get("client_id"), body).Status)
	for range 5 {
		require.Equal(t, "login_required", ask(g.NewBrowser(), c, "prompt", "none").Location.Query().Get("error"), "silent authentication needs it")
		require.Equal(t, "invalid_request", ask(g.NewBrowser(), c, "response_type", "").Location.Query().Get("error"))
	}
	for _, pairs := range [][]string{{"prompt", "none"}, {"response_type", ""}, {"prompt", "none", "response_mode", "form_post"}} {
		page := ask(g.NewBrowser(), c, pairs...)
		require.Equal(t, "error", page.ID(), pairs)
		assert.Equal(t, http.StatusBadRequest, page.Status)
		assert.Contains(t, page.Text(), "registered itself")
		assert.Contains(t, page.Text(), "app.example.com")
		assert.NotContains(t, page.Text(), "An app", "what it calls itself")
	}
	for range 12 {
		for _, other := range []authztest.Answer{verified, owned} {
			require.NotNil(t, ask(g.NewBrowser(), other, "prompt", "none").Location)
		}
	}
	require.NotNil(t, ask(g.NewBrowser(), g.register("", app), "prompt", "none").Location, "each has its own")

	browser := g.NewBrowser()
	page := browser.Submit(ask(browser, c), "username", "erin", "password", authztest.Password)
	declined := browser.Submit(page, "decision", "deny")
	assert.Equal(t, "access_denied", declined.Location.Query().Get("error"), "after a page")
	assert.Equal(t, "error", ask(browser, c, "prompt", "none").ID())
	page = browser.Submit(ask(browser, c), "decision", "allow")
	require.NotEmpty(t, page.Location.Query().Get("code"))
	for range 12 {
		require.NotNil(t, ask(g.NewBrowser(), c, "prompt", "none").Location, "somebody uses it")
	}
}

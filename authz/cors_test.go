package authz_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

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

// preflights tells whether web pages of an origin may use the token endpoint.
func (g *registry) preflights(origin string) bool {
	g.t.Helper()
	req, err := http.NewRequest(http.MethodOptions, g.URL+"/token", nil)
	require.NoError(g.t, err)
	req.Header.Set("Origin", origin)
	return g.Do(req).Header.Get("Access-Control-Allow-Origin") == origin
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

func TestG3_RefreshTokensFromUnlistedOrigins(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	raw := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("refresh_token")
	call := func(path, client string) authztest.Answer {
		form := url.Values{"token": {raw}, "client_id": {client}, "client_secret": {authztest.Secret}}
		req, err := http.NewRequest(http.MethodPost, f.URL+path, strings.NewReader(form.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://evil.example")
		return f.Do(req)
	}
	assert.Equal(t, map[string]any{"active": false}, call("/introspect", "shop").JSON)
	refused := call("/revoke", "shop")
	assert.Equal(t, http.StatusForbidden, refused.Status)
	assert.True(t, activeTo(f, "shop", raw))
}

func TestG3_C10_OriginsOfRegisteredClients(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	developer := g.token("bob", "registration.full")
	allowed := func(origin string, form url.Values) bool {
		req, err := http.NewRequest(http.MethodPost, g.URL+"/token", strings.NewReader(form.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin)
		return g.Do(req).Header.Get("Access-Control-Allow-Origin") == origin
	}
	preflight := g.preflights
	const red, white = "https://red.example.com", "https://white.example.com"
	page := func(origins ...string) members {
		return members{"redirect_uris": app["redirect_uris"], "token_endpoint_auth_method": "none", "cors": origins}
	}
	require.False(t, preflight(red))

	first := g.register(developer, page(red)).Get("client_id")
	assert.True(t, preflight(red))
	for client, readable := range map[string]bool{first: true, "shop": false} {
		form := url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "client_secret": {authztest.Secret}, "refresh_token": {"x"}}
		if client == first {
			form.Del("client_secret")
		}
		assert.Equal(t, readable, allowed(red, form), "the answer is for the client's own pages")
	}
	second := g.register(developer, page(red, white)).Get("client_id")
	self := g.register("", page("https://self.example.com"))
	assert.NotContains(t, self.JSON, "cors")
	assert.False(t, preflight("https://self.example.com"), "who registered itself has no say in it")

	require.Equal(t, http.StatusOK, g.update(developer, second, page(white)).Status)
	assert.True(t, preflight(red), "the first lists it still")
	require.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, "/register/"+first, developer, nil).Status)
	assert.False(t, preflight(red))
	assert.True(t, preflight(white))
	require.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, "/register/"+second, developer, nil).Status)
	assert.False(t, preflight(white))
}

func TestG3_C10_AllClientsThatListAnOriginAreAsked(t *testing.T) {
	const origin = "https://red.example.com"
	cfg := registryConfig(t, authz.RegistrationProtected)
	g := &registry{authztest.New(t, cfg), t}
	admin := g.token("alice", "registration.full")
	page := func(scope string) members {
		return members{"redirect_uris": app["redirect_uris"], "cors": []string{origin}, "scope": scope}
	}
	for range 110 {
		g.register(admin, page("openid orders.write"))
	}
	entries, err := g.State.Store().Scan(t.Context(), "cors-of/", "", 200)
	require.NoError(t, err)
	require.Len(t, entries, 110)
	var last struct {
		ID string `json:"client_id"`
	}
	require.NoError(t, json.Unmarshal(entries[109].Value, &last))
	require.Equal(t, http.StatusOK, g.update(admin, last.ID, page("openid")).Status)

	cfg.ResourceServers = nil // the others have a scope that is gone
	for i := range cfg.Clients {
		cfg.Clients[i].Scopes = []string{"openid"}
	}
	g.Reload(cfg)
	g.Clock.Advance(10 * time.Minute)
	assert.True(t, g.preflights(origin))
	assert.False(t, g.preflights("https://white.example.com"))
	assert.Equal(t, 110, g.listings(), "the scope may come back")
}

func TestG3_ARequestThatIsGoneIsNoFaultOfTheStore(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	ask := func(ctx context.Context) {
		req := httptest.NewRequest(http.MethodOptions, f.URL+"/token", nil).WithContext(ctx)
		req.Header.Set("Origin", "https://red.example.com")
		f.Server.ServeHTTP(httptest.NewRecorder(), req)
	}
	faults := func() int { return f.Logs.FilterLevelExact(zap.ErrorLevel).Len() }
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ask(gone)
	assert.Zero(t, faults())
	require.NoError(t, f.State.Store().Close())
	ask(t.Context())
	assert.Equal(t, 1, faults())
}

// What one change takes out of an index, another may have put there again.
func TestC10_C2_AClientIsFoundAfterTwoChangesAtOnce(t *testing.T) {
	const origin = "https://red.example.com"
	cfg := registryConfig(t, authz.RegistrationProtected)
	g := &registry{authztest.New(t, cfg), t}
	store := interruptible(t, g.Fixture, cfg)
	admin, bob := g.token("alice", "registration.full"), g.token("bob", "registration.full")
	page := func(origins ...string) members {
		return members{"redirect_uris": app["redirect_uris"], "cors": origins}
	}
	meanwhile := func(do func()) (happened *bool) {
		happened = new(bool)
		store.before = func(key string) error {
			if !*happened && (strings.HasPrefix(key, "cors-of/") || strings.HasPrefix(key, "client-of/")) {
				*happened = true
				do()
			}
			return nil
		}
		return happened
	}

	id := g.register(bob, page(origin)).Get("client_id")
	happened := meanwhile(func() { assert.Equal(t, http.StatusOK, g.update(bob, id, page(origin)).Status) })
	require.Equal(t, http.StatusOK, g.update(bob, id, page()).Status)
	require.True(t, *happened)
	assert.True(t, g.preflights(origin), "it lists the origin again")
	require.Equal(t, http.StatusOK, g.update(bob, id, page()).Status)
	assert.False(t, g.preflights(origin))

	named := page(origin)
	named["client_id"] = "reused"
	g.register(admin, named)
	happened = meanwhile(func() { g.register(admin, named) })
	require.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, "/register/reused", admin, nil).Status)
	require.True(t, *happened)
	assert.True(t, g.preflights(origin), "another client of that ID lists it")
	require.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, "/register/reused", admin, nil).Status)
	assert.False(t, g.preflights(origin))
	for kind, left := range map[string]int{"cors-of/": 0, "client-of/": 1} {
		entries, err := g.State.Store().Scan(t.Context(), kind, "", 10)
		require.NoError(t, err)
		assert.Len(t, entries, left, kind)
	}
}

// listings are the entries of clients under the origins that they list.
func (g *registry) listings() int {
	g.t.Helper()
	found, err := g.State.Store().Scan(g.t.Context(), "cors-of/", "", 1000)
	require.NoError(g.t, err)
	return len(found)
}

func TestC10_WhoIsNotTakenLeavesNothingInTheIndexOfOrigins(t *testing.T) {
	const red, white = "https://red.example.com", "https://white.example.com"
	g := newRegistry(t, authz.RegistrationProtected)
	admin := g.token("alice", "registration.full")
	named := func(origins ...string) members {
		return members{"client_id": "mine", "redirect_uris": app["redirect_uris"], "cors": origins}
	}
	g.register(admin, named(red))
	refused := g.call(http.MethodPost, "/register", admin, named(red, white))
	require.Equal(t, "invalid_client_metadata", refused.Get("error"), "the ID is taken")
	assert.Equal(t, 1, g.listings())
	require.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, "/register/mine", admin, nil).Status)
	assert.Zero(t, g.listings())
}

func TestC10_ARefusedChangeLetsInNobodyAndKeepsNobodyOut(t *testing.T) {
	const red, white = "https://red.example.com", "https://white.example.com"
	cfg := registryConfig(t, authz.RegistrationProtected)
	g := &registry{authztest.New(t, cfg), t}
	clients := interruptible(t, g.Fixture, cfg)
	bob := g.token("bob", "registration.full")
	page := func(origins ...string) members {
		return members{"redirect_uris": app["redirect_uris"], "cors": origins}
	}

	id := g.register(bob, page(red)).Get("client_id")
	clients.beforeClient(full)
	require.Equal(t, "temporarily_unavailable", g.update(bob, id, page(red, white)).Get("error"))
	clients.beforeClient(nil)
	require.True(t, g.preflights(red))
	require.False(t, g.preflights(white))
	g.Clock.Advance(10 * time.Minute)
	require.False(t, g.preflights(white))
	assert.Equal(t, 1, g.listings(), "the entry of the refused change is gone, the other stays")
	require.True(t, g.preflights(red))

	bob = g.token("bob", "registration.full")
	clients.beforeClient(func() error {
		assert.False(t, g.preflights(white), "not yet")
		return nil
	})
	require.Equal(t, http.StatusOK, g.update(bob, id, page(white)).Status)
	clients.beforeClient(nil)
	assert.True(t, g.preflights(white), "a look before it was written took nothing away")
	require.False(t, g.preflights(red))
	require.Equal(t, http.StatusOK, g.update(bob, id, page()).Status)
	g.Clock.Advance(10 * time.Minute)
	require.False(t, g.preflights(red))
	assert.Zero(t, g.listings())
}

func TestC10_AnOriginGoesWithItsClient(t *testing.T) {
	const day = 24 * time.Hour
	const red = "https://red.example.com"
	g := newRegistry(t, authz.RegistrationOpen)
	admin := g.token("alice", "registration.full")
	id := g.register("", app).Get("client_id") // an administrator lets its pages in, and vouches for no more
	require.Equal(t, http.StatusOK, g.update(admin, id, members{"redirect_uris": app["redirect_uris"], "cors": []string{red}}).Status)
	require.True(t, g.preflights(red))
	browser := g.NewBrowser()
	request := g.AuthorizeURL("client_id", id, "redirect_uri", "https://app.example.com/callback", "scope", "openid")
	require.NotNil(t, browser.Submit(browser.SignIn(request, "erin"), "decision", "allow").Location)
	g.Clock.Advance(364 * day)
	require.True(t, g.preflights(red), "as long as the client")
	g.Clock.Advance(day)
	assert.False(t, g.preflights(red))
	assert.Zero(t, g.listings())
}

func TestC10_ClientsThatAreGoneHideNoneThatIsThere(t *testing.T) {
	const origin = "https://red.example.com"
	g := newRegistry(t, authz.RegistrationProtected)
	index := store.NewRecords[members](g.State.Store(), "cors-of/"+oauth.Fingerprint(origin))
	for i := range 250 {
		id := fmt.Sprintf("gone-%d", i)
		require.NoError(t, index.Put(t.Context(), id, &members{"client_id": id, "mark": id}, time.Time{}))
	}
	last := 0 // entries are in the order of hashes: this client's is behind all of theirs
	for !strings.HasPrefix(oauth.Fingerprint(fmt.Sprintf("there-%d", last)), "zz") {
		last++
	}
	admin := g.token("alice", "registration.full")
	g.register(admin, members{"client_id": fmt.Sprintf("there-%d", last), "redirect_uris": app["redirect_uris"], "cors": []string{origin}})
	require.Equal(t, 251, g.listings())
	assert.True(t, g.preflights(origin))
	assert.Equal(t, 1, g.listings())
}

func TestC2_WhatIsGoneIsListedToNobodyAndGoes(t *testing.T) {
	cfg := registryConfig(t, authz.RegistrationProtected)
	g := &registry{authztest.New(t, cfg), t}
	clients := interruptible(t, g.Fixture, cfg)
	bob := g.token("bob", "registration.full")
	clients.beforeClient(full)
	require.Equal(t, "temporarily_unavailable", g.call(http.MethodPost, "/register", bob, app).Get("error"))
	clients.beforeClient(nil)
	owned := func() int {
		listed := g.call(http.MethodGet, "/register", g.token("bob", "registration.full"), nil)
		require.Equal(t, http.StatusOK, listed.Status)
		require.Empty(t, listed.JSON["clients"])
		entries, err := g.State.Store().Scan(t.Context(), "client-of/", "", 10)
		require.NoError(t, err)
		return len(entries)
	}
	require.Equal(t, 1, owned(), "it might be on its way")
	g.Clock.Advance(10 * time.Minute)
	assert.Zero(t, owned())
}

package authz_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users/static"
)

// members is a JSON object.
type members map[string]any

// registry is a server with registration, alice its administrator and bob a developer.
type registry struct {
	*authztest.Fixture
	t *testing.T
}

func registryConfig(t *testing.T, mode authz.Registration) authz.Config {
	t.Helper()
	cfg := authztest.Config()
	cfg.Registration, cfg.DeveloperRole, cfg.AdminRole = mode, "developer", "admin"
	cfg.Clients[0].Scopes = append(cfg.Clients[0].Scopes, authz.ScopeRegistrationFull, authz.ScopeRegistrationRead)
	people := authztest.Users(t)
	people[0].Roles = []string{"admin"}
	people[1].Roles = []string{"developer"}
	dave := people[1]
	dave.Name, dave.Roles = "dave", []string{"developer"}
	erin := people[1]
	erin.Name, erin.Roles = "erin", []string{"employee"}
	list, err := static.New(append(people, dave, erin))
	require.NoError(t, err)
	cfg.Users = list
	return cfg
}

func newRegistry(t *testing.T, mode authz.Registration) *registry {
	t.Helper()
	return &registry{authztest.New(t, registryConfig(t, mode)), t}
}

// token is an access token of a person for the registration endpoint.
func (g *registry) token(name, scope string) string {
	g.t.Helper()
	browser := g.NewBrowser()
	page := browser.SignIn(g.AuthorizeURL("scope", "openid "+scope), name)
	if page.ID() == "consent" {
		page = browser.Submit(page, "decision", "allow")
	}
	require.NotNil(g.t, page.Location, page.Body)
	tokens := g.Redeem("shop", page.Location.Query().Get("code"))
	require.Equal(g.t, http.StatusOK, tokens.Status, tokens.JSON)
	return tokens.Get("access_token")
}

// call sends a request to the registration endpoint.
func (g *registry) call(method, path, bearer string, body any) authztest.Answer {
	g.t.Helper()
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		require.NoError(g.t, err)
		if raw, ok := body.(string); ok {
			encoded = []byte(raw)
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequest(method, g.URL+path, content)
	require.NoError(g.t, err)
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return g.Do(req)
}

// update replaces a client's metadata, under the ID that the request has to name (RFC 7592 §2.2).
func (g *registry) update(bearer, id string, body members) authztest.Answer {
	g.t.Helper()
	named := members{"client_id": id}
	maps.Copy(named, body)
	return g.call(http.MethodPut, "/register/"+id, bearer, named)
}

func (g *registry) register(bearer string, body any) authztest.Answer {
	g.t.Helper()
	answer := g.call(http.MethodPost, "/register", bearer, body)
	require.Equal(g.t, http.StatusCreated, answer.Status, answer.JSON)
	return answer
}

func (g *registry) event(name string) *authz.Event {
	for _, e := range g.Events() {
		if e.Name == name {
			return &e
		}
	}
	return nil
}

// strangersStatement is a software statement that somebody signed whom nobody knows.
func strangersStatement(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	require.NoError(t, err)
	signed, err := signer.Sign([]byte(`{"software_id":"app"}`))
	require.NoError(t, err)
	compact, err := signed.CompactSerialize()
	require.NoError(t, err)
	return compact
}

var app = members{"redirect_uris": []string{"https://app.example.com/callback"}, "client_name": "An app"}

func TestE11_OpenRegistration(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	metadata := g.call(http.MethodGet, "/.well-known/openid-configuration", "", nil)
	assert.Equal(t, g.URL+"/register", metadata.Get("registration_endpoint"))

	c := g.register("", app)
	id := c.Get("client_id")
	assert.Equal(t, "no-store", c.Header.Get("Cache-Control"))
	assert.NotEmpty(t, c.Get("client_secret"))
	assert.InDelta(t, 0, c.JSON["client_secret_expires_at"], 0, "RFC 7591 §3.2.1: required beside a secret")
	assert.NotEmpty(t, c.Get("registration_access_token"))
	assert.Equal(t, g.URL+"/register/"+id, c.Get("registration_client_uri"))
	assert.Equal(t, "client_secret_basic", c.Get("token_endpoint_auth_method"), "RFC 7591 §2: the defaults are told")
	assert.Equal(t, []any{"authorization_code", "refresh_token"}, c.JSON["grant_types"])
	assert.Equal(t, []any{"code"}, c.JSON["response_types"])
	assert.Contains(t, strings.Fields(c.Get("scope")), "profile")
	assert.NotContains(t, strings.Fields(c.Get("scope")), "orders.read", "nobody is asked about it")
	assert.NotContains(t, c.Get("scope"), "registration")
	assert.Equal(t, id, g.event("client_registered").ClientID)

	browser := g.NewBrowser()
	request := g.AuthorizeURL("client_id", id, "redirect_uri", "https://app.example.com/callback", "scope", "openid")
	page := browser.SignIn(request, "erin")
	require.Equal(t, "consent", page.ID(), "C18: always")
	page = browser.Submit(page, "decision", "allow")
	require.NotNil(t, page.Location, page.Body)
	form := map[string]string{"grant_type": "authorization_code", "code": page.Location.Query().Get("code"), "redirect_uri": "https://app.example.com/callback"}
	assert.Equal(t, http.StatusOK, g.asClient(id, c.Get("client_secret"), form).Status)
	assert.Equal(t, "consent", browser.Get(request).ID(), "C18: always")
}

func TestE11_W9_WhatAClientIsThatDoesNotSay(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	const scheme, loopback, remote = "com.example.app:/callback", "http://127.0.0.1:5000/callback", "https://app.example.com/callback"
	for name, c := range map[string]struct {
		body members
		want string
	}{
		"on the person's machine":  {members{"token_endpoint_auth_method": "none", "redirect_uris": []string{scheme, loopback}}, "native"},
		"and on a server":          {members{"token_endpoint_auth_method": "none", "redirect_uris": []string{loopback, remote}}, "native"},
		"on a server":              {members{"token_endpoint_auth_method": "none", "redirect_uris": []string{remote}}, "web"},
		"with a secret":            {members{"redirect_uris": []string{loopback}}, "web"},
		"told (OpenID Connect §2)": {members{"token_endpoint_auth_method": "none", "redirect_uris": []string{loopback}, "application_type": "web"}, "web"},
	} {
		require.Equal(t, c.want, g.register("", c.body).Get("application_type"), name)
	}
	refused := g.call(http.MethodPost, "/register", "", members{"redirect_uris": []string{scheme}})
	require.Equal(t, "invalid_redirect_uri", refused.Get("error"), "a scheme of its own is for native clients")

	id := g.register("", members{"token_endpoint_auth_method": "none", "redirect_uris": []string{loopback}}).Get("client_id")
	page := g.NewBrowser().SignIn(g.AuthorizeURL("client_id", id, "redirect_uri", "http://127.0.0.1:49152/callback", "scope", "openid",
		"code_challenge", rfcChallenge, "code_challenge_method", "S256"), "erin")
	require.Equal(t, "consent", page.ID(), "RFC 8252 §7.3: any port")
}

// asClient asks the token endpoint with Basic authentication.
func (g *registry) asClient(id, secret string, form map[string]string) authztest.Answer {
	g.t.Helper()
	var pairs []string
	for name, value := range form {
		pairs = append(pairs, name+"="+value)
	}
	req, err := http.NewRequest(http.MethodPost, g.URL+"/token", strings.NewReader(strings.Join(pairs, "&")))
	require.NoError(g.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(id, secret)
	return g.Do(req)
}

func TestE11_OffIsNotThere(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	c := g.register("", app)
	cfg := registryConfig(t, authz.RegistrationOff)
	cfg.Clients[0].Scopes = []string{"openid"}
	g.Reload(cfg)
	assert.Equal(t, http.StatusNotFound, g.call(http.MethodPost, "/register", "", app).Status)
	assert.Equal(t, http.StatusNotFound, g.call(http.MethodGet, "/register/"+c.Get("client_id"), c.Get("registration_access_token"), nil).Status)
	assert.NotContains(t, g.call(http.MethodGet, "/.well-known/openid-configuration", "", nil).JSON, "registration_endpoint")
	request := g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid")
	assert.Equal(t, "login", g.NewBrowser().Get(request).ID(), "what is registered goes on")
}

func TestE11_BadMetadata(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	with := func(pairs ...any) members {
		m := members{"redirect_uris": []string{"https://app.example.com/callback"}}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	redirects := func(uris ...string) members { return with("redirect_uris", uris) }
	many := make([]string, 1000)
	for i := range many {
		many[i] = "https://app.example.com/" + strings.Repeat("x", i%10)
	}
	private := members{"keys": []members{{"kty": "oct", "k": "c2VjcmV0"}}}
	for name, c := range map[string]struct {
		body   any
		status int
		code   string
	}{
		"no redirect URI":                 {members{}, 400, "invalid_client_metadata"},
		"RFC 6749 §3.1.2 fragment":        {redirects("https://app.example.com/#x"), 400, "invalid_redirect_uri"},
		"http":                            {redirects("http://app.example.com/"), 400, "invalid_redirect_uri"},
		"A20 javascript":                  {redirects("javascript:alert(1)"), 400, "invalid_redirect_uri"},
		"A20 data":                        {redirects("DATA:text/html,x"), 400, "invalid_redirect_uri"},
		"a native scheme of a web client": {redirects("com.example.app:/callback"), 400, "invalid_redirect_uri"},
		"A20 logo":                        {with("logo_uri", "javascript:alert(1)"), 400, "invalid_client_metadata"},
		"A20 policy":                      {with("policy_uri", "data:text/html,x"), 400, "invalid_client_metadata"},
		"A20 terms":                       {with("tos_uri", "vbscript:x"), 400, "invalid_client_metadata"},
		"A20 client page":                 {with("client_uri", "JavaScript:alert(1)"), 400, "invalid_client_metadata"},
		"A20 post-logout URI":             {with("post_logout_redirect_uris", []string{"javascript:alert(1)"}), 400, "invalid_client_metadata"},
		"initiate_login_uri is https":     {with("initiate_login_uri", "http://localhost/login"), 400, "invalid_client_metadata"},
		"jwks_uri is https":               {with("jwks_uri", "http://127.0.0.1/jwks.json"), 400, "invalid_client_metadata"},
		"RFC 7591 §2 jwks and jwks_uri":   {with("jwks_uri", "https://app.example.com/jwks", "jwks", members{"keys": []any{}}), 400, "invalid_client_metadata"},
		"a secret key":                    {with("jwks", private), 400, "invalid_client_metadata"},
		"unknown grant type":              {with("grant_types", []string{"magic"}), 400, "invalid_client_metadata"},
		"a grant type without a person":   {with("grant_types", []string{"client_credentials"}), 400, "invalid_client_metadata"},
		"passwords":                       {with("grant_types", []string{"password"}), 400, "invalid_client_metadata"},
		"RFC 7591 §2.1 response type without a grant": {with("response_types", []string{"token"}, "grant_types", []string{"authorization_code"}), 400, "invalid_client_metadata"},
		"application type":                     {with("application_type", "toaster"), 400, "invalid_client_metadata"},
		"authentication method":                {with("token_endpoint_auth_method", "telepathy"), 400, "invalid_client_metadata"},
		"ID token algorithm":                   {with("id_token_signed_response_alg", "HS256"), 400, "invalid_client_metadata"},
		"encryption without keys":              {with("id_token_encrypted_response_alg", "RSA-OAEP"), 400, "invalid_client_metadata"},
		"subject type":                         {with("subject_type", "secret"), 400, "invalid_client_metadata"},
		"wrong type":                           {with("redirect_uris", "https://app.example.com/callback"), 400, "invalid_client_metadata"},
		"no JSON":                              {"redirect_uris=x", 400, "invalid_client_metadata"},
		"a member twice":                       {`{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}`, 400, "invalid_client_metadata"},
		"another spelling of a member":         {`{"Redirect_URIs":["https://a.example/"]}`, 400, "invalid_client_metadata"},
		"and one that JSON folds":              {`{"redirect_uriſ":["https://a.example/"]}`, 400, "invalid_client_metadata"},
		"A53 a thousand redirect URIs":         {redirects(many...), 400, "invalid_client_metadata"},
		"a max_age before now":                 {with("default_max_age", -5), 400, "invalid_client_metadata"},
		"a max_age of no use":                  {with("default_max_age", 10_000_000_000), 400, "invalid_client_metadata"},
		"an enc without its alg":               {with("id_token_encrypted_response_enc", "A128GCM"), 400, "invalid_client_metadata"},
		"A53 a long name":                      {with("client_name", strings.Repeat("x", 3000)), 400, "invalid_client_metadata"},
		"A53 a huge body":                      {with("software_id", strings.Repeat("x", 40<<10)), 400, "invalid_client_metadata"},
		"A54 unsigned software statement":      {with("software_statement", "eyJhbGciOiJub25lIn0.e30."), 401, "invalid_software_statement"},
		"A54 software statement of a stranger": {with("software_statement", strangersStatement(t)), 400, "unapproved_software_statement"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := g.call(http.MethodPost, "/register", "", c.body)
			assert.Equal(t, c.status, answer.Status, answer.JSON)
			assert.Equal(t, c.code, answer.Get("error"), answer.JSON)
			assert.NotContains(t, answer.Get("error_description"), `"`, "RFC 6749 §5.2")
		})
	}
	req, err := http.NewRequest(http.MethodPost, g.URL+"/register", strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	assert.Equal(t, "invalid_request", g.Do(req).Get("error"))
	assert.Nil(t, g.event("client_registered"))
	assert.Equal(t, http.StatusMethodNotAllowed, g.call(http.MethodPut, "/register", "", app).Status)
}

func TestE11_KindsOfClients(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	native := g.register("", members{"application_type": "native", "token_endpoint_auth_method": "none", "redirect_uris": []string{"com.example.app:/callback", "http://127.0.0.1/callback"}})
	assert.NotContains(t, native.JSON, "client_secret")
	assert.NotContains(t, native.JSON, "client_secret_expires_at")
	browser := g.register("", members{"token_endpoint_auth_method": "none", "redirect_uris": []string{"https://spa.example.com/"}})
	assert.NotContains(t, browser.JSON, "client_secret")
	refused := g.NewBrowser().Get(g.AuthorizeURL("client_id", browser.Get("client_id"), "redirect_uri", "https://spa.example.com/", "scope", "openid"))
	require.NotNil(t, refused.Location)
	assert.Equal(t, "invalid_request", refused.Location.Query().Get("error"), "C15: PKCE without a secret")
	post := g.register("", members{"token_endpoint_auth_method": "client_secret_post", "redirect_uris": []string{"https://post.example.com/"}})
	assert.NotEmpty(t, post.Get("client_secret"))
	narrow := g.register("", members{"scope": "openid email orders.read registration.full nothing", "redirect_uris": []string{"https://narrow.example.com/"}})
	assert.Equal(t, "openid email", narrow.Get("scope"))
	assert.Equal(t, "openid NAAPS", strings.Join(strings.Fields(g.register(g.token("alice", "registration.full"), members{
		"scope": "openid NAAPS", "redirect_uris": []string{"https://naaps.example.com/"},
	}).Get("scope")), " "), "C17")
}

func TestE11_AllMembersComeBack(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	sent := members{
		"redirect_uris": []any{"https://app.example.com/callback"}, "client_name": "An app", "client_uri": "https://app.example.com",
		"logo_uri": "https://app.example.com/logo.png", "policy_uri": "https://app.example.com/policy", "tos_uri": "https://app.example.com/tos",
		"contacts": []any{"dev@example.com"}, "software_id": "app", "software_version": "1.2", "jwks_uri": "https://app.example.com/jwks.json",
		"subject_type": "pairwise", "id_token_signed_response_alg": "ES256", "id_token_encrypted_response_alg": "RSA-OAEP-256",
		"id_token_encrypted_response_enc": "A128CBC-HS256", "userinfo_signed_response_alg": "RS256", "default_max_age": 3600.0, "default_acr_values": []any{"urn:example:strong"},
		"request_object_signing_alg": "PS256", "request_object_encryption_alg": "ECDH-ES", "request_object_encryption_enc": "A256GCM",
		"require_signed_request_object": true, "request_uris": []any{"https://app.example.com/request.jwt#abc"},
		"require_auth_time": true, "initiate_login_uri": "https://app.example.com/login",
		"post_logout_redirect_uris": []any{"https://app.example.com/bye"}, "frontchannel_logout_uri": "https://app.example.com/fc",
		"frontchannel_logout_session_required": true, "backchannel_logout_uri": "https://app.example.com/bc",
		"backchannel_logout_session_required": true, "require_pkce": true, "rotate_refresh_token": true,
	}
	c := g.register("", sent)
	read := g.call(http.MethodGet, "/register/"+c.Get("client_id"), c.Get("registration_access_token"), nil)
	require.Equal(t, http.StatusOK, read.Status, read.JSON)
	assert.Equal(t, c.JSON, read.JSON, "RFC 7592 §3")
	for name, value := range sent {
		assert.Equal(t, value, read.JSON[name], name)
	}
	ignored := g.register("", members{"redirect_uris": sent["redirect_uris"], "prompt_user": false, "cors": []string{"https://evil.example"}, "verified": true, "color": "red"})
	for _, name := range []string{"prompt_user", "cors", "verified", "color"} {
		assert.NotContains(t, ignored.JSON, name)
	}
}

func TestE11_ManagementByTheClientItself(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	a, b := g.register("", app), g.register("", app)
	at := "/register/" + a.Get("client_id")
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		for name, bearer := range map[string]string{"A54 the token of another": b.Get("registration_access_token"), "nonsense": "x"} {
			answer := g.call(method, at, bearer, app)
			assert.Equal(t, http.StatusUnauthorized, answer.Status, name)
			assert.Equal(t, "invalid_token", answer.Get("error"), name)
			assert.Contains(t, answer.Header.Get("WWW-Authenticate"), "Bearer")
		}
		assert.Equal(t, http.StatusUnauthorized, g.call(method, at, "", app).Status)
		assert.Equal(t, http.StatusUnauthorized, g.call(method, "/register/unknown", a.Get("registration_access_token"), app).Status, "RFC 7592 §2.1")
	}
	changed := members{"client_id": a.Get("client_id"), "client_secret": a.Get("client_secret"), "redirect_uris": []string{"https://new.example.com/callback"}}
	updated := g.update(a.Get("registration_access_token"), a.Get("client_id"), changed)
	require.Equal(t, http.StatusOK, updated.Status, updated.JSON)
	assert.Equal(t, []any{"https://new.example.com/callback"}, updated.JSON["redirect_uris"])
	assert.NotContains(t, updated.JSON, "client_name", "RFC 7592 §2.2: what is left out is gone")
	assert.Equal(t, a.Get("client_secret"), updated.Get("client_secret"))
	assert.Equal(t, a.Get("registration_access_token"), updated.Get("registration_access_token"))
	request := func(uri string) *authztest.Page {
		return g.NewBrowser().Get(g.AuthorizeURL("client_id", a.Get("client_id"), "redirect_uri", uri, "scope", "openid"))
	}
	assert.Equal(t, "login", request("https://new.example.com/callback").ID(), "seen at once")
	assert.Equal(t, "error", request("https://app.example.com/callback").ID())
	for name, body := range map[string]members{
		"RFC 7592 §2.2 no client_id": {"redirect_uris": changed["redirect_uris"]},
		"an empty client_id":         {"client_id": "", "redirect_uris": changed["redirect_uris"]},
		"another client_id":          {"client_id": b.Get("client_id"), "redirect_uris": changed["redirect_uris"]},
		"another secret":             {"client_id": a.Get("client_id"), "client_secret": "x", "redirect_uris": changed["redirect_uris"]},
	} {
		answer := g.call(http.MethodPut, at, a.Get("registration_access_token"), body)
		assert.Equal(t, http.StatusBadRequest, answer.Status, name)
		assert.Equal(t, "invalid_client_metadata", answer.Get("error"), name)
	}
	assert.Equal(t, "invalid_redirect_uri", g.update(a.Get("registration_access_token"), a.Get("client_id"), members{"redirect_uris": []string{"http://x.example"}}).Get("error"))

	gone := g.call(http.MethodDelete, at, a.Get("registration_access_token"), nil)
	assert.Equal(t, http.StatusNoContent, gone.Status)
	assert.Equal(t, http.StatusUnauthorized, g.call(http.MethodGet, at, a.Get("registration_access_token"), nil).Status)
	assert.Equal(t, "error", request("https://new.example.com/callback").ID(), "seen at once")
	for _, name := range []string{"client_registered", "client_updated", "client_deleted", "registration_refused"} {
		assert.NotNil(t, g.event(name), name)
	}
}

func TestC2_RolesAndScopes(t *testing.T) {
	g := newRegistry(t, authz.RegistrationProtected)
	full := "registration.full"
	for name, c := range map[string]struct {
		bearer string
		status int
		code   string
	}{
		"nobody":                    {"", 401, ""},
		"an administrator":          {g.token("alice", full), 201, ""},
		"a developer":               {g.token("bob", full), 201, ""},
		"neither":                   {g.token("erin", full), 403, "access_denied"},
		"an administrator, reading": {g.token("alice", "registration.read"), 403, "insufficient_scope"},
		"without the scope":         {g.token("alice", "profile"), 403, "insufficient_scope"},
		"a service client":          {g.Token("robot", "grant_type", "client_credentials").Get("access_token"), 401, "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := g.call(http.MethodPost, "/register", c.bearer, app)
			assert.Equal(t, c.status, answer.Status, answer.JSON)
			assert.Equal(t, c.code, answer.Get("error"))
		})
	}
}

func TestC2_DevelopersReachTheirOwnClients(t *testing.T) {
	g := newRegistry(t, authz.RegistrationProtected)
	admin, bob, dave := g.token("alice", "registration.full"), g.token("bob", "registration.full"), g.token("dave", "registration.full")
	own := g.register(bob, app)
	other := g.register(dave, app)
	foreign := "/register/" + other.Get("client_id")
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		assert.Equal(t, http.StatusForbidden, g.call(method, foreign, bob, app).Status, method)
		assert.Equal(t, http.StatusForbidden, g.call(method, "/register/unknown", bob, app).Status, method)
		assert.Equal(t, http.StatusNotFound, g.call(method, "/register/unknown", admin, app).Status, method)
	}
	assert.Equal(t, http.StatusForbidden, g.call(http.MethodPost, foreign+"/secret", bob, nil).Status)
	ids := func(bearer string) (ids []any) {
		answer := g.call(http.MethodGet, "/register", bearer, nil)
		require.Equal(t, http.StatusOK, answer.Status, answer.JSON)
		for _, c := range answer.JSON["clients"].([]any) {
			assert.NotContains(t, c, "client_secret")
			assert.NotContains(t, c, "registration_access_token")
			ids = append(ids, c.(map[string]any)["client_id"])
		}
		return ids
	}
	assert.Equal(t, []any{own.Get("client_id")}, ids(bob))
	assert.ElementsMatch(t, []any{own.Get("client_id"), other.Get("client_id")}, ids(admin))
	assert.ElementsMatch(t, []any{own.Get("client_id"), other.Get("client_id")}, ids(g.token("alice", "registration.read")))
	assert.Equal(t, http.StatusForbidden, g.call(http.MethodGet, "/register", g.token("erin", "registration.read"), nil).Status)

	seen := g.call(http.MethodGet, foreign, admin, nil)
	assert.Equal(t, other.Get("client_secret"), seen.Get("client_secret"), "C3: view with secret")
	assert.NotContains(t, seen.JSON, "registration_access_token")
	assert.NotContains(t, g.call(http.MethodGet, foreign, g.token("alice", "registration.read"), nil).JSON, "client_secret")
	assert.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, "/register/"+own.Get("client_id"), bob, nil).Status)
	assert.Empty(t, ids(bob))
}

func TestC3_DisableAndEnable(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	admin := g.token("alice", "registration.full")
	c := g.register("", app)
	at := "/register/" + c.Get("client_id")
	set := func(disabled bool) {
		body := members{"redirect_uris": app["redirect_uris"], "disabled": disabled}
		require.Equal(t, http.StatusOK, g.update(admin, c.Get("client_id"), body).Status)
	}
	request := g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid")
	set(true)
	assert.Equal(t, "error", g.NewBrowser().Get(request).ID())
	assert.Equal(t, http.StatusForbidden, g.update(c.Get("registration_access_token"), c.Get("client_id"), app).Status, "it can't enable itself")
	assert.Equal(t, http.StatusOK, g.call(http.MethodGet, at, c.Get("registration_access_token"), nil).Status)
	set(false)
	assert.Equal(t, "login", g.NewBrowser().Get(request).ID())
}

func TestC14_ClientIDs(t *testing.T) {
	g := newRegistry(t, authz.RegistrationProtected)
	admin := g.token("alice", "registration.full")
	named := func(id string) members { return members{"client_id": id, "redirect_uris": app["redirect_uris"]} }
	assert.Equal(t, "my-app@example.com", g.register(admin, named("my-app@example.com")).Get("client_id"))
	for _, id := range []string{"my-app@example.com", "shop", "a b", "urn:gatewright:gate", strings.Repeat("x", 257)} {
		assert.Equal(t, "invalid_client_metadata", g.call(http.MethodPost, "/register", admin, named(id)).Get("error"), id)
	}
	assert.NotEqual(t, "mine", g.register(g.token("bob", "registration.full"), named("mine")).Get("client_id"), "only administrators choose")

	cfg := registryConfig(t, authz.RegistrationProtected)
	cfg.Clients = append(cfg.Clients, authz.Client{ID: "my-app@example.com", RedirectURIs: []string{"https://file.example.com/"}})
	g.Reload(cfg)
	assert.Equal(t, "my-app@example.com", g.event("client_disabled").ClientID)
	request := func(uri string) string {
		return g.AuthorizeURL("client_id", "my-app@example.com", "redirect_uri", uri, "scope", "openid", "code_challenge", rfcChallenge, "code_challenge_method", "S256")
	}
	assert.Equal(t, "login", g.NewBrowser().Get(request("https://file.example.com/")).ID(), "the Caddyfile's wins")
	g.Reload(registryConfig(t, authz.RegistrationProtected))
	assert.Equal(t, "error", g.NewBrowser().Get(request("https://app.example.com/callback")).ID(), "the registered one stays disabled")
}

func TestC15_SecretsOverlap(t *testing.T) {
	g := newRegistry(t, authz.RegistrationProtected)
	admin := g.token("alice", "registration.full")
	c := g.register(admin, members{"access_type": "service", "scope": "orders.read"})
	assert.Equal(t, []any{"client_credentials"}, c.JSON["grant_types"])
	id, first := c.Get("client_id"), c.Get("client_secret")
	status := func(secret string) int {
		return g.asClient(id, secret, map[string]string{"grant_type": "client_credentials"}).Status
	}
	require.Equal(t, http.StatusOK, status(first))
	renewed := g.call(http.MethodPost, "/register/"+id+"/secret", admin, members{"overlap": 60})
	require.Equal(t, http.StatusOK, renewed.Status, renewed.JSON)
	second := renewed.Get("client_secret")
	assert.Equal(t, http.StatusOK, status(first))
	assert.Equal(t, http.StatusOK, status(second))
	g.Clock.Advance(time.Minute)
	assert.Equal(t, http.StatusUnauthorized, status(first))
	assert.Equal(t, http.StatusOK, status(second))
	g.call(http.MethodPost, "/register/"+id+"/secret", admin, members{"overlap": 0})
	assert.Equal(t, http.StatusUnauthorized, status(second))
	assert.Equal(t, "invalid_client_metadata", g.call(http.MethodPost, "/register/"+id+"/secret", admin, members{"overlap": -1}).Get("error"))
	assert.Equal(t, id, g.event("client_secret_renewed").ClientID)
}

func TestC18_OnlyAdministratorsTurnConsentOff(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	admin, bob := g.token("alice", "registration.full"), g.token("bob", "registration.full")
	silent := members{"redirect_uris": app["redirect_uris"], "prompt_user": false, "scope": "openid profile"}
	assert.NotContains(t, g.register(bob, silent).JSON, "prompt_user")
	self := g.register("", app)
	changed := g.update(admin, self.Get("client_id"), silent)
	assert.Equal(t, false, changed.JSON["prompt_user"])
	page := g.NewBrowser().SignIn(g.AuthorizeURL("client_id", self.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid"), "erin")
	assert.NotNil(t, page.Location, page.Body)
}

// The page comes every time; where none may be shown, what was agreed to before counts
// (oidcc-prompt-none-logged-in of the dynamic plans).
func TestC18_SelfRegisteredClientsAskEveryTimeButWherePromptIsNone(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	web := g.register("", app).Get("client_id")
	request := func(prompt string) string {
		return g.AuthorizeURL("client_id", web, "redirect_uri", "https://app.example.com/callback", "scope", "openid", "prompt", prompt)
	}
	browser := g.NewBrowser()
	page := browser.SignIn(request(""), "erin")
	require.Equal(t, "consent", page.ID())
	assert.Equal(t, "consent_required", browser.Get(request("none")).Location.Query().Get("error"))
	require.NotNil(t, browser.Submit(page, "decision", "allow").Location)
	assert.Equal(t, "consent", browser.Get(request("")).ID())
	assert.NotEmpty(t, browser.Get(request("none")).Location.Query().Get("code"))

	// Any program of the person's machine may be listening here: silence would be consent to all of them.
	native := g.register("", members{"redirect_uris": []string{"com.example.app:/callback"}, "application_type": "native", "token_endpoint_auth_method": "none"}).Get("client_id")
	challenge := []string{"code_challenge", oauth.S256(strings.Repeat("v", 43)), "code_challenge_method", "S256"}
	ask := func(prompt string) string {
		return g.AuthorizeURL(append(challenge, "client_id", native, "redirect_uri", "com.example.app:/callback", "scope", "openid", "prompt", prompt)...)
	}
	page = browser.Get(ask(""))
	require.Equal(t, "consent", page.ID())
	require.NotNil(t, browser.Submit(page, "decision", "allow").Location)
	assert.Equal(t, "consent_required", browser.Get(ask("none")).Location.Query().Get("error"))
}

func TestA36_StrangersAreMarked(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	c := g.register("", members{
		"redirect_uris": []string{"https://evil.example.com/callback"}, "client_name": "Google<script>", "logo_uri": "https://evil.example.com/beacon.svg",
	})
	request := g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://evil.example.com/callback", "scope", "openid")
	page := g.NewBrowser().SignIn(request, "erin")
	require.Equal(t, "consent", page.ID())
	assert.Contains(t, page.Body, "Google&lt;script&gt;")
	assert.Contains(t, page.Body, "registered itself")
	assert.Contains(t, page.Body, "evil.example.com", "where it goes")
	assert.NotContains(t, page.Body, "beacon.svg")
	assert.NotContains(t, page.Header.Get("Content-Security-Policy"), "img-src 'self' https://evil.example.com")

	verified := members{"redirect_uris": []string{"https://evil.example.com/callback"}, "client_name": "Fine", "logo_uri": "https://evil.example.com/logo.png", "verified": true}
	require.Equal(t, http.StatusOK, g.update(g.token("alice", "registration.full"), c.Get("client_id"), verified).Status)
	page = g.NewBrowser().SignIn(g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://evil.example.com/callback", "scope", "openid profile"), "erin")
	assert.Contains(t, page.Body, "logo.png", "an administrator says so")
	assert.NotContains(t, page.Body, "registered itself")
}

func TestA36_VerifiedIsWhatAnAdministratorSaw(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	admin := g.token("alice", "registration.full")
	c := g.register("", app)
	put := func(bearer string, change members) authztest.Answer {
		body := members{"redirect_uris": app["redirect_uris"], "client_name": "An app", "scope": "openid"}
		maps.Copy(body, change)
		answer := g.update(bearer, c.Get("client_id"), body)
		require.Equal(t, http.StatusOK, answer.Status, answer.JSON)
		return answer
	}
	for name, change := range map[string]members{
		"its name":         {"client_name": "Google"},
		"its logo":         {"logo_uri": "https://app.example.com/google.png"},
		"its redirect URI": {"redirect_uris": []string{"https://evil.example.com/"}},
		"its scope":        {"scope": "openid email"},
	} {
		t.Run(name, func(t *testing.T) {
			put(admin, members{"verified": true, "prompt_user": false})
			same := put(c.Get("registration_access_token"), members{"software_version": "2"})
			assert.Equal(t, true, same.JSON["verified"])
			assert.Equal(t, false, same.JSON["prompt_user"])
			changed := put(c.Get("registration_access_token"), change)
			assert.NotContains(t, changed.JSON, "verified")
			assert.NotContains(t, changed.JSON, "prompt_user")
		})
	}
}

func TestA51_KeysOfARegisteredClient(t *testing.T) {
	var asked atomic.Int32
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(inside.Close)
	cfg := registryConfig(t, authz.RegistrationOpen)
	cfg.Fetch.Roots = x509.NewCertPool()
	cfg.Fetch.Roots.AddCert(inside.Certificate())
	g := &registry{authztest.New(t, cfg), t}
	c := g.register("", members{"redirect_uris": app["redirect_uris"], "id_token_encrypted_response_alg": "RSA-OAEP-256", "jwks_uri": inside.URL})
	browser := g.NewBrowser()
	page := browser.Submit(browser.SignIn(g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid"), "erin"), "decision", "allow")
	require.NotNil(t, page.Location, page.Body)
	form := map[string]string{"grant_type": "authorization_code", "code": page.Location.Query().Get("code"), "redirect_uri": "https://app.example.com/callback"}
	assert.Equal(t, map[string]any{"error": "server_error"}, g.asClient(c.Get("client_id"), c.Get("client_secret"), form).JSON)
	assert.Zero(t, asked.Load())
}

func TestE11_DefaultACRValues(t *testing.T) {
	cfg := registryConfig(t, authz.RegistrationOpen)
	cfg.Contracts = []authz.Contract{{URI: "urn:example:password", Methods: []string{"password"}}}
	g := &registry{authztest.New(t, cfg), t}
	c := g.register("", members{"redirect_uris": app["redirect_uris"], "default_acr_values": []string{"urn:unknown", "urn:example:password"}})
	acr := func(values string) any {
		browser := g.NewBrowser()
		request := g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid", "acr_values", values)
		page := browser.Submit(browser.SignIn(request, "erin"), "decision", "allow")
		require.NotNil(t, page.Location, page.Body)
		form := map[string]string{"grant_type": "authorization_code", "code": page.Location.Query().Get("code"), "redirect_uri": "https://app.example.com/callback"}
		return g.Claims(g.asClient(c.Get("client_id"), c.Get("client_secret"), form).Get("id_token"))["acr"]
	}
	assert.Equal(t, "urn:example:password", acr(""))
	assert.NotEqual(t, "urn:example:password", acr("urn:unknown"), "the request's own win")
}

func TestE11_TheListComesInPages(t *testing.T) {
	g := newRegistry(t, authz.RegistrationProtected)
	admin, bob := g.token("alice", "registration.full"), g.token("bob", "registration.full")
	const all = 130
	for range all {
		g.register(bob, app)
	}
	for _, bearer := range []string{admin, bob} {
		seen := make(map[any]bool)
		pages := 0
		for from := ""; pages == 0 || from != ""; pages++ {
			answer := g.call(http.MethodGet, "/register?from="+url.QueryEscape(from), bearer, nil)
			require.Equal(t, http.StatusOK, answer.Status, answer.JSON)
			for _, c := range answer.JSON["clients"].([]any) {
				seen[c.(map[string]any)["client_id"]] = true
			}
			from = answer.Get("next")
		}
		assert.Len(t, seen, all)
		assert.Equal(t, 2, pages)
	}
	assert.Equal(t, http.StatusBadRequest, g.call(http.MethodGet, "/register?from="+strings.Repeat("x", 2000), admin, nil).Status)
}

func TestA51_SectorIdentifier(t *testing.T) {
	document := `["https://app.example.com/callback"]`
	sector := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, document) }))
	t.Cleanup(sector.Close)
	cfg := registryConfig(t, authz.RegistrationOpen)
	cfg.Fetch.Roots = x509.NewCertPool()
	cfg.Fetch.Roots.AddCert(sector.Certificate())
	g := &registry{authztest.New(t, cfg), t}
	body := members{"redirect_uris": app["redirect_uris"], "subject_type": "pairwise", "sector_identifier_uri": sector.URL}
	inside := g.call(http.MethodPost, "/register", "", body)
	assert.Equal(t, "invalid_client_metadata", inside.Get("error"), "a private address")
	body["sector_identifier_uri"] = "https://nowhere.invalid/"
	assert.Equal(t, inside.JSON, g.call(http.MethodPost, "/register", "", body).JSON, "the error tells nothing of the network")

	cfg.Fetch.AllowHosts = []string{"127.0.0.1"}
	g.Reload(cfg)
	body["sector_identifier_uri"] = sector.URL
	g.register("", body)
	document = `["https://other.example.com/callback"]`
	assert.Equal(t, "invalid_client_metadata", g.call(http.MethodPost, "/register", "", body).Get("error"), "OpenID Connect Dynamic Client Registration §5")
	document = `{"not": "a list"}`
	assert.Equal(t, inside.JSON, g.call(http.MethodPost, "/register", "", body).JSON)
}

func TestA51_ASlowHostOfStrangersHoldsNobodyUp(t *testing.T) {
	var waiting atomic.Int32
	release := make(chan struct{})
	host := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/slow" {
			_, _ = io.WriteString(w, `["https://app.example.com/callback"]`)
			return
		}
		waiting.Add(1)
		<-release
	}))
	t.Cleanup(host.Close)
	cfg := registryConfig(t, authz.RegistrationOpen)
	cfg.Fetch.AllowHosts, cfg.Fetch.Roots = []string{"127.0.0.1"}, x509.NewCertPool()
	cfg.Fetch.Roots.AddCert(host.Certificate())
	g := &registry{authztest.New(t, cfg), t}
	body := members{
		"redirect_uris": app["redirect_uris"], "request_uris": []string{host.URL + "/slow", host.URL + "/other"},
		"sector_identifier_uri": host.URL + "/sector",
	}
	request := func(c authztest.Answer, path string) string {
		return g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "request_uri", host.URL+path)
	}
	outcome := func(c authztest.Answer, path string) string {
		return g.NewBrowser().Get(request(c, path)).Location.Query().Get("error")
	}
	var asking sync.WaitGroup
	t.Cleanup(asking.Wait)
	t.Cleanup(func() { close(release) })
	slow := func(c authztest.Answer) {
		before := waiting.Load()
		for range 8 {
			asking.Go(func() {
				if resp, err := g.Client().Get(request(c, "/slow")); err == nil {
					_ = resp.Body.Close()
				}
			})
		}
		require.Eventually(t, func() bool { return waiting.Load() == before+8 }, 5*time.Second, time.Millisecond)
		require.Equal(t, "temporarily_unavailable", outcome(c, "/slow"), "eight of one client")
	}
	owned, stranger := g.register(g.token("bob", "registration.full"), body), g.register("", body)
	slow(g.register("", body))
	require.Equal(t, "invalid_request_object", outcome(stranger, "/other"), "fetched, though it is none")
	for range 15 {
		slow(g.register("", body))
	}
	assert.Equal(t, "temporarily_unavailable", outcome(stranger, "/other"))
	assert.Equal(t, "invalid_request_object", outcome(owned, "/other"), "strangers are apart")
	g.register("", body) // with a sector file
}

func TestA53_FloodsAreBounded(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	first := g.register("", app)
	accepted := 1
	var last authztest.Answer
	for range 110 {
		if last = g.call(http.MethodPost, "/register", "", app); last.Status == http.StatusCreated {
			accepted++
		}
	}
	assert.Equal(t, 100, accepted)
	assert.Equal(t, http.StatusTooManyRequests, last.Status)
	assert.NotEmpty(t, last.Header.Get("Retry-After"))
	at, own := "/register/"+first.Get("client_id"), first.Get("registration_access_token")
	assert.Equal(t, http.StatusTooManyRequests, g.update(own, first.Get("client_id"), app).Status)
	assert.Equal(t, http.StatusTooManyRequests, g.call(http.MethodPost, at+"/secret", own, nil).Status)
	assert.Equal(t, http.StatusOK, g.call(http.MethodGet, at, own, nil).Status)
	assert.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, at, own, nil).Status, "it makes room")
	g.register(g.token("alice", "registration.full"), app)
	g.Clock.Advance(30 * time.Second)
	g.register("", app)
}

// A flood is bounded by its rate, its life, and what one client takes.
func TestA53_WhatRegistersItselfIsSmall(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	named := func(letter string, letters int) members {
		var uris []string
		for left := letters; left > 0; left -= 1000 {
			uris = append(uris, "https://app.example.com/"+strings.Repeat(letter, min(left, 1000)))
		}
		return members{"redirect_uris": uris}
	}
	large := g.register("", named("x", 3500))
	refused := named("x", 4000)
	for name, body := range map[string]members{"long": refused, "what JSON writes as six bytes": named("&", 700)} {
		assert.Equal(t, "invalid_client_metadata", g.call(http.MethodPost, "/register", "", body).Get("error"), name)
		assert.Contains(t, g.update(large.Get("registration_access_token"), large.Get("client_id"), body).Get("error_description"), "longer than", name)
	}
	entries, err := g.State.Store().Scan(t.Context(), "", "", 100)
	require.NoError(t, err)
	stored := 0
	for _, e := range entries {
		stored += len(e.Key) + len(e.Value)
	}
	const inADay = 300 + 24*60*60
	assert.Less(t, stored*inADay, 500_000_000)
	g.register(g.token("bob", "registration.full"), refused)
}

func TestA53_UnusedClientsGo(t *testing.T) {
	const day = 24 * time.Hour
	g := newRegistry(t, authz.RegistrationOpen)
	used, unused, kept, owned := g.register("", app), g.register("", app), g.register("", app), g.register(g.token("bob", "registration.full"), app)
	request := func(c authztest.Answer) string {
		return g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid")
	}
	use := func() (refreshToken string) {
		browser := g.NewBrowser()
		code := browser.Submit(browser.SignIn(request(used), "erin"), "decision", "allow").Location.Query().Get("code")
		form := map[string]string{"grant_type": "authorization_code", "code": code, "redirect_uri": "https://app.example.com/callback"}
		return g.asClient(used.Get("client_id"), used.Get("client_secret"), form).Get("refresh_token")
	}
	page := func(c authztest.Answer) string { return g.NewBrowser().Get(request(c)).ID() }
	use()
	verified := members{"redirect_uris": app["redirect_uris"], "verified": true}
	require.Equal(t, http.StatusOK, g.update(g.token("alice", "registration.full"), kept.Get("client_id"), verified).Status)
	g.Clock.Advance(8 * day)
	assert.Equal(t, "error", page(unused))
	refreshToken := use()
	g.Clock.Advance(5 * day)
	refreshed := g.asClient(used.Get("client_id"), used.Get("client_secret"), map[string]string{"grant_type": "refresh_token", "refresh_token": refreshToken})
	require.Equal(t, http.StatusOK, refreshed.Status, refreshed.JSON)
	g.Clock.Advance(364 * day)
	assert.Equal(t, "login", page(used), "within a year")
	g.Clock.Advance(2 * day)
	assert.Equal(t, "error", page(used), "a year without use")
	assert.Equal(t, "login", page(kept))
	assert.Equal(t, "login", page(owned))
}

func TestA53_AUseThatCantBeNotedCostsNoCode(t *testing.T) {
	const day = 24 * time.Hour
	cfg := registryConfig(t, authz.RegistrationOpen)
	g := &registry{authztest.New(t, cfg), t}
	clients := interruptible(t, g.Fixture, cfg)
	c := g.register("", app)
	request := g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid")
	agree := func() *authztest.Page {
		browser := g.NewBrowser()
		return browser.Submit(browser.SignIn(request, "erin"), "decision", "allow")
	}
	clients.beforeClient(full)
	assert.Equal(t, "temporarily_unavailable", agree().Location.Query().Get("error"), "the first use: it would be deleted as unused")
	clients.beforeClient(nil)
	require.NotEmpty(t, agree().Location.Query().Get("code"))
	g.Clock.Advance(day - 30*time.Second)
	code := agree().Location.Query().Get("code")
	g.Clock.Advance(45 * time.Second) // a day after it was noted last
	clients.beforeClient(full)
	assert.Equal(t, "temporarily_unavailable", agree().Location.Query().Get("error"), "here nothing is spent (RFC 6749 §4.1.2.1)")
	form := map[string]string{"grant_type": "authorization_code", "code": code, "redirect_uri": "https://app.example.com/callback"}
	tokens := g.asClient(c.Get("client_id"), c.Get("client_secret"), form)
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	assert.Equal(t, 1, g.Logs.FilterMessage("the use of a client could not be noted").Len())
	clients.beforeClient(nil)
	form = map[string]string{"grant_type": "refresh_token", "refresh_token": tokens.Get("refresh_token")}
	require.Equal(t, http.StatusOK, g.asClient(c.Get("client_id"), c.Get("client_secret"), form).Status)
	g.Clock.Advance(365*day - time.Second)
	assert.Equal(t, "login", g.NewBrowser().Get(request).ID(), "noted by the next use")
}

func TestA53_WhatIsVerifiedNoMoreGoes(t *testing.T) {
	const day = 24 * time.Hour
	g := newRegistry(t, authz.RegistrationOpen)
	request := func(c authztest.Answer) string {
		return g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid")
	}
	page := func(c authztest.Answer) string { return g.NewBrowser().Get(request(c)).ID() }
	use := func(c authztest.Answer) {
		browser := g.NewBrowser()
		page := browser.SignIn(request(c), "erin")
		if page.ID() == "consent" { // not for one that is verified
			page = browser.Submit(page, "decision", "allow")
		}
		require.NotNil(t, page.Location, page.Body)
	}
	set := func(verified bool, clients ...authztest.Answer) {
		admin := g.token("alice", "registration.full")
		for _, c := range clients {
			body := members{"redirect_uris": app["redirect_uris"], "client_name": app["client_name"], "verified": verified}
			require.Equal(t, http.StatusOK, g.update(admin, c.Get("client_id"), body).Status)
		}
	}
	unused, before, while, renamed := g.register("", app), g.register("", app), g.register("", app), g.register("", app)
	use(before)
	set(true, unused, before, while, renamed)
	g.Clock.Advance(400 * day)
	use(while)
	set(false, unused, before, while)
	other := members{"redirect_uris": app["redirect_uris"], "client_name": "Google"}
	require.Equal(t, http.StatusOK, g.update(renamed.Get("registration_access_token"), renamed.Get("client_id"), other).Status)
	for _, c := range []authztest.Answer{unused, before, while, renamed} {
		assert.Equal(t, "login", page(c), "not at once")
	}
	g.Clock.Advance(day)
	assert.Equal(t, "error", page(unused))
	assert.Equal(t, "error", page(renamed))
	assert.Equal(t, "login", page(before))
	g.Clock.Advance(363 * day)
	use(while)
	g.Clock.Advance(day)
	assert.Equal(t, "error", page(before), "a year without use")
	assert.Equal(t, "login", page(while), "used since")
	g.Clock.Advance(365 * day)
	assert.Equal(t, "error", page(while))
}

func TestA53_UseIsNotedOfWhatIsVerified(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	c := g.register("", app)
	set := func(verified bool) {
		body := members{"redirect_uris": app["redirect_uris"], "client_name": app["client_name"], "verified": verified}
		require.Equal(t, http.StatusOK, g.update(g.token("alice", "registration.full"), c.Get("client_id"), body).Status)
	}
	set(true)
	page := g.NewBrowser().SignIn(g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid"), "erin")
	require.NotNil(t, page.Location, page.Body)
	set(false)
	require.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, "/register/"+c.Get("client_id"), c.Get("registration_access_token"), nil).Status)
	assert.NotNil(t, g.event("client_revoked"), "it was used while it was verified")
}

func TestA53_WhatNobodyUsedLeavesNoRevocation(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	revoked := func(use bool) bool {
		c := g.register("", app)
		if use {
			browser := g.NewBrowser()
			request := g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid")
			require.NotNil(t, browser.Submit(browser.SignIn(request, "erin"), "decision", "allow").Location)
		}
		require.Equal(t, http.StatusNoContent, g.call(http.MethodDelete, "/register/"+c.Get("client_id"), c.Get("registration_access_token"), nil).Status)
		return g.event("client_revoked") != nil
	}
	assert.False(t, revoked(false))
	assert.True(t, revoked(true))
}

func TestA78_WhatGotTokensMeanwhileIsNotDeletedAsUnused(t *testing.T) {
	cfg := registryConfig(t, authz.RegistrationOpen)
	store := &slow{Store: cfg.Users}
	cfg.Users = store
	g := &registry{authztest.New(t, cfg), t}
	admin, c := g.token("alice", "registration.full"), g.register("", app)
	store.meanwhile = func() { // the registration is read already
		store.meanwhile = nil
		browser := g.NewBrowser()
		request := g.AuthorizeURL("client_id", c.Get("client_id"), "redirect_uri", "https://app.example.com/callback", "scope", "openid")
		require.NotNil(t, browser.Submit(browser.SignIn(request, "erin"), "decision", "allow").Location)
	}
	remove := func() int { return g.call(http.MethodDelete, "/register/"+c.Get("client_id"), admin, nil).Status }
	require.Equal(t, http.StatusServiceUnavailable, remove())
	require.Nil(t, g.event("client_revoked"))
	require.Equal(t, http.StatusNoContent, remove())
	assert.NotNil(t, g.event("client_revoked"))
}

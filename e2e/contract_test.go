package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gatewright/gatewright/authz/authztest"
)

// The secrets of testdata/contract.Caddyfile.
const (
	shopSecret     = "shop-secret-shop-secret-shop-secret"
	rotatingSecret = "rotating-secret-rotating-secret-rot"
	serviceSecret  = "robot-secret-robot-secret-robot-sec"
)

// contract runs testdata/contract.Caddyfile, what an operator's configuration has to mean, before an
// upstream that answers with what it received.
func contract(t *testing.T) *caddy {
	t.Helper()
	c := prepare(t, read(t, "testdata", "contract.Caddyfile"), aliceHash(t))
	c.env = append(c.env, "DIR="+c.dir)
	writeResourceKeys(t, c.dir, "rs2")
	startUpstream(t, "127.0.0.1:"+c.port["9000"])
	c.run()
	return c
}

// writeResourceKeys makes an RSA key of a resource server, and writes its two halves.
func writeResourceKeys(t *testing.T, dir, name string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	key := jose.JSONWebKey{Key: private, KeyID: name + "-key", Use: "enc"}
	writeHalves(t, dir, name, key, key.Public())
}

// writeHalves writes the key sets of a resource server: the public one is for the authorization server,
// the private one for the gate.
func writeHalves(t *testing.T, dir, name string, private, public any) {
	t.Helper()
	for half, key := range map[string]any{"private": private, "jwks": public} {
		set, err := json.Marshal(map[string]any{"keys": []any{key}})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+"."+half+".json"), set, 0o600))
	}
}

// received is what the upstream got.
type received struct {
	Path   string
	Query  url.Values
	Header http.Header
}

func startUpstream(t *testing.T, address string) {
	t.Helper()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(received{r.URL.Path, r.URL.Query(), r.Header})
	}))
	require.NoError(t, upstream.Listener.Close())
	var err error
	upstream.Listener, err = net.Listen("tcp", address)
	require.NoError(t, err)
	upstream.Start()
	t.Cleanup(upstream.Close)
}

// serviceToken is a token that robot gets for itself.
func serviceToken(t *testing.T, c *caddy, pairs ...string) string {
	t.Helper()
	pairs = append([]string{"grant_type", "client_credentials"}, pairs...)
	return post(t, c, "/token", "robot", serviceSecret, pairs...).tokens(t).AccessToken
}

// call sends an access token to the gate.
func call(t *testing.T, c *caddy, path, token string, header ...string) answer {
	t.Helper()
	return get(t, c.client(), c.gate()+path, append(header, "Authorization", "Bearer "+token)...)
}

// codeFlow signs alice in for a client, and returns its tokens.
func codeFlow(t *testing.T, c *caddy, config oauth2.Config, options ...oauth2.AuthCodeOption) *oauth2.Token {
	t.Helper()
	config.Endpoint = oauth2.Endpoint{AuthURL: c.issuer() + "/authorize", TokenURL: c.issuer() + "/token"}
	back := authorize(t, c, config.AuthCodeURL("state", options...))
	tokens, err := config.Exchange(contextWith(t, c), back.Get("code"))
	require.NoError(t, err, "%v", back)
	return tokens
}

func shop(scopes ...string) oauth2.Config {
	return oauth2.Config{ClientID: "shop", ClientSecret: shopSecret, RedirectURL: "https://shop.example.com/callback", Scopes: scopes}
}

func TestContract_W1_AnAPITakesTokensOfItsOwn(t *testing.T) {
	c := contract(t)
	got := call(t, c, "/api/orders", serviceToken(t, c, "scope", "orders.read"), "X-User", "mallory", "x_client", "mallory").received(t)
	require.Equal(t, []string{"robot"}, got.Header["X-User"], "A56")
	require.Equal(t, []string{"robot"}, got.Header["X-Client"])
	require.NotContains(t, got.Header, "X_client", "A56")
	require.NotContains(t, got.Header, "Authorization", "A58")

	refused := get(t, c.client(), c.gate()+"/api/orders")
	require.Equal(t, http.StatusUnauthorized, refused.status)
	require.Contains(t, refused.header.Get("WWW-Authenticate"), "Bearer")

	foreign := serviceToken(t, c, "scope", "Scope1", "resourceServer", "RS1")
	require.Equal(t, http.StatusUnauthorized, call(t, c, "/api/orders", foreign).status, "A7: a token of another resource server")
}

func TestContract_W1_AScopeIsRequired(t *testing.T) {
	c := contract(t)
	refused := call(t, c, "/write/1", serviceToken(t, c, "scope", "orders.read"))
	require.Equal(t, http.StatusForbidden, refused.status)
	require.Contains(t, refused.header.Get("WWW-Authenticate"), `error="insufficient_scope"`)
	require.Equal(t, http.StatusOK, call(t, c, "/write/1", serviceToken(t, c, "scope", "orders.read orders.write")).status)
}

func TestContract_W3_W4_ASessionIsInjected(t *testing.T) {
	c := contract(t)
	_, got := signInAtApp(t, c)
	require.Equal(t, "/app/page", got.Path)
	require.Equal(t, url.Values{"q": {"1"}, "who": {"alice"}}, got.Query)
	require.Equal(t, []string{"alice"}, got.Header["X-User"])
	require.Equal(t, []string{"Role=employee,NAM_OAUTH2_DEVELOPER"}, got.Header["X-Custom-Role"])
	require.Equal(t, []string{"who=alice"}, got.Header["Cookie"], "A58: the session stays at the gate")
	raw, ok := strings.CutPrefix(got.Header.Get("Authorization"), "Bearer ")
	require.True(t, ok)
	claims := signedClaims(t, raw)
	require.Equal(t, "https://orders.example.com", claims["aud"])
	require.Equal(t, "orders.read", claims["scope"])
	require.Equal(t, "alice", claims["sub"])

	refused := get(t, c.client(), c.gate()+"/app/data", "Sec-Fetch-Mode", "cors")
	require.Equal(t, http.StatusUnauthorized, refused.status, "A68")
	require.Empty(t, refused.header["Set-Cookie"], "A68")
}

// signInAtApp opens a page behind the gate as alice; got is what the upstream received.
func signInAtApp(t *testing.T, c *caddy) (browser *authztest.Browser, got received) {
	t.Helper()
	browser = authztest.NewBrowser(t, c.client(), c.issuer())
	page := browser.Do(navigation(t, c.gate()+"/app/page?q=1"))
	page = browser.Submit(page, "username", "alice", "password", password)
	page = browser.Submit(page, "decision", "allow")
	require.NotNil(t, page.Location, page.Text())
	page = browser.Do(navigation(t, page.Location.String())) // the gate keeps the code out of the history
	require.NotNil(t, page.Location, page.Text())
	return browser, receivedAt(t, browser, page.Location.String())
}

// receivedAt opens a page behind the gate, where the browser is signed in.
func receivedAt(t *testing.T, browser *authztest.Browser, target string) (got received) {
	t.Helper()
	page := browser.Do(navigation(t, target))
	require.Equal(t, http.StatusOK, page.Status, page.Text())
	require.NoError(t, json.Unmarshal([]byte(page.Body), &got))
	return got
}

// navigation is how a browser asks for a page.
func navigation(t *testing.T, target string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, target, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/html")
	return req
}

func TestContract_R3_OnlyTheResourceServerReadsItsTokens(t *testing.T) {
	c := contract(t)
	tokens := codeFlow(t, c, shop("openid", "Scope2"))
	require.Equal(t, "alice", call(t, c, "/secret/", tokens.AccessToken).received(t).Header.Get("X-User"))

	encrypted, err := jose.ParseEncryptedCompact(tokens.AccessToken, []jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
	require.NoError(t, err)
	require.Equal(t, "rs2-key", encrypted.Header.KeyID)
	var keys jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal([]byte(read(t, c.dir, "rs2.private.json")), &keys))
	signed, err := encrypted.Decrypt(keys.Keys[0])
	require.NoError(t, err)
	claims := signedClaims(t, string(signed))
	require.Equal(t, c.issuer()+"/rs/RS2", claims["aud"], "R13")
	require.Equal(t, []any{"write"}, claims["claims"])

	foreign := codeFlow(t, c, shop("openid", "Scope1")).AccessToken
	require.Equal(t, http.StatusUnauthorized, call(t, c, "/secret/", foreign).status, "A7")
}

// signedClaims reads a token; whether it is genuine is for other tests.
func signedClaims(t *testing.T, raw string) (claims map[string]any) {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	require.Equal(t, "at+jwt", parsed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType])
	require.NoError(t, json.Unmarshal(parsed.UnsafePayloadWithoutVerification(), &claims))
	return claims
}

func TestContract_S5_AnOptionalScopeMayBeDeclined(t *testing.T) {
	c := contract(t)
	config := shop("openid", "profile", "Scope1", "staff")
	config.Endpoint = oauth2.Endpoint{AuthURL: c.issuer() + "/authorize", TokenURL: c.issuer() + "/token"}
	browser := authztest.NewBrowser(t, c.client(), c.issuer())
	page := browser.Submit(browser.Get(config.AuthCodeURL("state")), "username", "alice", "password", password)
	require.Equal(t, "consent", page.ID())
	_, fields := page.Form()
	require.Equal(t, []string{"staff"}, fields["scope"], "the check box of the optional scope")
	page = browser.Submit(page, "decision", "allow", "scope", "")
	require.NotNil(t, page.Location, page.Text())
	tokens, err := config.Exchange(contextWith(t, c), page.Location.Query().Get("code"))
	require.NoError(t, err)
	require.Equal(t, "openid profile Scope1", tokens.Extra("scope"))
}

func TestContract_E3_C18_RotatingAsksNobodyAndRotates(t *testing.T) {
	c := contract(t)
	config := oauth2.Config{
		ClientID: "rotating", ClientSecret: rotatingSecret, RedirectURL: "https://rotating.example.com/callback",
		Scopes: []string{"openid", "offline_access", "orders.read"},
	}
	first := codeFlow(t, c, config)
	second := post(t, c, "/token", "rotating", rotatingSecret,
		"grant_type", "refresh_token", "refresh_token", first.RefreshToken).tokens(t)
	require.NotEmpty(t, second.RefreshToken)
	require.NotEqual(t, first.RefreshToken, second.RefreshToken)
}

func TestContract_E2_ThePasswordGrant(t *testing.T) {
	c := contract(t)
	config := shop("Scope1")
	config.Endpoint.TokenURL = c.issuer() + "/token"
	tokens, err := config.PasswordCredentialsToken(contextWith(t, c), "alice", password)
	require.NoError(t, err)
	require.NotEmpty(t, tokens.RefreshToken, "G5")
	_, err = config.PasswordCredentialsToken(contextWith(t, c), "alice", "wrong")
	require.Equal(t, "invalid_grant", oauthError(t, err))
}

func TestContract_E1_TheImplicitGrantAnswersInTheFragment(t *testing.T) {
	c := contract(t)
	request := c.issuer() + "/authorize?" + url.Values{
		"client_id": {"shop"}, "response_type": {"id_token token"}, "redirect_uri": {"https://shop.example.com/callback"},
		"scope": {"openid orders.read"}, "nonce": {"a nonce"}, "state": {"a state"},
	}.Encode()
	browser := authztest.NewBrowser(t, c.client(), c.issuer())
	page := browser.Submit(browser.Get(request), "username", "alice", "password", password)
	require.NotNil(t, page.Location, page.Text())
	require.Empty(t, page.Location.RawQuery)
	back, err := url.ParseQuery(page.Location.EscapedFragment())
	require.NoError(t, err)
	require.Equal(t, "a state", back.Get("state"))
	require.NotEmpty(t, back.Get("id_token"))
	require.Equal(t, "alice", call(t, c, "/api/orders", back.Get("access_token")).received(t).Header.Get("X-User"))
}

func TestContract_G3_OnlyTheListedOriginMayRead(t *testing.T) {
	c := contract(t)
	for origin, allowed := range map[string]string{"https://spa.example.com": "https://spa.example.com", "https://evil.example.com": ""} {
		req, err := http.NewRequest(http.MethodOptions, c.issuer()+"/token", nil)
		require.NoError(t, err)
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", http.MethodPost)
		require.Equal(t, allowed, send(t, c.client(), req).header.Get("Access-Control-Allow-Origin"), origin)
	}
}

func TestContract_P1_WhatHasNoGateIsPlainCaddy(t *testing.T) {
	c := contract(t)
	require.Equal(t, "plain", string(get(t, c.client(), c.gate()+"/elsewhere").body))
}

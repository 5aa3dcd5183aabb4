package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/gatewright/gatewright/authz/authztest"
)

const (
	password    = "looking-glass"
	webSecret   = "web-secret-web-secret-web-secret"
	robotSecret = "robot-secret-robot-secret-robot"
	callback    = "https://app.example.com/callback"
)

// aliceHash is a variable that Caddyfiles of testdata take the hash of password from.
func aliceHash(t testing.TB) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return "ALICE_HASH=" + string(hash)
}

func startForClients(t *testing.T) *caddy {
	t.Helper()
	return start(t, read(t, "testdata", "clients.Caddyfile"), aliceHash(t), "PRIVATE_JWKS="+privateKeys(t).public)
}

// clientKeys are those of the client that signs its requests and has everything encrypted.
type clientKeys struct {
	signing, encrypting jose.JSONWebKey
	public              string // a JWKS
}

func privateKeys(t *testing.T) clientKeys {
	t.Helper()
	var keys clientKeys
	var set jose.JSONWebKeySet
	for use, key := range map[string]*jose.JSONWebKey{"sig": &keys.signing, "enc": &keys.encrypting} {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		*key = jose.JSONWebKey{Key: private, KeyID: use, Use: use}
		set.Keys = append(set.Keys, key.Public())
	}
	public, err := json.Marshal(set)
	require.NoError(t, err)
	keys.public = string(public)
	return keys
}

// authorize goes through the pages as alice, and returns what the client gets in the redirect.
func authorize(t *testing.T, c *caddy, authorizeURL string) url.Values {
	t.Helper()
	browser := authztest.NewBrowser(t, c.client(), c.issuer())
	page := browser.Submit(browser.Get(authorizeURL), "username", "alice", "password", password)
	if page.ID() == "consent" {
		page = browser.Submit(page, "decision", "allow")
	}
	require.NotNil(t, page.Location, "%d %s", page.Status, page.Text())
	return page.Location.Query()
}

func TestOpenIDClientOfNode_CodeRefreshIntrospectionRevocation(t *testing.T) {
	startForClients(t).node(t, "clients.mjs", "confidential", map[string]any{"secret": webSecret}, nil)
}

func TestE3_A37_OpenIDClientOfNode_ARefreshTokenOfABrowserRotates(t *testing.T) {
	startForClients(t).node(t, "clients.mjs", "browserClient", nil, nil)
}

func TestE1_A31_OpenIDClientOfNode_ASignedAndEncryptedRequest(t *testing.T) {
	keys := privateKeys(t)
	c := start(t, read(t, "testdata", "clients.Caddyfile"), aliceHash(t), "PRIVATE_JWKS="+keys.public)
	c.node(t, "clients.mjs", "requestObject", map[string]any{
		"secret": "private-secret-private-secret-pri", "signing": keys.signing, "encrypting": keys.encrypting,
	}, nil)
}

func TestR12_JoseOfNodeVerifiesAnAccessToken(t *testing.T) {
	startForClients(t).node(t, "clients.mjs", "service", map[string]any{"secret": robotSecret}, nil)
}

func TestA41_OpenIDClientOfNode_ClientsThatSign(t *testing.T) {
	c, key := startForSigners(t)
	c.node(t, "clients.mjs", "signers", map[string]any{"key": key, "secret": webSecret}, nil)
}

// startForSigners returns the key, too, that one of the clients signs with.
func startForSigners(t *testing.T) (*caddy, jose.JSONWebKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	private := jose.JSONWebKey{Key: key, KeyID: "signer-key", Use: "sig", Algorithm: "ES256"}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "signer.jwks.json")
	require.NoError(t, os.WriteFile(file, public, 0o600))
	private.Use = "" // or Web Crypto would not take it
	return start(t, read(t, "testdata", "signers.Caddyfile"), "SIGNER_JWKS="+file), private
}

func TestGoOIDC_CodeIDTokenUserinfoRefresh(t *testing.T) {
	c := startForClients(t)
	ctx := oidc.ClientContext(t.Context(), c.client())
	provider, err := oidc.NewProvider(ctx, c.issuer())
	require.NoError(t, err)
	config := &oauth2.Config{
		ClientID: "web", ClientSecret: webSecret, RedirectURL: callback, Endpoint: provider.Endpoint(),
		Scopes: []string{oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess},
	}
	verifier, nonce := oauth2.GenerateVerifier(), "a nonce"
	back := authorize(t, c, config.AuthCodeURL("a state", oauth2.S256ChallengeOption(verifier), oidc.Nonce(nonce)))
	require.Equal(t, "a state", back.Get("state"))
	require.Equal(t, c.issuer(), back.Get("iss"), "RFC 9207")

	tokens, err := config.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
	require.NoError(t, err)
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: "web"}).Verify(ctx, raw)
	require.NoError(t, err)
	require.Equal(t, "alice", idToken.Subject)
	require.Equal(t, nonce, idToken.Nonce)
	require.NoError(t, idToken.VerifyAccessToken(tokens.AccessToken))

	person, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	require.NoError(t, err)
	require.Equal(t, "alice@example.com", person.Email)

	stale := *tokens
	stale.Expiry = time.Now().Add(-time.Minute)
	renewed, err := config.TokenSource(ctx, &stale).Token()
	require.NoError(t, err)
	require.NotEqual(t, tokens.AccessToken, renewed.AccessToken)

	_, err = config.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
	require.Equal(t, "invalid_grant", oauthError(t, err), "A23: the code is good once")
	_, err = provider.UserInfo(ctx, oauth2.StaticTokenSource(renewed))
	require.Error(t, err, "A23: a replay ends the tokens of the first use")
}

func TestGoOAuth2_ClientCredentials(t *testing.T) {
	c := startForClients(t)
	ctx := contextWith(t, c)
	config := clientcredentials.Config{
		ClientID: "robot", ClientSecret: robotSecret, TokenURL: c.issuer() + "/token", Scopes: []string{"books.read"},
	}
	tokens, err := config.Token(ctx)
	require.NoError(t, err)
	require.Equal(t, "books.read", tokens.Extra("scope"))
	require.Empty(t, tokens.RefreshToken, "RFC 6749 §4.4.3")

	config.ClientSecret = "wrong"
	_, err = config.Token(ctx)
	require.Equal(t, "invalid_client", oauthError(t, err))
}

// contextWith lets golang.org/x/oauth2 trust Caddy's own authority.
func contextWith(t *testing.T, c *caddy) context.Context {
	t.Helper()
	return context.WithValue(t.Context(), oauth2.HTTPClient, c.client())
}

// oauthError is the code of an error response.
func oauthError(t *testing.T, err error) string {
	t.Helper()
	var answer *oauth2.RetrieveError
	require.ErrorAs(t, err, &answer)
	return answer.ErrorCode
}

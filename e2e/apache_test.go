package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// apachePage is a page that tells, by server-side includes, who Apache thinks is there.
const apachePage = `<!--#echo var="REMOTE_USER" --> <!--#echo var="OIDC_CLAIM_email" -->`

// startApache runs Apache with mod_auth_openidc beside a Caddy.
func startApache(t *testing.T, c *caddy) {
	t.Helper()
	// Apache gives up being root, and can't look into a folder of root's then.
	dir, err := os.MkdirTemp("", "gatewright-apache")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	write("www/secure/index.html", apachePage)
	write("www/api/index.html", apachePage)
	write("root.crt", read(t, c.rootFile()))
	private, public := rsaKey(t)
	write("private.pem", private)
	write("public.pem", public)
	config := strings.NewReplacer("{DIR}", dir, "{ISSUER}", c.issuer(),
		":9000", ":"+c.port["9000"], ":8445", ":"+c.port["8445"], ":8444", ":"+c.port["8444"]).Replace(read(t, "testdata", "apache.conf"))
	write("apache.conf", config)
	launch(t, exec.Command("apache2", "-X", "-f", filepath.Join(dir, "apache.conf")), func() bool {
		connection, err := net.Dial("tcp", "127.0.0.1:"+c.port["9000"])
		return err == nil && connection.Close() == nil
	})
}

// rsaKey makes a key; its halves are in PEM.
func rsaKey(t *testing.T) (private, public string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	publicDER, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("PRIVATE KEY", der), encode("PUBLIC KEY", publicDER)
}

func TestApacheSignsPeopleIn(t *testing.T) {
	c := startForClients(t)
	startApache(t, c)
	signInAtApache(t, c, "9000")
}

func TestC6_ApacheDecryptsIDTokens(t *testing.T) {
	c := startForClients(t)
	startApache(t, c)
	signInAtApache(t, c, "8444")
	tokens := codeFlow(t, c, oauth2.Config{
		ClientID: "sealed", ClientSecret: "sealed-secret-sealed-secret-seal",
		RedirectURL: "http://127.0.0.1:" + c.port["8444"] + "/secure/callback", Scopes: []string{"openid"},
	})
	raw, _ := tokens.Extra("id_token").(string)
	encrypted, err := jose.ParseEncryptedCompact(raw, []jose.KeyAlgorithm{jose.RSA_OAEP}, []jose.ContentEncryption{jose.A256GCM})
	require.NoError(t, err, "what it took was encrypted")
	require.Equal(t, "apache", encrypted.Header.KeyID)
}

func signInAtApache(t *testing.T, c *caddy, port string) {
	t.Helper()
	c.node(t, "clients.mjs", "apache", map[string]any{"apache": "http://127.0.0.1:" + c.port[port]}, nil)
}

// It has no key for the access tokens of an API, but it can ask about them.
func TestR3_ApacheTakesEncryptedAccessTokensByIntrospection(t *testing.T) {
	c := startForClients(t)
	startApache(t, c)
	token := post(t, c, "/token", "robot", robotSecret,
		"grant_type", "client_credentials", "scope", "books.read", "resourceServer", "issuer").tokens(t)
	require.Equal(t, 4, strings.Count(token.AccessToken, "."), "a JWE")
	require.Equal(t, http.StatusOK, callApache(t, c, "9000", token.AccessToken))
	require.Equal(t, http.StatusUnauthorized, callApache(t, c, "8445", token.AccessToken), "the published keys don't decrypt")
}

// callApache sends an access token to the API of one of Apache's hosts.
func callApache(t *testing.T, c *caddy, port, token string) (status int) {
	t.Helper()
	return get(t, http.DefaultClient, "http://127.0.0.1:"+c.port[port]+"/api/", "Authorization", "Bearer "+token).status
}

func TestApacheTakesAccessTokens(t *testing.T) {
	c := startForClients(t)
	startApache(t, c)
	config := clientcredentials.Config{ClientID: "robot", ClientSecret: robotSecret, TokenURL: c.issuer() + "/token"}
	token, err := config.Token(contextWith(t, c))
	require.NoError(t, err)

	forged := token.AccessToken[:len(token.AccessToken)-8] + "AAAAAAAA"
	for port, how := range map[string]string{"9000": "introspection", "8445": "the published keys"} {
		require.Equal(t, http.StatusOK, callApache(t, c, port, token.AccessToken), how)
		require.Equal(t, http.StatusUnauthorized, callApache(t, c, port, forged), how)
	}

	revoke(t, c, "robot", robotSecret, token)
	require.Equal(t, http.StatusUnauthorized, callApache(t, c, "9000", token.AccessToken), "introspection tells of a revocation")
}

// revoke ends a token as its client (RFC 7009).
func revoke(t *testing.T, c *caddy, client, secret string, token *oauth2.Token) {
	t.Helper()
	require.Equal(t, http.StatusOK, post(t, c, "/revoke", client, secret, "token", token.AccessToken).status)
}

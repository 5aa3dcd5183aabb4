package authz_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
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
)

// resourceKey is the key pair of one resource server.
type resourceKey struct {
	private *rsa.PrivateKey
	kid     string
}

// rsaKeys spares each test the making of its own.
var rsaKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func newResourceKey(kid string) resourceKey {
	if kid == "rs1-key" || kid == "one" {
		return resourceKey{rsaKeys()[0], kid}
	}
	return resourceKey{rsaKeys()[1], kid}
}

func (k resourceKey) jwks(t *testing.T) []byte {
	t.Helper()
	doc, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.private.Public(), KeyID: k.kid, Use: "enc", Algorithm: "RSA-OAEP-256"}}})
	require.NoError(t, err)
	return doc
}

// decrypt opens a token as the resource server does, with go-jose.
func (k resourceKey) decrypt(t *testing.T, raw string) string {
	t.Helper()
	jwe, err := jose.ParseEncryptedCompact(raw, []jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
	require.NoError(t, err, raw)
	assert.Equal(t, "JWT", jwe.Header.ExtraHeaders["cty"], "RFC 7519 §5.2: nested")
	signed, err := jwe.Decrypt(crypto.PrivateKey(k.private))
	require.NoError(t, err)
	return string(signed)
}

func resourceKeyServer(name, scope string, key resourceKey, t *testing.T) authz.ResourceServer {
	t.Helper()
	return authz.ResourceServer{
		Name: name, Encryption: authz.EncryptionResourceKey, JWKS: key.jwks(t), KeyAlgorithm: "RSA-OAEP-256", ContentEncryption: "A256GCM",
		Scopes: []authz.Scope{{Name: scope}},
	}
}

// scenario is a server with two resource servers and clients for both scopes.
func scenario(t *testing.T, servers ...authz.ResourceServer) authz.Config {
	t.Helper()
	cfg := authztest.Config()
	cfg.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials", "password"}
	cfg.ResourceServers = servers
	for i := range cfg.Clients {
		cfg.Clients[i].Scopes = []string{"openid", "Scope1", "Scope2"}
	}
	cfg.Clients[0].GrantTypes = []string{"authorization_code", "refresh_token", "password"}
	return cfg
}

func TestR5_TheThreeScenarios(t *testing.T) {
	key1, key2 := newResourceKey("rs1-key"), newResourceKey("rs2-key")
	serverKey := authz.ResourceServer{Name: "RS1", Encryption: authz.EncryptionServerKey, Scopes: []authz.Scope{{Name: "Scope1"}}}
	rs1, rs2 := resourceKeyServer("RS1", "Scope1", key1, t), resourceKeyServer("RS2", "Scope2", key2, t)
	defaultRS1, defaultRS2 := rs1, rs2
	defaultRS1.Default, defaultRS2.Default = true, true
	for name, c := range map[string]struct {
		servers []authz.ResourceServer
		named   string
		key     resourceKey
		aud     string
	}{
		"1: Scope1 of RS1 asked for with resourceServer=RS2 is encrypted to RS2": {[]authz.ResourceServer{serverKey, rs2}, "RS2", key2, "/rs/RS2"},
		"2: no parameter, RS1 is the default, encrypted to RS1":                  {[]authz.ResourceServer{defaultRS1, rs2}, "", key1, "/rs/RS1"},
		"3: RS2 is the default, resourceServer=RS1, encrypted to RS1":            {[]authz.ResourceServer{rs1, defaultRS2}, "RS1", key1, "/rs/RS1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, scenario(t, c.servers...))
			check := func(answer authztest.Answer) {
				t.Helper()
				require.Equal(t, http.StatusOK, answer.Status, answer.JSON)
				claims := f.Claims(c.key.decrypt(t, answer.Get("access_token")))
				assert.Equal(t, "Scope1", claims["scope"])
				assert.Equal(t, f.URL+c.aud, claims["aud"])
			}
			authorized := f.NewBrowser().Authorize(f.AuthorizeURL("scope", "Scope1", "resourceServer", c.named), "alice")
			tokens := f.Redeem("shop", authorized.Get("code"))
			check(tokens)
			check(refresh(f, "shop", tokens.Get("refresh_token")))
			check(f.Token("robot", "grant_type", "client_credentials", "scope", "Scope1", "resourceServer", c.named))
			check(f.Token("shop", "grant_type", "password", "username", "alice", "password", authztest.Password, "scope", "Scope1", "resourceServer", c.named))
		})
	}
}

func TestR11_EndpointsTakeATokenEncryptedOrDecrypted(t *testing.T) {
	key := newResourceKey("rs2-key")
	f := authztest.New(t, scenario(t, authz.ResourceServer{Name: "RS1", Scopes: []authz.Scope{{Name: "Scope1"}}}, resourceKeyServer("RS2", "Scope2", key, t)))
	for name, named := range map[string]string{"server_key": "RS1", "resource_key": "RS2"} {
		t.Run(name, func(t *testing.T) {
			authorized := f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid Scope1", "resourceServer", named), "alice")
			raw := f.Redeem("shop", authorized.Get("code")).Get("access_token")
			require.Equal(t, 4, strings.Count(raw, "."))
			forms := []string{raw}
			if named == "RS2" {
				forms = append(forms, key.decrypt(t, raw))
			}
			for _, form := range forms {
				assert.True(t, active(f, form))
				assert.Equal(t, "alice", f.Bearer(http.MethodGet, "/userinfo", form).Get("sub"))
				assert.Equal(t, "alice", f.Bearer(http.MethodGet, "/tokeninfo", form).Get("user_id"))
			}
			assert.Equal(t, http.StatusOK, f.Post("/revoke", "shop", url.Values{"token": {forms[len(forms)-1]}}).Status)
			assert.False(t, active(f, raw), "revoked in one form, gone in the other")
		})
	}
}

func TestR8_ATokenForAFormerDefault(t *testing.T) {
	key1, key2 := newResourceKey("rs1-key"), newResourceKey("rs2-key")
	rs1, rs2 := resourceKeyServer("RS1", "Scope1", key1, t), resourceKeyServer("RS2", "Scope2", key2, t)
	rs1.Default = true
	cfg := scenario(t, rs1, rs2)
	f := authztest.New(t, cfg)
	byDefault := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid Scope1"), "alice").Get("code"))
	named := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid Scope1", "resourceServer", "RS1"), "alice").Get("code"))
	own := f.Token("robot", "grant_type", "client_credentials", "resourceServer", "issuer")
	assert.True(t, active(f, byDefault.Get("access_token")))

	cfg.ResourceServers = []authz.ResourceServer{rs1, rs2}
	cfg.ResourceServers[0].Default, cfg.ResourceServers[1].Default = false, true
	f.Reload(cfg)
	assert.False(t, active(f, byDefault.Get("access_token")))
	assert.False(t, active(f, key1.decrypt(t, byDefault.Get("access_token"))), "R11: decrypted as well")
	assert.NotZero(t, f.Logs.FilterFieldKey("cause").Len(), "a reason in the log")
	assert.True(t, active(f, named.Get("access_token")), "a server named in the request")
	assert.True(t, active(f, own.Get("access_token")), "server_key tokens keep working")

	next := refresh(f, "shop", byDefault.Get("refresh_token"))
	assert.Equal(t, f.URL+"/rs/RS2", f.Claims(key2.decrypt(t, next.Get("access_token")))["aud"], "a refresh mints for the new default")
	next = refresh(f, "shop", named.Get("refresh_token"))
	assert.Equal(t, f.URL+"/rs/RS1", f.Claims(key1.decrypt(t, next.Get("access_token")))["aud"], "unless the grant named a server")
}

func TestR4_KeysByURL(t *testing.T) {
	first, second := newResourceKey("one"), newResourceKey("two")
	var document atomic.Value
	document.Store(first.jwks(t))
	var status atomic.Int64
	status.Store(http.StatusOK)
	keys := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write(document.Load().([]byte))
	}))
	t.Cleanup(keys.Close)
	rs := resourceKeyServer("RS1", "Scope1", first, t)
	rs.JWKS, rs.JWKSURL = nil, keys.URL
	cfg := scenario(t, rs)
	cfg.Fetch.Roots = x509.NewCertPool()
	cfg.Fetch.Roots.AddCert(keys.Certificate())
	cfg.Clients = cfg.Clients[3:]
	cfg.Clients[0].Scopes = []string{"Scope1"}
	f := authztest.New(t, cfg)
	mint := func() authztest.Answer { return f.Token("robot", "grant_type", "client_credentials") }

	status.Store(http.StatusInternalServerError)
	refused := mint()
	assert.Equal(t, http.StatusInternalServerError, refused.Status)
	assert.Equal(t, map[string]any{"error": "server_error"}, refused.JSON, "A16: never a clear token, and the reason stays in the log")

	status.Store(http.StatusOK)
	f.Clock.Advance(11 * time.Second)
	first.decrypt(t, mint().Get("access_token"))

	document.Store(second.jwks(t))
	f.Clock.Advance(4 * time.Minute)
	first.decrypt(t, mint().Get("access_token"))
	f.Clock.Advance(2 * time.Minute)
	mint() // nobody waits for the new keys while the old ones serve
	require.Eventually(t, func() bool { return f.JWEHeader(mint().Get("access_token"))["kid"] == "two" }, 5*time.Second, time.Millisecond)
	second.decrypt(t, mint().Get("access_token"))

	status.Store(http.StatusInternalServerError)
	f.Clock.Advance(30 * time.Minute)
	second.decrypt(t, mint().Get("access_token"))
	f.Clock.Advance(time.Hour)
	assert.Equal(t, "server_error", mint().Get("error"), "the last keys don't serve for ever")

	status.Store(http.StatusOK)
	document.Store([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`))
	f.Clock.Advance(time.Minute)
	assert.Equal(t, "server_error", mint().Get("error"), "R4: no key of the set fits")
}

func TestR7_ServerKidsAreReserved(t *testing.T) {
	for kid, problem := range map[string]string{"0": "server's own keys", "10": "server's own keys", "11": ""} {
		cfg := scenario(t, resourceKeyServer("RS1", "Scope1", newResourceKey(kid), t), authz.ResourceServer{Name: "RS2", Scopes: []authz.Scope{{Name: "Scope2"}}})
		cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
		_, err := authz.New(cfg)
		if problem == "" {
			assert.NoError(t, err, kid)
		} else {
			assert.ErrorContains(t, err, problem, kid)
		}
	}
}

func TestR4_ConfigurationOfResourceKeys(t *testing.T) {
	key := newResourceKey("rs1-key")
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.private, KeyID: "x"}}})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		edit    func(*authz.ResourceServer)
		problem string
	}{
		"an alg that no key fits":          {func(rs *authz.ResourceServer) { rs.KeyAlgorithm = "ECDH-ES" }, "no key of the JWKS fits"},
		"a JWK's own alg differs":          {func(rs *authz.ResourceServer) { rs.KeyAlgorithm = "RSA-OAEP" }, "RSA-OAEP-256"},
		"A9 an alg not on the list":        {func(rs *authz.ResourceServer) { rs.KeyAlgorithm = "RSA1_5" }, "not supported"},
		"an enc not on the list":           {func(rs *authz.ResourceServer) { rs.ContentEncryption = "none" }, "not supported"},
		"a private key meant to be public": {func(rs *authz.ResourceServer) { rs.JWKS = private }, "private"},
		"a key set by http":                {func(rs *authz.ResourceServer) { rs.JWKS, rs.JWKSURL = nil, "http://keys.example.com" }, "https"},
		"two key sets":                     {func(rs *authz.ResourceServer) { rs.JWKSURL = "https://keys.example.com" }, "one of"},
	} {
		t.Run(name, func(t *testing.T) {
			rs := resourceKeyServer("RS1", "Scope1", key, t)
			c.edit(&rs)
			cfg := scenario(t, rs, authz.ResourceServer{Name: "RS2", Scopes: []authz.Scope{{Name: "Scope2"}}})
			cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
			_, err := authz.New(cfg)
			assert.ErrorContains(t, err, c.problem)
		})
	}
}

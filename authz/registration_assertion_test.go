package authz_test

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

// signInAs has erin agree to a client, which redeems the code with an assertion of its own.
func (g *registry) signInAs(id, assertion string) authztest.Answer {
	g.t.Helper()
	browser := g.NewBrowser()
	page := browser.SignIn(g.AuthorizeURL("client_id", id, "redirect_uri", "https://app.example.com/callback", "scope", "openid"), "erin")
	page = browser.Submit(page, "decision", "allow")
	require.NotNil(g.t, page.Location, page.Body)
	return g.Post("/token", "", url.Values{
		"grant_type": {"authorization_code"}, "code": {page.Location.Query().Get("code")}, "redirect_uri": {"https://app.example.com/callback"},
		"client_assertion_type": {assertionType}, "client_assertion": {assertion},
	})
}

func TestE11_A41_AKeyOfItsOwn(t *testing.T) {
	own, other := assertionKeys()[0], assertionKeys()[1]
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jwksOf(t, own.Public())) }))
	t.Cleanup(site.Close)
	cfg := registryConfig(t, authz.RegistrationOpen)
	cfg.Fetch.AllowHosts, cfg.Fetch.Roots = []string{"127.0.0.1"}, x509.NewCertPool()
	cfg.Fetch.Roots.AddCert(site.Certificate())
	g := &registry{authztest.New(t, cfg), t}
	for name, keys := range map[string]members{
		"jwks":     {"jwks": json.RawMessage(jwksOf(t, own.Public()))},
		"jwks_uri": {"jwks_uri": site.URL},
	} {
		t.Run(name, func(t *testing.T) {
			keys["redirect_uris"], keys["token_endpoint_auth_method"] = app["redirect_uris"], "private_key_jwt"
			keys["token_endpoint_auth_signing_alg"] = "ES256"
			c := g.register("", keys)
			assert.NotContains(t, c.JSON, "client_secret")
			assert.NotContains(t, c.JSON, "client_secret_expires_at")
			assert.Equal(t, "private_key_jwt", c.Get("token_endpoint_auth_method"))
			assert.Equal(t, "ES256", c.Get("token_endpoint_auth_signing_alg"))
			id := c.Get("client_id")
			signed := func(key any) string { return jws(t, jose.ES256, key, assertionClaims(g.Fixture, id, nil)) }
			answer := g.signInAs(id, signed(own))
			assert.Equal(t, http.StatusOK, answer.Status, answer.JSON)
			assert.NotEmpty(t, answer.Get("id_token"))
			assert.Equal(t, "invalid_client", g.signInAs(id, signed(other)).Get("error"))
			at := "/register/" + id
			assert.Equal(t, "invalid_client_metadata", g.call(http.MethodPost, at+"/secret", g.token("alice", "registration.full"), nil).Get("error"))

			changed := g.update(c.Get("registration_access_token"), id, app)
			require.Equal(t, http.StatusOK, changed.Status, changed.JSON)
			assert.NotEmpty(t, changed.Get("client_secret"), "it needs one now")
			assert.Equal(t, "invalid_client", g.signInAs(id, signed(own)).Get("error"), "its key is no way in any more")
		})
	}
}

func TestE11_A41_ASecretThatSigns(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	for _, alg := range []jose.SignatureAlgorithm{"", jose.HS256, jose.HS384, jose.HS512} {
		c := g.register("", members{
			"redirect_uris": app["redirect_uris"], "token_endpoint_auth_method": "client_secret_jwt", "token_endpoint_auth_signing_alg": alg,
		})
		id, secret := c.Get("client_id"), c.Get("client_secret")
		assert.InDelta(t, 0, c.JSON["client_secret_expires_at"], 0)
		signed := func(secret string) string {
			if alg == "" {
				return jws(t, jose.HS256, []byte(secret), assertionClaims(g.Fixture, id, nil))
			}
			return jws(t, alg, []byte(secret), assertionClaims(g.Fixture, id, nil))
		}
		answer := g.signInAs(id, signed(secret))
		assert.Equal(t, http.StatusOK, answer.Status, answer.JSON)
		assert.Equal(t, "invalid_client", g.signInAs(id, signed(strings.Repeat("x", 86))).Get("error"))
		form := map[string]string{"grant_type": "authorization_code", "code": "x"}
		assert.Equal(t, "invalid_client", g.asClient(id, secret, form).Get("error"), "A42: the secret itself is not its method")
	}
}

func TestE11_C15_ASecretThatWasSentSignsAfterAnUpdate(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	for _, before := range []string{"", "client_secret_basic", "client_secret_post", "private_key_jwt"} {
		for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
			body := members{"redirect_uris": app["redirect_uris"], "token_endpoint_auth_method": before}
			if before == "private_key_jwt" {
				body["jwks"] = json.RawMessage(jwksOf(t, assertionKeys()[0].Public()))
			}
			c := g.register("", body)
			id := c.Get("client_id")
			body = members{
				"redirect_uris": app["redirect_uris"], "request_object_signing_alg": alg,
				"token_endpoint_auth_method": "client_secret_jwt", "token_endpoint_auth_signing_alg": alg,
			}
			changed := g.update(c.Get("registration_access_token"), id, body)
			require.Equal(t, http.StatusOK, changed.Status, changed.JSON)
			secret := []byte(changed.Get("client_secret"))
			answer := g.signInAs(id, jws(t, alg, secret, assertionClaims(g.Fixture, id, nil)))
			assert.Equal(t, http.StatusOK, answer.Status, "%s, then %s: %v", before, alg, answer.JSON)
			request := g.AuthorizeURL("client_id", id, "redirect_uri", "https://app.example.com/callback", "scope", "openid")
			raw := jws(t, alg, secret, requestOf(t, request, nil))
			assert.Equal(t, "login", g.NewBrowser().Get(request+"&request="+raw).ID(), "its request objects, too")
		}
	}
}

func TestC15_ASecretThatSignsOverlaps(t *testing.T) {
	g := newRegistry(t, authz.RegistrationProtected)
	admin := g.token("alice", "registration.full")
	c := g.register(admin, members{"access_type": "service", "scope": "orders.read", "token_endpoint_auth_method": "client_secret_jwt"})
	id, first := c.Get("client_id"), c.Get("client_secret")
	status := func(secret string) int {
		return assertedToken(g.Fixture, jws(t, jose.HS256, []byte(secret), assertionClaims(g.Fixture, id, nil))).Status
	}
	require.Equal(t, http.StatusOK, status(first))
	second := g.call(http.MethodPost, "/register/"+id+"/secret", admin, members{"overlap": 60}).Get("client_secret")
	assert.Equal(t, http.StatusOK, status(first))
	assert.Equal(t, http.StatusOK, status(second))
	g.Clock.Advance(time.Minute)
	assert.Equal(t, http.StatusUnauthorized, status(first))
	assert.Equal(t, http.StatusOK, status(second))
}

func TestE11_A41_RegistrationsThatAreRefused(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: assertionKeys()[0], KeyID: "k1"}}})
	require.NoError(t, err)
	public := json.RawMessage(jwksOf(t, assertionKeys()[0].Public()))
	encrypting := json.RawMessage(strings.Replace(string(public), `"use":"sig"`, `"use":"enc"`, 1))
	for name, m := range map[string]members{
		"no keys":                    {"token_endpoint_auth_method": "private_key_jwt"},
		"no key that verifies":       {"token_endpoint_auth_method": "private_key_jwt", "jwks": encrypting},
		"a private key":              {"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(private)},
		"A1 alg none":                {"token_endpoint_auth_method": "private_key_jwt", "jwks": public, "token_endpoint_auth_signing_alg": "none"},
		"A2 a secret's for a key":    {"token_endpoint_auth_method": "private_key_jwt", "jwks": public, "token_endpoint_auth_signing_alg": "HS256"},
		"A2 a key's for a secret":    {"token_endpoint_auth_method": "client_secret_jwt", "token_endpoint_auth_signing_alg": "ES256"},
		"an algorithm without a use": {"token_endpoint_auth_signing_alg": "ES256"},
	} {
		m["redirect_uris"] = app["redirect_uris"]
		answer := g.call(http.MethodPost, "/register", "", m)
		assert.Equal(t, http.StatusBadRequest, answer.Status, name)
		assert.Equal(t, "invalid_client_metadata", answer.Get("error"), name)
	}
}

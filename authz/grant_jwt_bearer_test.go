package authz_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/static"
)

const grantJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// withJWTIssuer trusts one issuer of JWTs, whose subjects are mail addresses.
func withJWTIssuer(t *testing.T, change func(*authz.Config)) authz.Config {
	t.Helper()
	cfg := authztest.Config()
	cfg.GrantTypes = []string{authz.GrantAuthorizationCode, authz.GrantRefreshToken, authz.GrantClientCredentials, authz.GrantJWTBearer}
	cfg.JWTIssuers = []authz.JWTIssuer{{Issuer: "https://hr.example", JWKS: jwksOf(t, assertionKeys()[0].Public()), UserAttribute: "mail"}}
	for i := range cfg.Clients {
		if cfg.Clients[i].ID == "shop" {
			cfg.Clients[i].GrantTypes = []string{authz.GrantAuthorizationCode, authz.GrantRefreshToken, authz.GrantJWTBearer}
		}
	}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

func aboutAlice(f *authztest.Fixture, change map[string]any) map[string]any {
	claims := assertionClaims(f, "https://hr.example", map[string]any{"sub": "alice@example.com"})
	for name, value := range change {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

func TestE2_JWTBearerGrant(t *testing.T) {
	f := authztest.New(t, withJWTIssuer(t, nil))
	raw := jws(t, jose.ES256, assertionKeys()[0], aboutAlice(f, nil))
	answer := f.Token("shop", "grant_type", grantJWTBearer, "assertion", raw, "scope", "orders.read orders.write")
	require.Equal(t, http.StatusOK, answer.Status, answer)
	assert.Equal(t, "orders.read", answer.Get("scope"), "orders.write needs a consent, and nobody is here to give it")
	require.True(t, active(f, answer.Get("access_token")))
	f.Clock.Advance(time.Minute + time.Second)
	assert.False(t, active(f, answer.Get("access_token")), "nothing outlives the assertion")
}

func TestE2_JWTsThatGiveNothing(t *testing.T) {
	f := authztest.New(t, withJWTIssuer(t, nil))
	own := assertionKeys()[0]
	sign := func(change map[string]any) string { return jws(t, jose.ES256, own, aboutAlice(f, change)) }
	used := sign(nil)
	require.Equal(t, http.StatusOK, f.Token("shop", "grant_type", grantJWTBearer, "assertion", used).Status)
	for name, raw := range map[string]string{
		"RFC 7523 §3 1 no iss":            sign(map[string]any{"iss": nil}),
		"RFC 7523 §3 1 another issuer":    sign(map[string]any{"iss": "https://other.example"}),
		"RFC 7523 §3 2 no sub":            sign(map[string]any{"sub": nil}),
		"RFC 7523 §3 2 nobody":            sign(map[string]any{"sub": "zoe@example.com"}),
		"RFC 7523 §3 3 another audience":  sign(map[string]any{"aud": "https://other.example"}),
		"RFC 7523 §3 3 several audiences": sign(map[string]any{"aud": []string{f.URL, "https://other.example"}}),
		"RFC 7523 §3 4 no exp":            sign(map[string]any{"exp": nil}),
		"RFC 7523 §3 4 expired":           sign(map[string]any{"exp": f.Clock.Now().Add(-time.Minute).Unix()}),
		"RFC 7523 §3 4 for a day":         sign(map[string]any{"exp": f.Clock.Now().Add(24 * time.Hour).Unix()}),
		"RFC 7523 §3 7 used before":       used,
		"RFC 7523 §3 7 no jti":            sign(map[string]any{"jti": nil}),
		"RFC 7523 §3 9 another key":       jws(t, jose.ES256, assertionKeys()[1], aboutAlice(f, nil)),
		"A2 the public key as a secret":   jws(t, jose.HS256, jwksOf(t, own.Public()), aboutAlice(f, nil)),
		"an ID token of this very server": f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("id_token"),
		"no JWT":                          "x",
	} {
		answer := f.Token("shop", "grant_type", grantJWTBearer, "assertion", raw)
		assert.Equal(t, "invalid_grant", answer.Get("error"), name)
	}
	assert.Equal(t, "invalid_request", f.Token("shop", "grant_type", grantJWTBearer).Get("error"))
	assert.Equal(t, "unauthorized_client", f.Token("robot", "grant_type", grantJWTBearer, "assertion", sign(nil)).Get("error"))
}

func TestE2_JWTIssuersThatAreRefused(t *testing.T) {
	for want, change := range map[string]func(*authz.Config){
		"it needs a name and jwks":        func(c *authz.Config) { c.JWTIssuers[0].JWKS = nil },
		"it is there twice":               func(c *authz.Config) { c.JWTIssuers = append(c.JWTIssuers, c.JWTIssuers[0]) },
		"whose tokens are no grants":      func(c *authz.Config) { c.JWTIssuers[0].Issuer = "https://login.example" },
		"trusts no issuer of JWTs":        func(c *authz.Config) { c.JWTIssuers = nil },
		"must be an https URL":            func(c *authz.Config) { c.JWTIssuers[0].JWKS, c.JWTIssuers[0].JWKSURL = nil, "http://hr.example/jwks" },
		"jwt_issuer https://hr.example: ": func(c *authz.Config) { c.JWTIssuers[0].JWKS = []byte(`{"keys":[]}`) },
	} {
		cfg := withJWTIssuer(t, change)
		cfg.Issuer, cfg.Users = "https://login.example", authztest.People(t)
		_, err := authz.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

func TestE2_AnAssertionIsNotSpentOnATemporaryFailure(t *testing.T) {
	store := &faulty{Store: authztest.People(t)}
	f := authztest.New(t, withJWTIssuer(t, func(c *authz.Config) { c.Users = store }))
	raw := jws(t, jose.ES256, assertionKeys()[0], aboutAlice(f, nil))
	ask := func() authztest.Answer { return f.Token("shop", "grant_type", grantJWTBearer, "assertion", raw) }
	store.failure.Store(&users.ErrUnavailable)
	assert.Equal(t, "temporarily_unavailable", ask().Get("error"))
	store.failure.Store(nil)
	assert.Equal(t, http.StatusOK, ask().Status)
	assert.Equal(t, "invalid_grant", ask().Get("error"), "RFC 7523 §3 7: used before")
}

// A token of somebody whose subject is the client's ID could pass for one that the client got for itself.
func TestE2_NobodyIsAssertedAtTheirNamesake(t *testing.T) {
	people := authztest.Users(t)
	people[0].Name = "shop"
	list, err := static.New(people)
	require.NoError(t, err)
	f := authztest.New(t, withJWTIssuer(t, func(c *authz.Config) { c.Users = list }))
	raw := jws(t, jose.ES256, assertionKeys()[0], aboutAlice(f, nil))
	assert.Equal(t, "invalid_grant", f.Token("shop", "grant_type", grantJWTBearer, "assertion", raw).Get("error"))
}

func TestA5_KeysThatCannotBeFetchedRefuseNothingForGood(t *testing.T) {
	const nowhere = "https://127.0.0.1:1/jwks"
	own := assertionKeys()[0]
	f := authztest.New(t, withAssertions(t, func(c *authz.Config) {
		for i := range c.Clients {
			if c.Clients[i].ID == "signer" || c.Clients[i].ID == "shop" {
				c.Clients[i].JWKS, c.Clients[i].JWKSURL = nil, nowhere
			}
		}
	}))
	answer := assertedToken(f, jws(t, jose.ES256, own, assertionClaims(f, "signer", nil)))
	assert.Equal(t, http.StatusServiceUnavailable, answer.Status)
	assert.Equal(t, "temporarily_unavailable", answer.Get("error"))
	page := f.NewBrowser().Get(f.AuthorizeURL("request", signedBy(t, own, "k1", "", requestOf(t, f.AuthorizeURL(), nil))))
	assert.Equal(t, "temporarily_unavailable", page.Location.Query().Get("error"))

	f = authztest.New(t, withJWTIssuer(t, func(c *authz.Config) { c.JWTIssuers[0].JWKS, c.JWTIssuers[0].JWKSURL = nil, nowhere }))
	answer = f.Token("shop", "grant_type", grantJWTBearer, "assertion", jws(t, jose.ES256, own, aboutAlice(f, nil)))
	assert.Equal(t, "temporarily_unavailable", answer.Get("error"))
}

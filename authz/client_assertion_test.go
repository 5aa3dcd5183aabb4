package authz_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

var assertionKeys = sync.OnceValue(func() (keys [2]*ecdsa.PrivateKey) {
	for i := range keys {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func jwksOf(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "k1", Use: "sig"}}})
	require.NoError(t, err)
	return set
}

// withAssertions has a client that signs with a key, and one that signs with its secret.
func withAssertions(t *testing.T, change func(*authz.Config)) authz.Config {
	t.Helper()
	cfg := authztest.Config()
	cfg.Clients = append(cfg.Clients,
		authz.Client{
			ID: "signer", AccessType: authz.AccessService, AuthMethod: authz.AuthPrivateKeyJWT,
			JWKS: jwksOf(t, assertionKeys()[0].Public()), Scopes: []string{"orders.read"},
		},
		authz.Client{
			ID: "sharer", AccessType: authz.AccessService, AuthMethod: authz.AuthSecretJWT, Secret: authztest.Secret,
			SecretHash: oauth.Fingerprint(authztest.Secret), Scopes: []string{"orders.read"},
		})
	if change != nil {
		change(&cfg)
	}
	return cfg
}

// jws signs claims with a key, or with a secret where key is []byte.
func jws(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", "k1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	raw, err := signed.CompactSerialize()
	require.NoError(t, err)
	return raw
}

// assertionClaims are good ones with changes; nil takes one out.
func assertionClaims(f *authztest.Fixture, client string, change map[string]any) map[string]any {
	now := f.Clock.Now()
	claims := map[string]any{
		"iss": client, "sub": client, "aud": f.URL, "jti": oauth.NewID(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	for name, value := range change {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

// assertedToken asks for a token with an assertion and nothing else that says who asks.
func assertedToken(f *authztest.Fixture, raw string, pairs ...string) authztest.Answer {
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {raw}}
	authztest.Set(form, pairs...)
	return f.Post("/token", "", form)
}

func TestA41_ClientsThatSign(t *testing.T) {
	f := authztest.New(t, withAssertions(t, nil))
	byKey := jws(t, jose.ES256, assertionKeys()[0], assertionClaims(f, "signer", nil))
	answer := assertedToken(f, byKey)
	require.Equal(t, http.StatusOK, answer.Status, answer)
	assert.Equal(t, "orders.read", answer.Get("scope"))
	bySecret := jws(t, jose.HS256, []byte(authztest.Secret), assertionClaims(f, "sharer", nil))
	require.Equal(t, http.StatusOK, assertedToken(f, bySecret, "client_id", "sharer").Status)

	token := answer.Get("access_token")
	for _, path := range []string{"/introspect", "/revoke"} {
		form := url.Values{
			"token": {token}, "client_assertion_type": {assertionType},
			"client_assertion": {jws(t, jose.ES256, assertionKeys()[0], assertionClaims(f, "signer", nil))},
		}
		assert.Equal(t, http.StatusOK, f.Post(path, "", form).Status, path)
	}
	assert.False(t, active(f, token), "it was revoked")
}

func TestA41_ClientAssertionsThatAreRefused(t *testing.T) {
	f := authztest.New(t, withAssertions(t, nil))
	own, other, secret := assertionKeys()[0], assertionKeys()[1], []byte(authztest.Secret)
	now := f.Clock.Now()
	sign := func(change map[string]any) string {
		return jws(t, jose.ES256, own, assertionClaims(f, "signer", change))
	}
	used := sign(nil)
	require.Equal(t, http.StatusOK, assertedToken(f, used).Status)
	for name, row := range map[string]struct {
		raw   string
		pairs []string
		code  string
	}{
		"A41 aud of another server":           {sign(map[string]any{"aud": "https://other.example"}), nil, "invalid_client"},
		"A41 aud is an array":                 {sign(map[string]any{"aud": []string{f.URL}}), nil, "invalid_client"},
		"A41 aud is the token endpoint":       {sign(map[string]any{"aud": f.URL + "/token"}), nil, "invalid_client"},
		"A41 used before":                     {used, nil, "invalid_client"},
		"A41 no exp":                          {sign(map[string]any{"exp": nil}), nil, "invalid_client"},
		"A41 no jti":                          {sign(map[string]any{"jti": nil}), nil, "invalid_client"},
		"expired":                             {sign(map[string]any{"exp": now.Add(-time.Minute).Unix(), "iat": now.Add(-time.Hour / 2).Unix()}), nil, "invalid_client"},
		"for longer than an hour":             {sign(map[string]any{"exp": now.Add(2 * time.Hour).Unix()}), nil, "invalid_client"},
		"not yet":                             {sign(map[string]any{"nbf": now.Add(time.Minute).Unix()}), nil, "invalid_client"},
		"iss is another":                      {sign(map[string]any{"iss": "sharer"}), nil, "invalid_client"},
		"sub is another":                      {sign(map[string]any{"sub": "sharer"}), nil, "invalid_client"},
		"sub is nobody":                       {sign(map[string]any{"sub": "nobody", "iss": "nobody"}), nil, "invalid_client"},
		"another key":                         {jws(t, jose.ES256, other, assertionClaims(f, "signer", nil)), nil, "invalid_client"},
		"A2 the public key as a secret":       {jws(t, jose.HS256, jwksOf(t, own.Public()), assertionClaims(f, "signer", nil)), nil, "invalid_client"},
		"A1 alg none":                         {"eyJhbGciOiJub25lIn0." + strings.Split(sign(nil), ".")[1] + ".", nil, "invalid_client"},
		"a secret for who signs by key":       {jws(t, jose.HS256, secret, assertionClaims(f, "signer", nil)), nil, "invalid_client"},
		"a key for who signs by secret":       {jws(t, jose.ES256, own, assertionClaims(f, "sharer", nil)), nil, "invalid_client"},
		"a wrong secret":                      {jws(t, jose.HS256, []byte(strings.Repeat("x", 40)), assertionClaims(f, "sharer", nil)), nil, "invalid_client"},
		"an algorithm the secret is short of": {jws(t, jose.HS512, []byte(strings.Repeat(authztest.Secret, 3)), assertionClaims(f, "sharer", nil)), nil, "invalid_client"},
		"who never signs":                     {jws(t, jose.ES256, own, assertionClaims(f, "robot", nil)), nil, "invalid_client"},
		"A42 with a secret beside":            {sign(nil), []string{"client_secret", authztest.Secret}, "invalid_request"},
		"another client_id beside":            {sign(nil), []string{"client_id", "sharer"}, "invalid_client"},
		"another type":                        {sign(nil), []string{"client_assertion_type", "urn:x"}, "invalid_request"},
		"A6 an access token":                  {f.Token("robot", "grant_type", "client_credentials").Get("access_token"), nil, "invalid_client"},
		"no JWT":                              {"x", nil, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := assertedToken(f, row.raw, row.pairs...)
			assert.Equal(t, row.code, answer.Get("error"))
			assert.NotContains(t, answer.Get("error_description"), "jti")
		})
	}
	for _, id := range []string{"signer", "sharer"} {
		assert.Equal(t, "invalid_client", f.Token(id, "grant_type", "client_credentials").Get("error"), "A42 a secret is not the method of %s", id)
		assert.Equal(t, "invalid_client", f.Post("/token", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}}).Get("error"))
	}
}

func TestA41_TheAlgorithmMayBeFixed(t *testing.T) {
	f := authztest.New(t, withAssertions(t, func(c *authz.Config) { c.Clients[len(c.Clients)-1].AuthAlg = jose.HS384 }))
	raw := jws(t, jose.HS256, []byte(authztest.Secret), assertionClaims(f, "sharer", nil))
	assert.Equal(t, "invalid_client", assertedToken(f, raw).Get("error"))
}

func TestE8_MetadataNameWhatClientsMaySign(t *testing.T) {
	document := authztest.New(t, withAssertions(t, nil)).Bearer(http.MethodGet, "/.well-known/openid-configuration", "").JSON
	assert.Subset(t, document["token_endpoint_auth_methods_supported"], []any{"private_key_jwt", "client_secret_jwt"})
	assert.Subset(t, document["introspection_endpoint_auth_methods_supported"], []any{"private_key_jwt", "client_secret_jwt"})
	assert.Subset(t, document["token_endpoint_auth_signing_alg_values_supported"], []any{"ES256", "RS256", "HS256"})
	assert.NotContains(t, document["token_endpoint_auth_signing_alg_values_supported"], "none")
	without := authztest.New(t, authztest.Config()).Bearer(http.MethodGet, "/.well-known/openid-configuration", "").JSON
	assert.NotContains(t, without["token_endpoint_auth_methods_supported"], "client_secret_jwt")
	assert.NotContains(t, without["token_endpoint_auth_signing_alg_values_supported"], "HS256")
	registering := newRegistry(t, authz.RegistrationOpen).Bearer(http.MethodGet, "/.well-known/openid-configuration", "").JSON
	assert.Contains(t, registering["token_endpoint_auth_methods_supported"], "client_secret_jwt", "whoever registers may choose it")
	assert.Contains(t, registering["token_endpoint_auth_signing_alg_values_supported"], "HS512")
}

func TestA41_ConfigurationsThatAreRefused(t *testing.T) {
	for want, change := range map[string]func(*authz.Client){
		"private_key_jwt needs jwks": func(c *authz.Client) { c.AuthMethod = authz.AuthPrivateKeyJWT },
		"private_key_jwt and a secret contradict each other": func(c *authz.Client) {
			c.AuthMethod, c.SecretHash, c.JWKS = authz.AuthPrivateKeyJWT, oauth.Fingerprint("x"), jwksOf(t, assertionKeys()[0].Public())
		},
		"needs the secret itself, its hash is not enough": func(c *authz.Client) { c.AuthMethod, c.SecretHash = authz.AuthSecretJWT, oauth.Fingerprint("x") },
		"needs a secret of at least 32 bytes": func(c *authz.Client) {
			c.AuthMethod, c.SecretHash, c.Secret = authz.AuthSecretJWT, oauth.Fingerprint("x"), "x"
		},
		"ES256 is none of HS256": func(c *authz.Client) {
			c.AuthMethod, c.SecretHash, c.Secret, c.AuthAlg = authz.AuthSecretJWT, oauth.Fingerprint("x"), "x", jose.ES256
		},
		"only client_secret_jwt and private_key_jwt": func(c *authz.Client) { c.SecretHash, c.AuthAlg = oauth.Fingerprint("x"), jose.ES256 },
	} {
		cfg := authztest.Config()
		c := authz.Client{ID: "c", AccessType: authz.AccessService}
		change(&c)
		cfg.Clients = []authz.Client{c}
		cfg.Issuer, cfg.Users = "https://login.example", authztest.People(t)
		_, err := authz.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

func TestA41_AnAssertionIsNotSpentOnARateLimit(t *testing.T) {
	f := authztest.New(t, withAssertions(t, func(c *authz.Config) { c.RateLimit.Client = 1 }))
	sign := func() string { return jws(t, jose.ES256, assertionKeys()[0], assertionClaims(f, "signer", nil)) }
	require.Equal(t, http.StatusOK, assertedToken(f, sign()).Status)
	early := sign()
	require.Equal(t, http.StatusTooManyRequests, assertedToken(f, early).Status)
	f.Clock.Advance(time.Second)
	assert.Equal(t, http.StatusOK, assertedToken(f, early).Status)
	f.Clock.Advance(time.Second)
	assert.Equal(t, "invalid_client", assertedToken(f, early).Get("error"), "used before")
}

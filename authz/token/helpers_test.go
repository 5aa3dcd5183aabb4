package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// testNow is the clock of the tests.
var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var everyAlgorithm = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// testKeys has a key for every algorithm; made once, for RSA takes its time.
var testKeys = sync.OnceValue(func() *Keys {
	k, err := GenerateKeys(everyAlgorithm, testNow)
	if err != nil {
		panic(err)
	}
	return k
})

// otherKeys are those of another issuer.
var otherKeys = sync.OnceValue(func() *Keys {
	k, err := GenerateKeys([]jose.SignatureAlgorithm{jose.ES256}, testNow)
	if err != nil {
		panic(err)
	}
	return k
})

// private is a signing key of testKeys as go-jose wants it.
func private(t testing.TB, alg jose.SignatureAlgorithm) (crypto.Signer, string) {
	t.Helper()
	key := testKeys().signers[alg]
	require.NotNil(t, key)
	return key.private, key.kid
}

// forge signs any header with a key of testKeys.
func forge(t testing.TB, alg jose.SignatureAlgorithm, header, payload string) string {
	t.Helper()
	signer, _ := private(t, alg)
	input := b64(header) + "." + b64(payload)
	signature, err := algorithms[string(alg)].sign(signer, input)
	require.NoError(t, err)
	return input + "." + b64(string(signature))
}

func b64(s string) string { return encoding.EncodeToString([]byte(s)) }

// goodClaims is an access token that testNow finds valid.
func goodClaims() *AccessToken {
	return &AccessToken{
		Issuer: "https://id.example.org", Subject: "5c1f", ClientID: "web", ID: "jti-1",
		GrantID: "g-1", SessionID: "s-1", Audience: []string{"https://api.example.org"},
		Scope: []string{"openid", "orders.read"}, IssuedAt: testNow, ExpiresAt: testNow.Add(5 * time.Minute),
		AuthTime: testNow.Add(-time.Minute), ACR: "password", Roles: []string{"buyer", "clerk"},
		Extra: map[string]any{"department": "sales", "mail": []string{"a@example.org", "b@example.org"}},
	}
}

func goodJWS(t testing.TB, alg jose.SignatureAlgorithm) string {
	t.Helper()
	payload, err := goodClaims().Marshal()
	require.NoError(t, err)
	raw, err := testKeys().Sign(alg, TypeAccessToken, payload)
	require.NoError(t, err)
	return raw
}

var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newEC(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

// jwks writes keys as a JWKS document.
func jwksOf(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	doc, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	require.NoError(t, err)
	return doc
}

// part cuts one part out of a compact serialization.
func part(raw string, i int) string { return strings.Split(raw, ".")[i] }

// withPart puts another one in its place.
func withPart(raw string, i int, text string) string {
	parts := strings.Split(raw, ".")
	parts[i] = text
	return strings.Join(parts, ".")
}

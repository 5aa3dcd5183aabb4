package token

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func TestG12_JWKSHasPublicKeysOnly(t *testing.T) {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	require.NoError(t, json.Unmarshal(testKeys().JWKS(), &set))
	require.Len(t, set.Keys, len(everyAlgorithm))
	for _, key := range set.Keys {
		for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			require.NotContains(t, key, secret)
		}
		require.Equal(t, "sig", key["use"])
		require.Contains(t, algorithms, key["alg"])
		require.Regexp(t, `^[A-Za-z0-9_-]{43}$`, key["kid"])
		for _, name := range []string{"n", "x", "y"} {
			if value, has := key[name]; has {
				require.Regexp(t, `^[A-Za-z0-9_-]+$`, value, "base64url without padding")
			}
		}
	}
	_, err := parseJWKS(testKeys().JWKS())
	require.NoError(t, err)
}

func TestSign_HeaderHasAlgKidTyp(t *testing.T) {
	raw, err := testKeys().Sign(jose.ES256, "at+jwt", []byte(`{}`))
	require.NoError(t, err)
	head, err := decode(part(raw, 0))
	require.NoError(t, err)
	_, kid := private(t, jose.ES256)
	require.JSONEq(t, fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt"}`, kid), string(head))
	raw, err = testKeys().Sign(jose.ES256, "", []byte(`{}`))
	require.NoError(t, err)
	head, err = decode(part(raw, 0))
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"alg":"ES256","kid":%q}`, kid), string(head))
}

func TestSign_Refuses(t *testing.T) {
	_, err := otherKeys().Sign(jose.RS256, "JWT", []byte(`{}`))
	require.ErrorIs(t, err, ErrKey)
	_, err = testKeys().Sign("none", "JWT", []byte(`{}`))
	require.ErrorIs(t, err, ErrKey)
	_, err = testKeys().Sign(jose.ES256, `a","alg":"none`, []byte(`{}`))
	require.ErrorIs(t, err, ErrType)
	_, err = testKeys().Sign(jose.ES256, "JWT", make([]byte, MaxSize))
	require.ErrorIs(t, err, ErrMalformed)
}

func TestGenerateKeys_Refuses(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{"none", jose.HS256, "", "RSA-OAEP"} {
		_, err := GenerateKeys([]jose.SignatureAlgorithm{alg}, testNow)
		require.ErrorIs(t, err, ErrAlgorithm)
	}
	_, err := GenerateKeys(nil, testNow)
	require.ErrorIs(t, err, ErrKey)
}

func TestG12_StoredKeysAreTheSameKeys(t *testing.T) {
	keys := testKeys()
	jwe, err := keys.Encrypt(goodJWS(t, jose.ES256))
	require.NoError(t, err)
	doc, err := keys.Marshal()
	require.NoError(t, err)
	again, err := ParseKeys(doc)
	require.NoError(t, err)
	require.Equal(t, keys.JWKS(), again.JWKS())
	require.Equal(t, keys.Algorithms(), again.Algorithms())
	require.Len(t, again.Algorithms(), len(everyAlgorithm))
	for _, alg := range everyAlgorithm {
		raw, err := again.Sign(alg, TypeAccessToken, []byte(`{}`))
		require.NoError(t, err)
		_, err = keys.Verifier().Verify(raw, TypeAccessToken)
		require.NoError(t, err)
	}
	_, err = again.Decrypt(jwe)
	require.NoError(t, err)
	opened, err := again.Sealer("refresh").Open(keys.Sealer("refresh").Seal([]byte("x"), nil), nil)
	require.NoError(t, err)
	require.Equal(t, "x", string(opened))
	twice, err := again.Marshal()
	require.NoError(t, err)
	require.JSONEq(t, string(doc), string(twice))
}

func TestParseKeys_Refuses(t *testing.T) {
	doc, err := otherKeys().Marshal()
	require.NoError(t, err)
	_, err = ParseKeys(doc)
	require.NoError(t, err)
	edit := func(change func(doc map[string]any)) string {
		var members map[string]any
		require.NoError(t, json.Unmarshal(doc, &members))
		change(members)
		out, err := json.Marshal(members)
		require.NoError(t, err)
		return string(out)
	}
	first := func(members map[string]any, list string) map[string]any {
		return members[list].([]any)[0].(map[string]any)
	}
	foreign, err := json.Marshal(jose.JSONWebKey{Key: newEC(t, algorithms["ES256"].curve)})
	require.NoError(t, err)
	var other map[string]any
	require.NoError(t, json.Unmarshal(foreign, &other))
	for name, c := range map[string]struct {
		doc  string
		kind error
	}{
		"no JSON":          {"x", ErrMalformed},
		"empty":            {"", ErrMalformed},
		"version 2":        {edit(func(d map[string]any) { d["version"] = 2 }), ErrMalformed},
		"no version":       {edit(func(d map[string]any) { delete(d, "version") }), ErrMalformed},
		"unknown member":   {edit(func(d map[string]any) { d["x"] = 1 }), ErrMalformed},
		"unknown inside":   {edit(func(d map[string]any) { first(d, "signing")["x"] = 1 }), ErrMalformed},
		"duplicate member": {strings.Replace(string(doc), `{`, `{"version":1,`, 1), ErrMalformed},
		"short master":     {edit(func(d map[string]any) { d["master"] = "AAAA" }), ErrKey},
		"no master":        {edit(func(d map[string]any) { delete(d, "master") }), ErrKey},
		"no server key":    {edit(func(d map[string]any) { d["server"] = []any{} }), ErrKey},
		"short server key": {edit(func(d map[string]any) { first(d, "server")["k"] = "AAAA" }), ErrKey},
		"server kid 11":    {edit(func(d map[string]any) { first(d, "server")["kid"] = "11" }), ErrKey},
		"no alg":           {edit(func(d map[string]any) { delete(first(d, "signing")["key"].(map[string]any), "alg") }), ErrAlgorithm},
		"other kid":        {edit(func(d map[string]any) { first(d, "signing")["key"].(map[string]any)["kid"] = "1" }), ErrKey},
		"other private": {edit(func(d map[string]any) {
			first(d, "signing")["key"].(map[string]any)["d"] = other["d"]
		}), ErrKey},
		"one key twice": {edit(func(d map[string]any) {
			d["signing"] = append(d["signing"].([]any), d["signing"].([]any)...)
		}), ErrKey},
		"symmetric key": {edit(func(d map[string]any) {
			first(d, "signing")["key"] = map[string]any{"kty": "oct", "k": "AAAA", "alg": "ES256"}
		}), ErrKey},
	} {
		keys, err := ParseKeys([]byte(c.doc))
		require.ErrorIs(t, err, c.kind, name)
		require.Nil(t, keys, name)
		require.NotContains(t, err.Error(), "AAAA", "an error quotes no key")
	}
}

func TestG12_WithAlgorithmsAddsOnlyWhatIsMissing(t *testing.T) {
	keys := otherKeys()
	same, added, err := keys.WithAlgorithms([]jose.SignatureAlgorithm{jose.ES256}, testNow)
	require.NoError(t, err)
	require.False(t, added)
	require.Same(t, keys, same)
	more, added, err := keys.WithAlgorithms([]jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.EdDSA}, testNow)
	require.NoError(t, err)
	require.True(t, added)
	require.Equal(t, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA}, more.Algorithms())
	require.Len(t, more.signing, 2)
	require.Len(t, keys.signing, 1, "the old keys are as they were")
	raw, err := keys.Sign(jose.ES256, "JWT", []byte(`{}`))
	require.NoError(t, err)
	_, err = more.Verifier().Verify(raw, "JWT")
	require.NoError(t, err)
	_, _, err = keys.WithAlgorithms([]jose.SignatureAlgorithm{"ES257"}, testNow)
	require.ErrorIs(t, err, ErrAlgorithm)
}

func TestG12_RotationOverlaps(t *testing.T) {
	keys := otherKeys()
	old, err := keys.Sign(jose.ES256, "JWT", []byte(`{}`))
	require.NoError(t, err)
	later := testNow.Add(24 * time.Hour)
	rotated, err := keys.Rotate(jose.ES256, later)
	require.NoError(t, err)
	fresh, err := rotated.Sign(jose.ES256, "JWT", []byte(`{}`))
	require.NoError(t, err)
	require.NotEqual(t, part(old, 0), part(fresh, 0))
	for _, raw := range []string{old, fresh} {
		_, err = rotated.Verifier().Verify(raw, "JWT")
		require.NoError(t, err)
	}
	kept, dropped, err := rotated.Prune(later)
	require.NoError(t, err)
	require.False(t, dropped, "its successor began only now")
	require.Same(t, rotated, kept)
	pruned, dropped, err := rotated.Prune(later.Add(time.Hour))
	require.NoError(t, err)
	require.True(t, dropped)
	_, err = pruned.Verifier().Verify(old, "JWT")
	require.ErrorIs(t, err, ErrUnknownKey)
	_, err = pruned.Verifier().Verify(fresh, "JWT")
	require.NoError(t, err)
}

// certificate is a self-signed one that ends an hour after testNow.
func certificate(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"},
		NotBefore: testNow, NotAfter: testNow.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}

func TestG12_ImportSignsWithAFileAndKeepsItOutOfStorage(t *testing.T) {
	_, file, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	chain := []*x509.Certificate{certificate(t, file)}
	keys, changed, err := otherKeys().Import("", file, chain, testNow)
	require.NoError(t, err)
	require.True(t, changed)
	raw, err := keys.Sign(jose.EdDSA, "JWT", []byte(`{}`))
	require.NoError(t, err)
	require.Contains(t, string(keys.JWKS()), `"x5c":["`)

	doc, err := keys.Marshal()
	require.NoError(t, err)
	require.NotContains(t, string(doc), b64(string(file.Seed())))
	stored, err := ParseKeys(doc)
	require.NoError(t, err)
	require.Equal(t, keys.JWKS(), stored.JWKS(), "still published")
	_, err = stored.Verifier().Verify(raw, "JWT")
	require.NoError(t, err)
	_, err = stored.Sign(jose.EdDSA, "JWT", []byte(`{}`))
	require.ErrorIs(t, err, ErrKey, "but signs only with the file at hand")

	again, changed, err := stored.Import(jose.EdDSA, file, chain, testNow.Add(time.Hour))
	require.NoError(t, err)
	require.False(t, changed, "nothing new to store")
	require.Equal(t, keys.signers[jose.EdDSA].since, again.signers[jose.EdDSA].since)
	_, err = again.Sign(jose.EdDSA, "JWT", []byte(`{}`))
	require.NoError(t, err)

	_, next, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	both, changed, err := again.Import("", next, nil, testNow.Add(2*time.Hour))
	require.NoError(t, err)
	require.True(t, changed)
	_, err = both.Verifier().Verify(raw, "JWT")
	require.NoError(t, err, "a replaced file overlaps")
	back, changed, err := both.Import("", file, chain, testNow.Add(3*time.Hour))
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, again.signers[jose.EdDSA].kid, back.signers[jose.EdDSA].kid)
	require.Len(t, back.signing, 3)

	generated, added, err := stored.WithAlgorithms([]jose.SignatureAlgorithm{jose.EdDSA}, testNow)
	require.NoError(t, err)
	require.True(t, added, "the file is gone from the config")
	_, err = generated.Sign(jose.EdDSA, "JWT", []byte(`{}`))
	require.NoError(t, err)
}

func TestImport_Refuses(t *testing.T) {
	_, file, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, other, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, _, err = otherKeys().Import(jose.ES256, file, nil, testNow)
	require.ErrorIs(t, err, ErrKey, "a key of another kind")
	_, _, err = otherKeys().Import("", file, []*x509.Certificate{certificate(t, other)}, testNow)
	require.ErrorIs(t, err, ErrKey, "a certificate of another key")
	_, _, err = otherKeys().Import("HS256", file, nil, testNow)
	require.ErrorIs(t, err, ErrAlgorithm)

	keys, _, err := otherKeys().Import("", testRSA(), nil, testNow)
	require.NoError(t, err)
	require.Equal(t, []jose.SignatureAlgorithm{jose.ES256, jose.RS256}, keys.Algorithms(), "RS256 for RSA")
	_, _, err = keys.Import(jose.PS256, testRSA(), nil, testNow)
	require.ErrorIs(t, err, ErrKey, "RFC 8725 §3.1: one key, one algorithm")

	weak := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}}
	_, _, err = otherKeys().Import("", weak, nil, testNow)
	require.ErrorIs(t, err, ErrKey)
}

func TestSecretsDontPrint(t *testing.T) {
	decrypter, err := NewDecrypter(jwksOf(t, jose.JSONWebKey{Key: testRSA(), KeyID: "a"}))
	require.NoError(t, err)
	for _, secret := range []any{testKeys(), testKeys().Sealer("x"), decrypter} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			require.Equal(t, "[redacted]", fmt.Sprintf(verb, secret))
		}
	}
}

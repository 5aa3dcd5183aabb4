package token

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

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
		"too large": {strings.Repeat(" ", maxDocument) + string(doc), ErrMalformed},
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

func TestSecretsDontPrint(t *testing.T) {
	decrypter, err := NewDecrypter(jwksOf(t, jose.JSONWebKey{Key: testRSA(), KeyID: "a"}))
	require.NoError(t, err)
	file, err := NewFileKey("", testRSA(), nil)
	require.NoError(t, err)
	for _, secret := range []any{testKeys(), testKeys().Sealer("x"), decrypter, file} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			require.Equal(t, "[redacted]", fmt.Sprintf(verb, secret))
		}
	}
}

package token

import (
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// FuzzVerify: what is accepted here, go-jose accepts too, with the same payload.
func FuzzVerify(f *testing.F) {
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256} {
		f.Add(goodJWS(f, alg))
		f.Add(goodJWS(f, alg) + "=")
		f.Add(strings.ToUpper(goodJWS(f, alg)))
	}
	f.Add(forge(f, jose.ES256, `{"alg":"ES256","crit":["x"],"typ":"at+jwt"}`, `{}`))
	f.Add("..")
	var set jose.JSONWebKeySet
	require.NoError(f, json.Unmarshal(testKeys().JWKS(), &set))
	f.Fuzz(func(t *testing.T, raw string) {
		payload, err := testKeys().Verifier().Verify(raw, TypeAccessToken)
		if err != nil {
			require.Nil(t, payload)
			require.True(t, isKind(err), "%v is none of the kinds", err)
			return
		}
		parsed, err := jose.ParseSignedCompact(raw, everyAlgorithm)
		require.NoError(t, err)
		theirs, err := parsed.Verify(set)
		require.NoError(t, err)
		require.Equal(t, theirs, payload)
	})
}

func isKind(err error) bool {
	for _, kind := range kinds() {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// FuzzParseAccessToken: what is accepted is written again as the same token.
func FuzzParseAccessToken(f *testing.F) {
	good, err := goodClaims().Marshal()
	require.NoError(f, err)
	f.Add(good)
	for name, raw := range map[string]string{
		"aud": `["a","b"]`, "scope": `["a","b"]`, "act": `{"sub":"a","act":{"client_id":"b"}}`, "exp": "1772366700.25",
		"x": `{"y":[1,null,true,"\ud83d\ude00"]}`, "nbf": "1.7e9",
	} {
		f.Add(claimsWith(f, name, raw))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		token, err := ParseAccessToken(payload, testNow, time.Minute)
		if err != nil {
			require.Nil(t, token)
			require.True(t, isKind(err), "%v is none of the kinds", err)
			return
		}
		written, err := token.Marshal()
		require.NoError(t, err)
		if len(written) > MaxSize {
			return
		}
		again, err := ParseAccessToken(written, testNow, time.Minute)
		require.NoError(t, err)
		// The one difference that writing makes: empty lists are left out.
		normalize(token)
		normalize(again)
		require.Equal(t, token, again)
	})
}

func normalize(a *AccessToken) {
	if len(a.Scope) == 0 {
		a.Scope, a.ScopeAsArray = nil, false
	}
	if len(a.Roles) == 0 {
		a.Roles = nil
	}
}

// FuzzClaims: what is accepted means the same to encoding/json.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":[1,-2.5e+10,true,false,null,"\u00e9\ud83d\ude00"]}`, `{"a":{"b":{}}}`,
		`{"a":1,"a":2}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", strings.Repeat(`{"a":`, 17), ` { "a" : 0 } `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		claims, err := Claims(text)
		if err != nil {
			require.Nil(t, claims)
			return
		}
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.UseNumber()
		var theirs map[string]any
		require.NoError(t, decoder.Decode(&theirs))
		require.True(t, reflect.DeepEqual(theirs, claims))
	})
}

// FuzzNewEncrypter: a key set that is taken has a key that encrypts.
func FuzzNewEncrypter(f *testing.F) {
	jws := goodJWS(f, jose.EdDSA)
	for _, keys := range pairs(f) {
		f.Add(keys.public)
		f.Add(keys.private)
	}
	f.Add([]byte(x25519Set(`"x":"` + lowOrder[0] + `"`)))
	f.Fuzz(func(t *testing.T, set []byte) {
		for _, alg := range []string{"RSA-OAEP-512", "ECDH-ES"} {
			encrypter, err := NewEncrypter(set, alg, "A256GCM")
			if err != nil {
				require.Nil(t, encrypter)
				require.True(t, isKind(err), "%v is none of the kinds", err)
				continue
			}
			raw, err := encrypter.Encrypt(jws, testNow, nil)
			if err != nil {
				require.ErrorIs(t, err, ErrExpired)
				continue
			}
			require.True(t, IsJWE(raw))
		}
	})
}

// FuzzDecrypt: what opens is a compact JWS, and go-jose opens it to the same.
func FuzzDecrypt(f *testing.F) {
	jws := goodJWS(f, jose.EdDSA)
	seed, err := testKeys().Encrypt(jws)
	require.NoError(f, err)
	f.Add(seed)
	f.Add(withPart(seed, 0, b64(`{"alg":"dir","enc":"A256GCM","kid":"0"}`)))
	f.Add(withPart(seed, 0, b64(`{"alg":"A256KW","enc":"A256GCM","kid":"0","zip":"DEF"}`)))
	public := jwksOf(f, jose.JSONWebKey{Key: &testRSA().PublicKey, KeyID: "rs-1"})
	encrypter, err := NewEncrypter(public, "RSA-OAEP-256", "A128CBC-HS256")
	require.NoError(f, err)
	owner := testKeys().Sealer("content-key")
	seed, err = encrypter.Encrypt(jws, testNow, owner)
	require.NoError(f, err)
	f.Add(seed)
	decrypter, err := NewDecrypter(jwksOf(f, jose.JSONWebKey{Key: testRSA(), KeyID: "rs-1"}))
	require.NoError(f, err)
	ec := newEC(f, elliptic.P256())
	encrypter, err = NewEncrypter(jwksOf(f, jose.JSONWebKey{Key: &ec.PublicKey, KeyID: "rs-2"}), "ECDH-ES", "A128CBC-HS256")
	require.NoError(f, err)
	seed, err = encrypter.Encrypt(jws, testNow, nil)
	require.NoError(f, err)
	f.Add(seed)
	ecDecrypter, err := NewDecrypter(jwksOf(f, jose.JSONWebKey{Key: ec, KeyID: "rs-2"}))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, raw string) {
		for _, c := range []struct {
			open func(string) (string, error)
			key  any
		}{
			{testKeys().Decrypt, testKeys().server[0].secret},
			{decrypter.Decrypt, testRSA()},
			{ecDecrypter.Decrypt, ec},
			{owner.OpenJWE, testRSA()},
		} {
			inside, err := c.open(raw)
			if err != nil {
				require.Empty(t, inside)
				require.True(t, isKind(err), "%v is none of the kinds", err)
				continue
			}
			require.True(t, isJWS(inside))
			parsed, err := jose.ParseEncryptedCompact(raw,
				[]jose.KeyAlgorithm{jose.A256KW, jose.RSA_OAEP_256, jose.ECDH_ES}, []jose.ContentEncryption{jose.A256GCM, jose.A128CBC_HS256})
			require.NoError(t, err)
			theirs, err := parsed.Decrypt(c.key)
			require.NoError(t, err)
			require.Equal(t, string(theirs), inside)
		}
	})
}

// FuzzOpen: only what Seal made opens, so a mutation never does.
func FuzzOpen(f *testing.F) {
	s := testKeys().Sealer("fuzz")
	seed := s.Seal([]byte("secret"), []byte("context"))
	f.Add(seed, []byte("context"))
	f.Add(seed, []byte("other"))
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, sealed string, context []byte) {
		plaintext, err := s.Open(sealed, context)
		if sealed == seed && string(context) == "context" {
			require.NoError(t, err)
			require.Equal(t, "secret", string(plaintext))
			return
		}
		require.ErrorIs(t, err, ErrSeal)
		require.Nil(t, plaintext)
	})
}

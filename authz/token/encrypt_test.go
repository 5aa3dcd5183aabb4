package token

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// pair is a resource server's key, private and public.
type pair struct{ private, public []byte }

func pairs(t testing.TB) map[string]pair {
	t.Helper()
	of := func(private any, public any) pair {
		return pair{
			jwksOf(t, jose.JSONWebKey{Key: private, KeyID: "rs-1", Use: "enc"}),
			jwksOf(t, jose.JSONWebKey{Key: public, KeyID: "rs-1", Use: "enc"}),
		}
	}
	all := map[string]pair{"RSA": of(testRSA(), &testRSA().PublicKey)}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key := newEC(t, curve)
		all[curve.Params().Name] = of(key, &key.PublicKey)
	}
	all["X25519"] = x25519Pair(newX25519(t), `"kid":"rs-1","use":"enc"`)
	return all
}

// goJoseKnows tells what can be compared with go-jose. The rest is compared
// with another library by vectors.
func goJoseKnows(kind, alg string) bool {
	return kind != "X25519" && alg != "RSA-OAEP-384" && alg != "RSA-OAEP-512"
}

func TestR4_EveryCombinationOpens(t *testing.T) {
	jws := goodJWS(t, jose.ES256)
	for kind, keys := range pairs(t) {
		decrypter, err := NewDecrypter(keys.private)
		require.NoError(t, err)
		for alg := range keyManagements {
			if isRSA := strings.HasPrefix(alg, "RSA"); isRSA != (kind == "RSA") {
				_, err := NewEncrypter(keys.public, alg, "A256GCM")
				require.ErrorIs(t, err, ErrKey, "%s with a key for %s", alg, kind)
				continue
			}
			for enc := range contentCiphers {
				name := fmt.Sprintf("%s %s %s", kind, alg, enc)
				encrypter, err := NewEncrypter(keys.public, alg, enc)
				require.NoError(t, err, name)
				raw, err := encrypter.Encrypt(jws, testNow, nil)
				require.NoError(t, err, name)
				inside, err := decrypter.Decrypt(raw)
				require.NoError(t, err, name)
				require.Equal(t, jws, inside)
			}
		}
	}
}

func TestR4_EveryCombinationAgreesWithGoJose(t *testing.T) {
	jws := goodJWS(t, jose.ES256)
	for kind, keys := range pairs(t) {
		for alg := range keyManagements {
			if isRSA := strings.HasPrefix(alg, "RSA"); isRSA != (kind == "RSA") || !goJoseKnows(kind, alg) {
				continue
			}
			for enc := range contentCiphers {
				name := fmt.Sprintf("%s %s %s", kind, alg, enc)
				encrypter, err := NewEncrypter(keys.public, alg, enc)
				require.NoError(t, err, name)
				raw, err := encrypter.Encrypt(jws, testNow, nil)
				require.NoError(t, err, name)
				goJoseOpens(t, keys, raw, alg, enc, jws)

				decrypter, err := NewDecrypter(keys.private)
				require.NoError(t, err)
				inside, err := decrypter.Decrypt(goJoseMakes(t, keys, alg, enc, jws))
				require.NoError(t, err, name)
				require.Equal(t, jws, inside)
			}
		}
	}
}

func goJoseOpens(t *testing.T, keys pair, raw, alg, enc, jws string) {
	t.Helper()
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(keys.private, &set))
	parsed, err := jose.ParseEncryptedCompact(raw, []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.ContentEncryption(enc)})
	require.NoError(t, err)
	require.Equal(t, "rs-1", parsed.Header.KeyID)
	require.Equal(t, "JWT", parsed.Header.ExtraHeaders["cty"])
	require.NotContains(t, parsed.Header.ExtraHeaders, jose.HeaderKey("zip"))
	inside, err := parsed.Decrypt(set.Keys[0].Key)
	require.NoError(t, err)
	require.Equal(t, jws, string(inside))
}

func goJoseMakes(t *testing.T, keys pair, alg, enc, jws string) string {
	t.Helper()
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(keys.public, &set))
	recipient := jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: set.Keys[0].Key, KeyID: "rs-1"}
	encrypter, err := jose.NewEncrypter(jose.ContentEncryption(enc), recipient, nil)
	require.NoError(t, err)
	made, err := encrypter.Encrypt([]byte(jws))
	require.NoError(t, err)
	raw, err := made.CompactSerialize()
	require.NoError(t, err)
	return raw
}

func TestR4_KeyIsPickedByWhatItSays(t *testing.T) {
	ec, other := newEC(t, elliptic.P256()), newEC(t, elliptic.P256())
	set := jwksOf(
		t,
		jose.JSONWebKey{Key: &ec.PublicKey, KeyID: "signs", Use: "sig"},
		jose.JSONWebKey{Key: &ec.PublicKey, KeyID: "wraps", Algorithm: "ECDH-ES+A256KW"},
		jose.JSONWebKey{Key: &testRSA().PublicKey, KeyID: "rsa"},
		jose.JSONWebKey{Key: &other.PublicKey, KeyID: "any"},
	)
	for alg, kid := range map[string]string{"ECDH-ES+A256KW": "wraps", "ECDH-ES": "any", "RSA-OAEP-256": "rsa"} {
		encrypter, err := NewEncrypter(set, alg, "A128GCM")
		require.NoError(t, err)
		require.Equal(t, kid, encrypter.kid)
	}
}

func TestR4_NothingFitsSaysWhy(t *testing.T) {
	ec := newEC(t, elliptic.P256())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	public := func(k jose.JSONWebKey) string { return string(jwksOf(t, k)) }
	small := `{"keys":[{"kty":"RSA","kid":"small","e":"AQAB","n":"` + b64(strings.Repeat("\xc1", 128)) + `"}]}`
	even := `{"keys":[{"kty":"RSA","e":"Ag","n":"` + b64(strings.Repeat("\xc1", 256)) + `"}]}`
	offCurve := `{"keys":[{"kty":"EC","crv":"P-256","x":"` + b64(strings.Repeat("\x01", 32)) + `","y":"` + b64(strings.Repeat("\x02", 32)) + `"}]}`
	for _, c := range []struct{ name, doc, alg, enc, want string }{
		{"R4 key of another alg", public(jose.JSONWebKey{Key: &testRSA().PublicKey, Algorithm: "RSA-OAEP"}), "RSA-OAEP-256", "A256GCM", `unusable key: no key of the JWKS fits RSA-OAEP-256: [key 1 has alg "RSA-OAEP"]`},
		{"R4 key for signatures", public(jose.JSONWebKey{Key: &testRSA().PublicKey, Use: "sig"}), "RSA-OAEP-256", "A256GCM", `unusable key: no key of the JWKS fits RSA-OAEP-256: [key 1 is for signatures]`},
		{"R4 wrong type", public(jose.JSONWebKey{Key: &ec.PublicKey}), "RSA-OAEP", "A256GCM", `unusable key: no key of the JWKS fits RSA-OAEP: [key 1 is no RSA key]`},
		{"R4 wrong type, EC", public(jose.JSONWebKey{Key: ed.Public()}), "ECDH-ES", "A256GCM", `unusable key: no key of the JWKS fits ECDH-ES: [key 1 is no EC or X25519 key]`},
		{"R4 too small", small, "RSA-OAEP", "A256GCM", `unusable key: no key of the JWKS fits RSA-OAEP: [key 1 has 1024 bits, want 2048 to 8192]`},
		{"even exponent", even, "RSA-OAEP-384", "A256GCM", `unusable key: no key of the JWKS fits RSA-OAEP-384: [key 1 encrypts nothing: crypto/rsa: public exponent is even]`},
		{"point off the curve", offCurve, "ECDH-ES", "A256GCM", `unusable key: no key of the JWKS fits ECDH-ES: [key 1 unusable key: is of an unknown type or broken]`},
		{"A16 empty set", `{"keys":[]}`, "ECDH-ES", "A256GCM", `unusable key: the JWKS has no keys`},
		{"private", string(jwksOf(t, jose.JSONWebKey{Key: ec})), "ECDH-ES", "A256GCM", `unusable key: key 1 of the JWKS is private or symmetric; publish public keys only`},
		{"private beside a good one", string(jwksOf(t, jose.JSONWebKey{Key: &ec.PublicKey}, jose.JSONWebKey{Key: testRSA()})), "ECDH-ES", "A256GCM", `unusable key: key 2 of the JWKS is private or symmetric; publish public keys only`},
		{"symmetric", `{"keys":[{"kty":"oct","k":"AAAA"}]}`, "ECDH-ES", "A256GCM", `unusable key: key 1 of the JWKS is private or symmetric; publish public keys only`},
		{"unknown alg", public(jose.JSONWebKey{Key: &ec.PublicKey}), "ECDH-1PU", "A256GCM", `algorithm refused: key management "ECDH-1PU" is not supported, use one of ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A192KW, ECDH-ES+A256KW, RSA-OAEP, RSA-OAEP-256, RSA-OAEP-384, RSA-OAEP-512`},
		{"unknown enc", public(jose.JSONWebKey{Key: &ec.PublicKey}), "ECDH-ES", "none", `algorithm refused: content encryption "none" is not supported, use one of A128CBC-HS256, A128GCM, A192CBC-HS384, A192GCM, A256CBC-HS512, A256GCM`},
		{"no JSON", "x", "ECDH-ES", "A256GCM", `JWKS: malformed: JSON value has another type`},
	} {
		t.Run(c.name, func(t *testing.T) {
			encrypter, err := NewEncrypter([]byte(c.doc), c.alg, c.enc)
			require.EqualError(t, err, c.want)
			require.Nil(t, encrypter)
		})
	}
	for _, alg := range []string{"RSA1_5", "dir", "A128KW", "A256KW", "A256GCMKW", "PBES2-HS256+A128KW", ""} {
		_, err := NewEncrypter(jwksOf(t), alg, "A256GCM")
		require.ErrorIs(t, err, ErrAlgorithm)
	}
}

func TestR7_ServersOwnKidsAreRefused(t *testing.T) {
	ec := newEC(t, elliptic.P256())
	for _, kid := range []string{"0", "1", "9", "10"} {
		set := jwksOf(t, jose.JSONWebKey{Key: &ec.PublicKey, KeyID: "good"}, jose.JSONWebKey{Key: &ec.PublicKey, KeyID: kid, Use: "sig"})
		_, err := NewEncrypter(set, "ECDH-ES", "A256GCM")
		require.ErrorIs(t, err, ErrKey)
		require.ErrorContains(t, err, `0 to 10 belong to the server's own keys`)
	}
	for _, kid := range []string{"11", "00", "-1", "+1", "1.0", "", "a0"} {
		_, err := NewEncrypter(jwksOf(t, jose.JSONWebKey{Key: &ec.PublicKey, KeyID: kid}), "ECDH-ES", "A256GCM")
		require.NoError(t, err, kid)
	}
}

func TestA16_ExpiredKeyIssuesNothing(t *testing.T) {
	jws := goodJWS(t, jose.ES256)
	ec := newEC(t, elliptic.P256())
	end := testNow.Add(time.Hour)
	set := strings.Replace(string(jwksOf(t, jose.JSONWebKey{Key: &ec.PublicKey})), `{"kty"`, fmt.Sprintf(`{"exp":%d,"kty"`, end.Unix()), 1)
	encrypter, err := NewEncrypter([]byte(set), "ECDH-ES", "A256GCM")
	require.NoError(t, err)
	_, err = encrypter.Encrypt(jws, end.Add(-time.Second), nil)
	require.NoError(t, err)
	raw, err := encrypter.Encrypt(jws, end, nil)
	require.ErrorIs(t, err, ErrExpired)
	require.Empty(t, raw)

	_, err = NewEncrypter([]byte(strings.Replace(set, fmt.Sprint(end.Unix()), `"never"`, 1)), "ECDH-ES", "A256GCM")
	require.ErrorIs(t, err, ErrKey, "an exp that says nothing")
	certified := jose.JSONWebKey{Key: &ec.PublicKey, Certificates: []*x509.Certificate{certificate(t, ec)}}
	encrypter, err = NewEncrypter(jwksOf(t, certified), "ECDH-ES", "A256GCM")
	require.NoError(t, err)
	_, err = encrypter.Encrypt(jws, end, nil)
	require.ErrorIs(t, err, ErrExpired, "by its certificate")
	_, err = encrypter.Encrypt(`{"sub":"a"}`, testNow, nil)
	require.ErrorIs(t, err, ErrMalformed, "only signed tokens")
}

func TestR11_OwnerOpensWhatItMade(t *testing.T) {
	jws := goodJWS(t, jose.ES256)
	owner := testKeys().Sealer("content-key")
	for kind, keys := range pairs(t) {
		alg := "ECDH-ES"
		if kind == "RSA" {
			alg = "RSA-OAEP-256"
		}
		for enc := range contentCiphers {
			encrypter, err := NewEncrypter(keys.public, alg, enc)
			require.NoError(t, err)
			raw, err := encrypter.Encrypt(jws, testNow, owner)
			require.NoError(t, err)
			inside, err := owner.OpenJWE(raw)
			require.NoError(t, err)
			require.Equal(t, jws, inside)
			decrypter, err := NewDecrypter(keys.private)
			require.NoError(t, err)
			inside, err = decrypter.Decrypt(raw)
			require.NoError(t, err, "the resource server doesn't mind the member")
			require.Equal(t, jws, inside)

			_, err = otherKeys().Sealer("content-key").OpenJWE(raw)
			require.ErrorIs(t, err, ErrNotOurs)
			_, err = testKeys().Sealer("cookie").OpenJWE(raw)
			require.ErrorIs(t, err, ErrNotOurs)
			_, err = owner.OpenJWE(withPart(raw, 3, "AAAA"))
			require.ErrorIs(t, err, ErrDecrypt)
			plain, err := encrypter.Encrypt(jws, testNow, nil)
			require.NoError(t, err)
			_, err = owner.OpenJWE(plain)
			require.ErrorIs(t, err, ErrNotOurs, "made without an owner")
		}
	}
}

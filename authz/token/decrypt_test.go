package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func TestA9_ForbiddenKeyManagementFailsBeforeArithmetic(t *testing.T) {
	decrypter, err := NewDecrypter(jwksOf(t, jose.JSONWebKey{Key: testRSA(), KeyID: "rs-1"}))
	require.NoError(t, err)
	for _, head := range []string{
		`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","kid":"rs-1","p2c":2147483647,"p2s":"AAAA"}`,
		`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","kid":"rs-1","p2c":1000000,"p2s":"AAAA"}`,
		`{"alg":"dir","enc":"A128GCM","kid":"rs-1"}`,
		`{"alg":"RSA1_5","enc":"A128GCM","kid":"rs-1"}`,
		`{"alg":"A128KW","enc":"A128GCM","kid":"rs-1"}`,
		`{"alg":"A256GCMKW","enc":"A128GCM","kid":"rs-1"}`,
		`{"enc":"A128GCM","kid":"rs-1"}`,
		`{"alg":"RSA-OAEP","enc":"none","kid":"rs-1"}`,
		`{"alg":"RSA-OAEP","kid":"rs-1"}`,
	} {
		raw := b64(head) + "." + b64(strings.Repeat("k", 24)) + "." + b64(strings.Repeat("i", 12)) + ".AAAA." + b64(strings.Repeat("t", 16))
		_, err := decrypter.Decrypt(raw)
		require.ErrorIs(t, err, ErrAlgorithm, head)
		_, err = testKeys().Decrypt(raw)
		require.Error(t, err, head)
	}
}

func TestA10_DecrypterRefusesZip(t *testing.T) {
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: &testRSA().PublicKey, KeyID: "rs-1"},
		&jose.EncrypterOptions{Compression: jose.DEFLATE})
	require.NoError(t, err)
	bomb, err := encrypter.Encrypt([]byte(strings.Repeat("A", 10<<20)))
	require.NoError(t, err)
	raw, err := bomb.CompactSerialize()
	require.NoError(t, err)
	decrypter, err := NewDecrypter(jwksOf(t, jose.JSONWebKey{Key: testRSA(), KeyID: "rs-1"}))
	require.NoError(t, err)
	_, err = decrypter.Decrypt(raw)
	require.EqualError(t, err, "malformed: header has zip")
}

func TestA11_DecrypterWantsASignedToken(t *testing.T) {
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: &testRSA().PublicKey}, nil)
	require.NoError(t, err)
	made, err := encrypter.Encrypt([]byte(`{"sub":"admin"}`))
	require.NoError(t, err)
	raw, err := made.CompactSerialize()
	require.NoError(t, err)
	decrypter, err := NewDecrypter(jwksOf(t, jose.JSONWebKey{Key: testRSA(), KeyID: "rs-1"}))
	require.NoError(t, err)
	_, err = decrypter.Decrypt(raw)
	require.ErrorIs(t, err, ErrMalformed)
}

func TestDecrypter_FindsTheKey(t *testing.T) {
	jws := goodJWS(t, jose.ES256)
	ec := newEC(t, elliptic.P256())
	public := jwksOf(t, jose.JSONWebKey{Key: &ec.PublicKey, KeyID: "new"})
	encrypter, err := NewEncrypter(public, "ECDH-ES+A128KW", "A128CBC-HS256")
	require.NoError(t, err)
	raw, err := encrypter.Encrypt(jws, testNow, nil)
	require.NoError(t, err)
	decrypter := func(keys ...jose.JSONWebKey) *Decrypter {
		d, err := NewDecrypter(jwksOf(t, keys...))
		require.NoError(t, err)
		return d
	}
	old := jose.JSONWebKey{Key: testRSA(), KeyID: "old"}
	_, err = decrypter(old, jose.JSONWebKey{Key: ec, KeyID: "new"}).Decrypt(raw)
	require.NoError(t, err)
	for name, d := range map[string]*Decrypter{
		"other kid": decrypter(old),
		"other alg": decrypter(jose.JSONWebKey{Key: ec, KeyID: "new", Algorithm: "ECDH-ES"}),
		"RSA":       decrypter(jose.JSONWebKey{Key: testRSA(), KeyID: "new"}),
	} {
		_, err = d.Decrypt(raw)
		require.ErrorIs(t, err, ErrNotOurs, name)
	}
	_, err = decrypter(jose.JSONWebKey{Key: newEC(t, elliptic.P256()), KeyID: "new"}).Decrypt(raw)
	require.ErrorIs(t, err, ErrDecrypt)
	for name, head := range map[string]string{
		"epk of another curve": `{"alg":"ECDH-ES+A128KW","enc":"A128CBC-HS256","kid":"new","epk":{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}}`,
		"no epk":               `{"alg":"ECDH-ES+A128KW","enc":"A128CBC-HS256","kid":"new"}`,
		"epk off the curve":    `{"alg":"ECDH-ES+A128KW","enc":"A128CBC-HS256","kid":"new","epk":{"kty":"EC","crv":"P-256","x":"` + b64(strings.Repeat("\x01", 32)) + `","y":"` + b64(strings.Repeat("\x02", 32)) + `"}}`,
	} {
		_, err = decrypter(jose.JSONWebKey{Key: ec, KeyID: "new"}).Decrypt(withPart(raw, 0, b64(head)))
		require.ErrorIs(t, err, ErrDecrypt, name)
	}
}

func TestDecrypter_RefusesBrokenKeyParts(t *testing.T) {
	jws := goodJWS(t, jose.ES256)
	for kind, keys := range pairs(t) {
		decrypter, err := NewDecrypter(keys.private)
		require.NoError(t, err)
		for alg, management := range keyManagements {
			if (kind == "RSA") != (management.hash != nil) {
				continue
			}
			encrypter, err := NewEncrypter(keys.public, alg, "A128GCM")
			require.NoError(t, err)
			raw, err := encrypter.Encrypt(jws, testNow, nil)
			require.NoError(t, err)
			direct := management.hash == nil && management.wrapSize == 0
			for name, encryptedKey := range map[string]string{
				"altered": flip(part(raw, 1)), "cut": "AAAA", "too long": strings.Repeat("A", 4096),
			} {
				_, err = decrypter.Decrypt(withPart(raw, 1, encryptedKey))
				if direct {
					require.EqualError(t, err, alg+": malformed: an encrypted key where the key is agreed on", kind)
				} else {
					require.ErrorIs(t, err, ErrDecrypt, "%s %s %s", kind, alg, name)
				}
			}
			_, err = decrypter.Decrypt(withPart(raw, 3, flip(part(raw, 3))))
			require.ErrorIs(t, err, ErrDecrypt, "%s %s", kind, alg)
			_, err = decrypter.Decrypt(withPart(raw, 2, "AAAA"))
			require.ErrorIs(t, err, ErrMalformed, "%s %s", kind, alg)
		}
	}
}

// flip changes the first bits of base64url, or adds some where there are none.
func flip(text string) string {
	if text == "" {
		return "AAAA"
	}
	first := "A"
	if text[0] == 'A' {
		first = "B"
	}
	return first + text[1:]
}

func TestDecrypter_ReadsEphemeralKeysStrictly(t *testing.T) {
	ec, okp := newEC(t, elliptic.P256()), newX25519(t)
	ecKey := jwksOf(t, jose.JSONWebKey{Key: ec, KeyID: "k"})
	okpKey := x25519Pair(okp, `"kid":"k"`).private
	x, y := b64(string(point(t, ec)[1:33])), b64(string(point(t, ec)[33:]))
	shifted := `{"kty":"EC","crv":"P-256","x":"` + b64(string(point(t, ec)[1:32])) + `","y":"` + b64(string(point(t, ec)[32:])) + `"}`
	good := b64(string(okp.PublicKey().Bytes()))
	for _, c := range []struct {
		name      string
		key       []byte
		epk, more string
		kind      error
		reason    string
	}{
		{"of X25519 for EC", ecKey, `{"kty":"OKP","crv":"X25519","x":"` + good + `"}`, "", ErrDecrypt, "epk is of another curve than the key"},
		{"of EC for X25519", okpKey, `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `"}`, "", ErrDecrypt, "epk is of another curve than the key"},
		{"kty of another", okpKey, `{"kty":"EC","crv":"X25519","x":"` + good + `"}`, "", ErrDecrypt, "epk is of another curve than the key"},
		{"RFC 7518 §6.2.1.2 bytes moved from x to y", ecKey, shifted, "", ErrDecrypt, "epk has x and y of different sizes"},
		{"x cut", okpKey, `{"kty":"OKP","crv":"X25519","x":"AAAA"}`, "", ErrDecrypt, "epk is no point of its curve"},
		{"x with padding", okpKey, `{"kty":"OKP","crv":"X25519","x":"` + good + `="}`, "", ErrDecrypt, "epk is not base64url"},
		{"x with a line break", okpKey, `{"kty":"OKP","crv":"X25519","x":"` + good + `\n"}`, "", ErrDecrypt, "epk is not base64url"},
		{"RFC 7748 §6.1 low order", okpKey, `{"kty":"OKP","crv":"X25519","x":"` + lowOrder[1] + `"}`, "", ErrDecrypt, "epk is a point of low order"},
		{"RFC 7518 §4.6.1.1 private part", okpKey, `{"kty":"OKP","crv":"X25519","x":"` + good + `","d":"` + good + `"}`, "", ErrMalformed, "epk has a private part"},
		{"no object", okpKey, `"` + good + `"`, "", ErrMalformed, "JSON value has another type"},
		{"x no string", okpKey, `{"kty":"OKP","crv":"X25519","x":1}`, "", ErrMalformed, "JSON value is not a string"},
		{"apu no base64url", okpKey, `{"kty":"OKP","crv":"X25519","x":"` + good + `"}`, `,"apu":"%"`, ErrMalformed, "part is not base64url"},
		{"apv no base64url", okpKey, `{"kty":"OKP","crv":"X25519","x":"` + good + `"}`, `,"apv":"A="`, ErrMalformed, "part is not base64url"},
	} {
		t.Run(c.name, func(t *testing.T) {
			decrypter, err := NewDecrypter(c.key)
			require.NoError(t, err)
			head := `{"alg":"ECDH-ES","enc":"A128GCM","kid":"k","epk":` + c.epk + c.more + `}`
			_, err = decrypter.Decrypt(b64(head) + ".." + b64(strings.Repeat("i", 12)) + ".AAAA." + b64(strings.Repeat("t", 16)))
			require.ErrorIs(t, err, c.kind)
			require.ErrorContains(t, err, c.reason)
		})
	}
}

// point is the uncompressed form of an EC public key.
func point(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	public, err := key.PublicKey.ECDH()
	require.NoError(t, err)
	return public.Bytes()
}

func TestNewDecrypter_Refuses(t *testing.T) {
	ec := newEC(t, elliptic.P256())
	for name, doc := range map[string][]byte{
		"public":       jwksOf(t, jose.JSONWebKey{Key: &ec.PublicKey}),
		"signs":        jwksOf(t, jose.JSONWebKey{Key: ec, Use: "sig"}),
		"shared kid":   jwksOf(t, jose.JSONWebKey{Key: ec}, jose.JSONWebKey{Key: testRSA()}),
		"alg of EC":    jwksOf(t, jose.JSONWebKey{Key: testRSA(), Algorithm: "ECDH-ES"}),
		"alg of RSA":   jwksOf(t, jose.JSONWebKey{Key: ec, Algorithm: "RSA-OAEP"}),
		"RSA1_5":       jwksOf(t, jose.JSONWebKey{Key: testRSA(), Algorithm: "RSA1_5"}),
		"symmetric":    jwksOf(t, jose.JSONWebKey{Key: []byte("0123456789abcdef")}),
		"empty":        jwksOf(t),
		"unknown type": []byte(`{"keys":[{"kty":"XYZ"}]}`),
	} {
		_, err := NewDecrypter(doc)
		require.ErrorIs(t, err, ErrKey, name)
	}
	_, err := NewDecrypter([]byte("{"))
	require.ErrorIs(t, err, ErrMalformed)
}

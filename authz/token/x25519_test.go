package token

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// lowOrder are points with which every key agrees on the same secret: 0, 1, a
// point of order 8, p-1 and p.
var lowOrder = []string{
	b64(strings.Repeat("\x00", 32)),
	b64("\x01" + strings.Repeat("\x00", 31)),
	"4Ot6fDtBuK4WVuP68Z_EatoJjeucMrH9hmIFFl9JuAA",
	b64("\xec" + strings.Repeat("\xff", 30) + "\x7f"),
	b64("\xed" + strings.Repeat("\xff", 30) + "\x7f"),
}

func newX25519(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// x25519Pair writes a key as JWKS documents, which go-jose can't, with more
// members.
func x25519Pair(key *ecdh.PrivateKey, more string) pair {
	x := `"x":"` + b64(string(key.PublicKey().Bytes())) + `"`
	d := `"d":"` + b64(string(key.Bytes())) + `"`
	if more != "" {
		x += "," + more
	}
	return pair{[]byte(x25519Set(x + "," + d)), []byte(x25519Set(x))}
}

func x25519Set(members string) string {
	return `{"keys":[{"kty":"OKP","crv":"X25519",` + members + `}]}`
}

func TestX25519_PublicKeysAreReadStrictly(t *testing.T) {
	key := newX25519(t)
	good := b64(string(key.PublicKey().Bytes()))
	for name, c := range map[string]struct{ members, want string }{
		"RFC 8037 §2 no x":     {`"kid":"a"`, "key 1 unusable key: has an x that is not 32 bytes"},
		"x too short":          {`"x":"` + good[:40] + `"`, "has an x that is not 32 bytes"},
		"x too long":           {`"x":"` + good[:40] + `AAAA"`, "has an x that is not 32 bytes"},
		"x with padding":       {`"x":"` + good + `="`, "has an x that is not base64url"},
		"x with a line break":  {`"x":"` + good + `\n"`, "has an x that is not base64url"},
		"x no string":          {`"x":1`, "has a member x that is no string"},
		"kid no string":        {`"x":"` + good + `","kid":["a"]`, "has a member kid that is no string"},
		"RFC 8037 §2 use sig":  {`"x":"` + good + `","use":"sig"`, "is for signatures"},
		"R4 alg of another":    {`"x":"` + good + `","alg":"ECDH-ES+A256KW"`, `has alg "ECDH-ES+A256KW"`},
		"A16 with certificate": {`"x":"` + good + `","x5c":["MIIB"]`, "has a certificate, which is not supported for X25519"},
		"exp that is no date":  {`"x":"` + good + `","exp":"soon"`, "has an exp that is no date"},
		"R7 kid of the server": {`"x":"` + good + `","kid":"3"`, "0 to 10 belong to the server's own keys"},
		"private":              {`"x":"` + good + `","d":"` + good + `"`, "key 1 of the JWKS is private or symmetric"},
	} {
		encrypter, err := NewEncrypter([]byte(x25519Set(c.members)), "ECDH-ES", "A256GCM")
		require.ErrorIs(t, err, ErrKey, name)
		require.ErrorContains(t, err, c.want, name)
		require.Nil(t, encrypter)
	}
	_, err := NewEncrypter(x25519Pair(key, `"alg":"ECDH-ES"`).public, "RSA-OAEP-256", "A256GCM")
	require.ErrorIs(t, err, ErrKey)
	_, err = NewEncrypter(x25519Pair(key, `"alg":"ECDH-ES"`).public, "ECDH-ES", "A256GCM")
	require.NoError(t, err)
}

func TestX25519_LowOrderKeysAreRefused(t *testing.T) {
	for _, x := range lowOrder {
		_, err := NewEncrypter([]byte(x25519Set(`"x":"`+x+`"`)), "ECDH-ES", "A256GCM")
		require.ErrorIs(t, err, ErrKey)
		require.ErrorContains(t, err, "encrypts nothing: key agreement: crypto/ecdh: ")
	}
}

func TestX25519_PrivateKeysAreReadStrictly(t *testing.T) {
	key, other := newX25519(t), newX25519(t)
	x, d := b64(string(key.PublicKey().Bytes())), b64(string(key.Bytes()))
	for name, c := range map[string]struct{ members, want string }{
		"public":                  {`"x":"` + x + `"`, "is no private RSA, EC or X25519 key"},
		"RFC 8037 §2 no x":        {`"d":"` + d + `"`, "has an x that is not 32 bytes"},
		"x of another key":        {`"x":"` + b64(string(other.PublicKey().Bytes())) + `","d":"` + d + `"`, "has x and d of different keys"},
		"d too short":             {`"x":"` + x + `","d":"` + d[:40] + `"`, "has a d that is not 32 bytes"},
		"d with padding":          {`"x":"` + x + `","d":"` + d + `="`, "has a d that is not base64url"},
		"d no string":             {`"x":"` + x + `","d":true`, "has a member d that is no string"},
		"part of a symmetric key": {`"x":"` + x + `","k":"AAAA"`, "has a d that is not 32 bytes"},
		"use sig":                 {`"x":"` + x + `","d":"` + d + `","use":"sig"`, "is for signatures"},
		"alg of RSA":              {`"x":"` + x + `","d":"` + d + `","alg":"RSA-OAEP"`, `alg "RSA-OAEP" is for keys of another type`},
		"alg not supported":       {`"x":"` + x + `","d":"` + d + `","alg":"dir"`, `alg "dir" is not supported, use one of ECDH-ES, `},
	} {
		_, err := NewDecrypter([]byte(x25519Set(c.members)))
		require.ErrorIs(t, err, ErrKey, name)
		require.ErrorContains(t, err, c.want, name)
		require.NotContains(t, err.Error(), d, "the private part stays out of errors")
	}
}

func TestA16_ExpiredX25519KeyIssuesNothing(t *testing.T) {
	end := testNow.Add(time.Hour)
	encrypter, err := NewEncrypter(x25519Pair(newX25519(t), fmt.Sprintf(`"exp":%d`, end.Unix())).public, "ECDH-ES", "A256GCM")
	require.NoError(t, err)
	jws := goodJWS(t, jose.ES256)
	_, err = encrypter.Encrypt(jws, end.Add(-time.Second), nil)
	require.NoError(t, err)
	_, err = encrypter.Encrypt(jws, end, nil)
	require.ErrorIs(t, err, ErrExpired)
}

func TestVerifier_LeavesX25519KeysOut(t *testing.T) {
	_, err := NewVerifier(x25519Pair(newX25519(t), "").public)
	require.EqualError(t, err, "unusable key: no key of the JWKS verifies signatures")
}

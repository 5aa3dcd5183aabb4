package token

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func TestR3_ServerKeyIsSignThenEncrypt(t *testing.T) {
	jws := goodJWS(t, jose.ES256)
	raw, err := testKeys().Encrypt(jws)
	require.NoError(t, err)
	require.True(t, IsJWE(raw))
	require.False(t, IsJWE(jws))
	inside, err := testKeys().Decrypt(raw)
	require.NoError(t, err)
	require.Equal(t, jws, inside)

	parsed, err := jose.ParseEncryptedCompact(raw, []jose.KeyAlgorithm{jose.A256KW}, []jose.ContentEncryption{jose.A256GCM})
	require.NoError(t, err)
	require.Equal(t, "0", parsed.Header.KeyID)
	require.Equal(t, "JWT", parsed.Header.ExtraHeaders["cty"])
	require.NotContains(t, parsed.Header.ExtraHeaders, jose.HeaderKey("zip"))
	theirs, err := parsed.Decrypt(testKeys().server[0].secret)
	require.NoError(t, err)
	require.Equal(t, jws, string(theirs))

	again, err := testKeys().Encrypt(jws)
	require.NoError(t, err)
	require.NotEqual(t, raw, again)
}

func TestR3_GoJoseEncryptsForTheServer(t *testing.T) {
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.A256KW, Key: testKeys().server[0].secret, KeyID: "0"}, nil)
	require.NoError(t, err)
	made, err := encrypter.Encrypt([]byte(goodJWS(t, jose.ES256)))
	require.NoError(t, err)
	raw, err := made.CompactSerialize()
	require.NoError(t, err)
	_, err = testKeys().Decrypt(raw)
	require.NoError(t, err)
}

func TestDecrypt_NotOurs(t *testing.T) {
	raw, err := testKeys().Encrypt(goodJWS(t, jose.ES256))
	require.NoError(t, err)
	_, err = otherKeys().Decrypt(raw)
	require.ErrorIs(t, err, ErrDecrypt, "same kid, another issuer's key")
	for name, head := range map[string]string{
		"other kid": `{"alg":"A256KW","enc":"A256GCM","kid":"1"}`,
		"no kid":    `{"alg":"A256KW","enc":"A256GCM"}`,
		"other alg": `{"alg":"RSA-OAEP","enc":"A256GCM","kid":"0"}`,
		"other enc": `{"alg":"A256KW","enc":"A128GCM","kid":"0"}`,
		"direct":    `{"alg":"dir","enc":"A256GCM","kid":"0"}`,
	} {
		_, err := testKeys().Decrypt(withPart(raw, 0, b64(head)))
		require.ErrorIs(t, err, ErrNotOurs, name)
	}
	_, err = testKeys().Decrypt(goodJWS(t, jose.ES256))
	require.ErrorIs(t, err, ErrMalformed, "a JWS is no JWE")
}

func TestDecrypt_AlteredAnywhereIsRefused(t *testing.T) {
	raw, err := testKeys().Encrypt(goodJWS(t, jose.EdDSA))
	require.NoError(t, err)
	for i := range raw {
		altered := []byte(raw)
		altered[i] ^= 1
		_, err := testKeys().Decrypt(string(altered))
		require.Errorf(t, err, "byte %d", i)
	}
	// The border between ciphertext and tag moved by three bytes.
	moved := withPart(withPart(raw, 3, part(raw, 3)+part(raw, 4)[:4]), 4, part(raw, 4)[4:])
	_, err = testKeys().Decrypt(moved)
	require.Error(t, err)
}

func TestA11_EncryptionIsNoSignature(t *testing.T) {
	key := testKeys().server[0]
	for name, content := range map[string]string{
		"claims":          `{"sub":"admin"}`,
		"unsigned JWT":    b64(`{"alg":"none"}`) + "." + b64(`{"sub":"admin"}`) + ".",
		"two parts":       b64(`{"alg":"none"}`) + "." + b64(`{"sub":"admin"}`),
		"another JWE":     "a.b.c.d.e",
		"nothing":         "",
		"JWS and newline": goodJWS(t, jose.ES256) + "\n",
	} {
		_, err := testKeys().Encrypt(content)
		require.ErrorIs(t, err, ErrMalformed, "%s goes in", name)
		encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.A256KW, Key: key.secret, KeyID: "0"}, nil)
		require.NoError(t, err)
		made, err := encrypter.Encrypt([]byte(content))
		require.NoError(t, err)
		raw, err := made.CompactSerialize()
		require.NoError(t, err)
		inside, err := testKeys().Decrypt(raw)
		require.ErrorIs(t, err, ErrMalformed, "%s comes out", name)
		require.Empty(t, inside)
	}
	// Signed by somebody else and encrypted well: the signature decides.
	foreign, err := otherKeys().Sign(jose.ES256, TypeAccessToken, []byte(`{}`))
	require.NoError(t, err)
	raw, err := testKeys().Encrypt(foreign)
	require.NoError(t, err)
	inside, err := testKeys().Decrypt(raw)
	require.NoError(t, err)
	_, err = testKeys().Verifier().Verify(inside, TypeAccessToken)
	require.ErrorIs(t, err, ErrUnknownKey)
}

func TestA10_ZipIsRefusedBeforeInflating(t *testing.T) {
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.A256KW, Key: testKeys().server[0].secret, KeyID: "0"},
		&jose.EncrypterOptions{Compression: jose.DEFLATE})
	require.NoError(t, err)
	bomb, err := encrypter.Encrypt([]byte(strings.Repeat("A", 10<<20)))
	require.NoError(t, err)
	raw, err := bomb.CompactSerialize()
	require.NoError(t, err)
	require.Less(t, len(raw), MaxSize, "small enough to get past the size")
	_, err = testKeys().Decrypt(raw)
	require.EqualError(t, err, "malformed: header has zip")
}

func TestA13_JWEHeaderIsStrict(t *testing.T) {
	raw, err := testKeys().Encrypt(goodJWS(t, jose.ES256))
	require.NoError(t, err)
	for name, more := range map[string]string{
		"crit": `"crit":["exp"]`, "duplicate": `"kid":"0"`, "zip": `"zip":"DEF"`, "empty zip": `"zip":""`,
		"invalid UTF-8": "\"x\":\"\xff\"", "deep": `"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20),
	} {
		head := fmt.Sprintf(`{"alg":"A256KW","enc":"A256GCM","kid":"0",%s}`, more)
		_, err := testKeys().Decrypt(withPart(raw, 0, b64(head)))
		require.ErrorIs(t, err, ErrMalformed, name)
	}
	for name, spelling := range map[string]string{
		"line break": raw[:20] + "\n" + raw[20:], "sixth part": raw + ".x", "four parts": raw[:strings.LastIndexByte(raw, '.')],
		"padding": raw + "==", "too large": raw + strings.Repeat("A", MaxSize), "empty tag": withPart(raw, 4, ""),
		"short IV": withPart(raw, 2, "AAAA"), "no base64url": withPart(raw, 1, "!"),
	} {
		_, err := testKeys().Decrypt(spelling)
		require.ErrorIs(t, err, ErrMalformed, name)
	}
}

func TestEncrypt_SizeIsCapped(t *testing.T) {
	jws, err := testKeys().Sign(jose.ES256, "JWT", make([]byte, 48000))
	require.NoError(t, err)
	_, err = testKeys().Encrypt(jws)
	require.ErrorIs(t, err, ErrMalformed)
}

package token

import (
	"crypto/sha256"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// newVerifierOf is one that has seen nothing.
func newVerifierOf(t *testing.T, keys *Keys) *Verifier {
	t.Helper()
	v, err := NewVerifier(keys.JWKS())
	require.NoError(t, err)
	return v
}

func TestVerify_RememberedTokenIsStillCheckedForTyp(t *testing.T) {
	v, raw := newVerifierOf(t, testKeys()), goodJWS(t, jose.ES256)
	first, err := v.Verify(raw, TypeAccessToken)
	require.NoError(t, err)
	hash := sha256.Sum256([]byte(raw))
	require.True(t, v.verified.has(&hash))

	again, err := v.Verify(raw, TypeAccessToken)
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = v.Verify(raw, "JWT")
	require.ErrorIs(t, err, ErrType)
}

func TestVerify_RememberedTokenVouchesForNoOther(t *testing.T) {
	v, good, other := newVerifierOf(t, testKeys()), goodJWS(t, jose.ES256), goodJWS(t, jose.EdDSA)
	_, err := v.Verify(good, TypeAccessToken)
	require.NoError(t, err)

	for name, forged := range map[string]string{
		"another payload":   withPart(good, 1, encoding.EncodeToString([]byte(`{"sub":"mallory"}`))),
		"another signature": withPart(good, 2, part(goodJWS(t, jose.ES256), 2)[:80]+"AAAAAA"),
		"another header":    withPart(good, 0, part(other, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // a refusal is not remembered as anything else
				_, err := v.Verify(forged, TypeAccessToken)
				require.ErrorIs(t, err, ErrSignature)
			}
			hash := sha256.Sum256([]byte(forged))
			require.False(t, v.verified.has(&hash))
		})
	}
}

func TestVerify_OtherKeysRememberNothing(t *testing.T) {
	raw := goodJWS(t, jose.ES256)
	_, err := newVerifierOf(t, testKeys()).Verify(raw, TypeAccessToken)
	require.NoError(t, err)
	strangers, err := GenerateKeys([]jose.SignatureAlgorithm{jose.ES256}, testNow)
	require.NoError(t, err)
	_, err = newVerifierOf(t, strangers).Verify(raw, TypeAccessToken)
	require.ErrorIs(t, err, ErrUnknownKey)
}

func TestVerifiedTokens_NewerTakesThePlaceOfOlder(t *testing.T) {
	v := new(verifiedTokens)
	older, newer := sha256.Sum256([]byte("older")), sha256.Sum256([]byte("newer"))
	copy(newer[:3], older[:3]) // which is what decides the place
	v.add(&older)
	require.True(t, v.has(&older))
	v.add(&newer)
	require.True(t, v.has(&newer))
	require.False(t, v.has(&older))
}

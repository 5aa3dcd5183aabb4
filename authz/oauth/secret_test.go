package oauth

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewSecret(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		secret := NewSecret()
		bits, err := base64.RawURLEncoding.DecodeString(secret)
		require.NoError(t, err)
		require.Len(t, bits, 32)
		require.True(t, ValidVerifier(secret), "a secret serves as a code verifier (RFC 7636 §4.1)")
		require.False(t, seen[secret])
		seen[secret] = true
	}
}

func TestNewID(t *testing.T) {
	first, err := base64.RawURLEncoding.DecodeString(NewID())
	require.NoError(t, err)
	second, err := base64.RawURLEncoding.DecodeString(NewID())
	require.NoError(t, err)
	require.Len(t, first, 16)
	require.NotEqual(t, first, second)
}

func TestFingerprint(t *testing.T) {
	// FIPS 180-2 Appendix B.1: SHA-256 of "abc".
	require.Equal(t, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", Fingerprint("abc"))
	require.NotEqual(t, Fingerprint("abc"), Fingerprint("abd"))
}

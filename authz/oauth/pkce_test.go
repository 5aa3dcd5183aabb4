package oauth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type pkceVector struct{ Challenge, Method, Verifier string }

func TestVerifyPKCEVectors(t *testing.T) {
	vectors(t, "pkce", func(t *testing.T, v pkceVector, expect string) {
		err := VerifyPKCE(v.Challenge, v.Method, v.Verifier)
		if expect == "ok" {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, Code(expect))
	})
}

func TestRFC7636_AppendixB(t *testing.T) {
	require.Equal(t, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", S256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
}

func TestRFC7636_4_1_Verifier(t *testing.T) {
	for name, row := range map[string]struct {
		verifier string
		want     bool
	}{
		"43 characters":  {strings.Repeat("a", 43), true},
		"128 characters": {strings.Repeat("a", 128), true},
		"42 characters":  {strings.Repeat("a", 42), false},
		"129 characters": {strings.Repeat("a", 129), false},
		"none":           {"", false},
		"unreserved":     {"ABCXYZabcxyz0189-._~" + strings.Repeat("0", 23), true},
		"plus":           {strings.Repeat("a", 42) + "+", false},
		"slash":          {strings.Repeat("a", 42) + "/", false},
		"padding":        {strings.Repeat("a", 42) + "=", false},
		"space":          {strings.Repeat("a", 42) + " ", false},
		"NUL":            {strings.Repeat("a", 42) + "\x00", false},
		"letter abroad":  {strings.Repeat("a", 42) + "é", false},
	} {
		require.Equal(t, row.want, ValidVerifier(row.verifier), name)
	}
}

func TestErrorsOfPKCEHoldNoVerifier(t *testing.T) {
	verifier := NewSecret()
	err := VerifyPKCE(S256(NewSecret()), ChallengeS256, verifier)
	require.ErrorIs(t, err, InvalidGrant)
	require.NotContains(t, err.Error(), verifier)
}

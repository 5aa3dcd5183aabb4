package token

import (
	"crypto"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func TestUnsigned(t *testing.T) {
	none := b64(`{"alg":"none"}`)
	payload, err := Unsigned(none+"."+b64(`{"a":1}`)+".", "", "JWT")
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1}`, string(payload))
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"A1 another spelling":            {b64(`{"alg":"NONE"}`) + "." + b64(`{}`) + ".", ErrAlgorithm},
		"A1 without alg":                 {b64(`{}`) + "." + b64(`{}`) + ".", ErrAlgorithm},
		"signed":                         {goodJWS(t, "ES256"), ErrAlgorithm},
		"RFC 7515 §A.5 with signature":   {none + "." + b64(`{}`) + ".AAAA", ErrSignature},
		"of another type":                {b64(`{"alg":"none","typ":"at+jwt"}`) + "." + b64(`{}`) + ".", ErrType},
		"A13 crit":                       {b64(`{"alg":"none","crit":["x"],"x":1}`) + "." + b64(`{}`) + ".", ErrMalformed},
		"A13 alg twice":                  {b64(`{"alg":"none","alg":"none"}`) + "." + b64(`{}`) + ".", ErrMalformed},
		"RFC 7797 §6 b64":                {b64(`{"alg":"none","b64":false}`) + "." + b64(`{}`) + ".", ErrMalformed},
		"RFC 7515 §7.1 two parts":        {none + "." + b64(`{}`), ErrMalformed},
		"RFC 7515 §2 payload not base64": {none + ".*.", ErrMalformed},
	} {
		_, err := Unsigned(c.raw, "", "JWT")
		require.ErrorIs(t, err, c.want, name)
	}
	alg, err := Algorithm(goodJWS(t, "ES256"))
	require.NoError(t, err)
	require.Equal(t, "ES256", alg)
}

func TestClientVerifierTakesWhatFits(t *testing.T) {
	// A client's key without alg is good for RS and PS alike; one with alg for that alone.
	private, _ := private(t, "RS256")
	for _, alg := range []string{"", "PS256"} {
		jwks := jwksOf(t, jose.JSONWebKey{Key: private.Public(), KeyID: "a", Algorithm: alg})
		v, err := NewClientVerifier(jwks)
		require.NoError(t, err)
		_, err = v.Verify(signedBy(t, private, "PS256"), "")
		require.NoError(t, err)
		_, err = v.Verify(signedBy(t, private, "RS256"), "")
		if alg == "" {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrAlgorithm)
		}
	}
	_, err := NewClientVerifier(jwksOf(t, jose.JSONWebKey{Key: private.Public(), Use: "enc"}))
	require.ErrorIs(t, err, ErrKey)
}

func signedBy(t *testing.T, private crypto.Signer, alg jose.SignatureAlgorithm) string {
	t.Helper()
	a, err := algorithmOf(alg)
	require.NoError(t, err)
	input := b64(`{"alg":"`+string(alg)+`","kid":"a"}`) + "." + b64(`{}`)
	signature, err := a.sign(private, input)
	require.NoError(t, err)
	return input + "." + encoding.EncodeToString(signature)
}

package token

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// vector is one file of testdata/vectors.
type vector struct {
	Source string          `json:"source"`
	Check  string          `json:"check"`
	Typ    string          `json:"typ"`
	Token  string          `json:"token"`
	Claims json.RawMessage `json:"claims"`
	JWKS   json.RawMessage `json:"jwks"`
	Now    int64           `json:"now"`
	Header json.RawMessage `json:"header"`
	Expect struct {
		Agreed     string   `json:"agreed"`
		Payload    string   `json:"payload"`
		Thumbprint string   `json:"thumbprint"`
		Client     string   `json:"client"`
		Scope      []string `json:"scope"`
		Error      string   `json:"error"`
		Reason     string   `json:"reason"`
	} `json:"expect"`
}

// kinds maps what a vector calls an error to the error.
func kinds() map[string]error {
	byName := make(map[string]error)
	for _, kind := range []error{
		ErrMalformed, ErrAlgorithm, ErrUnknownKey, ErrType, ErrSignature, ErrExpired,
		ErrNotYetValid, ErrNotOurs, ErrDecrypt, ErrSeal, ErrKey,
	} {
		byName[kind.Error()] = kind
	}
	return byName
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files, "the vectors are gone")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var v vector
			require.NoError(t, json.Unmarshal(text, &v))
			require.NotEmpty(t, v.Source)
			v.run(t)
		})
	}
}

func (v *vector) run(t *testing.T) {
	var err error
	switch v.Check {
	case "verify":
		var verifier *Verifier
		verifier, err = NewVerifier(v.JWKS)
		require.NoError(t, err)
		var payload []byte
		payload, err = verifier.Verify(v.Token, v.Typ)
		require.Equal(t, v.Expect.Payload, string(payload))
	case "decrypt":
		var decrypter *Decrypter
		decrypter, err = NewDecrypter(v.JWKS)
		require.NoError(t, err)
		var inside string
		inside, err = decrypter.Decrypt(v.Token)
		require.Equal(t, v.Expect.Payload, inside)
	case "agree":
		var agreed []byte
		agreed, err = v.agree(t)
		require.Equal(t, v.Expect.Agreed, encoding.EncodeToString(agreed))
	case "thumbprint":
		var set []jwk
		set, err = parseJWKS(v.JWKS)
		require.NoError(t, err)
		kid, err := thumbprint(set[0].Key)
		require.NoError(t, err)
		require.Equal(t, v.Expect.Thumbprint, kid)
	case "claims":
		var token *AccessToken
		token, err = ParseAccessToken(v.Claims, time.Unix(v.Now, 0), 0)
		if err == nil {
			require.Equal(t, v.Expect.Client, token.ClientID)
			require.Equal(t, v.Expect.Scope, token.Scope)
		}
	default:
		t.Fatalf("vector has an unknown check %q", v.Check)
	}
	if v.Expect.Error == "" {
		require.NoError(t, err)
		return
	}
	kind, known := kinds()[v.Expect.Error]
	require.True(t, known, "vector expects an unknown kind of error")
	require.ErrorIs(t, err, kind)
	if v.Expect.Reason != "" {
		require.EqualError(t, err, refuse(kind, v.Expect.Reason).Error())
	}
}

// agree derives the key of a JWE whose header is all that the vector has of it.
func (v *vector) agree(t *testing.T) ([]byte, error) {
	decrypter, err := NewDecrypter(v.JWKS)
	require.NoError(t, err)
	var h jweHeader
	require.NoError(t, header(b64(string(v.Header)), h.member))
	key, err := decrypter.key(&jwe{jweHeader: h})
	require.NoError(t, err)
	id, size := keyManagements[h.alg].agreedKey(h.alg, contentCiphers[h.enc])
	return h.agreed(key.ecdh, id, size)
}

package token

import (
	"crypto/sha256"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// BenchmarkVerify puts a token that is new, but whose header isn't, beside one
// that was verified before and what go-jose does for either.
func BenchmarkVerify(b *testing.B) {
	var set jose.JSONWebKeySet
	require.NoError(b, json.Unmarshal(testKeys().JWKS(), &set))
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA} {
		raw := goodJWS(b, alg)
		verifier := testKeys().Verifier()
		b.Run(string(alg)+"/new", func(b *testing.B) {
			hash := sha256.Sum256([]byte(raw))
			_, place := verifier.verified.place(&hash)
			b.ReportAllocs()
			for b.Loop() {
				*place = [sha256.Size]byte{}
				if _, err := verifier.Verify(raw, TypeAccessToken); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/seen", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(raw, TypeAccessToken); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/arithmetic", func(b *testing.B) {
			signature, err := decode(part(raw, 2))
			require.NoError(b, err)
			input := part(raw, 0) + "." + part(raw, 1)
			key := testKeys().signers[alg]
			b.ReportAllocs()
			for b.Loop() {
				if !key.algorithm.verify(key.public, input, signature) {
					b.Fatal("refused")
				}
			}
		})
		b.Run(string(alg)+"/go-jose", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{alg})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := parsed.Verify(set); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseAccessToken(b *testing.B) {
	payload, err := goodClaims().Marshal()
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseAccessToken(payload, testNow, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	claims := goodClaims()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := claims.Marshal(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	payload, err := goodClaims().Marshal()
	require.NoError(b, err)
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA} {
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := testKeys().Sign(alg, TypeAccessToken, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkServerKey(b *testing.B) {
	jws := goodJWS(b, jose.ES256)
	raw, err := testKeys().Encrypt(jws)
	require.NoError(b, err)
	b.Run("encrypt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := testKeys().Encrypt(jws); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decrypt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := testKeys().Decrypt(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecrypter(b *testing.B) {
	jws := goodJWS(b, jose.ES256)
	all := pairs(b)
	for _, c := range []struct{ kind, alg string }{{"RSA", "RSA-OAEP-256"}, {"P-256", "ECDH-ES"}, {"X25519", "ECDH-ES"}} {
		encrypter, err := NewEncrypter(all[c.kind].public, c.alg, "A256GCM")
		require.NoError(b, err)
		raw, err := encrypter.Encrypt(jws, testNow, nil)
		require.NoError(b, err)
		decrypter, err := NewDecrypter(all[c.kind].private)
		require.NoError(b, err)
		b.Run(c.kind+" "+c.alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decrypter.Decrypt(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSealer(b *testing.B) {
	s := testKeys().Sealer("bench")
	value := make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(s.Seal(value, nil), nil); err != nil {
			b.Fatal(err)
		}
	}
}

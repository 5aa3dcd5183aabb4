package token

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"maps"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Decrypter holds the private keys of one resource server.
type Decrypter struct {
	keys []jwk
}

// NewDecrypter takes a JWKS of private RSA or EC keys. Each has a kid of its
// own, if there are several; use "sig" is refused, and an alg, if there is one,
// is the only one the key decrypts. ErrKey or ErrMalformed otherwise.
func NewDecrypter(jwks []byte) (*Decrypter, error) {
	set, err := parseJWKS(jwks)
	if err != nil {
		return nil, err
	}
	kids := make(map[string]bool)
	for i, key := range set {
		if err := decrypts(key); err != nil {
			return nil, fmt.Errorf("key %d of the JWKS: %w", i+1, err)
		}
		if kids[key.KeyID] {
			return nil, refuse(ErrKey, "two keys of the JWKS have the same kid or none")
		}
		kids[key.KeyID] = true
	}
	if len(set) == 0 {
		return nil, refuse(ErrKey, "the JWKS is empty")
	}
	return &Decrypter{keys: set}, nil
}

func decrypts(key jwk) error {
	if key.broken != nil {
		return key.broken
	}
	if key.Use == "sig" {
		return refuse(ErrKey, "is for signatures")
	}
	if _, known := keyManagement[jose.KeyAlgorithm(key.Algorithm)]; key.Algorithm != "" && !known {
		return refuse(ErrKey, fmt.Sprintf("alg %q is not supported", key.Algorithm))
	}
	switch private := key.Key.(type) {
	case *rsa.PrivateKey:
		if bits := private.N.BitLen(); bits < generatedRSABits || bits > maxRSABits {
			return refuse(ErrKey, fmt.Sprintf("has %d bits, want %d to %d", bits, generatedRSABits, maxRSABits))
		}
		return nil
	case *ecdsa.PrivateKey:
		return nil
	}
	return refuse(ErrKey, "is no private RSA or EC key")
}

// Decrypt opens a JWE and returns the JWS inside, unverified: whoever has the
// public key can have made it. An alg that is not one of NewEncrypter's is
// refused before any arithmetic, and so is zip.
//
// ErrNotOurs when kid or alg say that another key is meant, ErrAlgorithm,
// ErrDecrypt when it doesn't open, ErrMalformed when it is no JWE or holds no JWS.
func (d *Decrypter) Decrypt(raw string) (string, error) {
	j, err := parseJWE(raw)
	if err != nil {
		return "", err
	}
	if _, known := keyManagement[jose.KeyAlgorithm(j.alg)]; !known {
		return "", refuse(ErrAlgorithm, "alg is not one that is taken here")
	}
	key, err := d.key(j)
	if err != nil {
		return "", err
	}
	algs := slices.Collect(maps.Keys(keyManagement))
	parsed, err := jose.ParseEncryptedCompact(raw, algs, []jose.ContentEncryption{j.cipher.name})
	if err != nil {
		return "", refuse(ErrMalformed, "JWE header")
	}
	content, err := parsed.Decrypt(key)
	if err != nil {
		return "", refuse(ErrDecrypt, j.alg)
	}
	return nested(content)
}

// key finds the private key that a JWE names; without a kid, the only one.
func (d *Decrypter) key(j *jwe) (any, error) {
	for _, key := range d.keys {
		if key.KeyID != j.kid && (j.kid != "" || len(d.keys) > 1) {
			continue
		}
		_, isRSA := key.Key.(*rsa.PrivateKey)
		if isRSA != (keyManagement[jose.KeyAlgorithm(j.alg)].hash != nil) || key.Algorithm != "" && key.Algorithm != j.alg {
			return nil, refuse(ErrNotOurs, "the key has another alg")
		}
		return key.Key, nil
	}
	return nil, refuse(ErrNotOurs, "kid")
}

// Format prints "[redacted]" for every verb.
func (d *Decrypter) Format(f fmt.State, _ rune) { redact(f) }

package token

import (
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// FileKey is a signing key that the operator keeps in a file. Marshal leaves its
// private half out, which a Plan brings in each time.
type FileKey struct{ key *signingKey }

// NewFileKey takes a key from a file; alg "" stands for what the type of the key
// implies (RS256 for RSA). The certificate chain, if there is one, is published
// as x5c (RFC 7517 §4.7), leaf first. ErrKey when key, alg and chain don't go
// together or the key is weak, ErrAlgorithm for an alg that isn't RS, PS or ES
// with 256, 384 or 512, or EdDSA.
func NewFileKey(alg jose.SignatureAlgorithm, private crypto.Signer, chain []*x509.Certificate) (*FileKey, error) {
	a := algorithmFor(private.Public())
	if alg != "" {
		var err error
		if a, err = algorithmOf(alg); err != nil {
			return nil, err
		}
	}
	if a == nil {
		return nil, refuse(ErrKey, fmt.Sprintf("no algorithm for a key of type %T", private.Public()))
	}
	key, err := newSigningKey(a, private)
	if err != nil {
		return nil, err
	}
	if len(chain) > 0 {
		if sum, err := thumbprint(chain[0].PublicKey); err != nil || sum != key.kid {
			return nil, refuse(ErrKey, "the certificate is not the key's")
		}
	}
	key.chain, key.imported = chain, true
	return &FileKey{key: key}, nil
}

// Algorithm is what the key signs with.
func (f *FileKey) Algorithm() jose.SignatureAlgorithm { return f.key.algorithm.name }

// KeyID is the kid under which the key is published.
func (f *FileKey) KeyID() string { return f.key.kid }

// Format prints "[redacted]" for every verb.
func (f *FileKey) Format(s fmt.State, _ rune) { redact(s) }

package token

import (
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RSA-OAEP is defined with SHA-1 (RFC 7518 §4.3), and OAEP needs no collision resistance
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
)

// keyManagement is how a content key gets to a resource server.
type keyManagement struct {
	// hash is that of RSA-OAEP and of its MGF1; nil for ECDH-ES.
	hash func() hash.Hash
	// wrapSize is the bytes of the AES key that ECDH-ES wraps with; 0 for
	// direct agreement.
	wrapSize int
}

// keyManagements has the algorithms for resource servers: those of RFC 7518
// §4.1, and of the same registry RSA-OAEP-384 and RSA-OAEP-512, which the Web
// Cryptography API put there. RSA1_5 (padding oracles), dir, AES key wrap and
// PBES2 (shared keys) are not among them.
var keyManagements = map[string]keyManagement{
	"RSA-OAEP":       {hash: sha1.New},
	"RSA-OAEP-256":   {hash: sha256.New},
	"RSA-OAEP-384":   {hash: sha512.New384},
	"RSA-OAEP-512":   {hash: sha512.New},
	"ECDH-ES":        {},
	"ECDH-ES+A128KW": {wrapSize: 16},
	"ECDH-ES+A192KW": {wrapSize: 24},
	"ECDH-ES+A256KW": {wrapSize: 32},
}

// CheckEncryption tells whether both algorithms are among those of
// NewEncrypter; ErrAlgorithm, with the list of those that are, if not.
func CheckEncryption(alg, enc string) error {
	if _, known := keyManagements[alg]; !known {
		return unsupported("key management", alg, keyManagements)
	}
	if contentCiphers[enc] == nil {
		return unsupported("content encryption", enc, contentCiphers)
	}
	return nil
}

func unsupported[V any](what, name string, all map[string]V) error {
	names := strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	return refuse(ErrAlgorithm, fmt.Sprintf("%s %q is not supported, use one of %s", what, name, names))
}

// agreedKey is what ECDH-ES derives: a key for the content itself, named after
// enc, or one that wraps it, named after alg (RFC 7518 §4.6.2).
func (m keyManagement) agreedKey(alg string, content *contentCipher) (id string, size int) {
	if m.wrapSize == 0 {
		return string(content.name), content.keySize
	}
	return alg, m.wrapSize
}

// checkRSASize refuses keys that are weak, or so large that they only cost.
func checkRSASize(public *rsa.PublicKey) error {
	if bits := public.N.BitLen(); bits < generatedRSABits || bits > maxRSABits {
		return fmt.Errorf("has %d bits, want %d to %d", bits, generatedRSABits, maxRSABits)
	}
	return nil
}

// KeyAlgorithms are the key management algorithms that encrypt, in order.
func KeyAlgorithms() []string { return slices.Sorted(maps.Keys(keyManagements)) }

// ContentEncryptions are the content encryption algorithms, in order.
func ContentEncryptions() []string { return slices.Sorted(maps.Keys(contentCiphers)) }

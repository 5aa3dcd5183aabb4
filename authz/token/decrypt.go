package token

import (
	"crypto/aes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
)

// Decrypter holds the private keys of one resource server. It isn't go-jose's,
// which knows neither X25519 nor RSA-OAEP-384 and RSA-OAEP-512.
type Decrypter struct {
	keys []decryptionKey
}

type decryptionKey struct {
	kid, alg string          // alg is empty for any that fits
	rsa      *rsa.PrivateKey // one of the two
	ecdh     *ecdh.PrivateKey
}

// NewDecrypter takes a JWKS of private RSA, EC or X25519 keys. Each has a kid of
// its own, if there are several; use "sig" is refused, and an alg, if there is
// one, is the only one the key decrypts. ErrKey or ErrMalformed otherwise.
func NewDecrypter(jwks []byte) (*Decrypter, error) {
	set, err := parseJWKS(jwks)
	if err != nil {
		return nil, err
	}
	if len(set) == 0 {
		return nil, refuse(ErrKey, "the JWKS is empty")
	}
	d := &Decrypter{}
	kids := make(map[string]bool)
	for i, key := range set {
		private, err := newDecryptionKey(key)
		if err != nil {
			return nil, fmt.Errorf("key %d of the JWKS: %w", i+1, err)
		}
		if kids[key.KeyID] {
			return nil, refuse(ErrKey, "two keys of the JWKS have the same kid or none")
		}
		kids[key.KeyID] = true
		d.keys = append(d.keys, private)
	}
	return d, nil
}

func newDecryptionKey(key jwk) (decryptionKey, error) {
	if key.broken != nil {
		return decryptionKey{}, key.broken
	}
	if key.Use == "sig" {
		return decryptionKey{}, refuse(ErrKey, "is for signatures")
	}
	if _, known := keyManagements[key.Algorithm]; key.Algorithm != "" && !known {
		return decryptionKey{}, fmt.Errorf("%w: %w", ErrKey, unsupported("alg", key.Algorithm, keyManagements))
	}
	k := decryptionKey{kid: key.KeyID, alg: key.Algorithm}
	switch private := key.Key.(type) {
	case *rsa.PrivateKey:
		if err := checkRSASize(&private.PublicKey); err != nil {
			return decryptionKey{}, refuse(ErrKey, err.Error())
		}
		k.rsa = private
	case *ecdsa.PrivateKey:
		var err error
		if k.ecdh, err = private.ECDH(); err != nil {
			return decryptionKey{}, refuse(ErrKey, "is on no supported curve")
		}
	case *ecdh.PrivateKey:
		k.ecdh = private
	default:
		return decryptionKey{}, refuse(ErrKey, "is no private RSA, EC or X25519 key")
	}
	if k.alg != "" && !k.fits(k.alg) {
		return decryptionKey{}, refuse(ErrKey, fmt.Sprintf("alg %q is for keys of another type", k.alg))
	}
	return k, nil
}

// fits tells whether the key management algorithm is one for keys of its type.
func (k decryptionKey) fits(alg string) bool {
	return (k.rsa != nil) == (keyManagements[alg].hash != nil)
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
	if _, known := keyManagements[j.alg]; !known {
		return "", refuse(ErrAlgorithm, "alg is not one that is taken here")
	}
	key, err := d.key(j)
	if err != nil {
		return "", err
	}
	contentKey, err := key.contentKey(j)
	if err != nil {
		return "", fmt.Errorf("%s: %w", j.alg, err)
	}
	return j.open(contentKey)
}

// key finds the private key that a JWE names; without a kid, the only one that
// its alg is for.
func (d *Decrypter) key(j *jwe) (decryptionKey, error) {
	var found []decryptionKey
	for _, key := range d.keys {
		if (j.kid == "" || key.kid == j.kid) && key.fits(j.alg) && (key.alg == "" || key.alg == j.alg) {
			found = append(found, key)
		}
	}
	if len(found) != 1 {
		return decryptionKey{}, refuse(ErrNotOurs, "kid or alg")
	}
	return found[0], nil
}

// contentKey undoes what contentKey of an Encrypter does (RFC 7516 §5.2).
func (k decryptionKey) contentKey(j *jwe) ([]byte, error) {
	management := keyManagements[j.alg]
	if k.rsa != nil {
		// One error for whatever is wrong: a difference would be an oracle
		// (RFC 8017 §7.1.2).
		contentKey, err := rsa.DecryptOAEP(management.hash(), nil, k.rsa, j.encryptedKey, nil)
		if err != nil {
			return nil, refuse(ErrDecrypt, "content key")
		}
		return contentKey, nil
	}
	if management.wrapSize == 0 && len(j.encryptedKey) > 0 {
		return nil, refuse(ErrMalformed, "an encrypted key where the key is agreed on")
	}
	id, size := management.agreedKey(j.alg, j.cipher)
	agreed, err := j.agreed(k.ecdh, id, size)
	if err != nil || management.wrapSize == 0 {
		return agreed, err
	}
	block, err := aes.NewCipher(agreed)
	if err != nil {
		return nil, fmt.Errorf("unwrap content key: %w", err)
	}
	return j.unwrap(block)
}

// Format prints "[redacted]" for every verb.
func (d *Decrypter) Format(f fmt.State, _ rune) { redact(f) }

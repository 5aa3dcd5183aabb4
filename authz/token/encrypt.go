package token

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Encrypter encrypts signed tokens to the public key of one resource server
// (encryption "resource_key"). It isn't go-jose's, which keeps the content key
// to itself: the server wants it sealed in the header, to read its own tokens.
type Encrypter struct {
	alg     string
	content *contentCipher
	kid     string
	rsa     *rsa.PublicKey // one of the two
	ecdh    *ecdh.PublicKey
	expires time.Time // zero for never
}

// NewEncrypter picks the first key of a resource server's JWKS that fits the
// key management algorithm: RSA-OAEP, RSA-OAEP-256, RSA-OAEP-384, RSA-OAEP-512,
// ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A192KW or ECDH-ES+A256KW. The last four go
// with keys on P-256, P-384, P-521 (RFC 7518 §6.2) and X25519 (RFC 8037 §3.2).
// The content encryption is A128GCM, A192GCM, A256GCM, A128CBC-HS256,
// A192CBC-HS384 or A256CBC-HS512.
//
// A key fits whose type is right, whose use isn't "sig" and whose alg, if it
// has one, is alg. A set with a private or a symmetric key, or with a kid of
// the server's own ("0" to "10"), is refused as a whole. Errors: ErrAlgorithm,
// ErrMalformed, and ErrKey with the reason for each key.
func NewEncrypter(jwks []byte, alg, enc string) (*Encrypter, error) {
	if err := CheckEncryption(alg, enc); err != nil {
		return nil, err
	}
	content := contentCiphers[enc]
	set, err := parseJWKS(jwks)
	if err != nil {
		return nil, err
	}
	for i, key := range set {
		if key.secret {
			return nil, refuse(ErrKey, fmt.Sprintf("key %d of the JWKS is private or symmetric; publish public keys only", i+1))
		}
		if isServerKid(key.KeyID) {
			return nil, refuse(ErrKey, fmt.Sprintf("key %d of the JWKS has kid %q; 0 to 10 belong to the server's own keys", i+1, key.KeyID))
		}
	}
	if len(set) == 0 {
		return nil, refuse(ErrKey, "the JWKS has no keys")
	}
	var reasons []string
	for i, key := range set {
		e := &Encrypter{alg: alg, content: content, kid: key.KeyID, expires: key.expires}
		if err = e.take(key); err == nil {
			return e, nil
		}
		reasons = append(reasons, fmt.Sprintf("key %d %s", i+1, err))
	}
	return nil, refuse(ErrKey, fmt.Sprintf("no key of the JWKS fits %s: [%s]", alg, strings.Join(reasons, ", ")))
}

// take sets the key of the Encrypter, if it fits.
func (e *Encrypter) take(key jwk) (err error) {
	if key.broken != nil {
		return key.broken
	}
	if key.Use == "sig" {
		return errors.New("is for signatures")
	}
	if key.Algorithm != "" && key.Algorithm != e.alg {
		return fmt.Errorf("has alg %q", key.Algorithm)
	}
	if keyManagements[e.alg].hash == nil {
		e.ecdh, err = publicECDH(key.Key)
	} else {
		e.rsa, err = publicRSA(key.Key)
	}
	if err != nil {
		return err
	}
	// What an even RSA exponent or a point of low order makes of a key, crypto/rsa
	// and crypto/ecdh say when it is used; better now than with the first token.
	// With such a point every key agrees on the same secret, and whoever
	// published it could read tokens without one (RFC 7748 §6.1).
	if _, _, err = e.contentKey(make(map[string]any)); err != nil {
		return fmt.Errorf("encrypts nothing: %w", err)
	}
	return nil
}

// publicRSA takes a key of a size that is fit to use.
func publicRSA(key any) (*rsa.PublicKey, error) {
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("is no RSA key")
	}
	return public, checkRSASize(public)
}

// publicECDH takes a key that is a point of its curve.
func publicECDH(key any) (*ecdh.PublicKey, error) {
	switch public := key.(type) {
	case *ecdh.PublicKey:
		return public, nil
	case *ecdsa.PublicKey:
		point, err := public.ECDH()
		if err != nil {
			return nil, errors.New("is no point of a supported curve")
		}
		return point, nil
	}
	return nil, errors.New("is no EC or X25519 key")
}

// Encrypt wraps a compact JWS in a JWE for the resource server. With an owner,
// the content key is also sealed to it in a protected header member, so that
// the server can open what it made (Sealer.OpenJWE); nil leaves that out.
//
// ErrExpired when the key has ended, by its exp or its certificate: no token is
// better than one under a key that its owner gave up, and there is no fallback
// to a clear one. ErrMalformed when jws is none or the result is over MaxSize.
func (e *Encrypter) Encrypt(jws string, now time.Time, owner *Sealer) (string, error) {
	if !isJWS(jws) {
		return "", errUnsigned
	}
	return e.encrypt(jws, map[string]any{"cty": "JWT"}, now, owner)
}

// EncryptClaims is Encrypt for claims that nobody signs: what a client asked for over TLS, and may
// want to have that way (OpenID Connect Core §5.3.2).
func (e *Encrypter) EncryptClaims(claims []byte, now time.Time) (string, error) {
	return e.encrypt(string(claims), map[string]any{}, now, nil)
}

func (e *Encrypter) encrypt(content string, head map[string]any, now time.Time, owner *Sealer) (string, error) {
	if !e.expires.IsZero() && !now.Before(e.expires) {
		return "", refuse(ErrExpired, "the recipient's encryption key")
	}
	head["alg"], head["enc"] = e.alg, e.content.name
	if e.kid != "" {
		head["kid"] = e.kid
	}
	contentKey, encryptedKey, err := e.contentKey(head)
	if err != nil {
		return "", fmt.Errorf("encrypt with %s: %w", e.alg, err)
	}
	if owner != nil {
		head[ownerMember] = owner.Seal(contentKey, []byte(e.content.name))
	}
	text, err := json.Marshal(head)
	if err != nil {
		return "", fmt.Errorf("JWE header: %w", err)
	}
	return sealJWE(e.content, encoding.EncodeToString(text), contentKey, encryptedKey, content)
}

// contentKey makes a content key and its encrypted form, which is empty when
// the key is agreed on directly.
func (e *Encrypter) contentKey(head map[string]any) (contentKey, encryptedKey []byte, err error) {
	management := keyManagements[e.alg]
	var agreed []byte
	if e.ecdh != nil {
		id, size := management.agreedKey(e.alg, e.content)
		agreed, err = agree(e.ecdh, head, id, size)
		if err != nil || management.wrapSize == 0 {
			return agreed, nil, err
		}
	}
	contentKey = make([]byte, e.content.keySize)
	if _, err := rand.Read(contentKey); err != nil {
		return nil, nil, err
	}
	if e.ecdh != nil {
		encryptedKey, err = wrap(agreed, contentKey)
	} else {
		encryptedKey, err = rsa.EncryptOAEP(management.hash(), rand.Reader, e.rsa, contentKey, nil)
	}
	return contentKey, encryptedKey, err
}

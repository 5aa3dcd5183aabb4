package token

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RSA-OAEP is defined with SHA-1 (RFC 7518 §4.3), and OAEP needs no collision resistance
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keyManagement has the algorithms for resource servers (RFC 7518 §4.1). RSA1_5
// (padding oracles), dir, AES key wrap and PBES2 (shared keys) are not among them.
var keyManagement = map[jose.KeyAlgorithm]struct {
	hash     func() hash.Hash // of RSA-OAEP; nil for ECDH-ES
	wrapSize int              // bytes of the AES key that ECDH-ES wraps with; 0 for direct agreement
}{
	jose.RSA_OAEP:       {hash: sha1.New},
	jose.RSA_OAEP_256:   {hash: sha256.New},
	jose.ECDH_ES:        {},
	jose.ECDH_ES_A128KW: {wrapSize: 16},
	jose.ECDH_ES_A192KW: {wrapSize: 24},
	jose.ECDH_ES_A256KW: {wrapSize: 32},
}

// Encrypter encrypts signed tokens to the public key of one resource server
// (encryption "resource_key"). It isn't go-jose's, which keeps the content key
// to itself: the server wants it sealed in the header, to read its own tokens.
type Encrypter struct {
	alg     jose.KeyAlgorithm
	content *contentCipher
	kid     string
	rsa     *rsa.PublicKey // one of the two
	ecdh    *agreement
	expires time.Time // zero for never
}

// NewEncrypter picks the first key of a resource server's JWKS that fits the
// key management algorithm: RSA-OAEP, RSA-OAEP-256, ECDH-ES, or ECDH-ES+A128KW,
// +A192KW, +A256KW on P-256, P-384 or P-521. The content encryption is A128GCM,
// A192GCM, A256GCM, A128CBC-HS256, A192CBC-HS384 or A256CBC-HS512.
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
	var reasons []string
	for i, key := range set {
		e := &Encrypter{alg: jose.KeyAlgorithm(alg), content: content, kid: key.KeyID, expires: key.expires}
		if err = e.take(key); err == nil {
			return e, nil
		}
		reasons = append(reasons, fmt.Sprintf("key %d %s", i+1, err))
	}
	return nil, refuse(ErrKey, fmt.Sprintf("no key of the JWKS fits %s: [%s]", alg, strings.Join(reasons, ", ")))
}

// CheckEncryption tells whether both algorithms are supported; ErrAlgorithm if not.
func CheckEncryption(alg, enc string) error {
	if _, known := keyManagement[jose.KeyAlgorithm(alg)]; !known {
		return refuse(ErrAlgorithm, fmt.Sprintf("key management %q is not supported", alg))
	}
	if contentCiphers[enc] == nil {
		return refuse(ErrAlgorithm, fmt.Sprintf("content encryption %q is not supported", enc))
	}
	return nil
}

// take sets the key of the Encrypter, if it fits.
func (e *Encrypter) take(key jwk) error {
	if key.broken != nil {
		return key.broken
	}
	if key.Use == "sig" {
		return errors.New("is for signatures")
	}
	if key.Algorithm != "" && key.Algorithm != string(e.alg) {
		return fmt.Errorf("has alg %q", key.Algorithm)
	}
	if keyManagement[e.alg].hash == nil {
		var err error
		e.ecdh, err = newAgreement(key.Key)
		return err
	}
	public, ok := key.Key.(*rsa.PublicKey)
	if !ok {
		return errors.New("is no RSA key")
	}
	if bits := public.N.BitLen(); bits < generatedRSABits || bits > maxRSABits {
		return fmt.Errorf("has %d bits, want %d to %d", bits, generatedRSABits, maxRSABits)
	}
	e.rsa = public
	return nil
}

// Encrypt wraps a compact JWS in a JWE for the resource server. With an owner,
// the content key is also sealed to it in a protected header member, so that
// the server can open what it made (Sealer.OpenJWE); nil leaves that out.
//
// ErrExpired when the key has ended, by its exp or its certificate: no token is
// better than one under a key that its owner gave up, and there is no fallback
// to a clear one. ErrMalformed when jws is none or the result is over MaxSize.
func (e *Encrypter) Encrypt(jws string, now time.Time, owner *Sealer) (string, error) {
	if !e.expires.IsZero() && !now.Before(e.expires) {
		return "", refuse(ErrExpired, "the resource server's encryption key")
	}
	head := map[string]any{"alg": e.alg, "enc": e.content.name, "cty": "JWT"}
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
	return sealJWE(e.content, encoding.EncodeToString(text), contentKey, encryptedKey, jws)
}

// contentKey makes a content key and its encrypted form, which is empty when
// the key is agreed on directly.
func (e *Encrypter) contentKey(head map[string]any) (contentKey, encryptedKey []byte, err error) {
	management := keyManagement[e.alg]
	if e.ecdh != nil && management.wrapSize == 0 {
		contentKey, err = e.ecdh.agree(head, string(e.content.name), e.content.keySize)
		return contentKey, nil, err
	}
	contentKey = make([]byte, e.content.keySize)
	if _, err := rand.Read(contentKey); err != nil {
		return nil, nil, err
	}
	if e.ecdh != nil {
		encryptedKey, err = e.ecdh.wrap(head, string(e.alg), management.wrapSize, contentKey)
	} else {
		encryptedKey, err = rsa.EncryptOAEP(management.hash(), rand.Reader, e.rsa, contentKey, nil)
	}
	return contentKey, encryptedKey, err
}

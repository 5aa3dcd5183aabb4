package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

const (
	serverKeyAlgorithm = jose.A256KW
	serverKeySize      = 32
	// lastServerKid: "0" to "10" name keys of the server, and no key of a
	// resource server may be called so.
	lastServerKid = 10
)

// serverKey encrypts access tokens to the server itself, with A256KW for a
// fresh content key a token and A256GCM for the content (RFC 7518 §4.4, §5.3).
// Wrapping has no nonce, so the key never wears out.
type serverKey struct {
	keyTimes
	kid       string
	secret    []byte
	block     cipher.Block
	protected string // the encoded header, the same for all tokens
}

func generateServerKey(kid string, since time.Time) (*serverKey, error) {
	secret := make([]byte, serverKeySize)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("encryption key: %w", err)
	}
	key, err := newServerKey(kid, secret)
	if err != nil {
		return nil, err
	}
	key.since = since
	return key, nil
}

func newServerKey(kid string, secret []byte) (*serverKey, error) {
	if len(secret) != serverKeySize || !isServerKid(kid) {
		return nil, refuse(ErrKey, "the server's encryption key has a wrong size or kid")
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	head := fmt.Sprintf(`{"alg":%q,"enc":%q,"kid":%q,"cty":"JWT"}`, serverKeyAlgorithm, jose.A256GCM, kid)
	return &serverKey{kid: kid, secret: secret, block: block, protected: encoding.EncodeToString([]byte(head))}, nil
}

func isServerKid(kid string) bool {
	n, err := strconv.Atoi(kid)
	return err == nil && n >= 0 && n <= lastServerKid && strconv.Itoa(n) == kid
}

func nextServerKid(kid string) string {
	n, _ := strconv.Atoi(kid)
	return strconv.Itoa((n + 1) % (lastServerKid + 1))
}

// Encrypt wraps a compact JWS in a JWE that only this issuer opens (encryption
// "server_key"). ErrMalformed when jws is none or the result is over MaxSize.
func (k *Keys) Encrypt(jws string) (string, error) {
	if !isJWS(jws) {
		return "", errUnsigned
	}
	key := k.encrypting
	content := contentCiphers[string(jose.A256GCM)]
	contentKey := make([]byte, content.keySize)
	if _, err := rand.Read(contentKey); err != nil {
		return "", fmt.Errorf("content key: %w", err)
	}
	wrapped, err := josecipher.KeyWrap(key.block, contentKey)
	if err != nil {
		return "", fmt.Errorf("wrap content key: %w", err)
	}
	return sealJWE(content, key.protected, contentKey, wrapped, jws)
}

// Decrypt opens what Encrypt made, with any key that is there, and returns
// the JWS inside, unverified. ErrNotOurs when kid, alg or enc say that another
// key is meant, ErrDecrypt when it doesn't open, ErrMalformed when it is no JWE
// or holds no JWS.
func (k *Keys) Decrypt(raw string) (string, error) {
	j, err := parseJWE(raw)
	if err != nil {
		return "", err
	}
	if j.alg != string(serverKeyAlgorithm) || j.enc != string(jose.A256GCM) {
		return "", refuse(ErrNotOurs, "alg or enc")
	}
	for _, key := range k.server {
		if key.kid == j.kid {
			return key.open(j)
		}
	}
	return "", refuse(ErrNotOurs, "kid")
}

func (s *serverKey) open(j *jwe) (string, error) {
	contentKey, err := j.unwrap(s.block)
	if err != nil {
		return "", err
	}
	return j.open(contentKey)
}

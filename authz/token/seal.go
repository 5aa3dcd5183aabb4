package token

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Sealer keeps values that only the server may read or make: refresh tokens,
// cookies, interactions. Each purpose has keys of its own, derived from the
// master secret, so a value sealed for one is worth nothing to another.
//
// XChaCha20-Poly1305 rather than AES-GCM: its nonce has 192 bits, so random
// ones never collide. With the 96 bits of GCM a key is safe for some 2^32
// values, and refresh tokens get there over the years.
type Sealer struct {
	aead   cipher.AEAD
	macKey []byte
}

// Sealer derives the keys of a purpose (HKDF-SHA256, RFC 5869). The same
// purpose always gives the same keys. Keep the result: deriving costs a little.
func (k *Keys) Sealer(purpose string) *Sealer { return NewSealer(k.master, purpose) }

// NewSealer derives the keys of a purpose from another secret than the server's, of at least 128 random bits.
func NewSealer(secret []byte, purpose string) *Sealer {
	// Both calls fail for lengths that HKDF and the cipher don't have; these are constant.
	aead, err := chacha20poly1305.NewX(derive(secret, "seal/"+purpose, chacha20poly1305.KeySize))
	if err != nil {
		panic(err)
	}
	return &Sealer{aead: aead, macKey: derive(secret, "mac/"+purpose, sha256.Size)}
}

func derive(master []byte, info string, size int) []byte {
	key, err := hkdf.Key(sha256.New, master, nil, "gatewright/"+info, size)
	if err != nil {
		panic(err)
	}
	return key
}

// Seal encrypts and authenticates a value, as base64url. The context is what
// the value belongs to (a user, a client, a cookie's name): Open wants the same
// and it isn't part of the result.
func (s *Sealer) Seal(plaintext, context []byte) string {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plaintext)+s.aead.Overhead())
	// crypto/rand never fails: it ends the program rather than give weak bytes.
	_, _ = rand.Read(nonce)
	return encoding.EncodeToString(s.aead.Seal(nonce, nonce, plaintext, context))
}

// Open gives back what Seal took. ErrSeal for anything that Seal of the same
// purpose and context didn't make, and for more than MaxSize bytes.
func (s *Sealer) Open(sealed string, context []byte) ([]byte, error) {
	if len(sealed) > MaxSize || strings.ContainsAny(sealed, "\r\n") {
		return nil, refuse(ErrSeal, "too large or with a line break")
	}
	raw, err := encoding.DecodeString(sealed)
	if err != nil || len(raw) < s.aead.NonceSize() {
		return nil, refuse(ErrSeal, "not a sealed value")
	}
	nonce, ciphertext := raw[:s.aead.NonceSize()], raw[s.aead.NonceSize():]
	plaintext, err := s.aead.Open(nil, nonce, ciphertext, context)
	if err != nil {
		return nil, refuse(ErrSeal, "another key, purpose or context, or altered")
	}
	return plaintext, nil
}

// MAC is the HMAC-SHA256 of a list of parts, as base64url: CSRF tokens, and ids
// that must not be guessed. Lists that differ in where a part ends differ.
func (s *Sealer) MAC(parts ...string) string {
	mac := hmac.New(sha256.New, s.macKey)
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		_, _ = mac.Write(length[:])
		_, _ = mac.Write([]byte(part))
	}
	return encoding.EncodeToString(mac.Sum(nil))
}

// CheckMAC compares in constant time.
func (s *Sealer) CheckMAC(mac string, parts ...string) bool {
	return hmac.Equal([]byte(mac), []byte(s.MAC(parts...)))
}

// OpenJWE opens a token that an Encrypter encrypted to a resource server and
// that this Sealer was the owner of, and returns the JWS inside, unverified.
// ErrNotOurs when it carries nothing for this Sealer.
func (s *Sealer) OpenJWE(raw string) (string, error) {
	j, err := parseJWE(raw)
	if err != nil {
		return "", err
	}
	if j.owner == "" {
		return "", refuse(ErrNotOurs, "no content key for the server")
	}
	contentKey, err := s.Open(j.owner, []byte(j.enc))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return j.open(contentKey)
}

// Format prints "[redacted]" for every verb.
func (s *Sealer) Format(f fmt.State, _ rune) { redact(f) }

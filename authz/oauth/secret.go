package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// NewSecret returns 256 random bits as 43 characters of base64url: codes, cookies, states, ids.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// NewID returns 128 random bits as 22 characters of base64url: names of tokens, sessions and grants,
// which are unique but open no door.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// SameSecret compares in constant time.
func SameSecret(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Fingerprint is the base64url SHA-256 of a secret: what may be kept where the secret may not.
func Fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

package token

import (
	"errors"
	"fmt"
	"io"
)

// The kinds of refusal. Every error of this package that concerns a token is
// one of them, for errors.Is, wrapped with a reason that is meant for the log.
var (
	// ErrMalformed is a token, payload or document that breaks the format it
	// claims to have: too large, wrong part count, loose base64url or JSON, a
	// required claim missing or of the wrong type.
	ErrMalformed = errors.New("malformed")
	// ErrAlgorithm is an algorithm that is unknown, not allowed here, or not
	// the one that the named key has (RFC 8725 §3.1).
	ErrAlgorithm = errors.New("algorithm refused")
	// ErrUnknownKey is a token whose kid names no key at hand. For a foreign
	// issuer it is the one reason to fetch its JWKS again.
	ErrUnknownKey = errors.New("unknown key")
	// ErrType is a token whose typ is none of those wanted (RFC 8725 §3.11).
	ErrType = errors.New("wrong token type")
	// ErrSignature is a signature that doesn't verify.
	ErrSignature = errors.New("bad signature")
	// ErrExpired is an access token at or past its exp.
	ErrExpired = errors.New("expired")
	// ErrNotYetValid is an access token whose nbf or iat lies in the future.
	ErrNotYetValid = errors.New("not yet valid")
	// ErrNotOurs is a JWE that was not made with the keys at hand; another
	// decrypter may well read it.
	ErrNotOurs = errors.New("encrypted with a key that is not ours")
	// ErrDecrypt is a JWE that names a key at hand but doesn't open with it.
	ErrDecrypt = errors.New("can't be decrypted")
	// ErrSeal is a sealed value that was altered, moved to another context,
	// or sealed under another key or purpose.
	ErrSeal = errors.New("seal broken")
	// ErrKey is key material that can't be used: none fits, it is weak, or it
	// is of a kind that has no business being there.
	ErrKey = errors.New("unusable key")
)

// refuse gives one of the kinds above a reason for the log.
func refuse(kind error, reason string) error {
	return fmt.Errorf("%w: %s", kind, reason)
}

// redact is what a value that holds secrets prints for any verb.
func redact(f fmt.State) {
	_, _ = io.WriteString(f, "[redacted]")
}

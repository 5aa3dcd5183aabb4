package oauth

import (
	"crypto/sha256"
	"encoding/base64"
)

// Code challenge methods of RFC 7636 §4.2.
const (
	ChallengeS256  = "S256"
	ChallengePlain = "plain"
)

// S256 derives the code challenge of a verifier (RFC 7636 §4.2).
func S256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ValidVerifier tells whether s is a code verifier, or a challenge of the plain method: 43 to 128
// unreserved characters (RFC 7636 §4.1).
func ValidVerifier(s string) bool {
	if len(s) < 43 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

// VerifyPKCE checks a verifier against the challenge of the authorization request (RFC 7636 §4.6).
// A challenge without verifier and a verifier without challenge are both refused (RFC 9700 §4.8.2).
func VerifyPKCE(challenge, method, verifier string) error {
	switch {
	case challenge == "" && verifier == "":
		return nil
	case challenge == "":
		return Errorf(InvalidGrant, "code_verifier given, but the authorization request had no code_challenge")
	case !ValidVerifier(verifier):
		return Errorf(InvalidGrant, "code_verifier is missing or malformed")
	}
	derived := verifier
	switch method {
	case ChallengeS256:
		derived = S256(verifier)
	case ChallengePlain:
	default: // were it taken for plain, whoever saw the challenge would have the verifier
		return Errorf(InvalidGrant, "code_challenge_method is unknown")
	}
	if !SameSecret(derived, challenge) {
		return Errorf(InvalidGrant, "code_verifier does not match the code_challenge")
	}
	return nil
}

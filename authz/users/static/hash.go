package static

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// maxHashing bounds how many passwords are hashed at once.
var maxHashing = max(1, runtime.GOMAXPROCS(0))

// verifier tells whether a password is the one that was hashed.
type verifier func(password string) bool

// dummyBcrypt is the hash of a password nobody has, at the cost `caddy hash-password` uses.
const dummyBcrypt = "$2a$14$X3ulqf/iGxnf1k6oMZ.RZeJUoqI9PX2PM4rS5lkIKJXduLGXGPrt6"

// dummyFor picks what an unknown name is checked against: the kind of hash that the entries use, so
// that the time of an answer doesn't tell which names exist (A75).
func dummyFor(entries map[string]entry) verifier {
	for _, e := range entries {
		return func(password string) bool {
			e.verify(password)
			return false
		}
	}
	verify, err := parseHash(dummyBcrypt)
	if err != nil {
		panic(err) // a constant of ours
	}
	return verify
}

func parseHash(hash string) (verifier, error) {
	switch {
	case strings.HasPrefix(hash, "$2"):
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return nil, fmt.Errorf("password hash: %w", err)
		}
		return func(password string) bool {
			return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
		}, nil
	case strings.HasPrefix(hash, "$argon2id$"):
		return parseArgon2id(hash)
	case hash == "":
		return nil, errors.New("a password hash is needed: caddy hash-password makes one")
	default:
		return nil, errors.New("the password must be a bcrypt or argon2id hash: caddy hash-password makes one")
	}
}

// parseArgon2id reads the PHC string format: $argon2id$v=19$m=..,t=..,p=..$salt$key.
func parseArgon2id(hash string) (verifier, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 {
		return nil, errors.New("password hash: argon2id hash has the wrong form")
	}
	var version int
	var memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return nil, errors.New("password hash: argon2id version is not 19")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || time == 0 || threads == 0 {
		return nil, errors.New("password hash: argon2id parameters are malformed")
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return nil, errors.New("password hash: argon2id salt is not base64")
	}
	key, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(key) == 0 {
		return nil, errors.New("password hash: argon2id key is not base64")
	}
	return func(password string) bool {
		derived := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(key))) // #nosec G115 -- a few dozen bytes
		return subtle.ConstantTimeCompare(derived, key) == 1
	}, nil
}

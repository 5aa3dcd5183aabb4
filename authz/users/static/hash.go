package static

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// verifier tells whether a password is the one that was hashed.
type verifier func(password string) bool

// nobodysHash is of a password that was thrown away, at the cost `caddy hash-password` uses.
const nobodysHash = "$2a$14$9.5d8HPmFN6WgNrq2r2lwesbG.fGAa60ThnZxb.4zQvTgbb22mezy"

// parseHash reads a hash as `caddy hash-password` prints it. Its errors never hold the hash.
func parseHash(hash string) (verifier, error) {
	switch {
	case hash == "":
		return nil, errors.New("a password hash is needed: caddy hash-password makes one")
	case strings.HasPrefix(hash, "$2"):
		return parseBcrypt(hash)
	case strings.HasPrefix(hash, "$argon2id$"):
		return parseArgon2id(hash)
	default:
		return nil, errors.New("the password must be a bcrypt or argon2id hash: caddy hash-password makes one")
	}
}

// bcryptForm is what every implementation writes: version, cost, 22 characters of salt, 31 of key.
var bcryptForm = regexp.MustCompile(`^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$`)

func parseBcrypt(hash string) (verifier, error) {
	if !bcryptForm.MatchString(hash) {
		return nil, errors.New("password hash: bcrypt hash has the wrong form")
	}
	if _, err := bcrypt.Cost([]byte(hash)); err != nil {
		return nil, fmt.Errorf("password hash: %w", err)
	}
	return bcryptVerifier(hash), nil
}

// maxBcrypt is the longest password that bcrypt reads, in bytes.
const maxBcrypt = 72

// bcryptVerifier takes only the password itself. To bcrypt, one that goes on after 72 bytes, or that
// repeats itself after a NUL, is the same.
func bcryptVerifier(hash string) verifier {
	return func(password string) bool {
		matches := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
		return matches && len(password) <= maxBcrypt && !strings.Contains(password, "\x00")
	}
}

// argon2idForm is the PHC string format, with parameters in the order that Caddy and the reference
// implementation write.
var argon2idForm = regexp.MustCompile(`^\$argon2id\$v=(\d+)\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$`)

// Bounds of argon2id (RFC 9106 §3.1 and §4): below, a hash protects nobody; above, one login takes
// the machine.
const (
	minArgon2idSalt   = 8       // bytes
	minArgon2idKey    = 16      // bytes
	maxArgon2idMemory = 4 << 20 // KiB
)

func parseArgon2id(hash string) (verifier, error) {
	parts := argon2idForm.FindStringSubmatch(hash)
	if parts == nil {
		return nil, errors.New("password hash: argon2id hash has the wrong form")
	}
	if parts[1] != strconv.Itoa(argon2.Version) {
		return nil, errors.New("password hash: argon2id version is not 19")
	}
	memory, err := strconv.ParseUint(parts[2], 10, 32)
	if err != nil || memory > maxArgon2idMemory {
		return nil, errors.New("password hash: argon2id takes more than 4 GiB of memory")
	}
	time, err := strconv.ParseUint(parts[3], 10, 32)
	if err != nil || time == 0 {
		return nil, errors.New("password hash: argon2id time is out of range")
	}
	threads, err := strconv.ParseUint(parts[4], 10, 8)
	if err != nil || threads == 0 {
		return nil, errors.New("password hash: argon2id threads are out of range")
	}
	salt, err := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err != nil || len(salt) < minArgon2idSalt {
		return nil, errors.New("password hash: argon2id salt is not base64 of at least 8 bytes")
	}
	key, err := base64.RawStdEncoding.Strict().DecodeString(parts[6])
	if err != nil || len(key) < minArgon2idKey {
		return nil, errors.New("password hash: argon2id key is not base64 of at least 16 bytes")
	}
	return func(password string) bool {
		derived := argon2.IDKey([]byte(password), salt, uint32(time), uint32(memory), uint8(threads), uint32(len(key))) // #nosec G115 -- parsed to these sizes
		return subtle.ConstantTimeCompare(derived, key) == 1
	}, nil
}

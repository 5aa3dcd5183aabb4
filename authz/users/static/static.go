// Package static is the embedded store of users: the entries of a Caddyfile or of a JSON file.
package static

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz/users"
)

// User is one entry. The subject of a static user is the name.
type User struct {
	Name       string
	Password   string // hash as `caddy hash-password` prints it: bcrypt or argon2id
	Attributes map[string][]string
	Roles      []string
	TOTP       string // secret of an authenticator app in base32 (RFC 6238); "": none
	Disabled   bool
}

// Store implements users.Store over a fixed list of entries. It is safe for concurrent use.
type Store struct {
	users  map[string]entry // by canonical name
	decoys []verifier       // what unknown names are checked against, never empty
	slots  chan struct{}    // holds one element for every password being hashed
}

type entry struct {
	user     users.User
	totp     string
	disabled bool
	verify   verifier
}

// New checks the entries: names are there and differ by more than case, hashes are known.
func New(list []User) (*Store, error) {
	// Hashing is made to be costly: a flood of guesses must neither take every core nor fill the memory.
	hashing := max(1, runtime.GOMAXPROCS(0)-1)
	s := &Store{users: make(map[string]entry, len(list)), slots: make(chan struct{}, hashing)}
	for _, u := range list {
		if err := s.add(u); err != nil {
			return nil, fmt.Errorf("user %q: %w", u.Name, err)
		}
	}
	if len(s.decoys) == 0 {
		s.decoys = []verifier{bcryptVerifier(nobodysHash)}
	}
	return s, nil
}

func (s *Store) add(u User) error {
	name := s.Canonical(u.Name)
	if name == "" {
		return errors.New("a name is needed")
	}
	if _, taken := s.users[name]; taken {
		return errors.New("the name is taken; names are compared without case")
	}
	verify, err := parseHash(u.Password)
	if err != nil {
		return err
	}
	totp, err := plainSecret(u.TOTP)
	if err != nil {
		return err
	}
	stamp := sha256.Sum256([]byte(u.Password))
	s.users[name] = entry{
		user: users.User{
			Subject:       u.Name,
			Username:      u.Name,
			Roles:         u.Roles,
			Attributes:    u.Attributes,
			PasswordStamp: base64.RawURLEncoding.EncodeToString(stamp[:12]),
		},
		totp:     totp,
		disabled: u.Disabled,
		verify:   verify,
	}
	s.decoys = append(s.decoys, verify)
	return nil
}

// minSecret is the shortest secret of an authenticator app, in bytes. RFC 4226 §4 wants 16, and apps have
// long been given 10.
const minSecret = 10

// plainSecret brings a base32 secret as people copy it into the one form of RFC 4648 §6.
func plainSecret(typed string) (string, error) {
	if typed == "" {
		return "", nil
	}
	secret := strings.TrimRight(strings.ToUpper(strings.Join(strings.Fields(typed), "")), "=")
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil || len(raw) < minSecret {
		return "", fmt.Errorf("totp must be a base32 secret of at least %d bytes", minSecret)
	}
	return secret, nil
}

// TOTPSecret implements users.TOTPHolder.
func (s *Store) TOTPSecret(_ context.Context, subject string) (string, error) {
	if e := s.users[s.Canonical(subject)]; e.user.Subject == subject {
		return e.totp, nil
	}
	return "", users.ErrNotFound
}

// Canonical folds case and outer space away.
func (s *Store) Canonical(username string) string {
	return strings.ToLower(strings.TrimSpace(username))
}

// Authenticate implements users.Authenticator. An unknown name costs the same hashing as a known one.
func (s *Store) Authenticate(ctx context.Context, c users.Credentials, admit func(subject string) error) (*users.User, error) {
	name := s.Canonical(c.Username)
	e, known := s.users[name]
	verify := e.verify
	var refused error
	if known {
		refused = admit(e.user.Subject)
	} else {
		verify = s.decoy(name)
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", users.ErrUnavailable, ctx.Err())
	}
	matches := verify(c.Password)
	switch {
	case refused != nil: // not before the hashing
		return nil, refused
	case !known || !matches || c.Password == "":
		return nil, users.ErrCredentials
	case e.disabled:
		return nil, users.ErrDisabled
	}
	return e.copy(), nil
}

// decoySeed lives as long as the process: a reload must not change how long a name takes.
var decoySeed = maphash.MakeSeed()

// decoy is what an unknown name is checked against: the hash of somebody, of always the same one for
// a name. So neither the time of an answer nor its spread over many tells which names exist (A75),
// not even where people's hashes differ in kind and cost.
func (s *Store) decoy(name string) verifier {
	return s.decoys[maphash.String(decoySeed, name)%uint64(len(s.decoys))]
}

// Lookup implements users.Store.
func (s *Store) Lookup(_ context.Context, subject string) (*users.User, error) {
	e, known := s.users[s.Canonical(subject)]
	switch {
	case !known || e.user.Subject != subject:
		return nil, users.ErrNotFound
	case e.disabled:
		return nil, users.ErrDisabled
	}
	return e.copy(), nil
}

// Identify implements users.Store.
func (s *Store) Identify(_ context.Context, username string) (*users.Identity, error) {
	e, known := s.users[s.Canonical(username)]
	if !known {
		return nil, users.ErrNotFound
	}
	return &users.Identity{Subject: e.user.Subject, Names: []string{e.user.Username}}, nil
}

// Find implements users.Finder. Values are compared exactly.
func (s *Store) Find(ctx context.Context, attribute, value string) (*users.User, error) {
	if attribute == "" {
		whose, err := s.Identify(ctx, value)
		if err != nil {
			return nil, err
		}
		return s.Lookup(ctx, whose.Subject)
	}
	found := ""
	for _, e := range s.users {
		if !slices.Contains(e.user.Attributes[attribute], value) {
			continue
		}
		if found != "" {
			return nil, users.ErrNotFound
		}
		found = e.user.Subject
	}
	return s.Lookup(ctx, found)
}

// copy gives the caller a User of its own; the lists inside are shared and never written.
func (e entry) copy() *users.User {
	u := e.user
	u.Roles = slices.Clip(u.Roles)
	return &u
}

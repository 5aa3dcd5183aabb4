// Package static is the embedded store of users: the entries of a Caddyfile or of a JSON file.
package static

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
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
	Disabled   bool
}

// Store implements users.Store over a fixed list of entries. It is safe for concurrent use.
type Store struct {
	users map[string]entry // by canonical name
	dummy verifier
	slots chan struct{}
}

type entry struct {
	user     users.User
	disabled bool
	verify   verifier
}

// New checks the entries: names are there and differ by more than case, hashes are known.
func New(list []User) (*Store, error) {
	s := &Store{users: make(map[string]entry, len(list)), slots: make(chan struct{}, maxHashing)}
	for _, u := range list {
		if err := s.add(u); err != nil {
			return nil, fmt.Errorf("user %q: %w", u.Name, err)
		}
	}
	s.dummy = dummyFor(s.users)
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
	stamp := sha256.Sum256([]byte(u.Password))
	s.users[name] = entry{
		user: users.User{
			Subject:       u.Name,
			Username:      u.Name,
			Roles:         u.Roles,
			Attributes:    u.Attributes,
			PasswordStamp: base64.RawURLEncoding.EncodeToString(stamp[:12]),
		},
		disabled: u.Disabled,
		verify:   verify,
	}
	return nil
}

// Canonical folds case and outer space away.
func (s *Store) Canonical(username string) string {
	return strings.ToLower(strings.TrimSpace(username))
}

// Authenticate implements users.Authenticator. An unknown name costs the same hashing as a known one.
func (s *Store) Authenticate(ctx context.Context, c users.Credentials) (*users.User, error) {
	e, known := s.users[s.Canonical(c.Username)]
	verify := s.dummy
	if known {
		verify = e.verify
	}
	select {
	case s.slots <- struct{}{}: // hashing is made to be costly: a flood of guesses must not take every core
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", users.ErrUnavailable, ctx.Err())
	}
	matches := verify(c.Password)
	switch {
	case !known || !matches || c.Password == "":
		return nil, users.ErrCredentials
	case e.disabled:
		return nil, users.ErrDisabled
	}
	return e.copy(), nil
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

// copy gives the caller a User of its own; the lists inside are shared and never written.
func (e entry) copy() *users.User {
	u := e.user
	u.Roles = slices.Clip(u.Roles)
	return &u
}

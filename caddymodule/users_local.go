package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/static"
)

// LocalUsers is people in the config, in a JSON file, or in both.
type LocalUsers struct {
	// A JSON file with a member "user" like the one here. It is read again when it changes; a file
	// that can't be read or is wrong leaves the people known so far.
	File string `json:"file,omitempty"`
	// The people.
	People []LocalUser `json:"user,omitempty"`

	store users.Store
}

// LocalUser is one person.
type LocalUser struct {
	// What the person signs in with; it is the subject as well.
	Name string `json:"name"`
	// The hash that `caddy hash-password` prints: bcrypt or argon2id.
	Password string `json:"password,omitempty"`
	// Attributes, each with its values.
	Attributes map[string][]string `json:"attribute,omitempty"`
	// The person's roles.
	Roles []string `json:"role,omitempty"`
	// The secret of an authenticator app, in base32 (RFC 6238); default: the person sets one up when a
	// contract asks for it.
	TOTP string `json:"totp,omitempty"`
	// May not sign in, and loses what there is.
	Disabled bool `json:"disabled,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*LocalUsers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authz.users.local", New: func() caddy.Module { return new(LocalUsers) }}
}

// Provision checks every entry, and reads the file for the first time.
func (l *LocalUsers) Provision(ctx caddy.Context) error {
	if err := expand("users", l); err != nil {
		return err
	}
	if l.File == "" {
		people, err := newStatic(l.People)
		if err != nil {
			return fmt.Errorf("users: %w", err)
		}
		l.store = people
		return nil
	}
	watched, err := newUserFile(l.File, ctx.Logger(), func(document []byte) (*static.Store, error) {
		entries, err := parseUserFile(document)
		if err != nil {
			return nil, err
		}
		return newStatic(slices.Concat(l.People, entries))
	})
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	l.store = watched
	return nil
}

// Users implements UserStore.
func (l *LocalUsers) Users() users.Store { return l.store }

func newStatic(entries []LocalUser) (*static.Store, error) {
	list := make([]static.User, len(entries))
	for i, u := range entries {
		list[i] = static.User(u)
	}
	return static.New(list)
}

// parseUserFile reads a file's entries. A member that nobody knows is an error, not a spelling that
// silently does nothing.
func parseUserFile(document []byte) ([]LocalUser, error) {
	var file struct {
		Users []LocalUser `json:"user"`
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON document")
	}
	return file.Users, nil
}

// maxUserFile bounds what is read, so that a wrong path doesn't fill the memory.
const maxUserFile = 64 << 20

func readUserFile(path string) ([]byte, error) {
	document, err := readBounded(path, maxUserFile)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return document, err
}

// Interface guards.
var (
	_ caddy.Provisioner = (*LocalUsers)(nil)
	_ UserStore         = (*LocalUsers)(nil)
)

package caddymodule

import (
	"context"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/store/bolt"
	"github.com/gatewright/gatewright/authz/users"
)

// Storage is a module in the namespace authz.storage: a place for an issuer's state.
type Storage interface {
	// Key names that place for an issuer. Configs with one key share one open store, so it holds
	// nothing that an operator tunes.
	Key(issuer string) (string, error)
	// Open opens it. Its owner closes what it returns.
	Open(ctx context.Context) (store.Store, error)
}

// UserStore is a module in the namespace authz.users: a place where people are kept.
type UserStore interface {
	// Users returns the store, which is there as soon as the module is provisioned.
	Users() users.Store
}

// Runner is a UserStore that works in the background between the two calls.
type Runner interface {
	Start()
	Close()
}

// methodNamespace is that of methods of contracts (G14): its modules implement authz.Method, and
// authz.DirectMethod where the password grant may use them.
const methodNamespace = "authz.methods"

// GrantStore is a UserStore that can keep the grants of its people as well (U3).
type GrantStore interface {
	HoldsGrants() bool
	// Grants adds the place to what the server knows.
	Grants(cfg grants.DirectoryConfig) (grants.Grants, error)
}

// BoltStorage keeps state in one file; one process at a time has it open.
type BoltStorage struct {
	// The file's path; default: authz/state.db in Caddy's data directory. Missing folders are made.
	File string `json:"file,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*BoltStorage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authz.storage.bolt", New: func() caddy.Module { return new(BoltStorage) }}
}

// Provision opens nothing: it also runs for a config that is only looked at.
func (b *BoltStorage) Provision(caddy.Context) error {
	if err := expand("storage", b); err != nil {
		return err
	}
	if b.File == "" {
		b.File = filepath.Join(caddy.AppDataDir(), "authz", "state.db")
	}
	return nil
}

// Key implements Storage: the file's canonical path, so that two spellings of it are one store.
func (b *BoltStorage) Key(string) (string, error) {
	absolute, err := filepath.Abs(b.File)
	if err != nil {
		return "", err
	}
	// The file, and folders above it, need not be there yet: then what exists is resolved.
	for existing, rest := absolute, ""; ; {
		if resolved, err := filepath.EvalSymlinks(existing); err == nil {
			return filepath.Join(resolved, rest), nil
		}
		parent := filepath.Dir(existing)
		if parent == existing {
			return absolute, nil
		}
		existing, rest = parent, filepath.Join(filepath.Base(existing), rest)
	}
}

// Open implements Storage.
func (b *BoltStorage) Open(ctx context.Context) (store.Store, error) {
	return bolt.Open(ctx, b.File, bolt.Options{})
}

// MemoryStorage keeps state in memory: it survives a reload of the config, not a restart.
type MemoryStorage struct{}

// CaddyModule returns the Caddy module information.
func (*MemoryStorage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authz.storage.memory", New: func() caddy.Module { return new(MemoryStorage) }}
}

// Key implements Storage: every issuer has a memory of its own.
func (*MemoryStorage) Key(issuer string) (string, error) { return "memory " + issuer, nil }

// Open implements Storage.
func (*MemoryStorage) Open(context.Context) (store.Store, error) {
	return store.NewMemory(time.Now), nil
}

// Interface guards.
var (
	_ caddy.Provisioner = (*BoltStorage)(nil)
	_ Storage           = (*BoltStorage)(nil)
	_ Storage           = (*MemoryStorage)(nil)
)

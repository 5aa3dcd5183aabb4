package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	// ProbeGrants finds out, changing nothing, whether they can be written there. ErrGrantsRefused is a
	// definite no; another error means that it could not be asked.
	ProbeGrants(ctx context.Context) error
}

// ErrGrantsRefused says that the grants of people can't be written, and will not be until somebody sees to it.
var ErrGrantsRefused = errors.New("consents and refresh families can't be written")

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

// examineTimeout is how long Examine waits for a file that is open elsewhere.
const examineTimeout = 500 * time.Millisecond

// Examine implements Examined. That the file is open elsewhere is no fault: a server runs.
func (b *BoltStorage) Examine(ctx context.Context) []Finding {
	f := Finding{Part: "store " + b.File, What: "file", Detail: "can be read"}
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	switch err := bolt.Check(ctx, b.File); {
	case errors.Is(err, fs.ErrNotExist):
		f.Detail = "not there yet: the first start makes it"
		return []Finding{f}
	case errors.Is(err, bolt.ErrLocked):
		f.Detail = "open in a running server, so not looked into"
	case errors.Is(err, fs.ErrPermission):
		f.Level, f.Detail = Fault, err.Error()
		f.Fix = "run this as the user that Caddy runs as, or let that user have the file"
	case err != nil:
		f.Level, f.Detail = Fault, err.Error()
		f.Fix = "restore it from a backup, or move it away: everybody has to sign in again then"
	}
	return append([]Finding{f}, b.examineMode()...)
}

func (b *BoltStorage) examineMode() []Finding {
	info, err := os.Stat(b.File)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return []Finding{{
		Part: "store " + b.File, What: "mode", Level: Warning,
		Detail: fmt.Sprintf("%#o: others than its owner may use the file", info.Mode().Perm()), Fix: "chmod 600 " + b.File,
	}}
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
	_ Examined          = (*BoltStorage)(nil)
	_ Storage           = (*MemoryStorage)(nil)
)

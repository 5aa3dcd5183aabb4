package caddymodule

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/static"
)

// userFileInterval is how long a change of the file may stay unseen.
const userFileInterval = time.Second

// userFile is a users.Store over a file that may change. It looks at the file when it is asked for
// somebody, at most once per interval, and so needs no goroutine that somebody must end.
type userFile struct {
	path  string
	log   *zap.Logger
	parse func(document []byte) (*static.Store, error)
	now   func() time.Time

	mu      sync.Mutex // guards what follows
	current *static.Store
	checked time.Time
	seen    fileStamp
}

// fileStamp changes when a file does.
type fileStamp struct {
	modified time.Time
	size     int64
}

// newUserFile reads the file, which must be there and right the first time.
func newUserFile(path string, log *zap.Logger, parse func([]byte) (*static.Store, error)) (*userFile, error) {
	f := &userFile{path: path, log: log, parse: parse, now: time.Now}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f.checked, f.seen = f.now(), stampOf(info)
	if err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

func stampOf(info os.FileInfo) fileStamp {
	return fileStamp{modified: info.ModTime(), size: info.Size()}
}

func (f *userFile) read() error {
	document, err := readUserFile(f.path)
	if err != nil {
		return err
	}
	people, err := f.parse(document)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.current = people
	return nil
}

// people returns who is in the file now.
func (f *userFile) people() *static.Store {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.checked) < userFileInterval {
		return f.current
	}
	f.checked = now
	info, err := os.Stat(f.path)
	if err == nil && stampOf(info) == f.seen {
		return f.current
	}
	if err == nil {
		f.seen = stampOf(info)
		err = f.read()
	}
	if err != nil {
		f.log.Error("reading users again failed, the ones known so far stay", zap.Error(err))
	}
	return f.current
}

// Authenticate implements users.Authenticator.
func (f *userFile) Authenticate(ctx context.Context, c users.Credentials, admit func(subject string) error) (*users.User, error) {
	return f.people().Authenticate(ctx, c, admit)
}

// Lookup implements users.Store.
func (f *userFile) Lookup(ctx context.Context, subject string) (*users.User, error) {
	return f.people().Lookup(ctx, subject)
}

// Canonical implements users.Store.
func (f *userFile) Canonical(username string) string { return f.people().Canonical(username) }

// Find implements users.Finder.
func (f *userFile) Find(ctx context.Context, attribute, value string) (*users.User, error) {
	return f.people().Find(ctx, attribute, value)
}

// Identify implements users.Store.
func (f *userFile) Identify(ctx context.Context, username string) (*users.Identity, error) {
	return f.people().Identify(ctx, username)
}

// TOTPSecret implements users.TOTPHolder.
func (f *userFile) TOTPSecret(ctx context.Context, subject string) (string, error) {
	return f.people().TOTPSecret(ctx, subject)
}

// Interface guards.
var (
	_ users.Store      = (*userFile)(nil)
	_ users.Finder     = (*userFile)(nil)
	_ users.TOTPHolder = (*userFile)(nil)
)

package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/gatewright/gatewright/authz/store"
)

// openTimeout is how long Open waits for the file's lock when its context has
// no deadline. A lock held by a process that is just ending is free sooner.
const openTimeout = 5 * time.Second

// format is what the meta bucket names. It changes when an older program could
// not read what a newer one writes.
var format = []byte("1")

var (
	metaBucket    = []byte("meta")
	entriesBucket = []byte("entries")
	expiryBucket  = []byte("expiry")
	formatKey     = []byte("format")
)

var (
	// ErrLocked says that another process, or another Store of this one, has
	// the file open.
	ErrLocked = errors.New("bolt: file is locked")
	// ErrFormat says that the file was written by an incompatible version.
	ErrFormat = errors.New("bolt: unknown file format")
)

// Options are the optional settings of Open.
type Options struct {
	// Now is the clock that expiry follows; nil means time.Now.
	Now func() time.Time
}

// Store is a store.Store in one file. Make one with [Open].
type Store struct {
	db    *bbolt.DB
	now   func() time.Time
	queue queue
}

// Open opens the store in the file at path, creating it with mode 0600 and
// missing folders with mode 0700. It waits for the file's lock until the
// deadline of ctx, or 5 seconds when there is none, then fails with ErrLocked.
// It does not otherwise watch ctx.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	timeout := openTimeout
	if deadline, ok := ctx.Deadline(); ok {
		// To bbolt a timeout of zero means none at all.
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { // #nosec G703 -- the operator's own choice of file
		return nil, fmt.Errorf("bolt: create folder: %w", err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: timeout, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, path)
	}
	if err != nil {
		return nil, fmt.Errorf("bolt: open %s: %w", path, err)
	}
	if err := prepare(db); err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: open %s: %w", path, err), db.Close())
	}
	s := &Store{db: db, now: opts.Now}
	if s.now == nil {
		s.now = time.Now
	}
	s.queue.init()
	go s.write()
	return s, nil
}

// Check looks whether Open would find what it can read, and changes nothing: it makes no file and writes
// none. It returns fs.ErrNotExist when there is no file yet, ErrLocked when another process has it open, and
// otherwise the errors of Open.
func Check(ctx context.Context, path string) error {
	timeout := openTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: timeout, ReadOnly: true})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("%w: %s", ErrLocked, path)
	}
	if err != nil {
		return fmt.Errorf("bolt: open %s: %w", path, err)
	}
	if _, err = prepared(db); err != nil {
		err = fmt.Errorf("bolt: open %s: %w", path, err)
	}
	return errors.Join(err, db.Close())
}

// prepare makes the buckets of a new file and checks the format of an old one.
// It writes nothing to a file that is as it should be.
func prepare(db *bbolt.DB) error {
	ready, err := prepared(db)
	if err != nil || ready {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, entriesBucket, expiryBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(formatKey, format)
	})
}

// prepared tells whether a file has its buckets, and checks their format.
func prepared(db *bbolt.DB) (ready bool, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			return nil
		}
		if found := meta.Get(formatKey); !bytes.Equal(found, format) {
			return fmt.Errorf("%w %q", ErrFormat, found)
		}
		ready = true
		return nil
	})
	return ready, err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	var value []byte
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		e, ok := getEntry(tx, []byte(key))
		if !ok || !store.Live(e.expires, s.now()) {
			return store.ErrNotFound
		}
		value = e.copyValue()
		return nil
	})
	return value, err
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, prefix, from string, n int) ([]store.Entry, error) {
	var entries []store.Entry
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		now := s.now()
		c := tx.Bucket(entriesBucket).Cursor()
		for key, raw := c.Seek([]byte(max(prefix, from))); len(entries) < n; key, raw = c.Next() {
			if key == nil || !bytes.HasPrefix(key, []byte(prefix)) {
				return nil
			}
			e := parseEntry(raw)
			if string(key) == from || !store.Live(e.expires, now) {
				continue
			}
			entries = append(entries, store.Entry{Key: string(key), Value: e.copyValue(), Expires: store.Expiry(e.expires)})
		}
		return nil
	})
	return entries, err
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.view(ctx, func(tx *bbolt.Tx) error {
		if found := tx.Bucket(metaBucket).Get(formatKey); !bytes.Equal(found, format) {
			return fmt.Errorf("%w %q", ErrFormat, found)
		}
		return nil
	})
}

// view runs fn in a read transaction, unless ctx is done or the store closed.
// Reads and writes do not wait for each other.
func (s *Store) view(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.db.View(fn)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

// Close implements store.Store: it refuses new writes, commits those that wait,
// and releases the file once the last read has ended.
func (s *Store) Close() error {
	s.queue.close()
	<-s.queue.drained
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("bolt: close: %w", err)
	}
	return nil
}

var _ store.Store = (*Store)(nil)

package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound says that no live entry exists under a key.
	ErrNotFound = errors.New("store: not found")
	// ErrClosed says that the store was closed before the operation began.
	ErrClosed = errors.New("store: closed")
	// ErrKey says that a key is empty or longer than MaxKeyLen.
	ErrKey = errors.New("store: invalid key")
)

// MaxKeyLen is the longest key in bytes that every store accepts. It leaves
// room for an index entry of the narrowest of them (PostgreSQL's, 2704 bytes).
const MaxKeyLen = 1024

// Entry is one live entry as Scan reports it.
type Entry struct {
	Key   string
	Value []byte
	// Expires is zero for an entry that never expires.
	Expires time.Time
}

// Store keeps opaque bytes under a key until they expire, with one atomic step,
// Update. A key is any 1 to MaxKeyLen bytes. Expiry times count in whole
// milliseconds, rounded down, and an entry is absent from that instant on; the
// zero time means never. An operation whose context is already done fails with
// the context's error and changes nothing. After Close every operation answers
// ErrClosed. All methods are safe for concurrent use.
type Store interface {
	// Get returns the value under key, or ErrNotFound when it is absent or
	// expired. The bytes belong to the caller and are never nil.
	Get(ctx context.Context, key string) ([]byte, error)

	// Put sets the value under key, whatever was there. When it returns nil, a
	// durable store has the value on disk. A nil value is kept as an empty one.
	Put(ctx context.Context, key string, value []byte, expires time.Time) error

	// Delete removes the entry under key; an absent one is no error.
	Delete(ctx context.Context, key string) error

	// Update replaces the entry under key in one atomic step. fn receives the
	// old value, nil when the entry is absent or expired, and owns those bytes;
	// a nil next deletes the entry. When fn fails nothing changes and its error
	// is returned, so that errors.Is finds it. fn may run several times, and on
	// another goroutine: it must be pure, and must not use the store.
	Update(ctx context.Context, key string, fn UpdateFunc) error

	// Scan returns up to n live entries whose keys begin with prefix and come
	// after from, in the bytewise order of their keys. from is a full key and
	// is itself left out; "" begins at the first. A caller pages by passing the
	// last key it saw, and is at the end when fewer than n entries come back.
	Scan(ctx context.Context, prefix, from string, n int) ([]Entry, error)

	// Purge frees expired entries, at most limit of them, soonest expired
	// first, and returns how many. Reads never depend on it having run.
	Purge(ctx context.Context, limit int) (int, error)

	// Ping proves that a read works; it serves the health endpoint.
	Ping(ctx context.Context) error

	// Close waits for operations under way and releases the store. A second
	// call does nothing.
	Close() error
}

// UpdateFunc computes the new value of an entry from the old one, as
// [Store.Update] describes.
type UpdateFunc = func(old []byte) (next []byte, expires time.Time, err error)

// Take removes the entry under key and returns its value. Of any number of
// concurrent calls for one entry exactly one succeeds; the others get
// ErrNotFound. That is what makes an authorization code single use (RFC 6749
// §4.1.2).
func Take(ctx context.Context, s Store, key string) ([]byte, error) {
	var taken []byte
	err := s.Update(ctx, key, func(old []byte) ([]byte, time.Time, error) {
		if old == nil {
			return nil, time.Time{}, ErrNotFound
		}
		taken = old
		return nil, time.Time{}, nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// CheckKey returns an error that wraps ErrKey when a store would refuse key. It
// is for implementations of Store.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKeyLen {
		return fmt.Errorf("%w: %d bytes, want 1 to %d", ErrKey, len(key), MaxKeyLen)
	}
	return nil
}

// Millis turns an expiry time into the milliseconds since 1970 by which stores
// compare and index it: 0 for the zero time, which never expires, and at least 1
// for any other, so that a time before 1970 reads as expired and not as never.
// It is for implementations of Store.
func Millis(expires time.Time) int64 {
	if expires.IsZero() {
		return 0
	}
	return max(expires.UnixMilli(), 1)
}

// Live reports whether an entry with this expiry, in Millis, is present at now.
// It is for implementations of Store.
func Live(millis int64, now time.Time) bool {
	return millis == 0 || now.UnixMilli() < millis
}

// Expiry turns Millis back into a time in UTC. It is for implementations of
// Store.
func Expiry(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Records is a typed view of one kind of entry, kept as JSON. The identifier of
// a record is hashed (SHA-256, base64url) before it becomes a key: an
// identifier that is itself a secret, a code or a session, never lies at rest,
// and a long or binary one is as good as any. Make one with [NewRecords].
type Records[T any] struct {
	store  Store
	prefix string
}

// NewRecords returns the view of the entries below kind and a slash in s. kind
// is a constant of the caller, such as "code".
func NewRecords[T any](s Store, kind string) Records[T] {
	return Records[T]{store: s, prefix: kind + "/"}
}

// key is where the record with this identifier lies.
func (r Records[T]) key(id string) string {
	sum := sha256.Sum256([]byte(id))
	return r.prefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Get returns the record, or ErrNotFound.
func (r Records[T]) Get(ctx context.Context, id string) (*T, error) {
	raw, err := r.store.Get(ctx, r.key(id))
	if err != nil {
		return nil, err
	}
	return r.decode(raw)
}

// Put sets the record until expires; the zero time means for ever.
func (r Records[T]) Put(ctx context.Context, id string, record *T, expires time.Time) error {
	raw, err := r.encode(record)
	if err != nil {
		return err
	}
	return r.store.Put(ctx, r.key(id), raw, expires)
}

// Delete removes the record; an absent one is no error.
func (r Records[T]) Delete(ctx context.Context, id string) error {
	return r.store.Delete(ctx, r.key(id))
}

// Take removes the record and returns it: of concurrent calls exactly one gets
// it, the others ErrNotFound.
func (r Records[T]) Take(ctx context.Context, id string) (*T, error) {
	raw, err := Take(ctx, r.store, r.key(id))
	if err != nil {
		return nil, err
	}
	return r.decode(raw)
}

// Update replaces the record in one atomic step under the rules of
// [Store.Update]: old is nil when there is none, a nil next deletes, an error
// changes nothing, and fn may run several times.
func (r Records[T]) Update(ctx context.Context, id string, fn func(old *T) (next *T, expires time.Time, err error)) error {
	return r.store.Update(ctx, r.key(id), func(raw []byte) ([]byte, time.Time, error) {
		var old *T
		if raw != nil {
			var err error
			if old, err = r.decode(raw); err != nil {
				return nil, time.Time{}, err
			}
		}
		next, expires, err := fn(old)
		if err != nil || next == nil {
			return nil, time.Time{}, err
		}
		encoded, err := r.encode(next)
		return encoded, expires, err
	})
}

// List returns up to n records of this kind and the cursor of the next page, ""
// after the last one. The first page has the cursor "". The order is that of
// the hashes, so it says nothing about the records.
func (r Records[T]) List(ctx context.Context, cursor string, n int) (records []*T, next string, err error) {
	entries, err := r.store.Scan(ctx, r.prefix, cursor, n)
	if err != nil {
		return nil, "", err
	}
	records = make([]*T, 0, len(entries))
	for _, entry := range entries {
		record, err := r.decode(entry.Value)
		if err != nil {
			return nil, "", err
		}
		records = append(records, record)
	}
	if len(entries) > 0 && len(entries) == n {
		next = entries[n-1].Key
	}
	return records, next, nil
}

func (r Records[T]) encode(record *T) ([]byte, error) {
	raw, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("store: encode %srecord: %w", r.prefix, err)
	}
	return raw, nil
}

func (r Records[T]) decode(raw []byte) (*T, error) {
	record := new(T)
	if err := json.Unmarshal(raw, record); err != nil {
		return nil, fmt.Errorf("store: decode %srecord: %w", r.prefix, err)
	}
	return record, nil
}

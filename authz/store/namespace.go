package store

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// namespace is the part of a store below one prefix.
type namespace struct {
	inner  Store
	prefix string
}

// Namespace returns a view of s in which every key lies below prefix and a
// slash. The prefix is percent-encoded first, so that an issuer such as
// https://id.example/a never reaches into the keys of https://id.example. What
// the encoded prefix takes is missing from MaxKeyLen.
//
// Purge frees expired entries of the whole of s. Close does nothing: s belongs
// to whoever opened it.
func Namespace(s Store, prefix string) Store {
	return &namespace{inner: s, prefix: url.PathEscape(prefix) + "/"}
}

// key maps a key of the view to one of the store; the empty key stays invalid.
func (n *namespace) key(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	return n.prefix + key, nil
}

// Get implements Store.
func (n *namespace) Get(ctx context.Context, key string) ([]byte, error) {
	full, err := n.key(key)
	if err != nil {
		return nil, err
	}
	return n.inner.Get(ctx, full)
}

// Put implements Store.
func (n *namespace) Put(ctx context.Context, key string, value []byte, expires time.Time) error {
	full, err := n.key(key)
	if err != nil {
		return err
	}
	return n.inner.Put(ctx, full, value, expires)
}

// Delete implements Store.
func (n *namespace) Delete(ctx context.Context, key string) error {
	full, err := n.key(key)
	if err != nil {
		return err
	}
	return n.inner.Delete(ctx, full)
}

// Update implements Store.
func (n *namespace) Update(ctx context.Context, key string, fn UpdateFunc) error {
	full, err := n.key(key)
	if err != nil {
		return err
	}
	return n.inner.Update(ctx, full, fn)
}

// Scan implements Store.
func (n *namespace) Scan(ctx context.Context, prefix, from string, limit int) ([]Entry, error) {
	if from != "" {
		from = n.prefix + from
	}
	entries, err := n.inner.Scan(ctx, n.prefix+prefix, from, limit)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		entries[i].Key = strings.TrimPrefix(entries[i].Key, n.prefix)
	}
	return entries, nil
}

// Purge implements Store; it frees expired entries of the whole store.
func (n *namespace) Purge(ctx context.Context, limit int) (int, error) {
	return n.inner.Purge(ctx, limit)
}

// Ping implements Store.
func (n *namespace) Ping(ctx context.Context) error { return n.inner.Ping(ctx) }

// Close implements Store and does nothing: the owner of the store closes it.
func (n *namespace) Close() error { return nil }

package caddymodule

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/authz/store"
)

// errNotStarted is what a lateStore answers before it is set.
var errNotStarted = errors.New("the store is not open yet")

// lateStore is a store that gates are given when a config is provisioned and that is there once it
// has started: provisioning, which `caddy validate` does beside a running server, opens no store.
type lateStore struct {
	opened atomic.Pointer[store.Store]
}

func (l *lateStore) set(s store.Store) { l.opened.Store(&s) }

func (l *lateStore) get() (store.Store, error) {
	if s := l.opened.Load(); s != nil {
		return *s, nil
	}
	return nil, errNotStarted
}

// Get implements store.Store.
func (l *lateStore) Get(ctx context.Context, key string) ([]byte, error) {
	s, err := l.get()
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, key)
}

// Put implements store.Store.
func (l *lateStore) Put(ctx context.Context, key string, value []byte, expires time.Time) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Put(ctx, key, value, expires)
}

// Delete implements store.Store.
func (l *lateStore) Delete(ctx context.Context, key string) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Delete(ctx, key)
}

// Update implements store.Store.
func (l *lateStore) Update(ctx context.Context, key string, fn store.UpdateFunc) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Update(ctx, key, fn)
}

// Scan implements store.Store.
func (l *lateStore) Scan(ctx context.Context, prefix, from string, n int) ([]store.Entry, error) {
	s, err := l.get()
	if err != nil {
		return nil, err
	}
	return s.Scan(ctx, prefix, from, n)
}

// Purge implements store.Store.
func (l *lateStore) Purge(ctx context.Context, limit int) (int, error) {
	s, err := l.get()
	if err != nil {
		return 0, err
	}
	return s.Purge(ctx, limit)
}

// Ping implements store.Store.
func (l *lateStore) Ping(ctx context.Context) error {
	s, err := l.get()
	if err != nil {
		return err
	}
	return s.Ping(ctx)
}

// Close implements store.Store and does nothing: the pool closes the store.
func (l *lateStore) Close() error { return nil }

// Interface guard.
var _ store.Store = (*lateStore)(nil)

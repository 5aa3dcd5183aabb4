package caddymodule

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/tokeninject"
)

// pool holds what outlives a config: open stores by canonical file path, and the state of issuers.
// A new config takes its share before the old one gives its own back, so a value that both use is
// never closed in between. Values are state only and capture no setting that an operator tunes.
var pool = caddy.NewUsagePool()

// acquire takes a share in the pool's value under key, made by open if there is none. The caller
// owns the release, and so releases exactly what it acquired, also after a config that failed
// half-way.
func acquire[T caddy.Destructor](key string, open func() (T, error)) (value T, release func() error, err error) {
	shared, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return open() })
	if err != nil {
		return value, nil, err
	}
	value, ok := shared.(T)
	release = sync.OnceValue(func() error {
		_, err := pool.Delete(key)
		return err
	})
	if !ok {
		_ = release() // a share more or less never closes what another holds
		return value, nil, fmt.Errorf("%s is in use as %T", key, shared)
	}
	return value, release, nil
}

// How often expired entries are freed, and how many in one step.
const (
	purgeInterval = time.Minute
	purgeStep     = 1000
)

// openTimeout bounds the wait for a store that another process has open: the config is refused then,
// which an operator wants to know soon.
const openTimeout = 5 * time.Second

// sharedStore is an open store with its housekeeping, both of which end with its last user.
type sharedStore struct {
	store.Store
	stop func()
}

// openShared opens a store and keeps it clean.
func openShared(ctx context.Context, storage Storage, log *zap.Logger) (*sharedStore, error) {
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	opened, err := storage.Open(opening)
	if err != nil {
		return nil, err
	}
	stop := every(purgeInterval, func(ctx context.Context) {
		if err := purge(ctx, opened); err != nil && ctx.Err() == nil {
			log.Warn("freeing expired entries failed", zap.Error(err))
		}
	})
	return &sharedStore{Store: opened, stop: stop}, nil
}

// Destruct implements caddy.Destructor.
func (s *sharedStore) Destruct() error {
	s.stop()
	return s.Close()
}

// purge frees all expired entries, in steps that let other writers in between.
func purge(ctx context.Context, s store.Store) error {
	for {
		freed, err := s.Purge(ctx, purgeStep)
		if err != nil || freed < purgeStep {
			return err
		}
	}
}

// sharedState is what an issuer must not lose in a reload, and the share in the store that it needs.
type sharedState struct {
	*authz.State
	locks        store.Store // the part of the store that all its issuers share
	stop         func()
	releaseStore func() error
}

// openState loads an issuer's state over its own namespace of a store, which it opens or shares.
func openState(ctx context.Context, key string, storage Storage, issuer string, log *zap.Logger) (*sharedState, error) {
	shared, release, err := acquire("store "+key, func() (*sharedStore, error) {
		return openShared(ctx, storage, log)
	})
	if err != nil {
		return nil, err
	}
	state, err := authz.NewState(ctx, store.Namespace(shared, issuer), time.Now)
	if err != nil {
		_ = release() // the error that matters is the first one
		return nil, err
	}
	stop := every(purgeInterval, func(context.Context) { state.Purge() })
	return &sharedState{State: state, locks: store.Namespace(shared, "locks"), stop: stop, releaseStore: release}, nil
}

// Destruct implements caddy.Destructor.
func (s *sharedState) Destruct() error {
	s.stop()
	return s.releaseStore()
}

// gateState is what the gates of an issuer share and keep over a reload: live browser sessions with
// the tokens minted for them. It is there when a config is provisioned, its store once one starts.
type gateState struct {
	store    lateStore
	sessions *tokeninject.Sessions
}

func newGateState() (*gateState, error) {
	g := new(gateState)
	g.sessions = tokeninject.NewSessions(&g.store, time.Now)
	return g, nil
}

// Destruct implements caddy.Destructor; there is nothing to close.
func (*gateState) Destruct() error { return nil }

// every calls job in intervals until stop is called, which waits for a call under way to end.
func every(interval time.Duration, job func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				job(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

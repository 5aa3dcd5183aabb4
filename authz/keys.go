package authz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/token"
)

// keyDocument is the name under which a server's keys are kept.
const keyDocument = "keys.json"

const (
	// keyInterval is how often the key document is looked at. What other nodes rotate is learned well
	// within token.PublishAhead.
	keyInterval = time.Minute
	// keyTimeout bounds one such look, with the lock it may wait for and the keys it may make.
	keyTimeout = 30 * time.Second
)

var (
	errKeysGone   = errors.New("the key document is gone")
	errOtherKeys  = errors.New("the key document is another issuer's, or was made anew while this server runs")
	errNoDocument = errors.New("there is no key document")
)

// keyring keeps a server's keys as its configuration wants them, together with all other servers
// that have the same key document: nodes of a cluster, and the ones before and after a reload.
type keyring struct {
	store KeyStore
	plan  token.Plan
	now   func() time.Time
	log   *zap.Logger

	current atomic.Pointer[token.Keys]

	mu       sync.Mutex // one change at a time
	document []byte     // what current was read from
}

// change is one of the methods of token.Plan.
type change func(k *token.Keys, now time.Time) (next *token.Keys, changed bool, err error)

// keys are those as of now.
func (r *keyring) keys() *token.Keys { return r.current.Load() }

// keys are those to sign and verify with now.
func (r *running) keys() *token.Keys { return r.keyring.keys() }

// apply brings the keys up to date with the document and makes a change. Whatever fails, the keys at
// hand go on, those included that were published ahead.
func (r *keyring) apply(ctx context.Context, do change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.try(ctx, do)
	if keys := r.keys(); err != nil && keys != nil {
		r.current.Store(keys.At(r.now()))
	}
	return err
}

func (r *keyring) try(ctx context.Context, do change) error {
	document, err := r.load(ctx)
	if err != nil {
		return err
	}
	next, changed, err := r.after(document, do)
	if err != nil {
		return err
	}
	if changed {
		if document, next, err = r.save(ctx, document, next, do); err != nil {
			return err
		}
		r.log.Info("the server's keys have changed", zap.Any("algorithms", next.Algorithms()))
	}
	r.document = document
	r.current.Store(next)
	return nil
}

// load reads the document; nil for none.
func (r *keyring) load(ctx context.Context) ([]byte, error) {
	document, err := r.store.Load(ctx, keyDocument)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("load: %w", err)
	case len(document) == 0:
		return nil, fmt.Errorf("load: %w", errNoDocument)
	}
	return document, nil
}

// after is what a change makes of the keys in a document.
func (r *keyring) after(document []byte, do change) (next *token.Keys, changed bool, err error) {
	keys, now := r.keys(), r.now()
	switch {
	case document == nil && keys == nil:
		next, err = r.plan.Generate(now)
		return next, err == nil, err
	case document == nil:
		// Other keys would break what lives in this process under the master secret.
		return nil, false, errKeysGone
	case keys != nil && bytes.Equal(document, r.document):
		return do(keys, now)
	}
	read, err := token.ParseKeys(document)
	if err != nil {
		return nil, false, err
	}
	if keys != nil && !read.SameIssuer(keys) {
		return nil, false, errOtherKeys
	}
	return do(read, now)
}

// save stores next, which was made of document. Another node may have been first; then the change is
// made again, of what that node stored. A lock keeps the nodes apart, so that they agree on one set.
func (r *keyring) save(ctx context.Context, document []byte, next *token.Keys, do change) ([]byte, *token.Keys, error) {
	if err := r.store.Lock(ctx, keyDocument); err != nil {
		return nil, nil, fmt.Errorf("lock: %w", err)
	}
	defer func() { _ = r.store.Unlock(context.WithoutCancel(ctx), keyDocument) }()
	newest, err := r.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(newest, document) {
		var changed bool
		if next, changed, err = r.after(newest, do); err != nil || !changed {
			return newest, next, err
		}
	}
	document, err = next.Marshal()
	if err != nil {
		return nil, nil, err
	}
	if err := r.store.Save(ctx, keyDocument, document); err != nil {
		return nil, nil, fmt.Errorf("save: %w", err)
	}
	return document, next, nil
}

// maintain does what is due again and again, until ctx ends.
func (r *keyring) maintain(ctx context.Context) {
	ticker := time.NewTicker(keyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.tend(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (r *keyring) tend(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	if err := r.apply(bounded, r.plan.Tend); err != nil && ctx.Err() == nil {
		r.log.Error("keeping the server's keys failed, those at hand go on", zap.Error(err))
	}
}

// RotateKeys publishes a successor for every generated signing key and for the key of "server_key",
// without waiting for their time; each begins after token.PublishAhead, and what it succeeds stays
// for the overlap. It does nothing for a key whose successor is published already, and is an error
// as long as tokens may be alive under all eleven keys of "server_key". Keys from files have only
// the operator to succeed them.
func (s *Server) RotateKeys(ctx context.Context) error {
	if err := s.Ready(ctx); err != nil {
		return err
	}
	if err := s.run.keyring.apply(ctx, s.run.keyring.plan.Rotate); err != nil {
		return fmt.Errorf("rotate keys of %s: %w", s.cfg.Issuer, err)
	}
	s.cfg.Observe(ctx, Event{Name: "keys_rotated", Issuer: s.cfg.Issuer})
	return nil
}

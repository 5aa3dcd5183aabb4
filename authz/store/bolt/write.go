package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/gatewright/gatewright/authz/store"
)

// errAborted is what a batch answers when a function ended the writer's
// goroutine (runtime.Goexit, as a failing test assertion does) instead of
// returning.
var errAborted = errors.New("bolt: update function did not return")

// errUnchanged rolls back a transaction that changed nothing, so that a replayed
// code or an idle purge costs no sync.
var errUnchanged = errors.New("bolt: nothing changed")

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte, expires time.Time) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	return s.do(ctx, func(tx *bbolt.Tx) (change, error) {
		return func() error { return putEntry(tx, []byte(key), value, store.Millis(expires)) }, nil
	})
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	return s.do(ctx, func(tx *bbolt.Tx) (change, error) {
		return deletion(tx, []byte(key)), nil
	})
}

// Update implements store.Store. fn runs on the goroutine that writes; a panic
// in it surfaces in the caller of Update and changes nothing.
func (s *Store) Update(ctx context.Context, key string, fn store.UpdateFunc) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	return s.do(ctx, func(tx *bbolt.Tx) (change, error) {
		var old []byte
		if e, ok := getEntry(tx, []byte(key)); ok && store.Live(e.expires, s.now()) {
			old = e.copyValue()
		}
		next, expires, err := fn(old)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return deletion(tx, []byte(key)), nil
		}
		return func() error { return putEntry(tx, []byte(key), next, store.Millis(expires)) }, nil
	})
}

// Purge implements store.Store. All it frees goes in one commit, so limit also
// bounds how long other writes wait.
func (s *Store) Purge(ctx context.Context, limit int) (int, error) {
	var freed int
	err := s.do(ctx, func(tx *bbolt.Tx) (change, error) {
		places := expired(tx, s.now().UnixMilli(), limit)
		freed = len(places)
		if freed == 0 {
			return nil, nil
		}
		return func() error { return deleteExpired(tx, places) }, nil
	})
	if err != nil {
		return 0, err
	}
	return freed, nil
}

// do queues an operation and waits until it is committed or refused.
//
// When ctx ends while the operation still waits, it is withdrawn and changes
// nothing. Once the writer has taken it up, do waits for the outcome whatever
// ctx says, which is at most one commit: no caller is left guessing.
func (s *Store) do(ctx context.Context, plan func(*bbolt.Tx) (change, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &op{plan: plan, done: make(chan struct{}), err: errAborted}
	if err := s.queue.push(o); err != nil {
		return err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.withdraw() {
			return ctx.Err()
		}
		<-o.done
	}
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o.err
}

// write commits batch after batch until the queue is closed and empty.
func (s *Store) write() {
	returned := false
	defer func() {
		if !returned {
			go s.write()
		}
	}()
	for {
		batch, ok := s.queue.next()
		if !ok {
			break
		}
		s.commit(batch)
	}
	close(s.queue.drained)
	returned = true
}

// commit runs a batch in one transaction and answers every caller in it. An
// operation that fails by itself fails alone; when the transaction fails, all
// fail, those too that had failed by themselves: what they saw never was.
func (s *Store) commit(batch []*op) {
	defer func() {
		for _, o := range batch {
			close(o.done)
		}
	}()
	err := s.db.Update(func(tx *bbolt.Tx) error { return runAll(tx, batch) })
	for _, o := range batch {
		if err != nil && !errors.Is(err, errUnchanged) {
			o.err = fmt.Errorf("bolt: commit: %w", err)
			continue
		}
		o.err = o.result
	}
}

// runAll runs a batch in tx. The error it returns is one of the transaction; it
// is errUnchanged when no operation changed anything.
func runAll(tx *bbolt.Tx, batch []*op) error {
	changed := false
	for _, o := range batch {
		apply := o.decide(tx)
		if apply == nil {
			continue
		}
		if err := apply(); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return errUnchanged
	}
	return nil
}

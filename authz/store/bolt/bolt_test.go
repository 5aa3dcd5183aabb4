package bolt

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), Options{Now: now})
		require.NoError(t, err)
		return s
	})
}

func open(tb testing.TB, path string) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), path, Options{})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

func TestOpenKeepsOthersOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "er", "state.db")
	open(t, path)
	file, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), file.Mode().Perm())
	dir, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), dir.Mode().Perm())
}

func TestOpenTwiceFailsAndNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Open(ctx, path, Options{})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, path)

	cancel()
	_, err = Open(ctx, path, Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestO3_CheckChangesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	path := filepath.Join(t.TempDir(), "state.db")
	require.ErrorIs(t, Check(ctx, path), fs.ErrNotExist)
	require.NoFileExists(t, path)

	s, err := Open(t.Context(), path, Options{})
	require.NoError(t, err)
	require.ErrorIs(t, Check(ctx, path), ErrLocked)
	require.NoError(t, s.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, Check(t.Context(), path))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)

	other := filepath.Join(t.TempDir(), "other.db")
	require.NoError(t, os.WriteFile(other, []byte("no store"), 0o600))
	require.Error(t, Check(t.Context(), other))
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, bytes.Repeat([]byte("no database\n"), 1000), 0o600))
	_, err := Open(t.Context(), text, Options{})
	require.ErrorContains(t, err, text)

	_, err = Open(t.Context(), filepath.Join(text, "below a file"), Options{})
	require.ErrorContains(t, err, "create folder")

	path := filepath.Join(dir, "newer.db")
	newer := open(t, path)
	require.NoError(t, newer.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(formatKey, []byte("99"))
	}))
	require.ErrorIs(t, newer.Ping(t.Context()), ErrFormat)
	require.NoError(t, newer.Close())
	_, err = Open(t.Context(), path, Options{})
	require.ErrorIs(t, err, ErrFormat)
}

func TestReopenKeepsEntries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	require.NoError(t, s.Put(t.Context(), "a", []byte("1"), time.Now().Add(time.Hour)))
	require.NoError(t, s.Close())

	s = open(t, path)
	got, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(got))
}

// hold makes the writer stop within a commit until the returned function is
// called; it returns once the writer stands there.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	holding, released, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.Update(context.WithoutCancel(t.Context()), "held", func([]byte) ([]byte, time.Time, error) {
			close(holding)
			<-released
			return []byte("v"), time.Time{}, nil
		})
	}()
	<-holding
	end := sync.OnceFunc(func() { close(released) })
	t.Cleanup(end) // or a failing test would never get to close the store
	return func() {
		end()
		require.NoError(t, <-done)
	}
}

// queued waits until n operations stand in the queue.
func queued(t *testing.T, s *Store, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return len(s.queue.waiting) == n
	}, 10*time.Second, time.Millisecond)
}

func TestWaitingWritesShareACommit(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	release := hold(t, s)
	const n = 50
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- s.Put(t.Context(), string(rune('A'+i)), []byte("v"), time.Time{}) }()
	}
	queued(t, s, n)
	before := commits(t, s)
	release()
	for range n {
		require.NoError(t, <-errs)
	}
	require.Equal(t, 2, commits(t, s)-before, "the held one and one for all the others")
}

// commits counts the transactions that were ever committed to the file.
func commits(t *testing.T, s *Store) (id int) {
	t.Helper()
	require.NoError(t, s.db.View(func(tx *bbolt.Tx) error {
		id = tx.ID()
		return nil
	}))
	return id
}

func TestNothingChangedCostsNoCommit(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	require.NoError(t, s.Put(t.Context(), "a", []byte("1"), time.Time{}))
	before := commits(t, s)

	_, err := store.Take(t.Context(), s, "replayed")
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, s.Delete(t.Context(), "absent"))
	n, err := s.Purge(t.Context(), 100)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, before, commits(t, s))
}

func TestFailuresStayTheirOwn(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	release := hold(t, s)
	refused := errors.New("refused")
	good, bad, mad := make(chan error, 1), make(chan error, 1), make(chan any, 1)
	go func() {
		bad <- s.Update(t.Context(), "bad", func([]byte) ([]byte, time.Time, error) { return []byte("v"), time.Time{}, refused })
	}()
	queued(t, s, 1)
	go func() {
		defer func() { mad <- recover() }()
		_ = s.Update(t.Context(), "mad", func([]byte) ([]byte, time.Time, error) { panic("mad") })
	}()
	queued(t, s, 2)
	go func() { good <- s.Put(t.Context(), "good", []byte("v"), time.Time{}) }()
	queued(t, s, 3)
	release()

	require.NoError(t, <-good)
	require.ErrorIs(t, <-bad, refused)
	require.Equal(t, "mad", <-mad)
	entries, err := s.Scan(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, "good", entries[0].Key)
}

func TestCommitFailureFailsTheBatch(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	require.NoError(t, s.Put(t.Context(), "code", []byte("v"), time.Time{}))
	release := hold(t, s)
	broken := errors.New("disk full")
	errs := make(chan error, 4)
	for range 2 {
		go func() {
			_, err := store.Take(t.Context(), s, "code")
			errs <- err
		}()
	}
	go func() { errs <- s.Put(t.Context(), "a", []byte("v"), time.Time{}) }()
	queued(t, s, 3)
	go func() {
		errs <- s.do(t.Context(), func(*bbolt.Tx) (change, error) { return func() error { return broken }, nil })
	}()
	queued(t, s, 4)
	release()
	for range 4 {
		require.ErrorIs(t, <-errs, broken, "the loser of the race too: its winner never was")
	}

	_, err := s.Get(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
	got, err := store.Take(t.Context(), s, "code")
	require.NoError(t, err)
	require.Equal(t, "v", string(got))
}

func TestCancelledWhileWaitingChangesNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- s.Put(ctx, "a", []byte("1"), time.Time{}) }()
	queued(t, s, 1)
	cancel()
	require.ErrorIs(t, <-gaveUp, context.Canceled)
	release()

	require.NoError(t, s.Put(t.Context(), "b", []byte("1"), time.Time{}))
	_, err := s.Get(t.Context(), "a")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestCancelledWhileWrittenWaitsForTheOutcome(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, "a", func([]byte) ([]byte, time.Time, error) {
		cancel()
		return []byte("1"), time.Time{}, nil
	})
	require.NoError(t, err)
	got, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(got))
}

func TestCloseCommitsWhatWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	release := hold(t, s)
	put, closed := make(chan error, 1), make(chan error, 1)
	go func() { put <- s.Put(t.Context(), "a", []byte("1"), time.Time{}) }()
	queued(t, s, 1)
	go func() { closed <- s.Close() }()
	require.Eventually(t, func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return s.queue.closed
	}, 10*time.Second, time.Millisecond)
	require.ErrorIs(t, s.Put(t.Context(), "late", nil, time.Time{}), store.ErrClosed)
	release()
	require.NoError(t, <-put)
	require.NoError(t, <-closed)

	got, err := open(t, path).Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(got))
}

func TestWriterOutlivesAFunctionThatExits(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	err := s.Update(t.Context(), "a", func([]byte) ([]byte, time.Time, error) {
		runtime.Goexit()
		return nil, time.Time{}, nil
	})
	require.ErrorIs(t, err, errAborted)
	require.NoError(t, s.Put(t.Context(), "a", []byte("1"), time.Time{}))
}

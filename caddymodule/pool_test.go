package caddymodule

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/store"
)

// closable is a pool's value that tells when it was closed.
type closable struct{ closed atomic.Int32 }

func (c *closable) Destruct() error { c.closed.Add(1); return nil }

// other is a pool's value of another type.
type other struct{}

func (other) Destruct() error { return nil }

func TestPoolReleasesWhatWasAcquired(t *testing.T) {
	open := func() (*closable, error) { return new(closable), nil }
	first, releaseFirst, err := acquire(t.Name(), open)
	require.NoError(t, err)
	second, releaseSecond, err := acquire(t.Name(), open)
	require.NoError(t, err)
	require.Same(t, first, second, "a reload shares what is open")

	require.NoError(t, releaseFirst())
	require.NoError(t, releaseFirst(), "a second call takes nobody else's share")
	require.Zero(t, first.closed.Load())
	require.NoError(t, releaseSecond())
	require.EqualValues(t, 1, first.closed.Load())
}

func TestPoolKeepsNothingOfAFailure(t *testing.T) {
	broken := errors.New("broken")
	_, release, err := acquire(t.Name(), func() (*closable, error) { return nil, broken })
	require.ErrorIs(t, err, broken)
	require.Nil(t, release)
	_, release, err = acquire(t.Name(), func() (*closable, error) { return new(closable), nil })
	require.NoError(t, err)
	require.NoError(t, release())
}

func TestPoolRefusesAValueOfAnotherType(t *testing.T) {
	value, release, err := acquire(t.Name(), func() (*closable, error) { return new(closable), nil })
	require.NoError(t, err)
	_, _, err = acquire(t.Name(), func() (other, error) { return other{}, nil })
	require.ErrorContains(t, err, "is in use")
	require.Zero(t, value.closed.Load())
	require.NoError(t, release())
	require.EqualValues(t, 1, value.closed.Load())
}

func TestEveryCallsUntilStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		stop := every(time.Minute, func(context.Context) { calls.Add(1) })
		<-time.After(3*time.Minute + time.Second)
		require.EqualValues(t, 3, calls.Load())
		stop()
		<-time.After(5 * time.Minute)
		require.EqualValues(t, 3, calls.Load())
	})
}

func TestSharedStoreFreesWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		shared, err := openShared(ctx, new(MemoryStorage), zap.NewNop())
		require.NoError(t, err)
		for _, key := range []string{"a", "b"} {
			require.NoError(t, shared.Put(ctx, key, nil, time.Now().Add(time.Second)))
		}
		<-time.After(purgeInterval + time.Second)
		freed, err := shared.Purge(ctx, 10)
		require.NoError(t, err)
		require.Zero(t, freed, "the housekeeping has been there")
		require.NoError(t, shared.Destruct())
		require.ErrorIs(t, shared.Ping(ctx), store.ErrClosed)
	})
}

func TestBoltKeyIsCanonical(t *testing.T) {
	folder, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(folder, link))
	want := filepath.Join(folder, "new", "state.db")
	for _, file := range []string{
		want,
		filepath.Join(link, "new", "state.db"),
		filepath.Join(folder, "x", "..", "new", ".", "state.db"),
	} {
		before, err := (&BoltStorage{File: file}).Key("")
		require.NoError(t, err)
		require.Equal(t, want, before, "nothing of it exists yet")
	}
	require.NoError(t, os.Mkdir(filepath.Join(folder, "new"), 0o700))
	require.NoError(t, os.WriteFile(want, nil, 0o600))
	after, err := (&BoltStorage{File: filepath.Join(link, "new", "state.db")}).Key("")
	require.NoError(t, err)
	require.Equal(t, want, after, "a reload finds the same store")
}

func TestLateStoreAnswersAnErrorUntilItIsThere(t *testing.T) {
	ctx := t.Context()
	late := new(lateStore)
	calls := map[string]func() error{
		"get":    func() error { _, err := late.Get(ctx, "k"); return err },
		"put":    func() error { return late.Put(ctx, "k", nil, time.Time{}) },
		"delete": func() error { return late.Delete(ctx, "k") },
		"update": func() error {
			return late.Update(ctx, "k", func([]byte) ([]byte, time.Time, error) { return []byte("v"), time.Time{}, nil })
		},
		"scan":  func() error { _, err := late.Scan(ctx, "", "", 1); return err },
		"purge": func() error { _, err := late.Purge(ctx, 1); return err },
		"ping":  func() error { return late.Ping(ctx) },
	}
	for name, call := range calls {
		require.ErrorIs(t, call(), errNotStarted, name)
	}
	opened := store.NewMemory(time.Now)
	late.set(opened)
	require.NoError(t, calls["put"]())
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrNotFound) { // map order: delete may come before get
			require.NoError(t, err, name)
		}
	}
	require.NoError(t, late.Close())
	require.NoError(t, opened.Ping(ctx), "it is not a gate's to close")
}

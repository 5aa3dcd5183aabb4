package storetest

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/store"
)

var errRefused = errors.New("refused by the test")

func testUpdate(t *testing.T, s store.Store, c *clock) {
	ctx := t.Context()
	require.NoError(t, s.Update(ctx, "a", func(old []byte) ([]byte, time.Time, error) {
		if old != nil {
			return nil, never, errRefused
		}
		return []byte("1"), c.now().Add(time.Minute), nil
	}))
	require.NoError(t, s.Update(ctx, "a", func(old []byte) ([]byte, time.Time, error) {
		return append(old, '2'), c.now().Add(time.Hour), nil
	}))
	c.advance(time.Minute)
	requireValue(t, s, "a", "12")

	require.NoError(t, s.Update(ctx, "a", func([]byte) ([]byte, time.Time, error) {
		return []byte{}, never, nil
	}))
	requireValue(t, s, "a", "")
	require.NoError(t, s.Update(ctx, "a", func(old []byte) ([]byte, time.Time, error) {
		if old == nil {
			return nil, never, errRefused
		}
		return nil, never, nil
	}), "an empty value is not an absent one")
	requireAbsent(t, s, "a")
	require.NoError(t, s.Update(ctx, "a", func([]byte) ([]byte, time.Time, error) {
		return nil, never, nil
	}), "deleting what is absent")
}

func testUpdateFails(t *testing.T, s store.Store, c *clock) {
	expires := c.now().Add(time.Hour)
	put(t, s, "a", "1", expires)
	for _, key := range []string{"a", "absent"} {
		err := s.Update(t.Context(), key, func([]byte) ([]byte, time.Time, error) {
			return []byte("2"), never, errRefused
		})
		require.ErrorIs(t, err, errRefused)
	}
	requireAbsent(t, s, "absent")
	requireValue(t, s, "a", "1")
	entries, err := s.Scan(t.Context(), "a", "", 1)
	require.NoError(t, err)
	require.True(t, entries[0].Expires.Equal(expires))
}

func testUpdatePanics(t *testing.T, s store.Store, _ *clock) {
	put(t, s, "a", "1", never)
	require.PanicsWithValue(t, "by the test", func() {
		_ = s.Update(t.Context(), "a", func([]byte) ([]byte, time.Time, error) { panic("by the test") })
	})
	requireValue(t, s, "a", "1")
	put(t, s, "a", "2", never)
	requireValue(t, s, "a", "2")
}

func testUpdateExpired(t *testing.T, s store.Store, c *clock) {
	put(t, s, "a", "1", c.now().Add(time.Minute))
	c.advance(time.Minute)
	var saw []byte
	require.NoError(t, s.Update(t.Context(), "a", func(old []byte) ([]byte, time.Time, error) {
		saw = old
		return []byte("2"), never, nil
	}))
	require.Nil(t, saw)
	requireValue(t, s, "a", "2")
}

func testUpdateAtomic(t *testing.T, s store.Store, _ *clock) {
	const callers, each = 100, 3
	errs := concurrently(callers, func() error {
		for range each {
			err := s.Update(t.Context(), "counter", func(old []byte) ([]byte, time.Time, error) {
				n := 0
				if old != nil {
					var err error
					if n, err = strconv.Atoi(string(old)); err != nil {
						return nil, never, err
					}
				}
				return []byte(strconv.Itoa(n + 1)), never, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
	requireValue(t, s, "counter", strconv.Itoa(callers*each))
}

func testTake(t *testing.T, s store.Store, c *clock) {
	put(t, s, "a", "1", c.now().Add(time.Minute))
	got, err := store.Take(t.Context(), s, "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(got))
	requireAbsent(t, s, "a")
	_, err = store.Take(t.Context(), s, "a")
	require.ErrorIs(t, err, store.ErrNotFound)

	put(t, s, "b", "1", c.now().Add(time.Minute))
	c.advance(time.Minute)
	_, err = store.Take(t.Context(), s, "b")
	require.ErrorIs(t, err, store.ErrNotFound, "expired")
}

func testTakeOnce(t *testing.T, s store.Store, _ *clock) {
	put(t, s, "code", "grant", never)
	var won atomic.Int32
	errs := concurrently(100, func() error {
		value, err := store.Take(t.Context(), s, "code")
		if err == nil && string(value) == "grant" {
			won.Add(1)
		}
		return err
	})
	require.EqualValues(t, 1, won.Load())
	lost := 0
	for _, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, store.ErrNotFound)
			lost++
		}
	}
	require.Equal(t, 99, lost)
}

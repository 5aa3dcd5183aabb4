package storetest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/store"
)

func testPutGetDelete(t *testing.T, s store.Store, _ *clock) {
	ctx := t.Context()
	requireAbsent(t, s, "a")
	require.NoError(t, s.Delete(ctx, "a"), "an absent key is no error")

	put(t, s, "a", "1", never)
	put(t, s, "b", "2", never)
	requireValue(t, s, "a", "1")
	put(t, s, "a", "3", never)
	requireValue(t, s, "a", "3")

	require.NoError(t, s.Delete(ctx, "a"))
	requireAbsent(t, s, "a")
	requireValue(t, s, "b", "2")

	require.NoError(t, s.Put(ctx, "empty", nil, never))
	requireValue(t, s, "empty", "")
	require.NoError(t, s.Ping(ctx))
}

func testKeys(t *testing.T, s store.Store, _ *clock) {
	ctx := t.Context()
	longest := strings.Repeat("k", store.MaxKeyLen)
	put(t, s, longest, "v", time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC))
	requireValue(t, s, longest, "v")

	for _, key := range []string{"", longest + "k"} {
		_, err := s.Get(ctx, key)
		require.ErrorIs(t, err, store.ErrKey)
		require.ErrorIs(t, s.Put(ctx, key, []byte("v"), never), store.ErrKey)
		require.ErrorIs(t, s.Delete(ctx, key), store.ErrKey)
		require.ErrorIs(t, s.Update(ctx, key, func(old []byte) ([]byte, time.Time, error) {
			return old, never, nil
		}), store.ErrKey)
	}
}

func testBinaryKeys(t *testing.T, s store.Store, _ *clock) {
	keys := []string{"\x00", "\x00\x00", "a", "a\x00b", "a\xff", "ä/ü", "\xff\xfe", "\xff\xff"}
	for _, key := range keys {
		put(t, s, key, "of "+key, never)
	}
	for _, key := range keys {
		requireValue(t, s, key, "of "+key)
	}
	entries, err := s.Scan(t.Context(), "", "", 100)
	require.NoError(t, err)
	require.Equal(t, keys, keysOf(entries), "bytewise order")

	entries, err = s.Scan(t.Context(), "\xff", "", 100)
	require.NoError(t, err)
	require.Equal(t, keys[6:], keysOf(entries))
}

func testLargeValue(t *testing.T, s store.Store, _ *clock) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	require.NoError(t, s.Put(t.Context(), "large", large, never))
	put(t, s, "small", "v", never)
	got, err := s.Get(t.Context(), "large")
	require.NoError(t, err)
	require.True(t, bytes.Equal(large, got))
	requireValue(t, s, "small", "v")
}

func testCopies(t *testing.T, s store.Store, _ *clock) {
	ctx := t.Context()
	in := []byte("value")
	require.NoError(t, s.Put(ctx, "a", in, never))
	in[0] = 'X'
	requireValue(t, s, "a", "value")

	out, err := s.Get(ctx, "a")
	require.NoError(t, err)
	out[0] = 'X'
	requireValue(t, s, "a", "value")

	entries, err := s.Scan(ctx, "", "", 1)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	entries[0].Value[0] = 'X'
	requireValue(t, s, "a", "value")

	var kept, next []byte
	require.NoError(t, s.Update(ctx, "a", func(old []byte) ([]byte, time.Time, error) {
		kept, next = old, []byte("other")
		return next, never, nil
	}))
	kept[0], next[0] = 'X', 'X'
	requireValue(t, s, "a", "other")

	require.ErrorIs(t, s.Update(ctx, "a", func(old []byte) ([]byte, time.Time, error) {
		old[0] = 'X'
		return nil, never, errRefused
	}), errRefused)
	requireValue(t, s, "a", "other")
}

func testCancelled(t *testing.T, s store.Store, _ *clock) {
	put(t, s, "a", "1", never)
	ctx := cancelled(t)
	want := ctx.Err()

	_, err := s.Get(ctx, "a")
	require.ErrorIs(t, err, want)
	require.ErrorIs(t, s.Put(ctx, "a", []byte("2"), never), want)
	require.ErrorIs(t, s.Delete(ctx, "a"), want)
	require.ErrorIs(t, s.Update(ctx, "a", func([]byte) ([]byte, time.Time, error) {
		return []byte("2"), never, nil
	}), want)
	_, err = s.Scan(ctx, "", "", 1)
	require.ErrorIs(t, err, want)
	_, err = s.Purge(ctx, 1)
	require.ErrorIs(t, err, want)
	require.ErrorIs(t, s.Ping(ctx), want)
	requireValue(t, s, "a", "1")
}

func testClose(t *testing.T, s store.Store, _ *clock) {
	ctx := t.Context()
	put(t, s, "a", "1", never)
	require.NoError(t, store.Namespace(s, "ns").Close())
	requireValue(t, s, "a", "1")

	require.NoError(t, s.Close())
	_, err := s.Get(ctx, "a")
	require.ErrorIs(t, err, store.ErrClosed)
	require.ErrorIs(t, s.Put(ctx, "a", []byte("2"), never), store.ErrClosed)
	require.ErrorIs(t, s.Delete(ctx, "a"), store.ErrClosed)
	_, err = s.Scan(ctx, "", "", 1)
	require.ErrorIs(t, err, store.ErrClosed)
	_, err = s.Purge(ctx, 1)
	require.ErrorIs(t, err, store.ErrClosed)
	require.ErrorIs(t, s.Ping(ctx), store.ErrClosed)
	require.NoError(t, s.Close(), "a second close does nothing")
}

package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/store"
)

func testExpiry(t *testing.T, s store.Store, c *clock) {
	expires := c.now().Add(time.Minute)
	put(t, s, "a", "1", expires)
	c.advance(time.Minute - time.Millisecond)
	requireValue(t, s, "a", "1")
	entries, err := s.Scan(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.True(t, entries[0].Expires.Equal(expires))

	c.advance(time.Millisecond)
	requireAbsent(t, s, "a")
	entries, err = s.Scan(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Empty(t, entries)

	put(t, s, "a", "2", c.now().Add(time.Minute))
	requireValue(t, s, "a", "2")

	put(t, s, "ns", "v", c.now().Add(time.Millisecond+999*time.Microsecond))
	c.advance(time.Millisecond)
	requireAbsent(t, s, "ns")
}

func testZeroExpiry(t *testing.T, s store.Store, c *clock) {
	put(t, s, "a", "1", never)
	c.advance(200 * 365 * 24 * time.Hour)
	requireValue(t, s, "a", "1")
	n, err := s.Purge(t.Context(), 10)
	require.NoError(t, err)
	require.Zero(t, n)
	entries, err := s.Scan(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.True(t, entries[0].Expires.IsZero())
}

func testPastExpiry(t *testing.T, s store.Store, c *clock) {
	put(t, s, "a", "1", never)
	put(t, s, "a", "2", c.now())
	requireAbsent(t, s, "a")
	put(t, s, "b", "1", time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC))
	requireAbsent(t, s, "b")
	n, err := s.Purge(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func testPurge(t *testing.T, s store.Store, c *clock) {
	ctx := t.Context()
	for i := range 10 {
		put(t, s, fmt.Sprintf("k%d", 9-i), "v", c.now().Add(time.Duration(i+1)*time.Minute))
	}
	put(t, s, "stays", "v", never)
	c.advance(7 * time.Minute)

	for _, want := range []int{3, 3, 1, 0} {
		n, err := s.Purge(ctx, 3)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	n, err := s.Purge(ctx, 0)
	require.NoError(t, err)
	require.Zero(t, n)
	entries, err := s.Scan(ctx, "", "", 100)
	require.NoError(t, err)
	require.Equal(t, []string{"k0", "k1", "k2", "stays"}, keysOf(entries))
}

func testPurgeRenewed(t *testing.T, s store.Store, c *clock) {
	ctx := t.Context()
	soon := c.now().Add(time.Minute)
	put(t, s, "renewed", "1", soon)
	put(t, s, "renewed", "2", soon.Add(time.Hour))
	put(t, s, "forever", "1", soon)
	put(t, s, "forever", "2", never)
	put(t, s, "deleted", "1", soon)
	require.NoError(t, s.Delete(ctx, "deleted"))
	put(t, s, "shortened", "1", soon.Add(time.Hour))
	put(t, s, "shortened", "2", soon)

	c.advance(time.Minute)
	n, err := s.Purge(ctx, 10)
	require.NoError(t, err)
	require.Equal(t, 1, n, "only the shortened one is left to free")
	requireValue(t, s, "renewed", "2")
	requireValue(t, s, "forever", "2")
	requireAbsent(t, s, "shortened")
}

package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, now func() time.Time) store.Store { return store.NewMemory(now) })
}

func TestMemoryFollowsTheWallClockByDefault(t *testing.T) {
	s := store.NewMemory(nil)
	require.NoError(t, s.Put(t.Context(), "past", []byte("v"), time.Now().Add(-time.Hour)))
	require.NoError(t, s.Put(t.Context(), "future", []byte("v"), time.Now().Add(time.Hour)))
	_, err := s.Get(t.Context(), "past")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Get(t.Context(), "future")
	require.NoError(t, err)
}

func BenchmarkMemory(b *testing.B) {
	for _, size := range []int{1_000, 100_000} {
		s := store.NewMemory(nil)
		expires := time.Now().Add(time.Hour)
		key := func(i int) string { return fmt.Sprintf("k%09d", i*7919%size) }
		for i := range size {
			require.NoError(b, s.Put(b.Context(), key(i), []byte("value"), expires))
		}
		b.Run(fmt.Sprintf("put new/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k := "new" + key(i)
				require.NoError(b, s.Put(b.Context(), k, []byte("value"), expires))
				require.NoError(b, s.Delete(b.Context(), k))
			}
		})
		b.Run(fmt.Sprintf("scan 10/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				entries, err := s.Scan(b.Context(), "k", key(i%(size-10)), 10)
				require.NoError(b, err)
				require.LessOrEqual(b, len(entries), 10)
			}
		})
	}
}

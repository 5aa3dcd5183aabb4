package bolt

import (
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var benchValue = make([]byte, 300)

// BenchmarkPut is the durable write itself: alone, and with company that shares
// its commit.
func BenchmarkPut(b *testing.B) {
	expires := time.Now().Add(time.Hour)
	b.Run("serial", func(b *testing.B) {
		s := open(b, filepath.Join(b.TempDir(), "state.db"))
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			require.NoError(b, s.Put(b.Context(), strconv.Itoa(i), benchValue, expires))
		}
	})
	for _, callers := range []int{16, 256} {
		b.Run("parallel-"+strconv.Itoa(callers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "state.db"))
			var n atomic.Int64
			inParallel(b, callers, func() error {
				return s.Put(b.Context(), strconv.FormatInt(n.Add(1), 10), benchValue, expires)
			})
		})
	}
}

func BenchmarkUpdateParallel(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "state.db"))
	expires := time.Now().Add(time.Hour)
	var n atomic.Int64
	inParallel(b, 64, func() error {
		key := strconv.FormatInt(n.Add(1)%1000, 10)
		return s.Update(b.Context(), key, func([]byte) ([]byte, time.Time, error) { return benchValue, expires, nil })
	})
}

func BenchmarkGet(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "state.db"))
	for i := range 1000 {
		require.NoError(b, s.Put(b.Context(), strconv.Itoa(i), benchValue, time.Time{}))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, err := s.Get(b.Context(), strconv.Itoa(i%1000))
		require.NoError(b, err)
	}
}

// inParallel measures op with at least this many callers waiting at a time.
func inParallel(b *testing.B, callers int, op func() error) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(callers)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := op(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

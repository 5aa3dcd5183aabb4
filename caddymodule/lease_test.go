package caddymodule

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLeaseEndsOnceWithItsLastHolder(t *testing.T) {
	var ended atomic.Int32
	l := newLease(func() { ended.Add(1) })
	require.True(t, l.take())
	l.give() // the config's own share
	require.Zero(t, ended.Load(), "a request still holds it")
	require.True(t, l.take(), "a request that came late still finds it")
	l.give()
	l.give()
	require.EqualValues(t, 1, ended.Load())
	require.False(t, l.take(), "what has ended does not come back")
	require.EqualValues(t, 1, ended.Load())
}

func TestLeaseOfManyHolders(t *testing.T) {
	var ended atomic.Int32
	l := newLease(func() { ended.Add(1) })
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if l.take() {
				l.give()
			}
		})
	}
	l.give()
	wg.Wait()
	require.EqualValues(t, 1, ended.Load())
}

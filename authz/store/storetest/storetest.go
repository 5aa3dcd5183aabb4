// Package storetest is the suite that every store.Store passes. A store's own
// test calls [Run] and adds only what is special to it: durability, locking,
// speed.
package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/store"
)

// Open returns an empty store whose expiry follows now. The suite closes it;
// what else must be cleaned up, Open leaves to t.Cleanup.
type Open = func(t *testing.T, now func() time.Time) store.Store

// Run checks every promise of store.Store against stores made by open, a new
// one for each subtest.
func Run(t *testing.T, open Open) {
	tests := []struct {
		name string
		run  func(*testing.T, store.Store, *clock)
	}{
		{"put, get, delete", testPutGetDelete},
		{"keys", testKeys},
		{"binary keys", testBinaryKeys},
		{"large value", testLargeValue},
		{"bytes are copies", testCopies},
		{"expiry", testExpiry},
		{"zero expiry", testZeroExpiry},
		{"expiry in the past", testPastExpiry},
		{"update", testUpdate},
		{"update fails", testUpdateFails},
		{"update panics", testUpdatePanics},
		{"update of an expired entry", testUpdateExpired},
		{"update is atomic", testUpdateAtomic},
		{"take", testTake},
		{"take has one winner", testTakeOnce},
		{"scan", testScan},
		{"scan many", testScanMany},
		{"purge", testPurge},
		{"purge keeps what was renewed", testPurgeRenewed},
		{"namespaces", testNamespaces},
		{"cancelled context", testCancelled},
		{"close", testClose},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &clock{at: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
			s := open(t, c.now)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			test.run(t, s, c)
		})
	}
}

// clock is a time that only tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// never is the expiry of an entry that stays.
var never time.Time

func put(t *testing.T, s store.Store, key, value string, expires time.Time) {
	t.Helper()
	require.NoError(t, s.Put(t.Context(), key, []byte(value), expires))
}

func requireValue(t *testing.T, s store.Store, key, want string) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	require.NotNil(t, got)
	require.Equal(t, want, string(got))
}

func requireAbsent(t *testing.T, s store.Store, key string) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Nil(t, got)
}

func keysOf(entries []store.Entry) []string {
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}
	return keys
}

// concurrently runs fn n times at once and returns what each answered.
func concurrently(n int, fn func() error) []error {
	errs := make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = fn()
		})
	}
	close(begin)
	wg.Wait()
	return errs
}

// cancelled returns a context that is already done.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
)

var t0 = time.Date(2030, 1, 2, 3, 4, 5, 500_000_000, time.UTC)

// clock is a time that only tests move.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.set(t0)
	return c
}
func (c *clock) now() time.Time   { return *c.at.Load() }
func (c *clock) set(at time.Time) { c.at.Store(&at) }

func newFeed(t *testing.T) (*revocation.Feed, store.Store, *clock) {
	t.Helper()
	c := newClock()
	s := store.NewMemory(c.now)
	return revocation.New(s, c.now), s, c
}

func token() revocation.Subject {
	return revocation.Subject{
		Family: "f1", Session: "s1", User: "u1", Client: "c1", Device: "d1",
		IssuedAt: t0.Truncate(time.Second),
	}
}

func TestRevokedByEachKind(t *testing.T) {
	tests := []struct {
		kind  revocation.Kind
		match func(*revocation.Subject, string)
	}{
		{revocation.Family, func(s *revocation.Subject, id string) { s.Family = id }},
		{revocation.Session, func(s *revocation.Subject, id string) { s.Session = id }},
		{revocation.User, func(s *revocation.Subject, id string) { s.User = id }},
		{revocation.Client, func(s *revocation.Subject, id string) { s.Client = id }},
		{revocation.Grant, func(s *revocation.Subject, id string) { s.Client = id }},
		{revocation.Device, func(s *revocation.Subject, id string) { s.Device = id }},
	}
	for _, test := range tests {
		t.Run(string(test.kind), func(t *testing.T) {
			feed, s, c := newFeed(t)
			dead := token()
			test.match(&dead, "x")
			without := token()
			test.match(&without, "")
			require.False(t, feed.Revoked(dead))

			revoke(t, feed, test.kind, "x", t0.Add(time.Hour))
			require.True(t, feed.Revoked(dead))
			require.False(t, feed.Revoked(token()), "another id")
			require.False(t, feed.Revoked(without), "no id at all")
			require.False(t, feed.Revoked(revocation.Subject{}))

			again := revocation.New(s, c.now)
			require.False(t, again.Revoked(dead))
			require.NoError(t, again.Load(t.Context()))
			require.True(t, again.Revoked(dead), "it outlives the process")
			require.False(t, again.Revoked(token()))
		})
	}
}

// revoke uses the method that takes this kind; not-before kinds are cut off at t0.
func revoke(t *testing.T, feed *revocation.Feed, kind revocation.Kind, id string, until time.Time) {
	t.Helper()
	if kind == revocation.Family || kind == revocation.Session {
		require.NoError(t, feed.Revoke(t.Context(), kind, id, until))
		return
	}
	if kind == revocation.Grant || kind == revocation.Device {
		require.NoError(t, feed.RevokeOf(t.Context(), "u1", kind, id, t0, until))
		return
	}
	require.NoError(t, feed.RevokeBefore(t.Context(), kind, id, t0, until))
}

// What one user granted a client, and a device of theirs, are nobody else's.
func TestGrantsAndDevicesBelongToAUser(t *testing.T) {
	feed, s, c := newFeed(t)
	ctx, until := t.Context(), t0.Add(time.Hour)
	require.NoError(t, feed.RevokeOf(ctx, "u1", revocation.Grant, "c1", t0, until))
	require.NoError(t, feed.RevokeOf(ctx, "u1c", revocation.Grant, "2", t0.Add(time.Second), until))
	require.NoError(t, feed.RevokeOf(ctx, "u1", revocation.Device, "d1", t0, until))
	again := revocation.New(s, c.now)
	require.NoError(t, again.Load(ctx))
	for _, f := range []*revocation.Feed{feed, again} {
		require.True(t, f.Revoked(revocation.Subject{User: "u1", Client: "c1", IssuedAt: t0}))
		require.True(t, f.Revoked(revocation.Subject{User: "u1", Device: "d1", IssuedAt: t0}))
		require.True(t, f.Revoked(revocation.Subject{User: "u1c", Client: "2", IssuedAt: t0.Add(time.Second)}))
		require.False(t, f.Revoked(revocation.Subject{User: "u1", Client: "c2", IssuedAt: t0}))
		require.False(t, f.Revoked(revocation.Subject{User: "u2", Client: "c1", Device: "d1", IssuedAt: t0}))
		require.False(t, f.Revoked(token2()), "later")
	}
}

// token2 is token, issued a second later.
func token2() revocation.Subject {
	s := token()
	s.IssuedAt = s.IssuedAt.Add(time.Second)
	return s
}

func TestNotBeforeBoundary(t *testing.T) {
	second := t0.Truncate(time.Second)
	tests := []struct {
		name   string
		issued time.Time
		want   bool
	}{
		{"a day before", t0.Add(-24 * time.Hour), true},
		{"the second before", second.Add(-time.Second), true},
		{"the same second", second, true},
		{"later in the same second", second.Add(999 * time.Millisecond), true},
		{"the next second", second.Add(time.Second), false},
		{"a day after", t0.Add(24 * time.Hour), false},
		{"iat missing", time.Time{}, true},
		{"iat before 1970", time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC), true},
	}
	feed, _, _ := newFeed(t)
	require.NoError(t, feed.RevokeBefore(t.Context(), revocation.User, "u1", t0, t0.Add(time.Hour)))
	for _, test := range tests {
		got := feed.Revoked(revocation.Subject{User: "u1", IssuedAt: test.issued})
		require.Equal(t, test.want, got, test.name)
	}
	require.NoError(t, feed.Revoke(t.Context(), revocation.Family, "f1", t0.Add(time.Hour)))
	require.True(t, feed.Revoked(revocation.Subject{Family: "f1", IssuedAt: t0.Add(time.Hour)}),
		"a family is dead whenever the token was issued")
}

// Two revocations of one subject never weaken each other, in whatever order.
func TestRevocationsOnlyGrow(t *testing.T) {
	early, late := t0, t0.Add(10*time.Minute)
	type cut struct{ before, until time.Time }
	orders := [][]cut{
		{{early, t0.Add(2 * time.Hour)}, {late, t0.Add(time.Hour)}},
		{{late, t0.Add(time.Hour)}, {early, t0.Add(2 * time.Hour)}},
	}
	for _, cuts := range orders {
		feed, s, c := newFeed(t)
		for _, cut := range cuts {
			require.NoError(t, feed.RevokeBefore(t.Context(), revocation.Client, "c1", cut.before, cut.until))
		}
		c.set(t0.Add(90 * time.Minute))
		feed.Purge()
		again := revocation.New(s, c.now)
		require.NoError(t, again.Load(t.Context()))
		for _, f := range []*revocation.Feed{feed, again} {
			require.True(t, f.Revoked(revocation.Subject{Client: "c1", IssuedAt: late}))
			require.False(t, f.Revoked(revocation.Subject{Client: "c1", IssuedAt: late.Add(time.Second)}))
		}
	}
}

func TestUntilNeverWins(t *testing.T) {
	feed, s, c := newFeed(t)
	for _, until := range []time.Time{t0.Add(time.Hour), {}, t0.Add(time.Minute)} {
		require.NoError(t, feed.Revoke(t.Context(), revocation.Family, "f1", until))
	}
	c.set(t0.Add(1000 * time.Hour))
	feed.Purge()
	require.True(t, feed.Revoked(token()))
	again := revocation.New(s, c.now)
	require.NoError(t, again.Load(t.Context()))
	require.True(t, again.Revoked(token()))
}

func TestPurgeDropsWhatHasExpired(t *testing.T) {
	feed, s, c := newFeed(t)
	require.NoError(t, feed.Revoke(t.Context(), revocation.Family, "f1", t0.Add(time.Hour)))
	require.NoError(t, feed.Revoke(t.Context(), revocation.Family, "f2", t0.Add(2*time.Hour)))
	c.set(t0.Add(time.Hour - time.Millisecond))
	feed.Purge()
	require.True(t, feed.Revoked(token()))
	c.set(t0.Add(time.Hour))
	feed.Purge()
	require.False(t, feed.Revoked(token()))
	require.True(t, feed.Revoked(revocation.Subject{Family: "f2"}))

	again := revocation.New(s, c.now)
	require.NoError(t, again.Load(t.Context()))
	require.False(t, again.Revoked(token()), "the store forgets it as well")
	require.True(t, again.Revoked(revocation.Subject{Family: "f2"}))
}

func TestIdsAreAnyBytes(t *testing.T) {
	feed, s, c := newFeed(t)
	ids := []string{"\xff\xfe", "\xff\xfd", "a/b", "\x00", strings.Repeat("https://client.example/", 500)}
	for _, id := range ids[1:] {
		require.NoError(t, feed.RevokeBefore(t.Context(), revocation.User, id, t0, t0.Add(time.Hour)))
	}
	again := revocation.New(s, c.now)
	require.NoError(t, again.Load(t.Context()))
	for _, f := range []*revocation.Feed{feed, again} {
		require.False(t, f.Revoked(revocation.Subject{User: ids[0], IssuedAt: t0}))
		for _, id := range ids[1:] {
			require.True(t, f.Revoked(revocation.Subject{User: id, IssuedAt: t0}))
		}
	}
}

func TestRefusedSubjects(t *testing.T) {
	feed, _, _ := newFeed(t)
	ctx, until := t.Context(), t0.Add(time.Hour)
	require.ErrorIs(t, feed.Revoke(ctx, revocation.Family, "", until), revocation.ErrSubject)
	require.ErrorIs(t, feed.Revoke(ctx, revocation.User, "u1", until), revocation.ErrSubject)
	require.ErrorIs(t, feed.Revoke(ctx, "other", "x", until), revocation.ErrSubject)
	require.ErrorIs(t, feed.RevokeBefore(ctx, revocation.User, "", t0, until), revocation.ErrSubject)
	require.ErrorIs(t, feed.RevokeBefore(ctx, revocation.Family, "f1", t0, until), revocation.ErrSubject)
	require.ErrorIs(t, feed.RevokeBefore(ctx, revocation.Device, "d1", t0, until), revocation.ErrSubject)
	require.ErrorIs(t, feed.RevokeBefore(ctx, "other", "x", t0, until), revocation.ErrSubject)
	require.ErrorIs(t, feed.RevokeOf(ctx, "", revocation.Device, "d1", t0, until), revocation.ErrSubject)
	require.ErrorIs(t, feed.RevokeOf(ctx, "u1", revocation.Grant, "", t0, until), revocation.ErrSubject)
	require.ErrorIs(t, feed.RevokeOf(ctx, "u1", revocation.User, "u1", t0, until), revocation.ErrSubject)
	require.Zero(t, feed.Epoch())
	require.False(t, feed.Revoked(token()))
}

// TestA80_StoreFailureStillRevokes: with the disk full a revocation is reported
// as failed, and holds all the same.
func TestA80_StoreFailureStillRevokes(t *testing.T) {
	feed, s, _ := newFeed(t)
	require.NoError(t, s.Close())
	err := feed.Revoke(t.Context(), revocation.Family, "f1", t0.Add(time.Hour))
	require.ErrorIs(t, err, store.ErrClosed)
	require.True(t, feed.Revoked(token()))
	require.EqualValues(t, 1, feed.Epoch())
	require.ErrorIs(t, feed.Load(t.Context()), store.ErrClosed)

	other, _, _ := newFeed(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, other.RevokeBefore(ctx, revocation.User, "u1", t0, t0.Add(time.Hour)), context.Canceled)
	require.True(t, other.Revoked(token()))
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	feed, s, _ := newFeed(t)
	require.NoError(t, s.Put(t.Context(), "revocation/x", []byte(`{"kind":"galaxy","id":"eA=="}`), time.Time{}))
	require.ErrorIs(t, feed.Load(t.Context()), revocation.ErrSubject)
	require.NoError(t, s.Put(t.Context(), "revocation/x", []byte("no JSON"), time.Time{}))
	require.ErrorContains(t, feed.Load(t.Context()), "load")
}

func TestLoadReadsEveryPage(t *testing.T) {
	feed, s, c := newFeed(t)
	const n = 1234
	id := func(i int) string { return fmt.Sprintf("f%d", i) }
	for i := range n {
		require.NoError(t, feed.Revoke(t.Context(), revocation.Family, id(i), t0.Add(time.Hour)))
	}
	again := revocation.New(s, c.now)
	require.NoError(t, again.Load(t.Context()))
	for i := range n {
		require.True(t, again.Revoked(revocation.Subject{Family: id(i)}), id(i))
	}
}

func TestEpochAndSubscribers(t *testing.T) {
	feed, _, _ := newFeed(t)
	require.NoError(t, feed.Load(t.Context()))
	require.Zero(t, feed.Epoch(), "an empty store changes nothing")

	var seen []uint64
	cancel := feed.Subscribe(func() {
		require.True(t, feed.Revoked(token()), "a subscriber sees the change")
		seen = append(seen, feed.Epoch())
	})
	other := 0
	feed.Subscribe(func() { other++ })

	require.NoError(t, feed.Revoke(t.Context(), revocation.Family, "f1", t0.Add(time.Hour)))
	require.NoError(t, feed.RevokeBefore(t.Context(), revocation.User, "u1", t0, t0.Add(time.Hour)))
	cancel()
	cancel()
	require.NoError(t, feed.Revoke(t.Context(), revocation.Session, "s1", t0.Add(time.Hour)))
	require.Equal(t, []uint64{1, 2}, seen)
	require.Equal(t, 3, other)
	require.EqualValues(t, 3, feed.Epoch())
}

func TestFeedIsSafeForConcurrentUse(t *testing.T) {
	feed, _, _ := newFeed(t)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			cancel := feed.Subscribe(func() {})
			defer cancel()
			for i := range 50 {
				id := fmt.Sprintf("%d-%d", w, i)
				errs[w] = errors.Join(errs[w], feed.Revoke(t.Context(), revocation.Family, id, t0.Add(time.Hour)))
				if !feed.Revoked(revocation.Subject{Family: id}) {
					errs[w] = errors.Join(errs[w], fmt.Errorf("%s is not revoked", id))
				}
				feed.Purge()
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.EqualValues(t, 8*50, feed.Epoch())
}

func TestRevokedAllocatesNothing(t *testing.T) {
	feed, _, _ := newFeed(t)
	require.NoError(t, feed.RevokeOf(t.Context(), "u1", revocation.Device, "d1", t0, t0.Add(time.Hour)))
	subject := token()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !feed.Revoked(subject) {
			panic("not revoked")
		}
	}))
}

func BenchmarkRevoked(b *testing.B) {
	for _, size := range []int{0, 1_000, 100_000} {
		feed := revocation.New(store.NewMemory(nil), nil)
		until := time.Now().Add(time.Hour)
		for i := range size {
			id := fmt.Sprintf("id-%d", i)
			require.NoError(b, feed.Revoke(b.Context(), revocation.Family, id, until))
			require.NoError(b, feed.RevokeBefore(b.Context(), revocation.User, id, t0, until))
		}
		b.Run(fmt.Sprintf("live token, %d entries", size), func(b *testing.B) {
			subject := token()
			b.ReportAllocs()
			for b.Loop() {
				if feed.Revoked(subject) {
					b.Fatal("revoked")
				}
			}
		})
	}
}

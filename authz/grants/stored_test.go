package grants_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/store"
)

// clock is a time that only tests move.
type clock struct{ at atomic.Pointer[time.Time] }

func (c *clock) now() time.Time   { return *c.at.Load() }
func (c *clock) set(at time.Time) { c.at.Store(&at) }

func newStored(t *testing.T) (grants.Grants, store.Store, *clock) {
	t.Helper()
	c := &clock{}
	c.set(t0)
	s := store.NewMemory(c.now)
	return grants.NewStored(s, c.now), s, c
}

func entries(t *testing.T, s store.Store) []store.Entry {
	t.Helper()
	all, err := s.Scan(t.Context(), "", "", 100)
	require.NoError(t, err)
	return all
}

func TestU8_GrantsInTheStore(t *testing.T) {
	g, s, _ := newStored(t)
	ctx := t.Context()
	r, err := g.Load(ctx, "alice")
	require.NoError(t, err)
	require.NotNil(t, r)
	require.True(t, r.Empty())
	r.Clients["direct"] = &grants.Client{}

	full := grants.Family{
		ID: "f1", Issued: t0, Expires: t0.Add(time.Hour), LastUsed: t0.Add(time.Minute),
		Scope: []string{"mail", "files"}, ResourceServer: "api", Device: "phone",
	}
	require.NoError(t, g.Update(ctx, "alice", func(r *grants.Record) error {
		require.Empty(t, r.Clients, "what Load gave is the caller's own")
		r.Consent("app", []string{"mail"}, t0)
		require.Empty(t, r.AddFamily("app", full))
		return nil
	}))

	r, err = g.Load(ctx, "alice")
	require.NoError(t, err)
	require.Equal(t, full, *r.Family("app", "f1"))
	require.Nil(t, r.Consented("app", []string{"mail"}, time.Time{}))
	r, err = g.Load(ctx, "bob")
	require.NoError(t, err)
	require.True(t, r.Empty())

	require.Len(t, entries(t, s), 1)
	require.NotContains(t, entries(t, s)[0].Key, "alice")
	require.Zero(t, entries(t, s)[0].Expires, "consent has no end")
}

func TestUpdateFailureChangesNothing(t *testing.T) {
	g, s, _ := newStored(t)
	refused := errors.New("refused")
	fail := func(r *grants.Record) error {
		r.Consent("app", []string{"mail"}, t0)
		return refused
	}
	require.ErrorIs(t, g.Update(t.Context(), "alice", fail), refused)
	require.Empty(t, entries(t, s))

	require.NoError(t, s.Close())
	require.ErrorIs(t, g.Update(t.Context(), "alice", func(*grants.Record) error { return nil }), store.ErrClosed)
	_, err := g.Load(t.Context(), "alice")
	require.ErrorIs(t, err, store.ErrClosed)
}

func TestEmptyRecordIsDeleted(t *testing.T) {
	g, s, c := newStored(t)
	ctx := t.Context()
	require.NoError(t, g.Update(ctx, "alice", func(r *grants.Record) error {
		r.Consent("app", []string{"mail"}, t0)
		r.AddFamily("app", family("f1", t0))
		return nil
	}))
	require.NoError(t, g.Update(ctx, "alice", func(r *grants.Record) error {
		r.Withdraw("app", t0, t0.Add(time.Hour))
		return nil
	}))
	require.Len(t, entries(t, s), 1, "the withdrawal is remembered")
	require.True(t, entries(t, s)[0].Expires.Equal(t0.Add(time.Hour)), "until its last token has expired")

	c.set(t0.Add(time.Hour))
	require.NoError(t, g.Update(ctx, "alice", func(r *grants.Record) error {
		require.Empty(t, r.Clients)
		return nil
	}))
	n, err := s.Purge(ctx, 10)
	require.NoError(t, err)
	require.Zero(t, n, "it is gone already")
}

func TestExpiredFamiliesAreNotSeen(t *testing.T) {
	g, _, c := newStored(t)
	ctx := t.Context()
	require.NoError(t, g.Update(ctx, "alice", func(r *grants.Record) error {
		r.Consent("app", []string{"mail"}, t0)
		for i := range grants.MaxFamilies {
			r.AddFamily("app", family(fmt.Sprintf("f%d", i), t0))
		}
		return nil
	}))
	c.set(t0.Add(24 * time.Hour))
	r, err := g.Load(ctx, "alice")
	require.NoError(t, err)
	require.Nil(t, r.Family("app", "f0"))
	require.NoError(t, g.Update(ctx, "alice", func(r *grants.Record) error {
		require.Empty(t, r.AddFamily("app", family("new", c.now())), "expired ones take no place")
		return nil
	}))
}

// TestU3_RecordsAreBounded: consents fill a record to MaxSize and no further.
func TestU3_RecordsAreBounded(t *testing.T) {
	g, s, _ := newStored(t)
	consent := func(length int) error {
		return g.Update(t.Context(), "alice", func(r *grants.Record) error {
			r.Consent("app", []string{strings.Repeat("s", length)}, t0)
			return nil
		})
	}
	require.NoError(t, consent(60<<10))
	require.ErrorIs(t, consent(5<<10), grants.ErrTooLarge)
	require.LessOrEqual(t, len(entries(t, s)[0].Value), grants.MaxSize)
	r, err := g.Load(t.Context(), "alice")
	require.NoError(t, err)
	require.Len(t, r.Clients["app"].Consents, 1, "the refused one changed nothing")
}

// TestU4_ConcurrentWritersLoseNothing: each adds its own to the same record.
func TestU4_ConcurrentWritersLoseNothing(t *testing.T) {
	g, _, _ := newStored(t)
	const writers = 50
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			errs[i] = g.Update(t.Context(), "alice", func(r *grants.Record) error {
				client := fmt.Sprintf("app%d", i)
				r.Consent(client, []string{"mail"}, t0)
				r.AddFamily(client, family("f-"+client, t0))
				return nil
			})
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	r, err := g.Load(t.Context(), "alice")
	require.NoError(t, err)
	for i := range writers {
		client := fmt.Sprintf("app%d", i)
		require.Nil(t, r.Consented(client, []string{"mail"}, time.Time{}))
		require.NotNil(t, r.Family(client, "f-"+client))
	}
}

// TestA78_WithdrawalWins: an issue that re-reads inside Update finds the
// withdrawal, whichever came to the store first.
func TestA78_WithdrawalWins(t *testing.T) {
	g, _, _ := newStored(t)
	ctx := t.Context()
	require.NoError(t, g.Update(ctx, "alice", func(r *grants.Record) error {
		r.Consent("app", []string{"mail"}, t0)
		return nil
	}))
	noConsent := errors.New("consent is missing")
	var issued, withdrawn error
	var ended []grants.Family
	var wg sync.WaitGroup
	wg.Go(func() {
		issued = g.Update(ctx, "alice", func(r *grants.Record) error {
			if r.Consented("app", []string{"mail"}, time.Time{}) != nil {
				return noConsent
			}
			r.AddFamily("app", family("f1", t0))
			return nil
		})
	})
	wg.Go(func() {
		withdrawn = g.Update(ctx, "alice", func(r *grants.Record) error {
			ended = r.Withdraw("app", t0, t0.Add(time.Hour))
			return nil
		})
	})
	wg.Wait()
	require.NoError(t, withdrawn)
	if issued == nil {
		require.Equal(t, []string{"f1"}, ids(ended), "issued first: the withdrawal ended it")
	} else {
		require.ErrorIs(t, issued, noConsent)
		require.Empty(t, ended)
	}
	r, err := g.Load(ctx, "alice")
	require.NoError(t, err)
	require.Nil(t, r.Family("app", "f1"))
}

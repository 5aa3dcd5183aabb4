package grants_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/store"
)

// TestU4_FiftyNodesLoseNothing: all read the same value before the first writes.
func TestU4_FiftyNodesLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers = 50
		w := newWorld()
		var all sync.WaitGroup
		all.Add(writers)
		var first sync.Map
		w.people.afterRead = func() {
			// Only each node's first read waits for the others'.
			if n, _ := first.LoadOrStore("n", new(counter)); n.(*counter).next() <= writers {
				all.Done()
				all.Wait()
			}
		}
		addEach(t, w, writers, func() grants.Grants { return w.node(t) })
		require.GreaterOrEqual(t, w.people.conflicts, writers-1)
		require.Equal(t, writers, w.people.writes)
	})
}

// TestU4_WritersOfAProcessQueue: they don't make each other read again.
func TestU4_WritersOfAProcessQueue(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	addEach(t, w, 50, func() grants.Grants { return g })
	require.Zero(t, w.people.conflicts)
	require.Equal(t, 50, w.people.writes)
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

// addEach has writers add a client each to one entry at the same time, and looks for all of them.
func addEach(t *testing.T, w *world, writers int, node func() grants.Grants) {
	t.Helper()
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		g := node()
		wg.Go(func() {
			errs[i] = g.Update(t.Context(), "alice", func(r *grants.Record) error {
				client := fmt.Sprintf("app%d", i)
				agree(client)(r)
				r.AddFamily(client, family("f-"+client, t0))
				return nil
			})
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	w.people.afterRead = nil
	r := load(t, node(), "alice")
	for i := range writers {
		client := fmt.Sprintf("app%d", i)
		require.Nil(t, r.Consented(client, []string{"mail"}, time.Time{}))
		require.NotNil(t, r.Family(client, "f-"+client))
	}
}

// TestU4_GivesUpInTheEnd: an entry that never keeps still is the directory's trouble, and bounded.
func TestU4_GivesUpInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.people.alwaysBusy = true
		w.people.conflict = fmt.Errorf("answer 16: %w", errNoSuchValue)
		g := w.node(t, func(c *grants.DirectoryConfig) { c.Conflict = errNoSuchValue })
		fn := func(r *grants.Record) error { agree("app")(r); return nil }
		start := time.Now()
		require.ErrorIs(t, g.Update(t.Context(), "alice", fn), grants.ErrBusy)
		require.LessOrEqual(t, time.Since(start), 10*time.Second)
		require.Greater(t, w.people.conflicts, 20)
		require.Less(t, w.people.conflicts, 200)

		ctx, cancel := context.WithCancel(t.Context())
		w.people.afterRead = cancel
		require.ErrorIs(t, g.Update(ctx, "alice", fn), context.Canceled)
		require.Zero(t, w.people.writes)
	})
}

var errNoSuchValue = errors.New("no such value")

// A directory that fails in another way than by a conflict is not asked again.
func TestU4_OtherErrorsAreNoConflict(t *testing.T) {
	w := newWorld()
	w.people.alwaysBusy, w.people.conflict = true, errors.New("no access")
	err := w.node(t).Update(t.Context(), "alice", func(r *grants.Record) error { agree("app")(r); return nil })
	require.ErrorIs(t, err, w.people.conflict)
	require.Equal(t, 1, w.people.conflicts)
}

// TestU4_LostAnswer: the write was made, its answer lost, and the repetition met its own value. A withdrawal
// must still tell what it ended.
func TestU4_LostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		g := w.node(t)
		update(t, g, "alice", func(r *grants.Record) { r.AddFamily("app", family("f1", t0)) })
		old := w.people.value("alice")
		w.people.lose = 1
		runs := 0
		var withdrawn []grants.Family
		update(t, g, "alice", func(r *grants.Record) {
			runs++
			withdrawn = r.Withdraw("app", t0, t0.Add(time.Hour))
		})
		require.Equal(t, 1, runs)
		require.Equal(t, []string{"f1"}, ids(withdrawn))
		require.Equal(t, 2, w.people.writes)
		w.people.put("alice", old)
		require.Nil(t, load(t, g, "alice").Family("app", "f1"), "it is remembered as well")
	})
}

// TestU4_ReplaceUnderLock: a directory that can't compare, and fifty nodes.
func TestU4_ReplaceUnderLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		locked := func(c *grants.DirectoryConfig) {
			c.Attribute, c.Locks = streams{w.people}, store.Namespace(w.store, "locks")
		}
		addEach(t, w, 50, func() grants.Grants { return w.node(t, locked) })
		require.Equal(t, 50, w.people.writes)
	})
}

// A lock whose owner died holds for a while and no longer.
func TestU4_LockOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		g := w.node(t, func(c *grants.DirectoryConfig) { c.Attribute = streams{w.people} })
		dead := w.node(t, func(c *grants.DirectoryConfig) { c.Attribute = streams{w.people} })
		func() {
			defer func() { require.NotNil(t, recover()) }()
			_ = dead.Update(t.Context(), "alice", func(*grants.Record) error {
				require.ErrorIs(t, g.Update(t.Context(), "alice", func(*grants.Record) error { return nil }), grants.ErrBusy)
				w.forward(time.Minute)
				require.NoError(t, g.Update(t.Context(), "alice", func(r *grants.Record) error { agree("app")(r); return nil }))
				panic("died")
			})
		}()
		require.Nil(t, load(t, g, "alice").Consented("app", []string{"mail"}, time.Time{}))
	})
}

// Who waits for a turn may give up, and takes nobody else's.
func TestU4_WaitingCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, name := range []string{"in the queue", "at the lock"} {
			w := newWorld()
			first := w.node(t)
			second := first
			if name == "at the lock" {
				locked := func(c *grants.DirectoryConfig) { c.Attribute = streams{w.people} }
				first, second = w.node(t, locked), w.node(t, locked)
			}
			entered, proceed := make(chan struct{}), make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				update(t, first, "alice", func(r *grants.Record) {
					close(entered)
					<-proceed
					agree("first")(r)
				})
			})
			<-entered
			ctx, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				err := second.Update(ctx, "alice", func(*grants.Record) error { return nil })
				require.ErrorIs(t, err, context.Canceled, name)
			})
			wg.Go(func() { update(t, second, "alice", agree("second")) })
			synctest.Wait()
			cancel()
			synctest.Wait()
			wg.Go(func() { update(t, second, "alice", agree("third")) })
			update(t, second, "bob", agree("app")) // another entry is nobody's business
			synctest.Wait()
			require.Equal(t, 1, w.people.writes, name)
			close(proceed)
			wg.Wait()
			require.Zero(t, w.people.conflicts, name)
			require.Len(t, load(t, first, "alice").Clients, 3, name)
			require.Nil(t, load(t, first, "bob").Consented("app", []string{"mail"}, time.Time{}))
		}
	})
}

package grants_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/store"
)

// TestU4_RevocationsWinOverTheDirectory: replication or a backup brings the old value back.
func TestU4_RevocationsWinOverTheDirectory(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	update(t, g, "alice", func(r *grants.Record) {
		r.Consent("app", []string{"mail", "files"}, t0)
		r.AddFamily("app", family("f1", t0))
		r.AddFamily("app", family("f2", t0))
		r.AddFamily("other", family("f3", t0))
	})
	old := w.people.value("alice")
	w.forward(time.Minute)
	update(t, g, "alice", func(r *grants.Record) { r.RemoveFamily("f1") })
	update(t, g, "alice", func(r *grants.Record) { r.Withdraw("app", w.clock.now(), t0.Add(48*time.Hour)) })
	update(t, g, "alice", func(r *grants.Record) { r.Consent("app", []string{"files"}, w.clock.now()) })
	withdrawn := w.clock.now()
	w.people.put("alice", old)

	for _, after := range []time.Duration{0, time.Hour, 22 * time.Hour} {
		w.forward(after)
		for _, node := range []grants.Grants{g, w.node(t)} {
			check := func(r *grants.Record) {
				require.Nil(t, r.Family("app", "f1"), "revoked")
				require.Nil(t, r.Family("app", "f2"), "withdrawn")
				require.NotNil(t, r.Family("other", "f3"), "not touched")
				require.Equal(t, []string{"mail", "files"}, r.Consented("app", []string{"mail", "files"}, time.Time{}))
				require.True(t, r.Withdrawn("app", withdrawn))
			}
			check(load(t, node, "alice"))
			writes := w.people.writes
			update(t, node, "alice", check)
			require.Equal(t, writes, w.people.writes)
		}
	}

	update(t, g, "alice", agree("third"))
	require.NotContains(t, string(w.people.value("alice")), "f1", "the next write mends the entry")

	w.people.put("alice", nil)
	require.True(t, load(t, g, "alice").Withdrawn("app", withdrawn), "though the entry says nothing of it")
	w.forward(30 * 24 * time.Hour)
	_, err := w.store.Purge(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, entries(t, w.store), "once everything would have expired nothing is remembered")
}

// TestU4_EndedDevicesAndPeopleStayEnded: neither is in the entry any more when an old value comes back.
func TestU4_EndedDevicesAndPeopleStayEnded(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	update(t, g, "alice", func(r *grants.Record) {
		agree("app")(r)
		phone := family("f1", t0)
		phone.Device = "phone"
		r.AddFamily("app", phone)
		r.AddFamily("app", family("f2", t0))
	})
	old := w.people.value("alice")
	require.Contains(t, string(old), `device="phone"`)
	w.forward(time.Minute)
	update(t, g, "alice", func(r *grants.Record) { require.Equal(t, []string{"f1"}, ids(r.EndDevice("", "phone"))) })
	w.people.put("alice", old)
	require.Nil(t, load(t, g, "alice").Family("app", "f1"))
	require.NotNil(t, load(t, g, "alice").Family("app", "f2"))

	ended := w.clock.now()
	update(t, g, "alice", func(r *grants.Record) { r.EndAll(ended, t0.Add(48*time.Hour)) })
	require.Contains(t, string(w.people.value("alice")), "not-before")
	w.people.put("alice", old)
	for _, node := range []grants.Grants{g, w.node(t)} {
		r := load(t, node, "alice")
		require.Empty(t, r.Clients["app"].Families)
		require.True(t, r.Withdrawn("app", ended))
		require.Nil(t, r.Consented("app", []string{"mail"}, time.Time{}), "the consent stays")
	}
}

// What ended may be granted again, and the same family come back.
func TestU4_GrantedAnew(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	grant := func(r *grants.Record) {
		agree("app")(r)
		r.AddFamily("app", family("f1", t0))
	}
	update(t, g, "alice", grant)
	update(t, g, "alice", func(r *grants.Record) { r.Withdraw("app", t0, t0.Add(time.Hour)) })
	update(t, g, "alice", grant)
	r := load(t, g, "alice")
	require.Nil(t, r.Consented("app", []string{"mail"}, time.Time{}), "even in the same instant")
	require.NotNil(t, r.Family("app", "f1"))
	require.True(t, r.Withdrawn("app", t0))
}

// TestA78_ReplicaLag: a replica that is behind neither takes back a withdrawal nor hides a new grant (G9).
func TestA78_ReplicaLag(t *testing.T) {
	w := newWorld()
	g := w.node(t, func(c *grants.DirectoryConfig) { c.ReplicaLag = 10 * time.Second })
	load(t, g, "alice")
	require.Equal(t, []int{0, 1}, []int{w.people.reads, w.people.replicaReads})
	update(t, g, "alice", func(r *grants.Record) {
		agree("app")(r)
		r.AddFamily("app", family("f1", t0))
	})
	w.people.lagging = true
	w.forward(time.Minute)
	load(t, g, "alice")
	require.Equal(t, 2, w.people.replicaReads)

	update(t, g, "alice", func(r *grants.Record) { r.AddFamily("app", family("f2", w.clock.now())) })
	require.NotNil(t, load(t, g, "alice").Family("app", "f2"), "read from the write server")
	require.NotNil(t, load(t, w.node(t), "alice").Family("app", "f2"), "on every node")
	require.Equal(t, 2, w.people.replicaReads)

	update(t, g, "alice", func(r *grants.Record) { r.Withdraw("app", w.clock.now(), t0.Add(time.Hour)) })
	require.Equal(t, []string{"mail"}, load(t, g, "alice").Consented("app", []string{"mail"}, time.Time{}))
	w.forward(time.Minute)
	reads := w.people.reads
	r := load(t, g, "alice")
	require.Equal(t, reads, w.people.reads, "the replica again, which is late beyond all bounds")
	require.Equal(t, []string{"mail"}, r.Consented("app", []string{"mail"}, time.Time{}))
	require.Nil(t, r.Family("app", "f1"))
}

// TestA78_IssueReadsAgain: what began before the withdrawal finds it, in the store that the nodes share or
// else on the write server.
func TestA78_IssueReadsAgain(t *testing.T) {
	for name, another := range map[string]store.Store{"shared store": nil, "stores of their own": store.NewMemory(nil)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			g := w.node(t)
			other := w.node(t, func(c *grants.DirectoryConfig) {
				if another != nil {
					c.Store = another
				}
			})
			update(t, g, "alice", agree("app"))
			w.forward(time.Hour)
			w.people.lagging = true
			require.Nil(t, load(t, g, "alice").Consented("app", []string{"mail"}, time.Time{}))

			interfered := false
			w.people.afterRead = func() {
				if !interfered {
					interfered = true
					update(t, other, "alice", func(r *grants.Record) { r.Withdraw("app", w.clock.now(), w.clock.now().Add(time.Hour)) })
				}
			}
			noConsent := errors.New("consent is missing")
			err := g.Update(t.Context(), "alice", func(r *grants.Record) error {
				if r.Consented("app", []string{"mail"}, time.Time{}) != nil {
					return noConsent
				}
				r.AddFamily("app", family("f1", w.clock.now()))
				return nil
			})
			require.ErrorIs(t, err, noConsent)
			require.NotContains(t, string(w.people.value("alice")), "f1")
		})
	}
}

// TestU4_ManyEndedFamilies: somebody who signs in all day ends hundreds. What is remembered of them stays
// small, and none comes back, nor does a living one go.
func TestU4_ManyEndedFamilies(t *testing.T) {
	const rounds, logins = 80, grants.MaxFamilies - 1
	w := newWorld()
	g := w.node(t)
	update(t, g, "alice", func(r *grants.Record) { r.AddFamily("tv", family("old", t0)) })
	update(t, g, "alice", func(r *grants.Record) { r.AddFamily("app", family("kept", t0)) })
	values := map[string][]byte{}
	for round := range rounds {
		id := func(i int) string { return fmt.Sprintf("f%d-%d", round, i) }
		update(t, g, "alice", func(r *grants.Record) {
			for i := range logins {
				w.forward(time.Second)
				require.Empty(t, r.AddFamily("app", family(id(i), w.clock.now())))
			}
		})
		if round%8 == 0 {
			values[id(0)] = w.people.value("alice")
		}
		update(t, g, "alice", func(r *grants.Record) {
			for i := range logins {
				if round < rounds-1 || i > 0 { // the first of the last round stays
					r.RemoveFamily(id(i))
				}
			}
		})
	}
	require.Less(t, len(entries(t, w.store)[0].Value), 64<<10)
	current := load(t, g, "alice")
	require.Equal(t, []string{"kept", fmt.Sprintf("f%d-0", rounds-1)}, ids(current.Clients["app"].Families))
	require.NotNil(t, current.Family("tv", "old"))

	for id, value := range values {
		w.people.put("alice", value)
		r := load(t, g, "alice")
		require.Nil(t, r.Family("app", id))
		require.NotNil(t, r.Family("app", "kept"))
		require.NotNil(t, r.Family("tv", "old"))
	}

	w.people.put("alice", values["f0-0"])
	update(t, g, "alice", func(r *grants.Record) { r.AddFamily("app", family("late", t0)) })
	require.NotNil(t, load(t, g, "alice").Family("app", "late"), "of a clock that is behind")
	update(t, g, "alice", func(r *grants.Record) { r.RemoveFamily("kept") })
	w.people.put("alice", values["f0-0"])
	require.Nil(t, load(t, g, "alice").Family("app", "kept"), "was spared, and ended")
}

// Many that ended are forgotten with the last of them; one that had no end never is.
func TestU4_EndedFamiliesAreForgotten(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	endless := family("endless", w.clock.now())
	endless.Expires = time.Time{}
	update(t, g, "alice", func(r *grants.Record) { r.AddFamily("tv", endless) })
	old := w.people.value("alice")
	update(t, g, "alice", func(r *grants.Record) { r.RemoveFamily("endless") })
	for round := range 40 {
		update(t, g, "alice", func(r *grants.Record) {
			for i := range grants.MaxFamilies {
				w.forward(time.Second)
				r.AddFamily("app", family(fmt.Sprintf("f%d-%d", round, i), w.clock.now()))
			}
		})
		update(t, g, "alice", func(r *grants.Record) { clear(r.Clients) })
	}
	size := len(entries(t, w.store)[0].Value)
	w.forward(25 * time.Hour)
	update(t, g, "alice", agree("app"))
	require.Less(t, len(entries(t, w.store)[0].Value), size/50)
	require.NotContains(t, string(entries(t, w.store)[0].Value), `"before"`)

	w.forward(100 * 365 * 24 * time.Hour)
	w.people.put("alice", old)
	require.Nil(t, load(t, g, "alice").Family("tv", "endless"))
}

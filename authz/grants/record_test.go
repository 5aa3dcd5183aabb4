package grants_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
)

var t0 = time.Date(2030, 1, 2, 3, 4, 5, 500_000_000, time.UTC)

func family(id string, issued time.Time) grants.Family {
	return grants.Family{ID: id, Issued: issued, Expires: issued.Add(24 * time.Hour), Scope: []string{"mail"}}
}

func ids(families []grants.Family) []string {
	var out []string
	for _, f := range families {
		out = append(out, f.ID)
	}
	return out
}

func TestConsent(t *testing.T) {
	r := &grants.Record{}
	require.Equal(t, []string{"b", "a"}, r.Consented("app", []string{"b", "a"}, time.Time{}))
	require.Nil(t, r.Consented("app", nil, time.Time{}), "nothing asked, nothing missing")
	r.Consent("app", nil, t0)
	require.True(t, r.Empty(), "agreeing to nothing is no grant")

	r.Consent("app", []string{"a", "b"}, t0)
	r.Consent("app", []string{"c", "a"}, t0.Add(time.Hour))
	require.Nil(t, r.Consented("app", []string{"c", "b", "a"}, time.Time{}))
	require.Equal(t, []string{"x"}, r.Consented("app", []string{"a", "x", "b"}, time.Time{}))
	require.Equal(t, []string{"A"}, r.Consented("app", []string{"A"}, time.Time{}), "scopes are case-sensitive")
	require.Equal(t, []string{"a"}, r.Consented("other", []string{"a"}, time.Time{}), "consent is per client")
	require.Equal(t, map[string]time.Time{"a": t0.Add(time.Hour), "b": t0, "c": t0.Add(time.Hour)}, r.Clients["app"].Consents)
}

// TestS10_WithdrawalEndsTokensAndAsksAgain is the permissions page.
func TestS10_WithdrawalEndsTokensAndAsksAgain(t *testing.T) {
	r := &grants.Record{}
	require.Nil(t, r.Withdraw("app", t0, t0.Add(time.Hour)), "nothing granted, nothing to end")
	require.True(t, r.Empty())

	r.Consent("app", []string{"mail"}, t0)
	r.Consent("other", []string{"mail"}, t0)
	r.AddFamily("app", family("f1", t0))
	r.AddFamily("app", family("f2", t0))
	r.AddFamily("other", family("f3", t0))
	at, keep := t0.Add(time.Minute), t0.Add(time.Hour)
	require.Equal(t, []string{"f1", "f2"}, ids(r.Withdraw("app", at, keep)))

	require.Equal(t, []string{"mail"}, r.Consented("app", []string{"mail"}, time.Time{}))
	require.Nil(t, r.Family("app", "f1"))
	require.Nil(t, r.Consented("other", []string{"mail"}, time.Time{}))
	require.NotNil(t, r.Family("other", "f3"))

	second := at.Truncate(time.Second)
	require.True(t, r.Withdrawn("app", second.Add(-time.Second)))
	require.True(t, r.Withdrawn("app", second), "the same second is dead")
	require.False(t, r.Withdrawn("app", second.Add(time.Second)))
	require.False(t, r.Withdrawn("other", second))
	require.False(t, r.Withdrawn("unknown", second))

	r.Withdraw("app", t0, t0)
	require.True(t, r.Withdrawn("app", second), "an earlier withdrawal takes nothing back")
	r.Prune(keep.Add(-time.Nanosecond))
	require.True(t, r.Withdrawn("app", second))
	r.Prune(keep)
	require.False(t, r.Withdrawn("app", second), "no such token lives any more")
	require.NotContains(t, r.Clients, "app")
}

// TestU3_AtMostTenFamiliesOfAClient: the oldest goes, not the one longest in
// the record.
func TestU3_AtMostTenFamiliesOfAClient(t *testing.T) {
	r := &grants.Record{}
	r.AddFamily("other", family("o", t0.Add(-time.Hour)))
	for i := range grants.MaxFamilies {
		// Issued in the reverse of the order added.
		dropped := r.AddFamily("app", family(fmt.Sprintf("f%d", i), t0.Add(-time.Duration(i)*time.Minute)))
		require.Empty(t, dropped)
	}
	require.Equal(t, []string{"f9"}, ids(r.AddFamily("app", family("new", t0.Add(time.Minute)))))
	require.Len(t, r.Clients["app"].Families, grants.MaxFamilies)
	require.Equal(t, []string{"f8"}, ids(r.AddFamily("app", family("ancient", t0.Add(-time.Hour)))))
	require.NotNil(t, r.Family("app", "ancient"), "the new one stays, whatever its date")
	require.NotNil(t, r.Family("other", "o"))

	again := family("new", t0.Add(time.Minute))
	again.Device = "phone"
	require.Empty(t, r.AddFamily("app", again), "the same family again")
	require.Len(t, r.Clients["app"].Families, grants.MaxFamilies)
	require.Equal(t, "phone", r.Family("app", "new").Device)
}

func TestFamilies(t *testing.T) {
	r := &grants.Record{}
	require.Nil(t, r.Family("app", "f1"))
	_, ok := r.RemoveFamily("f1")
	require.False(t, ok)

	r.AddFamily("app", family("f1", t0))
	r.AddFamily("other", family("f2", t0))
	require.Nil(t, r.Family("app", "f2"), "a family is of its client")
	r.Family("app", "f1").LastUsed = t0.Add(time.Hour)
	require.Equal(t, t0.Add(time.Hour), r.Family("app", "f1").LastUsed)

	removed, ok := r.RemoveFamily("f2")
	require.True(t, ok)
	require.Equal(t, family("f2", t0), removed)
	require.Nil(t, r.Family("other", "f2"))
	require.NotNil(t, r.Family("app", "f1"))
}

func TestPrune(t *testing.T) {
	r := &grants.Record{Clients: map[string]*grants.Client{"null": nil}}
	endless := family("endless", t0)
	endless.Expires = time.Time{}
	r.AddFamily("app", family("old", t0.Add(-24*time.Hour)))
	r.AddFamily("app", endless)
	r.AddFamily("gone", family("old2", t0.Add(-24*time.Hour)))
	r.AddFamily("agreed", family("old3", t0.Add(-24*time.Hour)))
	r.Consent("agreed", []string{"mail"}, t0)

	r.Prune(t0)
	require.Len(t, r.Clients, 2)
	require.Equal(t, []string{"endless"}, ids(r.Clients["app"].Families))
	require.Empty(t, r.Clients["agreed"].Families)
	require.Nil(t, r.Consented("agreed", []string{"mail"}, time.Time{}), "consent does not expire")

	require.True(t, family("f", t0).Live(t0.Add(24*time.Hour-time.Nanosecond)))
	require.False(t, family("f", t0).Live(t0.Add(24*time.Hour)))
}

func TestExpires(t *testing.T) {
	r := &grants.Record{}
	r.AddFamily("app", family("f1", t0))
	r.AddFamily("other", family("f2", t0.Add(time.Hour)))
	require.Equal(t, t0.Add(25*time.Hour), r.Expires())
	r.Withdraw("app", t0, t0.Add(30*time.Hour))
	require.Equal(t, t0.Add(30*time.Hour), r.Expires())

	endless := family("f3", t0)
	endless.Expires = time.Time{}
	r.AddFamily("third", endless)
	require.Zero(t, r.Expires())
	_, ok := r.RemoveFamily("f3")
	require.True(t, ok)
	require.Equal(t, t0.Add(30*time.Hour), r.Expires())
	r.Consent("third", []string{"mail"}, t0)
	require.Zero(t, r.Expires())
}

// TestU3_FamiliesMakeRoom: a user of many clients is never locked out by
// families; each client keeps its newest, and consents keep their space.
func TestU3_FamiliesMakeRoom(t *testing.T) {
	r := &grants.Record{}
	big := func(id string, issued time.Time) grants.Family {
		f := family(id, issued)
		f.ResourceServer = strings.Repeat("x", 1000)
		return f
	}
	dropped := map[string]bool{}
	added := 0
	for client := range 20 {
		for i := range grants.MaxFamilies {
			id := fmt.Sprintf("c%d-f%d", client, i)
			for _, f := range r.AddFamily(fmt.Sprintf("c%d", client), big(id, t0.Add(time.Duration(added)*time.Second))) {
				require.NotEqual(t, id, f.ID, "the new one stays")
				require.False(t, dropped[f.ID], "dropped once")
				dropped[f.ID] = true
			}
			added++
			size, err := r.Size()
			require.NoError(t, err)
			require.LessOrEqual(t, size, grants.MaxSize/4*3)
		}
	}
	left := 0
	for client := range 20 {
		id := fmt.Sprintf("c%d", client)
		families := r.Clients[id].Families
		require.NotEmpty(t, families, "each client keeps one")
		require.Equal(t, fmt.Sprintf("%s-f%d", id, grants.MaxFamilies-1), families[len(families)-1].ID, "the newest")
		left += len(families)
	}
	require.Equal(t, added, left+len(dropped), "none vanishes unreported")
	require.NotEmpty(t, dropped)
}

// The family with the oldest date may be the new one itself, of a clock behind.
func TestU3_MakingRoomSparesTheNewFamily(t *testing.T) {
	r := &grants.Record{}
	huge := func(id string, issued time.Time) grants.Family {
		f := family(id, issued)
		f.Device = strings.Repeat("x", grants.MaxSize/2)
		return f
	}
	require.Empty(t, r.AddFamily("app", huge("f1", t0)))
	require.Equal(t, []string{"f1"}, ids(r.AddFamily("app", huge("f0", t0.Add(-time.Hour)))))
	require.Empty(t, r.AddFamily("other", huge("g", t0)), "each client keeps one: Update refuses the record instead")
}

// TestE7_EndAll takes the tokens of every client, and no consent.
func TestE7_EndAll(t *testing.T) {
	r := &grants.Record{}
	r.AddFamily("app", family("f1", t0))
	r.AddFamily("other", family("f2", t0))
	r.Consent("other", []string{"mail"}, t0)
	require.ElementsMatch(t, []string{"f1", "f2"}, ids(r.EndAll(t0, t0.Add(time.Hour))))
	for _, client := range []string{"app", "other"} {
		require.Empty(t, r.Clients[client].Families)
		require.True(t, r.Withdrawn(client, t0))
	}
	require.Nil(t, r.Consented("other", []string{"mail"}, time.Time{}))
}

func TestE7_EndDevice(t *testing.T) {
	r := &grants.Record{}
	add := func(client, id, device string) {
		f := family(id, t0)
		f.Device = device
		r.AddFamily(client, f)
	}
	add("app", "f1", "phone")
	add("app", "f2", "tablet")
	add("app", "f3", "")
	add("app", "f4", "phone")
	add("other", "f5", "phone")
	require.ElementsMatch(t, []string{"f1", "f4"}, ids(r.EndDevice("app", "phone")))
	require.Equal(t, []string{"f2", "f3"}, ids(r.Clients["app"].Families))
	require.Empty(t, r.EndDevice("app", "phone"))
	require.Equal(t, []string{"f5"}, ids(r.EndDevice("", "phone")))
	require.False(t, r.Withdrawn("app", t0), "other devices go on")
}

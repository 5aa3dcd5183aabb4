package ldap

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

const grantAttribute = "nidsOAuthGrant"

// grants is the attribute of a directory and the subjects of Alice, who has the object class, and Bob, who lacks it.
func grants(t *testing.T) (a *Attribute, s *slapd, aliceID, bobID string) {
	t.Helper()
	d, s := directory(t, nil)
	return d.Attribute(grantAttribute), s, s.EntryUUID(t, alice), s.EntryUUID(t, "uid=bob,ou=people,"+testBase)
}

func TestU4_SwapComparesAndWritesInOneStep(t *testing.T) {
	a, _, aliceID, bobID := grants(t)
	ctx := bounded(t)
	for name, subject := range map[string]string{"with the object class": aliceID, "without": bobID} {
		t.Run(name, func(t *testing.T) {
			value, err := a.Read(ctx, subject)
			require.NoError(t, err)
			require.Nil(t, value)
			one, two := []byte{0, 1, 2, 0xff}, []byte("<two/>")
			require.ErrorIs(t, a.Swap(ctx, subject, one, two), ErrConflict, "there is none yet")
			require.NoError(t, a.Swap(ctx, subject, nil, one))
			require.ErrorIs(t, a.Swap(ctx, subject, nil, two), ErrConflict, "there is one by now")
			require.NoError(t, a.Swap(ctx, subject, one, one), "no change is no conflict")
			require.NoError(t, a.Swap(ctx, subject, one, two))
			require.ErrorIs(t, a.Swap(ctx, subject, one, two), ErrConflict)
			value, err = a.Read(ctx, subject)
			require.NoError(t, err)
			require.Equal(t, two, value)
			require.NoError(t, a.Swap(ctx, subject, two, nil))
			require.NoError(t, a.Swap(ctx, subject, nil, nil))
			value, err = a.Read(ctx, subject)
			require.NoError(t, err)
			require.Nil(t, value)
			require.NoError(t, a.Replace(ctx, subject, two))
			require.NoError(t, a.Replace(ctx, subject, one))
			require.NoError(t, a.Replace(ctx, subject, nil))
		})
	}
	_, err := a.Read(ctx, "00000000-0000-0000-0000-000000000000")
	require.ErrorIs(t, err, users.ErrNotFound)
	require.ErrorIs(t, a.Swap(ctx, "00000000-0000-0000-0000-000000000000", nil, []byte("x")), users.ErrNotFound)
}

// What Lookup has read of the entry serves one ReadReplica of the same request, and no Read for update.
func TestU4_LookupReadsTheGrants(t *testing.T) {
	a, s, aliceID, bobID := grants(t)
	require.NoError(t, a.Swap(bounded(t), aliceID, nil, []byte("old")))
	ctx := users.Together(bounded(t))
	_, err := a.d.Lookup(ctx, aliceID)
	require.NoError(t, err)
	s.Change(t, alice, grantAttribute, "new")
	for _, test := range []struct {
		name    string
		ctx     context.Context
		read    func(context.Context, string) ([]byte, error)
		subject string
		want    string
	}{
		{"for update", ctx, a.Read, aliceID, "new"},
		{"another request", bounded(t), a.ReadReplica, aliceID, "new"},
		{"another person", ctx, a.ReadReplica, bobID, ""},
		{"another attribute", ctx, a.d.Attribute("title").ReadReplica, aliceID, "engineer"},
		{"the same request", ctx, a.ReadReplica, aliceID, "old"},
		{"once more", ctx, a.ReadReplica, aliceID, "new"},
	} {
		value, err := test.read(test.ctx, test.subject)
		require.NoError(t, err, test.name)
		require.Equal(t, test.want, string(value), test.name)
	}
}

func TestU3_64KiBFit(t *testing.T) {
	a, _, aliceID, _ := grants(t)
	large := bytes.Repeat([]byte{0xfe, 0}, 32<<10)
	require.NoError(t, a.Swap(bounded(t), aliceID, nil, large))
	value, err := a.Read(bounded(t), aliceID)
	require.NoError(t, err)
	require.Equal(t, large, value)
	u, err := a.d.Lookup(bounded(t), aliceID)
	require.NoError(t, err)
	require.NotContains(t, u.Attributes, grantAttribute)
}

func TestU4_FiftyWritersLoseNothing(t *testing.T) {
	a, _, _, bobID := grants(t)
	var writers sync.WaitGroup
	for range 50 {
		writers.Go(func() { increment(t, a, bobID) })
	}
	writers.Wait()
	value, err := a.Read(t.Context(), bobID)
	require.NoError(t, err)
	require.Equal(t, "50", string(value))
}

// The service account may write this attribute and nothing else.
func TestU6_ProbeChangesNothing(t *testing.T) {
	a, s, aliceID, bobID := grants(t)
	ctx := bounded(t)
	require.NoError(t, a.Swap(ctx, aliceID, nil, []byte("kept")))
	for _, subject := range []string{aliceID, bobID, ""} {
		require.NoError(t, a.Probe(ctx, subject))
	}
	value, err := a.Read(ctx, aliceID)
	require.NoError(t, err)
	require.Equal(t, "kept", string(value))
	require.ErrorIs(t, a.Probe(ctx, "00000000-0000-0000-0000-000000000000"), users.ErrNotFound)
	require.ErrorIs(t, a.d.Attribute("noSuchThing").Probe(ctx, ""), ErrNoSchema)
	require.ErrorIs(t, a.d.Attribute("mail").Probe(ctx, aliceID), ErrNoAccess)

	readonly := startSlapd(t, ldaptest.Options{NoGrants: true})
	denied := open(t, readonly.config(t)).Attribute(grantAttribute)
	require.ErrorIs(t, denied.Probe(ctx, ""), ErrNoAccess)
	require.ErrorIs(t, denied.Swap(ctx, readonly.EntryUUID(t, alice), nil, []byte("x")), ErrNoAccess)

	s.Stop()
	err = a.Probe(ctx, "")
	require.ErrorIs(t, err, users.ErrUnavailable, "no definite no")
	require.NotErrorIs(t, err, ErrNoAccess)
}

// Whether values can be compared is a matter of the schema, and asked once.
func TestU4_Comparable(t *testing.T) {
	s := startSlapd(t, ldaptest.Options{Settings: `
attributetype ( 1.3.6.1.4.1.32473.9.1 NAME 'aStream' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.32473.9.2 NAME 'streamUser' SUP top AUXILIARY MAY aStream )
access to attrs=aStream by dn.exact="` + testAccount + `" write
`})
	d, ctx := open(t, s.config(t)), bounded(t)
	for name, want := range map[string]bool{grantAttribute: true, "aStream": false, "mail": true, "name": true, "noSuchThing": true} {
		able, err := d.Attribute(name).Comparable(ctx)
		require.NoError(t, err)
		require.Equal(t, want, able, name)
	}
	stream := d.Attribute("aStream")
	able, err := stream.Comparable(ctx)
	require.NoError(t, err)
	require.False(t, able)
	admin := s.Admin(t)
	before := s.Operations(t, admin, "Search")
	for range 3 {
		_, err := stream.Comparable(ctx)
		require.NoError(t, err)
	}
	require.Equal(t, before+1, s.Operations(t, admin, "Search"), "the count itself is one")
	s.Stop()
	_, err = stream.Comparable(ctx)
	require.ErrorIs(t, err, users.ErrUnavailable)
}

// eDirectory keeps the attribute as a stream: nothing may be deleted from it by value, not even to probe.
func TestU3_StreamsAreReplacedOnly(t *testing.T) {
	a, _, aliceID, _ := grants(t)
	ctx := bounded(t)
	require.NoError(t, a.d.Health(ctx))
	l := *a.d.servers[0].layout.Load()
	l.kind = EDirectory
	a.d.servers[0].layout.Store(&l)
	require.ErrorIs(t, a.Swap(ctx, aliceID, nil, []byte("x")), ErrCannotCompare)
	able, err := a.Comparable(ctx)
	require.NoError(t, err)
	require.False(t, able)
	require.NoError(t, a.Probe(ctx, aliceID))
	require.NoError(t, a.Replace(ctx, aliceID, []byte("x")))
	require.ErrorIs(t, a.Probe(ctx, aliceID), ErrCannotCompare)
	require.NoError(t, a.Probe(ctx, ""), "there is somebody without a value")
	value, err := a.Read(ctx, aliceID)
	require.NoError(t, err)
	require.Equal(t, "x", string(value))
}

// A replica is behind until it asks again: reads for update don't come from there, and writes don't go there.
func TestG9_ReplicaIsReadAndNeverWritten(t *testing.T) {
	provider := startSlapd(t, ldaptest.Options{})
	replica := startSlapd(t, ldaptest.Options{Provider: provider.URL})
	cfg := provider.config(t)
	cfg.Servers, cfg.WriteServers = []string{replica.URL}, []string{provider.TLS}
	d := open(t, cfg)
	a, ctx, aliceID := d.Attribute(grantAttribute), bounded(t), provider.EntryUUID(t, alice)
	require.Eventually(t, func() bool { return d.Health(ctx) == nil }, 10*time.Second, 10*time.Millisecond)

	require.NoError(t, a.Swap(ctx, aliceID, nil, []byte("new")))
	value, err := a.Read(ctx, aliceID)
	require.NoError(t, err)
	require.Equal(t, "new", string(value))
	value, err = a.ReadReplica(ctx, aliceID)
	require.NoError(t, err)
	require.Nil(t, value, "four seconds are not over")
	require.Eventually(t, func() bool {
		value, err := a.ReadReplica(ctx, aliceID)
		return err == nil && string(value) == "new"
	}, 10*time.Second, 20*time.Millisecond)

	cfg.WriteServers = []string{replica.URL}
	astray := open(t, cfg).Attribute(grantAttribute)
	err = astray.Swap(ctx, aliceID, []byte("new"), []byte("astray"))
	require.True(t, isCode(err, ldap.LDAPResultReferral), "%v", err)
	value, err = a.Read(ctx, aliceID)
	require.NoError(t, err)
	require.Equal(t, "new", string(value))
}

// One write server at a time: the next one only after ReplicaLag, and no way back by itself.
func TestU4_WriteFailover(t *testing.T) {
	first, second := startSlapd(t, ldaptest.Options{}), startSlapd(t, ldaptest.Options{})
	now := time.Now()
	cfg := first.config(t)
	cfg.Servers, cfg.WriteServers = []string{second.URL}, []string{first.URL, second.URL}
	cfg.Now, cfg.ReplicaLag = func() time.Time { return now }, time.Minute
	d := open(t, cfg)
	writer := func() string {
		s, err := d.writer()
		if err != nil {
			require.ErrorIs(t, err, users.ErrUnavailable)
			return ""
		}
		return s.endpoint.url
	}
	require.NoError(t, d.Health(bounded(t)))
	require.Equal(t, first.URL, writer())
	first.Stop()
	require.Error(t, d.Health(bounded(t)))
	require.Empty(t, writer())
	now = now.Add(time.Minute - 1)
	require.Empty(t, writer())
	now = now.Add(1)
	require.Equal(t, second.URL, writer())
	first.Again(t)
	require.NoError(t, d.Health(bounded(t)))
	require.Equal(t, second.URL, writer())
}

// increment adds one to a number in the attribute, as often as others come between.
func increment(t *testing.T, a *Attribute, subject string) {
	for {
		old, err := a.Read(t.Context(), subject)
		if err != nil {
			t.Error(err)
			return
		}
		n, _ := strconv.Atoi(string(old)) // none is 0
		err = a.Swap(t.Context(), subject, old, []byte(strconv.Itoa(n+1)))
		if err == nil {
			return
		}
		if !errors.Is(err, ErrConflict) {
			t.Error(err)
			return
		}
	}
}

package ldap

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// What a sign-in costs against what it is made of: a search and a bind, each on a connection of its own that
// stays open. The ratio of the two rates is what to look at.
func BenchmarkAuthenticate(b *testing.B) {
	s := startSlapd(b, ldaptest.Options{})
	cfg := s.config(b)
	cfg.Servers = []string{s.URL}
	b.Run("bare", func(b *testing.B) { bareSignIn(b, s) })
	b.Run("directory", func(b *testing.B) {
		d := open(b, cfg)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := d.Authenticate(b.Context(), users.Credentials{Username: "alice", Password: "alice-pw"}, anyone); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("directory with roles", func(b *testing.B) {
		withRoles := cfg
		withRoles.Roles, withRoles.Cache = RolesConfig{GroupBase: "ou=groups," + testBase}, time.Hour
		d := open(b, withRoles)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Authenticate(b.Context(), users.Credentials{Username: "alice", Password: "alice-pw"}, anyone); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("lookup", func(b *testing.B) {
		d, id := open(b, cfg), s.EntryUUID(b, alice)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Lookup(b.Context(), id); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func bareSignIn(b *testing.B, s *slapd) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		bare, err := ldaptest.DialBare(s.URL, testAccount, testPassword)
		if err != nil {
			b.Error(err)
			return
		}
		defer bare.Close()
		for pb.Next() {
			if err := bare.SignIn("ou=people,"+testBase, "alice", "alice-pw"); err != nil {
				b.Error(err)
				return
			}
		}
	})
	require.False(b, b.Failed())
}

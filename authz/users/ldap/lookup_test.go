package ldap

import (
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
)

// Everything that ends a person is seen by the next Lookup, whatever is cached.
func TestA40_LookupSeesWhatChanged(t *testing.T) {
	d, s := directory(t, func(cfg *Config) {
		cfg.Filter = "(&(objectClass=inetOrgPerson)(!(title=retired))(uid={username}))"
		cfg.Roles = RolesConfig{GroupBase: "ou=groups," + testBase}
	})
	u, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	require.Contains(t, u.Roles, "staff")
	lookup := func() (*users.User, error) { return d.Lookup(bounded(t), u.Subject) }
	same, err := lookup()
	require.NoError(t, err)
	require.Equal(t, u, same)

	s.Change(t, "cn=staff,ou=groups,"+testBase, "member", "uid=bob,ou=people,"+testBase)
	fresh, err := lookup()
	require.NoError(t, err)
	require.NotContains(t, fresh.Roles, "staff", "E3: moved out of the role")

	s.Change(t, alice, "userPassword", "another")
	fresh, err = lookup()
	require.NoError(t, err)
	require.NotEqual(t, u.PasswordStamp, fresh.PasswordStamp, "E3: a changed password")
	require.NotEmpty(t, u.PasswordStamp, "not even the first change goes unseen")
	require.NotContains(t, fresh.PasswordStamp, "another")

	require.NoError(t, s.Admin(t).ModifyDN(ldap.NewModifyDNRequest(alice, "uid=alicia", true, "")))
	renamed := "uid=alicia,ou=people," + testBase
	fresh, err = lookup()
	require.NoError(t, err)
	require.Equal(t, "alicia", fresh.Username, "a rename keeps the subject")

	s.Change(t, renamed, "title", "retired")
	_, err = lookup()
	require.ErrorIs(t, err, users.ErrNotFound, "the filter doesn't hold any more")
	s.Change(t, renamed, "title", "engineer")

	s.Change(t, renamed, "pwdAccountLockedTime", lockedForGood)
	_, err = lookup()
	require.ErrorIs(t, err, users.ErrDisabled)
	whose, err := d.Identify(bounded(t), "alicia")
	require.NoError(t, err, "an administrator may have to do with them")
	require.Equal(t, u.Subject, whose.Subject)
	s.Change(t, renamed, "pwdAccountLockedTime")
	_, err = lookup()
	require.NoError(t, err)

	require.NoError(t, s.Admin(t).Del(ldap.NewDelRequest(renamed, nil)))
	_, err = lookup()
	require.ErrorIs(t, err, users.ErrNotFound)
}

// What the directory can't be asked is no verdict about a person.
func TestA40_AFaultEndsNobody(t *testing.T) {
	d, s := directory(t, nil)
	u, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	elsewhere := s.config(t)
	elsewhere.Base = "ou=nowhere," + testBase
	_, err = open(t, elsewhere).Lookup(bounded(t), u.Subject)
	require.Error(t, err)
	require.NotErrorIs(t, err, users.ErrNotFound)
	require.NotErrorIs(t, err, users.ErrDisabled)
	s.Stop()
	_, err = d.Lookup(bounded(t), u.Subject)
	require.ErrorIs(t, err, users.ErrUnavailable)
}

func TestU1_SubjectOfOnesOwn(t *testing.T) {
	d, _ := directory(t, func(cfg *Config) { cfg.Subject = "uid" })
	u, err := signIn(t, d, "Alice", "alice-pw")
	require.NoError(t, err)
	require.Equal(t, "alice", u.Subject)
	_, err = d.Lookup(bounded(t), "alice")
	require.NoError(t, err)
	for _, subject := range []string{"ALICE", "alice ", "*", "", "a*"} {
		_, err = d.Lookup(bounded(t), subject)
		require.ErrorIs(t, err, users.ErrNotFound, "%q: the directory ignores case, a subject doesn't", subject)
	}
	odd, err := d.Lookup(bounded(t), `o*d)(d\`)
	require.NoError(t, err)
	require.Equal(t, `o*d)(d\`, odd.Username)

	binary, _ := directory(t, func(cfg *Config) { cfg.Subject = "jpegPhoto" })
	_, err = signIn(t, binary, "alice", "alice-pw")
	require.ErrorContains(t, err, "identifies nobody")
}

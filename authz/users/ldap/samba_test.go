package ldap

import (
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// samba is an Active Directory domain controller of one test's own.
type samba struct{ *ldaptest.Samba }

// One domain controller for all: it takes seconds to make.
func TestU7_ActiveDirectory(t *testing.T) {
	s := samba{ldaptest.StartSamba(t)}
	for _, name := range []string{"gatewright", "alice", "bob", "jos\u00e9"} {
		s.Add(t, name)
	}
	s.Group(t, "engineers", "alice")
	s.Group(t, "staff", "engineers")
	s.Extend(t)
	d := open(t, Config{
		Servers: []string{s.URL}, BindDN: "gatewright@ad.example.org", Password: "gatewright.Secret.1", Base: ldaptest.ADUsers, Timeout: 10 * time.Second,
		GrantAttribute: grantAttribute, Roles: RolesConfig{GroupBase: ldaptest.ADUsers, Nested: true},
	})
	require.NoError(t, d.Health(bounded(t)))
	t.Run("sign in", func(t *testing.T) { s.signsIn(t, d) })
	t.Run("reasons", func(t *testing.T) { s.givesReasons(t, d) })
	t.Run("lock", func(t *testing.T) { s.locks(t, d) })
	t.Run("grants", func(t *testing.T) { s.keepsGrants(t, d) })
	t.Run("check", func(t *testing.T) { require.Empty(t, failed(d.Check(bounded(t)))) })
}

func (s samba) signsIn(t *testing.T, d *Directory) {
	id := guidText(ldaptest.Read(t, s.Conn, "CN=alice,"+ldaptest.ADUsers, "objectGUID").GetRawAttributeValue("objectGUID"))
	for _, name := range []string{"alice", "ALICE@ad.example.org", "alice@mail.example.org"} {
		u, err := signIn(t, d, name, "alice.Secret.1")
		require.NoError(t, err)
		require.Equal(t, id, u.Subject)
		require.Equal(t, "alice", u.Username)
		require.Equal(t, []string{"engineers", "staff"}, u.Roles, "nested, by the server's own rule")
		require.Equal(t, []string{id}, u.Attributes["objectGUID"])
		require.True(t, strings.HasPrefix(u.Attribute("objectSid"), "S-1-5-21-"))
	}
	for _, password := range []string{"wrong", " "} {
		_, err := signIn(t, d, "alice", password)
		require.ErrorIs(t, err, users.ErrCredentials)
	}
	before, err := d.Lookup(bounded(t), id)
	require.NoError(t, err)
	s.Change(t, "CN=alice,"+ldaptest.ADUsers, "unicodePwd", ldaptest.UnicodePwd("Another.Secret.2"))
	after, err := d.Lookup(bounded(t), id)
	require.NoError(t, err)
	require.NotEqual(t, before.PasswordStamp, after.PasswordStamp, "E3: a changed password")
	require.NoError(t, s.Conn.ModifyDN(ldap.NewModifyDNRequest("CN=alice,"+ldaptest.ADUsers, "CN=Alice Renamed", true, "")))
	_, err = d.Lookup(bounded(t), id)
	require.NoError(t, err, "a rename keeps the subject")

	_, err = signIn(t, d, "jose", "jos\u00e9.Secret.1")
	require.ErrorIs(t, err, users.ErrCredentials, "A72: whatever the directory takes for the same name")
	_, err = signIn(t, d, "JOSÉ", "jos\u00e9.Secret.1")
	require.NoError(t, err)
}

// The same account, refused for one reason after another: a wrong password never learns which.
func (s samba) givesReasons(t *testing.T, d *Directory) {
	bob := "CN=bob," + ldaptest.ADUsers
	u, err := signIn(t, d, "bob", "bob.Secret.1")
	require.NoError(t, err)
	for _, test := range []struct {
		attribute, bad, good string
		want, lookup         error
	}{
		{"userAccountControl", "514", "512", users.ErrDisabled, users.ErrDisabled},
		{"accountExpires", "133000000000000000", "0", users.ErrExpired, users.ErrExpired},
		{"pwdLastSet", "0", "-1", users.ErrMustChange, nil},
	} {
		s.Change(t, bob, test.attribute, test.bad)
		_, err := signIn(t, d, "bob", "wrong")
		require.Equal(t, users.ErrCredentials, err, test.attribute)
		_, err = signIn(t, d, "bob", "bob.Secret.1")
		require.Equal(t, test.want, err, test.attribute)
		looked, err := d.Lookup(bounded(t), u.Subject)
		require.ErrorIs(t, err, test.lookup)
		if test.lookup == nil {
			require.NotEqual(t, u.PasswordStamp, looked.PasswordStamp)
		}
		s.Change(t, bob, test.attribute, test.good)
	}
	_, err = signIn(t, d, "bob", "bob.Secret.1")
	require.NoError(t, err)
}

func (s samba) locks(t *testing.T, d *Directory) {
	s.Change(t, ldaptest.ADBase, "lockoutThreshold", "2")
	u, err := signIn(t, d, "bob", "bob.Secret.1")
	require.NoError(t, err)
	for range 3 {
		_, err = signIn(t, d, "bob", "wrong")
		require.ErrorIs(t, err, users.ErrCredentials)
	}
	_, err = signIn(t, d, "bob", "bob.Secret.1")
	require.Equal(t, users.ErrCredentials, err, "775 comes with any password")
	_, err = d.Lookup(bounded(t), u.Subject)
	require.ErrorIs(t, err, users.ErrLocked)
	s.Change(t, "CN=bob,"+ldaptest.ADUsers, "lockoutTime", "0")
	_, err = d.Lookup(bounded(t), u.Subject)
	require.NoError(t, err)
	s.Change(t, ldaptest.ADBase, "lockoutThreshold", "0")
}

func (s samba) keepsGrants(t *testing.T, d *Directory) {
	u, err := signIn(t, d, "bob", "bob.Secret.1")
	require.NoError(t, err)
	a, ctx := d.Attribute(grantAttribute), bounded(t)
	require.NoError(t, a.Probe(ctx, u.Subject))
	require.NoError(t, a.Swap(ctx, u.Subject, nil, []byte{0, 0xff}))
	require.ErrorIs(t, a.Swap(ctx, u.Subject, nil, []byte("x")), ErrConflict)
	require.NoError(t, a.Swap(ctx, u.Subject, []byte{0, 0xff}, []byte("two")))
	require.ErrorIs(t, a.Swap(ctx, u.Subject, []byte{0, 0xff}, []byte("x")), ErrConflict)
	require.NoError(t, a.Probe(ctx, u.Subject))
	value, err := a.Read(ctx, u.Subject)
	require.NoError(t, err)
	require.Equal(t, "two", string(value))
	require.ErrorIs(t, d.Attribute("noSuchThing").Probe(ctx, u.Subject), ErrNoSchema)
	require.ErrorIs(t, d.Attribute("mail").Probe(ctx, u.Subject), ErrNoAccess)

	// searchFlags 128: even the person doesn't read it.
	own, err := ldap.DialURL(s.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = own.Close() })
	require.NoError(t, own.Bind("bob@ad.example.org", "bob.Secret.1"))
	entry := ldaptest.Read(t, own, "CN=bob,"+ldaptest.ADUsers, "cn", grantAttribute)
	require.Equal(t, "bob", entry.GetAttributeValue("cn"))
	require.Empty(t, entry.GetAttributeValues(grantAttribute))
}

package ldap

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

func TestU1_Roles(t *testing.T) {
	s := startSlapd(t, ldaptest.Options{})
	s.Change(t, alice, "employeeType", "cn=staff,ou=groups,"+testBase, "cn=staff,ou=elsewhere,"+testBase, "plain role")
	groups := "ou=groups," + testBase
	for _, test := range []struct {
		name  string
		roles RolesConfig
		want  []string
	}{
		{"none", RolesConfig{}, nil},
		{"member, uniqueMember and memberUid", RolesConfig{GroupBase: groups}, []string{"auditors", "staff", "wheel"}},
		{"one's own filter", RolesConfig{GroupBase: groups, GroupFilter: "(memberUid={username})"}, []string{"wheel"}},
		{"nested, in a circle", RolesConfig{GroupBase: groups, Nested: true}, []string{"all", "auditors", "everyone", "staff", "wheel"}},
		{"dynamic", RolesConfig{GroupBase: groups, Dynamic: true}, []string{"auditors", "engineers", "staff", "wheel"}},
		{"attribute", RolesConfig{Attribute: "employeeType"}, []string{"plain role", "staff"}},
		{"attribute below a base", RolesConfig{Attribute: "employeeType", GroupBase: groups, GroupFilter: "(memberUid=no{username})"}, []string{"plain role", "staff"}},
		{"attribute, nested", RolesConfig{Attribute: "EmployeeType", GroupBase: groups, GroupFilter: "(memberUid=no{username})", Nested: true}, []string{"all", "everyone", "plain role", "staff"}},
		{"map", RolesConfig{GroupBase: groups, Map: map[string][]string{
			"CN=Staff, OU=Groups, DC=example, DC=org": {"employee", "user"},
			"Wheel":     {"admin", "user"},
			"engineers": {"engineer"},
		}}, []string{"admin", "employee", "user"}},
		{"map of values", RolesConfig{Attribute: "employeeType", Map: map[string][]string{"Plain Role": {"x"}}}, []string{"x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := s.config(t)
			cfg.Roles = test.roles
			d := open(t, cfg)
			u, err := signIn(t, d, "alice", "alice-pw")
			require.NoError(t, err)
			require.Equal(t, test.want, u.Roles)
			u, err = d.Lookup(bounded(t), u.Subject)
			require.NoError(t, err)
			require.Equal(t, test.want, u.Roles)
		})
	}
}

// A DN is escaped where a filter asks for it: this person's has everything that means something.
func TestA72_GroupsOfAnOddDN(t *testing.T) {
	d, _ := directory(t, func(cfg *Config) { cfg.Roles = RolesConfig{GroupBase: "ou=groups," + testBase, Nested: true} })
	u, err := signIn(t, d, `o*d)(d\`, "odd-pw")
	require.NoError(t, err)
	require.Equal(t, []string{"all", "everyone", "staff"}, u.Roles)
}

func TestU1_RolesAreCachedForSignInsOnly(t *testing.T) {
	now := time.Now()
	d, s := directory(t, func(cfg *Config) {
		cfg.Roles = RolesConfig{GroupBase: "ou=groups," + testBase, GroupFilter: "(memberUid={username})"}
		cfg.Cache, cfg.Now = time.Minute, func() time.Time { return now }
	})
	rolesOf := func(name, password string) []string {
		u, err := signIn(t, d, name, password)
		require.NoError(t, err)
		return u.Roles
	}
	require.Equal(t, []string{"wheel"}, rolesOf("alice", "alice-pw"))
	s.Change(t, "cn=wheel,ou=groups,"+testBase, "memberUid", "bob")
	require.Equal(t, []string{"wheel"}, rolesOf("alice", "alice-pw"), "from the cache")
	now = now.Add(time.Minute)
	require.Empty(t, rolesOf("alice", "alice-pw"))
	require.Equal(t, []string{"wheel"}, rolesOf("bob", "bob-pw"))

	s.Change(t, "cn=wheel,ou=groups,"+testBase, "memberUid", "alice")
	u, err := d.Lookup(bounded(t), s.EntryUUID(t, alice))
	require.NoError(t, err)
	require.Equal(t, []string{"wheel"}, u.Roles, "A40: past the cache")
	require.Equal(t, []string{"wheel"}, rolesOf("alice", "alice-pw"), "which has it now")
}

func TestU1_MemberURL(t *testing.T) {
	for _, test := range []struct {
		url     string
		ok, has bool
	}{
		{"ldap:///ou=people,dc=example,dc=org??sub?(title=x)", true, true},
		{"ldap://host:389/OU=People,DC=Example,DC=org??sub", true, true},
		{"ldap:///uid=alice,ou=people,dc=example,dc=org", true, true},
		{"ldap:///ou=people,dc=example,dc=org??one", true, true},
		{"ldap:///dc=example,dc=org??one", true, false},
		{"ldap:///ou=people,dc=example,dc=org??base", true, false},
		{"ldap:///ou=other,dc=example,dc=org??sub", true, false},
		{"ldap:///ou=people%2cdc=example%2Cdc=org??sub?%28title=x%29", true, true},
		{"ldap:///??sub", false, false},
		{"ldap:///ou=people??sub?(title=x", false, false},
		{"ldap:///ou=people%zz??sub", false, false},
		{"http:///ou=people", false, false},
		{"ldap", false, false},
	} {
		t.Run(test.url, func(t *testing.T) {
			m, ok := parseMemberURL(test.url)
			require.Equal(t, test.ok, ok)
			if ok {
				require.Equal(t, test.has, m.reaches(alice))
			}
		})
	}
}

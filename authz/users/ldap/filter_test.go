package ldap

import (
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"
)

func TestU1_LoginFilter(t *testing.T) {
	for _, test := range []struct {
		name, filter, login, anybody, wrong string
	}{
		{"one name", "(uid={username})", `(uid=a\2a)`, "(uid=*)", ""},
		{"with a condition", "(&(objectClass=person)(|(uid={username})(mail={username}@example.org)))", `(&(objectClass=person)(|(uid=a\2a)(mail=a\2a@example.org)))`, "(&(objectClass=person)(|(uid=*)(mail=*)))", ""},
		{"by a rule", "(uid:caseExactMatch:={username})", `(uid:caseExactMatch:=a\2a)`, "(uid=*)", ""},
		{"no place", "(uid=alice)", "", "", "is needed in it"},
		{"wildcard", "(uid={username}*)", "", "", "without wildcards"},
		{"in an attribute", "(|(uid={username})({username}=x))", "", "", "may only stand"},
		{"comparison", "(|(uid={username})(uid>={username}))", "", "", "may only stand"},
		{"anr", "(anr={username})", "", "", "beginnings"},
		{"no filter", "(&(uid={username})", "", "", "filter"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := parseLoginFilter(test.filter)
			if test.wrong != "" {
				require.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.login, f.login("a*"))
			require.Equal(t, test.anybody, f.anybody())
		})
	}
}

// Active Directory finds josé for jose; counted are guesses for what was typed, so this is nobody.
func TestA72_AnEntryMustShowTheTypedName(t *testing.T) {
	f, err := parseLoginFilter("(|(sAMAccountName={username})(mail={username}@example.org))")
	require.NoError(t, err)
	entry := ldap.NewEntry(alice, map[string][]string{"samaccountname": {"josé"}, "mail": {"x@example.org", "J@EXAMPLE.org"}})
	for name, want := range map[string]bool{"JOSÉ": true, "jose": false, "j": true, "x": true, "x@example.org": false, "": false} {
		require.Equal(t, want, f.shows(entry, name), name)
	}
	require.Equal(t, "josé", f.username(entry))
	only := ldap.NewEntry(alice, map[string][]string{"mail": {"x@example.org"}})
	require.Equal(t, "x", f.username(only))
	require.Empty(t, f.username(ldap.NewEntry(alice, nil)))
}

func TestU1_KindsOfDirectory(t *testing.T) {
	for _, test := range []struct {
		kind    Kind
		subject string
		root    map[string][]string
	}{
		{OpenLDAP, "entryUUID", map[string][]string{"objectClass": {"top", "OpenLDAProotDSE"}}},
		{ActiveDirectory, "objectGUID", map[string][]string{"supportedCapabilities": {capabilityAD, "1.2.840.113556.1.4.1670"}}},
		{ADLDS, "objectGUID", map[string][]string{"supportedCapabilities": {capabilityADLDS, "1.2.840.113556.1.4.1670"}}},
		{DS389, "nsUniqueId", map[string][]string{"vendorName": {"389 Project"}, "vendorVersion": {"389-Directory/2.3.1"}}},
		{EDirectory, "GUID", map[string][]string{"vendorName": {"NetIQ Corporation"}, "vendorVersion": {"LDAP Agent for NetIQ eDirectory 9.2.4"}}},
		{Other, "entryUUID", map[string][]string{"vendorName": {"Somebody"}}},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			l, err := newLayout(ldap.NewEntry("", test.root), &Config{})
			require.NoError(t, err)
			require.Equal(t, test.kind, l.kind)
			require.Equal(t, test.subject, l.subject)
			require.Contains(t, l.wanted, test.subject)
			l, err = newLayout(ldap.NewEntry("", test.root), &Config{Subject: "uid", Filter: "(cn={username})", Attributes: []string{"mail"}})
			require.NoError(t, err)
			require.Equal(t, "uid", l.subject)
			require.NotContains(t, l.wanted, "*")
			require.Subset(t, l.wanted, append(test.kind.standing(), "cn", "mail", "uid"))
		})
	}
}

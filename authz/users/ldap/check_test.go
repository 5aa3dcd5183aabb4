package ldap

import (
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// failed are what Check found wrong, by what it looked at.
func failed(findings []Finding) map[string]Finding {
	wrong := make(map[string]Finding)
	for _, f := range findings {
		if !f.OK {
			wrong[f.What] = f
		}
	}
	return wrong
}

func TestU6_CheckFindsNothingWrong(t *testing.T) {
	provider := startSlapd(t, ldaptest.Options{})
	replica := startSlapd(t, ldaptest.Options{Provider: provider.URL})
	cfg := provider.config(t)
	cfg.Servers, cfg.WriteServers = []string{replica.URL}, []string{provider.TLS}
	d := open(t, cfg)
	require.Eventually(t, func() bool { return d.Health(bounded(t)) == nil }, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return !d.lastChange(bounded(t), d.servers[0]).IsZero() }, 10*time.Second, 10*time.Millisecond)
	findings := d.Check(bounded(t))
	require.Empty(t, failed(findings))
	seen := make(map[string]int)
	for _, f := range findings {
		seen[f.What]++
		require.NotEmpty(t, f.Detail, f.What)
		require.Empty(t, f.Fix)
	}
	require.Equal(t, map[string]int{
		"connection": 2, "service account": 2, "kind of directory": 2, "people": 2, "subject": 2, "password change": 2,
		"schema": 1, "write access": 1, "replica lag": 1,
	}, seen)
}

// U7: people of AD LDS begin disabled, and the doctor says how to end that.
func TestU7_CheckTellsOfDisabledPeople(t *testing.T) {
	require.Equal(t, "nobody is", disabledDetail(nil))
	told := disabledDetail([]*ldap.Entry{ldap.NewEntry(alice, nil)})
	require.Contains(t, told, alice)
	require.Contains(t, told, "msDS-UserAccountDisabled becomes FALSE")
}

func TestU6_CheckTellsTheLag(t *testing.T) {
	writer, replica := &server{endpoint: endpoint{url: "ldap://writer"}}, &server{endpoint: endpoint{url: "ldap://replica"}}
	newest := newestCSN([]string{"20260501120000.000000Z#000000#001#000000", "20260501115900.000000Z#000000#000#000000", "x"})
	require.Equal(t, time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), newest)
	require.True(t, lagOf(replica, newest.Add(-maxLag), writer, newest).OK)
	require.True(t, lagOf(replica, newest.Add(time.Hour), writer, newest).OK, "another writer's change")
	late := lagOf(replica, newest.Add(-time.Minute), writer, newest)
	require.False(t, late.OK)
	require.Contains(t, late.Detail, "1m0s")
	require.Contains(t, lagOf(replica, time.Time{}, writer, newest).Detail, "first copy")
}

func TestU6_CheckNamesWhatIsMissing(t *testing.T) {
	good := startSlapd(t, ldaptest.Options{})
	readonly := startSlapd(t, ldaptest.Options{NoGrants: true})
	expired := ldaptest.Options{}
	expired.Cert, expired.Key = ldaptest.Certificate(t, -time.Hour)
	late := startSlapd(t, expired)
	for _, test := range []struct {
		name   string
		server *slapd
		change func(*Config)
		what   string
		fix    string
	}{
		{"server that is not there", good, func(c *Config) { c.Servers = []string{"ldap://" + ldaptest.FreePort(t)} }, "connection", "start the server"},
		{"another CA", good, func(c *Config) { c.CA = late.config(t).CA }, "connection", "tls_ca"},
		{"expired certificate", late, func(*Config) {}, "connection", "renew"},
		{"wrong password", good, func(c *Config) { c.Password = "x" }, "service account", "ldapwhoami"},
		{"wrong base", good, func(c *Config) { c.Base = "ou=nowhere," + testBase }, "people", "ldapsearch"},
		{"filter that nobody matches", good, func(c *Config) { c.Filter = "(telexNumber={username})" }, "people", "ldapsearch"},
		{"subject that nobody has", good, func(c *Config) { c.Subject = "objectGUID" }, "subject", "objectGUID"},
		{"no right to write", readonly, func(*Config) {}, "write access", "openldap/access.ldif"},
		{"no schema", good, func(c *Config) { c.GrantAttribute = "somethingElse" }, "schema", "openldap/gatewright.ldif"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := test.server.config(t)
			test.change(&cfg)
			wrong := failed(open(t, cfg).Check(bounded(t)))
			require.Len(t, wrong, 1)
			require.Contains(t, wrong, test.what)
			require.Contains(t, wrong[test.what].Fix, test.fix)
			require.NotContains(t, wrong[test.what].Detail+wrong[test.what].Fix, testPassword)
		})
	}
}

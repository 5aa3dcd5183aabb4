package ldap

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// failed are what Check found not to be as it should, by what it looked at.
func failed(findings []Finding) map[string]Finding {
	wrong := make(map[string]Finding)
	for _, f := range findings {
		if f.Level != Fine {
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
		require.Equal(t, Fine, f.Level, f.What)
		require.Empty(t, f.Fix)
	}
	require.Equal(t, map[string]int{
		"connection": 2, "service account": 2, "kind of directory": 2, "people": 2, "subject": 2, "password change": 2,
		"schema": 1, "write access": 1, "replica lag": 1,
	}, seen)
}

// U7: people of AD LDS begin disabled, and the doctor says how to end that. OpenLDAP stands in for it, with an
// attribute of that name.
func TestU7_CheckTellsOfDisabledPeople(t *testing.T) {
	s := startSlapd(t, ldaptest.Options{Settings: `
attributetype ( 1.3.6.1.4.1.32473.9.1 NAME 'msDS-UserAccountDisabled' EQUALITY booleanMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.7 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.32473.9.2 NAME 'adldsUser' SUP top AUXILIARY MAY msDS-UserAccountDisabled )
`})
	d := open(t, s.config(t))
	require.NoError(t, d.Health(bounded(t)))
	lds := *d.servers[0].layout.Load()
	lds.kind = ADLDS
	lds.wanted = d.cfg.wanted(&lds)
	d.servers[0].layout.Store(&lds)
	disabled := func() Finding {
		c, err := d.servers[0].dialBound(bounded(t))
		require.NoError(t, err)
		defer c.discard()
		r := &report{d: d, s: d.servers[0]}
		r.checkDisabled(bounded(t), c, &lds)
		require.Len(t, r.findings, 1)
		return r.findings[0]
	}
	require.Equal(t, Fine, disabled().Level)

	subject := s.EntryUUID(t, alice)
	s.Change(t, alice, "objectClass", "inetOrgPerson", "nidsOAuthUser", "adldsUser")
	s.Change(t, alice, "msDS-UserAccountDisabled", "TRUE")
	told := disabled()
	require.Equal(t, Warning, told.Level)
	require.Contains(t, told.Detail, alice)
	require.Contains(t, told.Fix, "FALSE")
	_, err := signIn(t, d, "alice", "alice-pw")
	require.ErrorIs(t, err, users.ErrDisabled)
	_, err = d.Lookup(bounded(t), subject)
	require.ErrorIs(t, err, users.ErrDisabled)

	s.Change(t, alice, "msDS-UserAccountDisabled", "FALSE")
	require.Equal(t, Fine, disabled().Level)
	_, err = signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
}

func TestU6_CheckTellsTheLag(t *testing.T) {
	writer, replica := &server{endpoint: endpoint{url: "ldap://writer"}}, &server{endpoint: endpoint{url: "ldap://replica"}}
	newest := newestCSN([]string{"20260501120000.000000Z#000000#001#000000", "20260501115900.000000Z#000000#000#000000", "x"})
	require.Equal(t, time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), newest)
	d := &Directory{cfg: Config{ReplicaLag: 10 * time.Second}}
	require.Equal(t, Fine, d.lagOf(replica, newest.Add(-10*time.Second), writer, newest).Level)
	require.Equal(t, Fine, d.lagOf(replica, newest.Add(time.Hour), writer, newest).Level, "another writer's change")
	late := d.lagOf(replica, newest.Add(-time.Minute), writer, newest)
	require.Equal(t, Fault, late.Level)
	require.Contains(t, late.Detail, "1m0s")
	require.Contains(t, d.lagOf(replica, time.Time{}, writer, newest).Detail, "first copy")
}

// U6: what a start is told of a right that is missing, and of a server that is.
func TestU6_ProbeGrantsNamesTheStep(t *testing.T) {
	ctx := bounded(t)
	d, s := directory(t, nil)
	require.NoError(t, d.ProbeGrants(ctx))
	s.Stop()
	require.ErrorIs(t, d.ProbeGrants(ctx), users.ErrUnavailable)

	readonly := startSlapd(t, ldaptest.Options{NoGrants: true})
	err := open(t, readonly.config(t)).ProbeGrants(ctx)
	require.ErrorIs(t, err, ErrNoAccess)
	require.ErrorContains(t, err, "openldap/access.ldif")
	err = open(t, startSlapd(t, ldaptest.Options{Plain: true}).config(t)).ProbeGrants(ctx)
	require.ErrorIs(t, err, ErrNoSchema)
	require.ErrorContains(t, err, "openldap/gatewright.ldif")
	cfg := readonly.config(t)
	cfg.Filter = "(telexNumber={username})"
	require.NoError(t, open(t, cfg).ProbeGrants(ctx), "nobody to try it on is no definite no")
}

// Without ppolicy OpenLDAP tells no change of a password: it works, and somebody should know.
func TestU6_CheckTellsThatPasswordChangesAreNotSeen(t *testing.T) {
	s := startSlapd(t, ldaptest.Options{})
	d := open(t, s.config(t))
	c, err := d.servers[0].dialBound(bounded(t))
	require.NoError(t, err)
	defer c.discard()
	l := *d.servers[0].layout.Load()
	l.policy = false
	r := &report{d: d, s: d.servers[0]}
	require.True(t, r.checkPeople(bounded(t), c, &l))
	last := r.findings[len(r.findings)-1]
	require.Equal(t, "password change", last.What)
	require.Equal(t, Warning, last.Level)
	require.Contains(t, last.Fix, "ppolicy")
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

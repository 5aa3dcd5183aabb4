package ldap

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestU1_NewRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"no server", func(c *Config) { c.Servers = nil }, "a server is needed"},
		{"no base", func(c *Config) { c.Base = "" }, "a base is needed"},
		{"base that is none", func(c *Config) { c.Base = "people" }, `base "people"`},
		{"group base that is none", func(c *Config) { c.Roles.GroupBase = "groups" }, `group base "groups"`},
		{"bind without a password", func(c *Config) { c.BindDN = testAccount }, "go together"},
		{"password without a bind", func(c *Config) { c.Password = "x" }, "go together"},
		{"no URL", func(c *Config) { c.Servers = []string{"127.0.0.1"} }, "ldap://host"},
		{"http", func(c *Config) { c.Servers = []string{"http://x"} }, "ldap://host"},
		{"URL with a DN", func(c *Config) { c.Servers = []string{"ldap://x/dc=example"} }, "only host and port"},
		{"URL with a password", func(c *Config) { c.Servers = []string{"ldap://u:secret@x"} }, "only host and port"},
		{"socket without a path", func(c *Config) { c.Servers = []string{"ldapi://run"} }, "the path of a socket"},
		{"a server twice", func(c *Config) { c.Servers = append(c.Servers, c.Servers[0]) }, "named twice"},
		{"StartTLS over TLS", func(c *Config) { c.StartTLS, c.Servers = true, []string{"ldaps://x"} }, "StartTLS is for ldap://"},
		{"CA that is none", func(c *Config) { c.CA = []byte("x") }, "no certificate"},
		{"filter", func(c *Config) { c.Filter = "(uid=x)" }, "{username}"},
		{"group filter", func(c *Config) { c.Roles.GroupFilter = "(member=x)" }, "{dn}"},
		{"group filter that is none", func(c *Config) { c.Roles.GroupFilter = "(member={dn}" }, "group filter"},
		{"subject", func(c *Config) { c.Subject = "uid)(x" }, "not the name of an attribute"},
		{"attribute", func(c *Config) { c.Attributes = []string{"*"} }, "not the name of an attribute"},
		{"grant attribute", func(c *Config) { c.GrantAttribute = "a b" }, "not the name of an attribute"},
		{"pool", func(c *Config) { c.Pool = -1 }, "must not be negative"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := Config{Servers: []string{"ldap://127.0.0.1"}, Base: testBase}
			test.change(&cfg)
			_, err := New(cfg)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestU1_Endpoints(t *testing.T) {
	for url, want := range map[string]string{
		"ldap://example.org": "example.org:389", "ldaps://example.org": "example.org:636", "ldap://[::1]:1389/": "[::1]:1389",
		"ldapi://%2Frun%2Fslapd%2Fldapi": "/run/slapd/ldapi",
	} {
		d, err := New(Config{Servers: []string{url}, Base: testBase})
		require.NoError(t, err)
		require.Equal(t, want, d.servers[0].endpoint.address)
	}
}

func TestU1_ClearPasswordsAreLoud(t *testing.T) {
	for url, loud := range map[string]bool{
		"ldap://directory.example.org": true, "ldap://192.0.2.1": true,
		"ldaps://directory.example.org": false, "ldap://127.0.0.1:1389": false, "ldap://localhost": false, "ldapi://%2Frun%2Fldapi": false,
	} {
		core, logs := observer.New(zap.WarnLevel)
		_, err := New(Config{Servers: []string{url}, Base: testBase, Logger: zap.New(core)})
		require.NoError(t, err)
		require.Equal(t, loud, logs.Len() > 0, url)
	}
}

func TestU1_RecentIsBounded(t *testing.T) {
	r := newRecent[int](100)
	for i := range 10_000 {
		r.put(string(rune(0x4e00+i)), i)
		r.put("kept", -1)
	}
	require.LessOrEqual(t, len(r.young)+len(r.old), 200)
	v, ok := r.get("kept")
	require.True(t, ok)
	require.Equal(t, -1, v)
	_, ok = r.get(string(rune(0x4e00)))
	require.False(t, ok)
}

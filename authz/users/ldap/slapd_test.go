package ldap

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

const (
	testBase     = ldaptest.Base
	testAccount  = ldaptest.Account
	testPassword = ldaptest.Password
	alice        = ldaptest.Alice
)

// slapd is an OpenLDAP server of one test's own.
type slapd struct{ *ldaptest.Slapd }

func startSlapd(t testing.TB, o ldaptest.Options) *slapd {
	t.Helper()
	return &slapd{ldaptest.StartSlapd(t, o)}
}

// config is what most tests take, over TLS.
func (s *slapd) config(t testing.TB) Config {
	t.Helper()
	ca, err := os.ReadFile(s.Cert)
	require.NoError(t, err)
	return Config{
		Servers: []string{s.TLS}, CA: ca, BindDN: testAccount, Password: testPassword,
		Base: "ou=people," + testBase, Timeout: 10 * time.Second, GrantAttribute: "nidsOAuthGrant",
	}
}

func open(t testing.TB, cfg Config) *Directory {
	t.Helper()
	d, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

// directory is a Directory over a server of its own.
func directory(t testing.TB, change func(*Config)) (*Directory, *slapd) {
	t.Helper()
	s := startSlapd(t, ldaptest.Options{})
	cfg := s.config(t)
	if change != nil {
		change(&cfg)
	}
	return open(t, cfg), s
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

package authz_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/users/ldap"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// openDirectory is the people of an OpenLDAP, of whom nothing is known yet.
func openDirectory(t *testing.T, s *ldaptest.Slapd) *ldap.Directory {
	t.Helper()
	ca, err := os.ReadFile(s.Cert)
	require.NoError(t, err)
	d, err := ldap.New(ldap.Config{
		Servers: []string{s.TLS}, CA: ca, BindDN: ldaptest.Account, Password: ldaptest.Password,
		Base: "ou=people," + ldaptest.Base, GrantAttribute: "nidsOAuthGrant",
	})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

// inDirectory is a server whose people and grants are in an OpenLDAP.
func inDirectory(t *testing.T, s *ldaptest.Slapd) *authztest.Fixture {
	t.Helper()
	d := openDirectory(t, s)
	cfg := authztest.Config()
	cfg.Users = d
	cfg.NewGrants = func(c grants.DirectoryConfig) (grants.Grants, error) {
		c.Attribute, c.Conflict = d.Attribute("nidsOAuthGrant"), ldap.ErrConflict
		return grants.NewDirectory(c)
	}
	cfg.GrantTypes = []string{authz.GrantPassword, authz.GrantRefreshToken}
	cfg.Clients = cfg.Clients[:1]
	cfg.Clients[0].GrantTypes = cfg.GrantTypes
	return authztest.New(t, cfg)
}

func TestU4_WhatARefreshCostsADirectory(t *testing.T) {
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	f := inDirectory(t, s)
	admin := s.Admin(t)
	entry := func() string {
		return string(ldaptest.Read(t, admin, ldaptest.Alice, "nidsOAuthGrant").GetRawAttributeValue("nidsOAuthGrant"))
	}
	first := f.Token("shop", "grant_type", "password", "username", "alice", "password", "alice-pw", "scope", "openid")
	require.Equal(t, http.StatusOK, first.Status, first.Body)
	refresh := func() (searches, modifies int) {
		t.Helper()
		searches, modifies = s.Operations(t, admin, "Search"), s.Operations(t, admin, "Modify")
		got := f.Token("shop", "grant_type", "refresh_token", "refresh_token", first.Get("refresh_token"))
		require.Equal(t, http.StatusOK, got.Status, got.Body)
		modifies = s.Operations(t, admin, "Modify") - modifies
		return s.Operations(t, admin, "Search") - searches - 3, modifies // these questions are searches, too
	}
	f.Clock.Advance(2 * grants.DefaultReplicaLag) // until then the write server is asked besides
	for range 3 {
		searches, modifies := refresh()
		require.Equal(t, 1, searches, "the person and the grants are one entry")
		require.Zero(t, modifies)
	}
	require.NotContains(t, entry(), "last-used")

	f.Clock.Advance(time.Hour)
	_, modifies := refresh()
	require.Equal(t, 1, modifies, "once an hour")
	noted := entry()
	require.Contains(t, noted, `last-used="`+f.Clock.Now().UTC().Format("2006-01-02T15:04:05"))
	f.Clock.Advance(59 * time.Minute)
	searches, modifies := refresh()
	require.Equal(t, 1, searches)
	require.Zero(t, modifies)
	require.Equal(t, noted, entry())
	require.Equal(t, 1, strings.Count(noted, "<family"))
}

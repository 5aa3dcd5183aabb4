package caddymodule

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users/ldap"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// seal is a grants.Sealer.
type seal string

func (s seal) MAC(...string) string                  { return string(s) }
func (s seal) CheckMAC(mac string, _ ...string) bool { return mac == string(s) }

// U4: the server can't compare values of the attribute, as eDirectory can't. Two issuers write on one entry, each on
// two nodes, and the lock in the store that they share loses nothing.
func TestU4_AServerThatCannotCompare(t *testing.T) {
	const each = 8
	s := ldaptest.StartSlapd(t, ldaptest.Options{Settings: `
attributetype ( 1.3.6.1.4.1.32473.9.1 NAME 'oauthStream' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.32473.9.2 NAME 'streamUser' SUP top AUXILIARY MAY oauthStream )
access to attrs=oauthStream,objectClass by dn.exact="` + ldaptest.Account + `" write
`})
	s.Configure(t, "olcAccess", `{0}to attrs=userPassword by anonymous auth`, `{1}to * by dn.exact="`+ldaptest.Account+`" write by anonymous auth`)
	ca, err := os.ReadFile(s.Cert)
	require.NoError(t, err)
	subject := s.EntryUUID(t, ldaptest.Alice)
	shared := store.NewMemory(time.Now)
	node := func(issuer string) grants.Grants {
		directory, err := ldap.New(ldap.Config{
			Servers: []string{s.TLS}, CA: ca, BindDN: ldaptest.Account, Password: ldaptest.Password, Base: "ou=people," + ldaptest.Base,
			GrantAttribute: "oauthStream", GrantClass: "streamUser",
		})
		require.NoError(t, err)
		t.Cleanup(directory.Close)
		require.NoError(t, directory.ProbeGrants(t.Context()))
		l := &LDAPUsers{GrantAttribute: "oauthStream", directory: directory}
		g, err := l.Grants(grants.DirectoryConfig{
			Issuer: issuer, Sealer: seal("0123456789012345678901234567890123456789012"),
			Store: store.Namespace(shared, issuer), Locks: store.Namespace(shared, "locks"),
		})
		require.NoError(t, err)
		return g
	}
	issuers := []string{"https://a.example", "https://b.example"}
	var writers sync.WaitGroup
	for _, issuer := range issuers {
		for n := range 2 {
			g := node(issuer)
			for i := range each {
				writers.Go(func() {
					err := g.Update(t.Context(), subject, func(r *grants.Record) error {
						r.Consent(fmt.Sprintf("app-%d-%d", n, i), []string{"mail"}, time.Now())
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	writers.Wait()
	for _, issuer := range issuers {
		record, err := node(issuer).Load(t.Context(), subject)
		require.NoError(t, err)
		require.Len(t, record.Clients, 2*each, issuer)
	}
}

package ldap

import (
	"errors"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
)

// The words of a domain controller, by sub-code; the rest of the message is always the same.
func refusedBy(code string) error {
	return ldap.NewError(ldap.LDAPResultInvalidCredentials,
		errors.New("80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data "+code+", v4563"))
}

func TestU1_ActiveDirectorySubcodes(t *testing.T) {
	d := open(t, Config{Servers: []string{"ldap://127.0.0.1"}, Base: testBase})
	for code, want := range map[string]error{
		"525": users.ErrCredentials, "52e": users.ErrCredentials, "775": users.ErrCredentials, "0": users.ErrCredentials, "ffffffff": users.ErrCredentials,
		"530": users.ErrNotNow, "531": users.ErrNotNow, "532": users.ErrPasswordExpired,
		"533": users.ErrDisabled, "701": users.ErrExpired, "773": users.ErrMustChange,
	} {
		require.Equal(t, want, d.verdict(ActiveDirectory, refusedBy(code), nil), code)
		require.Equal(t, users.ErrCredentials, d.verdict(Other, refusedBy(code), nil), "%s of something else means nothing", code)
	}
}

func TestU1_WhatABindMeans(t *testing.T) {
	d := open(t, Config{Servers: []string{"ldap://127.0.0.1"}, Base: testBase})
	policy := func(code int8) []ldap.Control { return []ldap.Control{&ldap.ControlBeheraPasswordPolicy{Error: code}} }
	refused := ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New("no"))
	require.NoError(t, d.verdict(OpenLDAP, nil, policy(-1)))
	require.NoError(t, d.verdict(OpenLDAP, nil, policy(policyPasswordExpired)), "a grace login")
	require.Equal(t, users.ErrMustChange, d.verdict(OpenLDAP, nil, policy(policyChangeAfterReset)))
	require.Equal(t, users.ErrMustChange, d.verdict(DS389, nil, []ldap.Control{&ldap.ControlVChuPasswordMustChange{MustChange: true}}))
	require.Equal(t, users.ErrPasswordExpired, d.verdict(DS389, refused, policy(policyPasswordExpired)))
	require.Equal(t, users.ErrCredentials, d.verdict(OpenLDAP, refused, policy(1)), "a lock says nothing of the password")
	require.Equal(t, users.ErrCredentials, d.verdict(Other, refused, policy(policyPasswordExpired)), "who knows what it looks at first")
	for _, code := range []uint16{ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConstraintViolation, ldap.LDAPResultInappropriateAuthentication} {
		require.Equal(t, users.ErrCredentials, d.verdict(DS389, ldap.NewError(code, errors.New("locked")), nil))
	}
	for _, code := range []uint16{ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultReferral} {
		err := d.verdict(ActiveDirectory, ldap.NewError(code, errors.New("not so")), nil)
		require.Error(t, err)
		require.NotErrorIs(t, err, users.ErrCredentials, "nobody's password is to blame")
		require.NotErrorIs(t, err, users.ErrDisabled)
	}
}

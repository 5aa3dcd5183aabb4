package ldap

import (
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
)

func TestA40_WhatDirectoriesSayOfAPerson(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name          string
		entry         map[string]string
		ended, locked error
	}{
		{"nothing", nil, nil, nil},
		{"AD normal", map[string]string{"userAccountControl": "512", "lockoutTime": "0", "msDS-User-Account-Control-Computed": "0", "accountExpires": "9223372036854775807"}, nil, nil},
		{"AD disabled", map[string]string{"userAccountControl": "514"}, users.ErrDisabled, nil},
		{"AD locked", map[string]string{"userAccountControl": "512", "msDS-User-Account-Control-Computed": "16", "lockoutTime": "133000000000000000"}, nil, users.ErrLocked},
		{"AD lock is over", map[string]string{"msDS-User-Account-Control-Computed": "0", "lockoutTime": "133000000000000000"}, nil, nil},
		{"AD without the computed part", map[string]string{"lockoutTime": "133000000000000000"}, nil, users.ErrLocked},
		{"AD expires never", map[string]string{"accountExpires": "0"}, nil, nil},
		{"AD expired", map[string]string{"accountExpires": "133000000000000000"}, users.ErrExpired, nil},
		{"AD expires later", map[string]string{"accountExpires": "143000000000000000"}, nil, nil},
		{"AD LDS disabled", map[string]string{"msDS-UserAccountDisabled": "TRUE"}, users.ErrDisabled, nil},
		{"AD LDS enabled", map[string]string{"msDS-UserAccountDisabled": "FALSE"}, nil, nil},
		{"ppolicy for good", map[string]string{"pwdAccountLockedTime": "000001010000Z"}, users.ErrDisabled, users.ErrLocked},
		{"ppolicy locked", map[string]string{"pwdAccountLockedTime": "20260501115900Z"}, nil, users.ErrLocked},
		{"ppolicy ended", map[string]string{"pwdEndTime": "20260501115959.5Z"}, users.ErrExpired, nil},
		{"ppolicy ends", map[string]string{"pwdEndTime": "20260501120001Z"}, nil, nil},
		{"389 inactive", map[string]string{"nsAccountLock": "true"}, users.ErrDisabled, nil},
		{"389 locked", map[string]string{"accountUnlockTime": "20260501120001Z"}, nil, users.ErrLocked},
		{"389 unlocked", map[string]string{"accountUnlockTime": "20260501120000Z"}, nil, nil},
		{"389 lock was lifted", map[string]string{"accountUnlockTime": "20260501120001Z", "passwordRetryCount": "0"}, nil, nil},
		{"389 locked for ever", map[string]string{"accountUnlockTime": "19700101000000Z"}, nil, users.ErrLocked},
		{"eDirectory disabled", map[string]string{"loginDisabled": "TRUE"}, users.ErrDisabled, nil},
		{"eDirectory intruder", map[string]string{"lockedByIntruder": "TRUE", "loginIntruderResetTime": "20260501130000Z"}, nil, users.ErrLocked},
		{"eDirectory intruder, over", map[string]string{"lockedByIntruder": "TRUE", "loginIntruderResetTime": "20260501110000Z"}, nil, nil},
		{"eDirectory expired", map[string]string{"loginExpirationTime": "20260101000000Z"}, users.ErrExpired, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			attributes := make(map[string][]string, len(test.entry))
			for name, value := range test.entry {
				attributes[name] = []string{value}
			}
			s := standing{entry: ldap.NewEntry(alice, attributes), now: now}
			require.Equal(t, test.ended, s.ended())
			require.Equal(t, test.locked, s.locked())
		})
	}
}

func TestE3_PasswordStamp(t *testing.T) {
	stamp := func(attributes map[string][]string) string {
		return standing{entry: ldap.NewEntry(alice, attributes)}.passwordStamp()
	}
	require.Empty(t, stamp(nil), "a directory that doesn't tell")
	require.Equal(t, "pwdLastSet 1", stamp(map[string][]string{"PWDLASTSET": {"1"}}))
	require.NotEqual(t, stamp(map[string][]string{"pwdChangedTime": {"20260101000000Z"}}), stamp(map[string][]string{"pwdChangedTime": {"20260101000001Z"}}))
	require.Equal(t, "pwdUpdateTime 2", stamp(map[string][]string{"passwordExpirationTime": {"1"}, "pwdUpdateTime": {"2"}}))
}

func TestU1_Times(t *testing.T) {
	require.Equal(t, time.Date(1601, 1, 1, 0, 0, 1, 0, time.UTC), fileTime("10000000").UTC())
	require.Equal(t, time.Date(2022, 6, 18, 4, 26, 40, 100, time.UTC), fileTime("133000000000000001").UTC())
	for _, never := range []string{"", "0", "-1", "9223372036854775807", "9223372036854775808", "x"} {
		require.Zero(t, fileTime(never), never)
	}
	require.Equal(t, time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), generalizedTime("202605011200Z"))
	require.Zero(t, generalizedTime("20260501"))
}

package ldap

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/gatewright/gatewright/authz/users"
)

// standingAttributes tell whether a person may sign in, and when the password changed, by kind of directory.
var standingAttributes = map[Kind][]string{
	ActiveDirectory: adStanding,
	ADLDS:           adStanding,
	OpenLDAP:        {"pwdAccountLockedTime", "pwdEndTime", "pwdChangedTime"},
	DS389:           {"nsAccountLock", "accountUnlockTime", "passwordRetryCount", "pwdUpdateTime", "passwordExpirationTime"},
	EDirectory:      {"loginDisabled", "lockedByIntruder", "loginIntruderResetTime", "loginExpirationTime", "pwdChangedTime", "passwordExpirationTime"},
}

var adStanding = []string{
	"userAccountControl", "msDS-User-Account-Control-Computed", "msDS-UserAccountDisabled", "lockoutTime", "accountExpires", "pwdLastSet",
}

// standing are the attributes to ask of a person for it: of a kind that isn't known, everybody's. A directory
// leaves out those it doesn't have.
func (k Kind) standing() []string {
	if names, ok := standingAttributes[k]; ok {
		return names
	}
	return slices.Concat(slices.Collect(maps.Values(standingAttributes))...)
}

// Bits of userAccountControl and its computed part ([MS-ADTS] §2.2.16).
const (
	uacDisabled = 0x2
	uacLockout  = 0x10
)

// lockedForGood is the value of pwdAccountLockedTime that only an administrator lifts
// (draft-behera-ldap-password-policy-10 §5.3.3).
const lockedForGood = "000001010000Z"

// standing reads entries at one time.
type standing struct {
	entry  *ldap.Entry
	now    time.Time
	policy bool // see layout
}

func (s standing) value(attribute string) string {
	return s.entry.GetEqualFoldAttributeValue(attribute)
}

func (s standing) isTrue(attribute string) bool { return strings.EqualFold(s.value(attribute), "TRUE") }

// flags reads a number of bits; ok is false where there is none.
func (s standing) flags(attribute string) (bits int64, ok bool) {
	bits, err := strconv.ParseInt(s.value(attribute), 10, 64)
	return bits, err == nil
}

// ended tells why a person may not sign in though they know the password, nil if they may. The server
// that checked a password has judged locks itself: see locked.
func (s standing) ended() error {
	control, _ := s.flags("userAccountControl")
	switch {
	case control&uacDisabled != 0, s.isTrue("msDS-UserAccountDisabled"),
		s.isTrue("nsAccountLock"), s.isTrue("loginDisabled"), s.value("pwdAccountLockedTime") == lockedForGood:
		return users.ErrDisabled
	case s.past(fileTime(s.value("accountExpires"))), s.past(generalizedTime(s.value("pwdEndTime"))),
		s.past(generalizedTime(s.value("loginExpirationTime"))):
		return users.ErrExpired
	}
	return nil
}

// locked tells of a lock after wrong passwords.
func (s standing) locked() error {
	control, computed := s.flags("msDS-User-Account-Control-Computed")
	switch {
	case control&uacLockout != 0,
		!computed && s.value("lockoutTime") != "" && s.value("lockoutTime") != "0",
		s.value("pwdAccountLockedTime") != "",
		// 389 Directory Server leaves the time there when a new or a right password lifts the lock.
		s.untilUnlocked("accountUnlockTime") && s.value("passwordRetryCount") != "0",
		s.isTrue("lockedByIntruder") && s.untilUnlocked("loginIntruderResetTime"):
		return users.ErrLocked
	}
	return nil
}

// untilUnlocked tells whether the time in an attribute, at which a lock ends, is yet to come. The epoch is
// 389 Directory Server's word for never.
func (s standing) untilUnlocked(attribute string) bool {
	end := generalizedTime(s.value(attribute))
	return !end.IsZero() && (end.Unix() == 0 || s.now.Before(end))
}

func (s standing) past(t time.Time) bool { return !t.IsZero() && !s.now.Before(t) }

// passwordStamp changes when the password does; empty where the directory doesn't tell.
func (s standing) passwordStamp() string {
	for _, attribute := range []string{"pwdLastSet", "pwdChangedTime", "pwdUpdateTime", "passwordExpirationTime"} {
		if value := s.value(attribute); value != "" {
			return attribute + " " + value
		}
	}
	if s.policy {
		return "pwdChangedTime never" // so that the first change is seen, too
	}
	return ""
}

// fileTime reads Windows' time, tenths of microseconds since 1601; zero for 0 and the largest number, which
// both mean never.
func fileTime(value string) time.Time {
	const epoch = 11644473600 // seconds from 1601 to 1970
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n <= 0 || n == 1<<63-1 {
		return time.Time{}
	}
	return time.Unix(n/1e7-epoch, n%1e7*100)
}

// generalizedTime reads what servers write of RFC 4517 §3.3.13: UTC, with seconds or without; zero for
// anything else.
func generalizedTime(value string) time.Time {
	for _, form := range []string{"20060102150405Z", "20060102150405.999999Z", "200601021504Z"} {
		if t, err := time.Parse(form, value); err == nil {
			return t
		}
	}
	return time.Time{}
}

// Package ldap keeps people in an LDAP directory: OpenLDAP, Active Directory and AD LDS, 389 Directory
// Server, eDirectory, or another that speaks RFC 4511. Only it and its tests' ldaptest import go-ldap.
//
// [Directory] implements users.Store. To sign somebody in it searches for the name and binds as the one
// entry it finds; none and several are both a wrong name. What it need not be told it learns from the
// root DSE (RFC 4512 §5.1): which attribute identifies a person for good, and where names are looked for.
//
// # What holds
//
//   - An empty password never reaches a server: it would be an anonymous bind, which succeeds
//     (RFC 4513 §5.1.2).
//   - What people type is escaped (RFC 4515 §3) and never part of a DN. The entry found must show the
//     typed name, compared as Canonical compares, so a directory that compares more loosely (Active
//     Directory takes é for e) lends nobody more guesses. Whose it is, is told before the bind, so other
//     names of one person don't either.
//   - An unknown name costs a bind as well, to an entry that can't exist, and takes as long as lately a
//     known one did. No name's own counter or lock in the directory moves by it.
//   - Why somebody may not sign in is told only when the directory said it of a right password. Active
//     Directory's sub-codes 530, 531, 532, 533, 701 and 773 come only with one; 775 (locked) comes with
//     any, so it is a wrong password here.
//   - Referrals are not followed, aliases not dereferenced. StartTLS is never given up: a server that
//     refuses it is down.
//
// # Servers
//
// Servers are tried in their order; one that can't be reached or doesn't answer in time is left out
// until a probe finds it again. Each has two pools of connections, one for searches by the service
// account and one for binds, so a flood of sign-ins leaves lookups their way. Waiting for a connection
// is bounded by Timeout, and a dropped one is replaced once.
//
// Reads for update and writes go to WriteServers, one at a time: see [Attribute]. Lookup reads past
// every cache, and the grants together with the person, so that a refresh costs one search.
//
// # What a directory tells
//
//   - Disabled: userAccountControl bit 2, msDS-UserAccountDisabled, a permanent pwdAccountLockedTime,
//     nsAccountLock, loginDisabled.
//   - Locked: msDS-User-Account-Control-Computed (lockoutTime where a server doesn't compute it),
//     pwdAccountLockedTime, accountUnlockTime, lockedByIntruder. OpenLDAP doesn't say when its lock ends:
//     to Lookup, such a person is locked until they sign in again.
//   - Expired: accountExpires, pwdEndTime, loginExpirationTime.
//   - Changed password: pwdLastSet, pwdChangedTime, pwdUpdateTime, passwordExpirationTime. OpenLDAP has
//     none without its ppolicy overlay.
package ldap

// Package ldaptest starts real directories for tests: OpenLDAP, alone or with a replica, and Samba as an Active
// Directory. Each has a folder of its own, is reached on loopback or by a socket, and ends with its test.
//
// Where GATEWRIGHT_E2E is set, a test fails without the programs; elsewhere it is skipped.
package ldaptest

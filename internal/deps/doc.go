// Package deps holds one test: who may import whom. The gate (tokeninject) works against any issuer, the mint (authz)
// in any server, and both only because neither can lean on the other or on Caddy unseen. A rule that is only written
// down erodes, so the test asks `go list` what every package of the module imports and fails with the rule's reason.
//
// The package has no code of its own and nothing imports it.
package deps

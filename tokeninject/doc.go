// Package tokeninject is the gate: it stands before an upstream, lets through who may pass, tells the
// upstream who that is, and sends everybody else to sign in or away.
//
// Every request takes the same way, the steps of Enforcer.Check:
//
//	take      every owned name leaves the request, in whatever spelling; what the client presented
//	          as a credential is kept aside
//	plain     where the policy looks at paths: a path that means one thing only
//	admit     the gate is open, its issuer ready
//	own       the metadata of the protected resource, logout, a login that a link asks for, and the return from a login
//	identify  exactly one credential: a bearer token verified, or a session found and renewed;
//	          a browser without one goes to login, anything else gets a challenge
//	authorize the `require` lines
//	step up   a login by one of the contracts that the gate wants
//	permit    the policy
//	inject    headers, tags, cookies, parameters, Basic, a minted token
//	forward   the request goes on, under watch: a revocation ends it
//
// What always holds:
//
//   - A name that the gate fills never comes from the client: not in another spelling, not by way of
//     a Connection token, not as a trailer. Neither the gate's cookies nor the client's
//     Authorization reach an upstream, save the latter where PassToken asks for it.
//   - A token is taken only if its audience is the gate's own (R13), and never past its exp. What a
//     cache remembers dies with the next change of the revocation feed.
//   - A login comes back to the page it began on, in the browser that began it, or to nothing. Where
//     the person goes is kept in the store and never read from the issuer's answer, and that page is on
//     a host that the operator named: the Host header alone is what a stranger may have chosen.
//   - What cannot be decided is refused: an unreachable issuer, store or directory opens nothing.
//
// The host keeps requests out that came in the clear (P2); it knows the client's address and its proxies.
//
// The package knows neither Caddy nor the authorization server. What it needs of an issuer it says as
// the interface Issuer; values to inject are functions that the host gives it. Of this module it
// imports authz/oauth, authz/token, authz/store and authz/revocation.
package tokeninject

// Package authz is the authorization server as an http.Handler: it signs people in, asks for their
// consent and mints tokens. It knows neither Caddy nor the gate.
//
// # Endpoints
//
//	/.well-known/openid-configuration         metadata (OpenID Connect Discovery §4)
//	/.well-known/oauth-authorization-server   metadata (RFC 8414 §3, before the issuer's path)
//	/jwks.json                                public keys (RFC 7517 §5)
//	/authorize                                authorization (RFC 6749 §3.1, OpenID Connect Core §3.1.2)
//	/login /login/{method} /consent           the pages of an authorization
//	/passkey.js                               the script of a page that asks for a passkey
//	/token                                    tokens (RFC 6749 §3.2)
//	/userinfo                                 claims of a person (OpenID Connect Core §5.3)
//	/tokeninfo                                the same, for the bearer (E5)
//	/introspect                               what a token is worth (RFC 7662)
//	/revoke                                   the end of a token (RFC 7009)
//	/end_session /logout                      logout (OpenID Connect RP-Initiated Logout)
//	/register /register/<id>                  registration of clients (RFC 7591, RFC 7592)
//	/health                                   readiness
//
// # Three pipelines
//
// An authorization request is parsed once, duplicates refused; the client comes first, then its request
// object, whose parameters take the place of all others (request_object.go), then the redirect URI,
// since before it is known an error is a page and afterwards a redirect; then the named checks
// of authorize_checks.go in their order; then login and consent, each a page that carries the whole
// request sealed (interaction.go), so nothing is stored for a stranger; then the code.
//
// A login takes the methods of a contract one after the other (contract.go, method.go). What was proven
// travels with the request; a session begins with the last method, and keeps each proof with its time, so
// that a later request for another contract asks for nothing but what is missing.
//
// A token request is parsed once; the client authenticates; the grant (grant_*.go) turns it into an
// Authorization; issue.go is the one mint that turns an Authorization into tokens.
//
// A request about a token (userinfo, introspect, revoke) opens it by inspect.go, which every such
// endpoint shares.
//
// # Invariants
//
//   - New does no I/O. Start loads keys; until then requests wait, bounded.
//   - What must survive a reload is in State, what must survive a crash in its store.
//   - An error to a client is an oauth.Error; its cause stays in the log.
//   - Only package fetch connects to what a URL names; URLs of clients go to public addresses.
//   - Every token names its grant family (claim grant_id), by which the revocation feed ends it.
//
// # Adding a method
//
// One file that implements method, and its line in knownMethods; directMethod as well, where the password
// grant may use it. Outside this package, a method is a Method.
//
// # Adding a grant type
//
// One file grant_x.go that implements Grant, and its line in the list in token.go; metadata and
// registration learn of it from there.
package authz

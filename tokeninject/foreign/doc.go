// Package foreign is a tokeninject.Issuer for an authorization server of another process: another
// Gatewright, or any that speaks OAuth 2.0 and OpenID Connect (W6).
//
//	metadata.go    where its endpoints are (OpenID Connect Discovery §4, RFC 8414 §3)
//	held.go        what was fetched and is kept: these, and the keys that verify its signatures (RFC 7517)
//	documents.go   as Issuers of one URL share it
//	open.go        access tokens: by its keys (RFC 9068)
//	introspect.go  and else by asking it (RFC 7662, RFC 9701)
//	login.go       logins: code and PKCE, refresh, logout
//	idtoken.go     what a login says of the person (OpenID Connect Core §3.1.3.7)
//	mint.go        tokens for upstreams: token exchange (RFC 8693), client credentials
//	http.go        how it is spoken to
//
// What always holds:
//
//   - Nothing is fetched before somebody needs it, and then in one flight for all who do.
//   - What was fetched serves on while the issuer is away, for staleBound; after that nothing is decided.
//   - The address of every endpoint comes from the issuer's own metadata, whose issuer member must be the
//     one that was configured; keys and endpoints are https, or on loopback where the issuer is.
//   - A redirect is never followed, an answer is never larger than maxBody, a wait never longer than
//     fetchTimeout.
//   - Issuers of different URLs, or trusted in different ways, share nothing: each has its own keys.
package foreign

// Package caddymodule hangs the authorization server (package authz) and the gate (package
// tokeninject) in Caddy. It is the only package that knows Caddy.
//
// # Modules
//
//	authz                         the app: the authorization servers of a config, by name
//	authz.storage.bolt            state in one file, the default
//	authz.storage.memory          state in memory, for trying things out
//	authz.users.local             people in the config or in a JSON file
//	http.handlers.authz_server    serves one server's endpoints and pages, passes the rest on
//	admin.api.authz               what the commands of `caddy authz` ask of a running server
//	http.handlers.token_inject    the gate before an upstream, of an issuer in this config or any other
//
// In a Caddyfile they are the global option authz and the directives authz_server and token_inject;
// JSON fields are the same words. Both directives stand before basic_auth, the server first. A site
// without them is plain Caddy.
//
// A module of the namespaces authz.storage and authz.users is a guest: it implements Storage or
// UserStore and returns values that know nothing of Caddy. One of authz.methods is a method that
// contracts name; it implements authz.Method.
//
// # Placeholders
//
// After a gate let a request pass, and inside its inject values:
//
//	{http.auth.user.id}           the subject; Caddy's access log has it as user_id
//	{http.auth.user.<claim>}      a claim
//	{authz.claim.<name>}          the same
//	{authz.user.<attribute>}      an attribute, read afresh from where people are kept
//	{authz.roles}                 the person's roles
//	{authz.scope}                 the granted scopes, separated by spaces
//	{authz.client_id}             the client
//	{authz.username}              the login name
//	{authz.session_id}            names the session at the issuer; it is not its secret
//
// Lists are joined by commas; a comma or percent sign inside an item is percent-encoded. What is not
// there is empty, and so is everything on an optional gate that let somebody unknown pass.
//
// # Life of a config
//
// Provision checks and opens nothing, since it also runs under `caddy validate` beside a running
// server. Start opens the store, or takes a share in the one that the running config has open: state
// lives in a pool, and a reload passes it on. A request keeps the config it began in alive until it
// has ended; handlers wait, bounded, for a config that is still starting.
//
// # Logs
//
// The logger authz.audit has what happened at an authorization server: tokens issued and refused,
// logins, consent, revocation. It never has a secret.
package caddymodule

package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// One init, since two directives that both stand before basic_auth keep the order in which they are
// registered: the server first, so that a gate of the same site never stands before its login.
func init() {
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(new(AuthzServer))
	caddy.RegisterModule(new(TokenInject))
	caddy.RegisterModule(new(MatchScope))
	caddy.RegisterModule(new(MatchRole))
	caddy.RegisterModule(new(MatchClient))
	caddy.RegisterModule(new(MatchClaim))
	caddy.RegisterModule(new(Admin))
	caddy.RegisterModule(new(BoltStorage))
	caddy.RegisterModule(new(MemoryStorage))
	caddy.RegisterModule(new(LocalUsers))
	caddy.RegisterModule(new(LDAPUsers))

	caddycmd.RegisterCommand(command())

	httpcaddyfile.RegisterGlobalOption("authz", parseAuthz)
	httpcaddyfile.RegisterHandlerDirective("authz_server", parseAuthzServer)
	httpcaddyfile.RegisterHandlerDirective("token_inject", parseTokenInject)
	httpcaddyfile.RegisterDirectiveOrder("authz_server", httpcaddyfile.Before, "basic_auth")
	httpcaddyfile.RegisterDirectiveOrder("token_inject", httpcaddyfile.Before, "basic_auth")
}

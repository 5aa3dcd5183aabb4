package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// parseAuthzServer sets up the handler authz_server. Syntax:
//
//	authz_server [<matcher>] [<name>]
func parseAuthzServer(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	d := helper.Dispenser
	d.Next() // the directive's own name
	h := new(AuthzServer)
	if d.NextArg() {
		h.Server = d.Val()
	}
	// It has no block, but a word in one is better named than taken for the next directive.
	if err := (words{}).only(d); err != nil {
		return nil, err
	}
	return h, nil
}

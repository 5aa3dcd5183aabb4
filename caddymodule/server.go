package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// AuthzServer is the handler authz_server: it serves the endpoints and pages of one authorization
// server and passes everything else on.
type AuthzServer struct {
	// The authorization server's name; default: the only one, or the one without a name.
	Server string `json:"server,omitempty"`

	issuer *issuer
	log    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*AuthzServer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.authz_server", New: func() caddy.Module { return new(AuthzServer) }}
}

// Provision finds the authorization server.
func (h *AuthzServer) Provision(ctx caddy.Context) error {
	h.log = ctx.Logger()
	if err := expand("authz_server", h); err != nil {
		return err
	}
	trustRightmost(ctx)
	app, err := appOf(ctx)
	if err != nil {
		return err
	}
	h.issuer, err = app.issuer(h.Server)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *AuthzServer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !h.issuer.server.Handles(r) {
		return next.ServeHTTP(w, r)
	}
	if !secure(r, varsOf(r)) {
		return refuseInsecure(h.log, w, r)
	}
	if err := h.issuer.use(r.Context()); err != nil {
		return refuseUnready(w, r, err)
	}
	defer h.issuer.lease.give()
	h.issuer.server.ServeHTTP(w, r)
	return nil
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*AuthzServer)(nil)
	_ caddyhttp.MiddlewareHandler = (*AuthzServer)(nil)
)

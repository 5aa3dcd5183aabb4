package caddymodule

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/tokeninject"
)

// vars are Caddy's variables of one request, as caddyhttp.GetVar reads them. Finding them takes a walk through the
// request's contexts.
type vars map[string]any

func varsOf(r *http.Request) vars {
	v, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	return v
}

// secure tells whether a request may carry credentials: it came over TLS, or it never left this
// machine. What the client sent as its address counts only from one of Caddy's trusted proxies.
func secure(r *http.Request, v vars) bool {
	return overTLS(r) || loopbackHost(r) && loopbackAddress(v.clientIP())
}

// overTLS tells whether the client speaks TLS, with us or with a trusted proxy in front of us.
func overTLS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	said := r.Header["X-Forwarded-Proto"]
	if len(said) == 0 || !fromTrustedProxy(r) {
		return false
	}
	for _, values := range said {
		for value := range strings.SplitSeq(values, ",") {
			if !strings.EqualFold(strings.TrimSpace(value), "https") {
				return false // one hop in the clear is one too many
			}
		}
	}
	return true
}

// fromTrustedProxy tells whether one of Caddy's trusted proxies sent the request.
func fromTrustedProxy(r *http.Request) bool {
	trusted, _ := varsOf(r)[caddyhttp.TrustedProxyVarKey].(bool)
	return trusted
}

func clientIP(r *http.Request) string { return varsOf(r).clientIP() }

// clientIP is the client's address as Caddy knows it, its trusted proxies left out.
func (v vars) clientIP() string {
	ip, _ := v[caddyhttp.ClientIPVarKey].(string)
	return ip
}

func loopbackAddress(ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err == nil && addr.Unmap().IsLoopback()
}

func loopbackHost(r *http.Request) bool {
	host, _ := splitHost(r.Host)
	return oauth.IsLoopback(host)
}

// original is the request's URL as the client sent it, before rewrites and stripped prefixes.
func original(r *http.Request) url.URL {
	u := r.URL
	if first, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && first.URL != nil {
		u = first.URL
	}
	seen := url.URL{Scheme: "http", Host: r.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	if overTLS(r) {
		seen.Scheme = "https"
	}
	return seen
}

// trustRightmost has the server that is being provisioned take the last address of X-Forwarded-For that is no trusted
// proxy's for the client's. Caddy's own default is the first, which the client may have written itself (A61).
func trustRightmost(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.TrustedProxiesStrict == 1 {
		return
	}
	server.TrustedProxiesStrict = 1
	if len(server.TrustedProxiesRaw) > 0 {
		ctx.Logger().Info("the client's address is the rightmost that is no trusted proxy's, for all sites of this listener (trusted_proxies_strict)",
			zap.Strings("listen", server.Listen))
	}
}

// keepConnections has the server that is being provisioned tell requests of their connections. Caddy's own ConnCtxKey
// is not used any more.
func keepConnections(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return
	}
	server.RegisterConnContext(tokeninject.KeepConnection)
}

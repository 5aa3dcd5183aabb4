package caddymodule

import (
	"errors"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

// warnUngated warns of sites that have a gate and beside it a way to an upstream that no gate guards:
// there nobody removes the headers by which the upstream knows people (A56). It is for Start, when
// every app is provisioned.
func warnUngated(ctx caddy.Context, log *zap.Logger) {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		if !errors.Is(err, caddy.ErrNotConfigured) {
			log.Debug("looking for ungated proxies failed", zap.Error(err))
		}
		return
	}
	servers := app.(*caddyhttp.App).Servers
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		warnUngatedOf(servers[name], log.With(zap.String("server", name), zap.Strings("listen", servers[name].Listen)))
	}
}

// warnUngatedOf looks at the sites of one server. Routes that ask for no host are one site together: the
// adapter does not wrap those of a site that has the listener for itself.
func warnUngatedOf(server *caddyhttp.Server, log *zap.Logger) {
	open := ways{server: server}
	gated := false
	for i := range server.Routes {
		hosts, site := hostsOf(server.Routes[i]), server.Routes[i:i+1]
		if len(hosts) == 0 {
			gated = open.walk(site, gated)
			continue
		}
		found := ways{server: server}
		found.walk(site, gated)
		found.warn(hosts, log)
	}
	open.warn(nil, log)
}

// ways is what a site's routes lead to.
type ways struct {
	gates   []string // where they stand; "" where that is not known
	ungated bool     // a reverse proxy is reached without passing a gate

	server  *caddyhttp.Server
	invoked []string // named routes on the way
}

func (f *ways) warn(hosts []string, log *zap.Logger) {
	if len(f.gates) > 0 && f.ungated {
		log.Warn("a site has a gate, and a reverse_proxy that is reached without passing it",
			zap.Strings("site", hosts), zap.Strings("token_inject", f.gates))
	}
}

// walk follows routes in their order and tells whether every request that goes past them has passed a
// gate. A gate guards what comes after it in its own route, and later routes if all requests take it.
func (f *ways) walk(routes caddyhttp.RouteList, gated bool) bool {
	for _, route := range routes {
		here := gated
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *TokenInject:
				here, f.gates = true, append(f.gates, h.Place)
			case *caddyhttp.Subroute:
				here = f.walk(h.Routes, here)
			case *caddyhttp.Invoke:
				here = f.invoke(h.Name, here)
			case *reverseproxy.Handler:
				f.ungated = f.ungated || !here
			}
		}
		if len(route.MatcherSets) == 0 && route.Group == "" {
			gated = here
		}
	}
	return gated
}

// invoke goes on in a named route, but not round and round.
func (f *ways) invoke(name string, gated bool) bool {
	route := f.server.NamedRoutes[name]
	if route == nil || slices.Contains(f.invoked, name) {
		return gated
	}
	f.invoked = append(f.invoked, name)
	gated = f.walk(caddyhttp.RouteList{*route}, gated)
	f.invoked = f.invoked[:len(f.invoked)-1]
	return gated
}

// hostsOf names a site by the hosts that it matches.
func hostsOf(site caddyhttp.Route) []string {
	var hosts []string
	for _, set := range site.MatcherSets {
		for _, matcher := range set {
			if host, ok := matcher.(*caddyhttp.MatchHost); ok {
				hosts = append(hosts, *host...)
			}
		}
	}
	return hosts
}

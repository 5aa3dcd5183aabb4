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
		for _, site := range servers[name].Routes {
			var found ways
			found.walk(caddyhttp.RouteList{site}, false)
			if found.gate && found.ungated {
				log.Warn("a site has a gate, and a reverse_proxy that is reached without passing it",
					zap.String("server", name), zap.Strings("site", hostsOf(site)))
			}
		}
	}
}

// ways is what a site's routes lead to.
type ways struct {
	gate    bool
	ungated bool // a reverse proxy that is reached without passing a gate
}

// walk follows routes in their order and tells whether every request that goes past them has passed a
// gate. A gate guards what comes after it in its own route, and later routes if all requests take it.
func (f *ways) walk(routes caddyhttp.RouteList, gated bool) bool {
	for _, route := range routes {
		here := gated
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *TokenInject:
				f.gate, here = true, true
			case *caddyhttp.Subroute:
				here = f.walk(h.Routes, here)
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

package caddymodule

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// way is the routes that lead to a handler, from the server on.
type way []*caddyhttp.Route

// hosts are the names that the routes' matchers ask for. all is false where requests for other names
// come this way as well: nothing asks for a host, or by a wildcard or placeholder, or not always.
func (w way) hosts() (names []string, all bool) {
	for _, route := range w {
		exact := len(route.MatcherSets) > 0
		for _, set := range route.MatcherSets {
			bound := false
			for _, matcher := range set {
				match, ok := matcher.(*caddyhttp.MatchHost)
				if !ok {
					continue
				}
				fixed := slices.DeleteFunc(slices.Clone(*match), func(name string) bool { return strings.ContainsAny(name, "{*") })
				names = append(names, fixed...)
				bound = bound || len(fixed) == len(*match)
			}
			exact = exact && bound
		}
		all = all || exact
	}
	return names, all
}

// leads tells whether a request for a path comes this way, whatever its host is. Of a route that asks
// for more than host and path it can't be told.
func (w way) leads(path string) bool {
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	r := (&http.Request{URL: &url.URL{Path: path}}).WithContext(ctx)
	passes := func(matcher any) bool {
		switch m := matcher.(type) {
		case *caddyhttp.MatchHost:
			return true
		case *caddyhttp.MatchPath:
			return m.Match(r)
		}
		return false
	}
	for _, route := range w {
		open := len(route.MatcherSets) == 0
		for _, set := range route.MatcherSets {
			open = open || !slices.ContainsFunc(set, func(matcher any) bool { return !passes(matcher) })
		}
		if !open {
			return false
		}
	}
	return true
}

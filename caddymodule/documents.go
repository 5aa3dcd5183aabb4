package caddymodule

import (
	"net/url"
	"slices"
	"strings"
)

// documents is the metadata of protected resources (RFC 9728) that one handler serves, by identifier, with
// a way that leads there.
type documents struct {
	served map[string]*url.URL
	way    way
}

// lead tells whether a request for a resource's metadata comes to the handler.
func (d documents) lead(resource string) bool {
	u := d.served[resource]
	if u == nil || !d.way.leads(u.Path) {
		return false
	}
	names, all := d.way.hosts()
	return !all || slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, u.Hostname()) })
}

// reach finds out whose metadata can be fetched, so that challenges may name it.
func (h *TokenInject) reach(places []documents) {
	reached := map[string]bool{}
	for resource := range h.enforcer.Resources() {
		reached[resource] = slices.ContainsFunc(places, func(d documents) bool { return d.lead(resource) })
	}
	h.reached.Store(&reached)
}

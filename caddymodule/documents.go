package caddymodule

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// documents is the metadata of protected resources (RFC 9728) that one handler serves, by identifier, with
// a way that leads there.
type documents struct {
	served map[string]*url.URL
	way    way
	server *caddyhttp.Server
}

// lead tells whether a request for a resource's metadata comes to the handler. all are the servers that listen.
func (d documents) lead(resource string, all map[string]*caddyhttp.Server) bool {
	u := d.served[resource]
	if u == nil || !d.way.leads(u.Path) || !d.onPort(u, all) {
		return false
	}
	names, exact := d.way.hosts()
	return !exact || slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, u.Hostname()) })
}

// onPort tells whether a URL's port leads to the handler's server. One that no server listens on may be that of
// something in front of Caddy. Which interface of this machine a name leads to can't be told: servers that share a port
// count as one.
func (d documents) onPort(u *url.URL, all map[string]*caddyhttp.Server) bool {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	if listens(d.server, port) {
		return true
	}
	for _, other := range all {
		if listens(other, port) {
			return false
		}
	}
	return true
}

// listens tells whether one of a server's addresses has a port.
func listens(server *caddyhttp.Server, port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && slices.ContainsFunc(server.Listen, func(listen string) bool {
		address, err := caddy.ParseNetworkAddress(listen)
		return err == nil && uint(number) >= address.StartPort && uint(number) <= address.EndPort
	})
}

// reach finds out whose metadata can be fetched, so that challenges may name it.
func (h *TokenInject) reach(places []documents, all map[string]*caddyhttp.Server) {
	reached := map[string]bool{}
	for resource := range h.enforcer.Resources() {
		reached[resource] = slices.ContainsFunc(places, func(d documents) bool { return d.lead(resource, all) })
	}
	h.reached.Store(&reached)
}

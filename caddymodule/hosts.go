package caddymodule

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/gatewright/gatewright/authz/oauth"
)

// hosts are those on which a gate signs browsers in. A login comes back to the page that it began on,
// and with it the code, so the operator says which hosts that may be: the Host header is only what the
// client was made to send, by a proxy of an attacker's or by whoever owns another sub-domain.
type hosts struct {
	names    map[string]bool // in ASCII and lower case; on a port of the site's own
	ports    map[string]bool // name:port as given
	loopback bool            // this machine's names, too
}

// hostName is a name in ASCII, or an IPv4 address.
var hostName = regexp.MustCompile(`^[a-z0-9._-]{1,255}$`)

// newHosts reads what the operator lists: names, or names with a port.
func newHosts(listed []string) (*hosts, error) {
	h := &hosts{names: map[string]bool{}, ports: map[string]bool{}}
	for _, given := range listed {
		name, port := splitHost(given)
		ascii, err := idna.ToASCII(name) // as Caddy's host matcher
		name = strings.ToLower(ascii)
		if _, noIP := netip.ParseAddr(name); err != nil || noIP != nil && !hostName.MatchString(name) {
			return nil, fmt.Errorf("session: host %q is no host name", given)
		}
		switch number, err := strconv.ParseUint(port, 10, 16); {
		case port == "":
			h.names[name] = true
		case err != nil || number == 0:
			return nil, fmt.Errorf("session: host %q has no such port", given)
		default:
			h.ports[net.JoinHostPort(name, port)] = true
		}
	}
	return h, nil
}

// knows tells whether a request's host is one of the gate's own.
func (h *hosts) knows(r *http.Request) bool {
	name, port := splitHost(r.Host)
	name = strings.ToLower(name)
	if h.ports[net.JoinHostPort(name, port)] {
		return true
	}
	return (h.names[name] || h.loopback && oauth.IsLoopback(name)) && ownPort(r, port)
}

// ownPort tells whether a port that the client named is one of the site: none or the scheme's, that of
// the listener, or whichever a trusted proxy has. Another one is another server's.
func ownPort(r *http.Request, port string) bool {
	standard := "80"
	if overTLS(r) {
		standard = "443"
	}
	if port == "" || port == standard {
		return true
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, listening, err := net.SplitHostPort(local.String()); err == nil && port == listening {
			return true
		}
	}
	return fromTrustedProxy(r)
}

// splitHost parts a host from its port, as Caddy's host matcher does.
func splitHost(hostport string) (host, port string) {
	if host, port, err := net.SplitHostPort(hostport); err == nil {
		return host, port
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]"), ""
}

// add takes the hosts over that matchers on the way to the gate name.
func (h *hosts) add(w way) {
	names, all := w.hosts()
	for _, name := range names {
		h.names[strings.ToLower(name)] = true
	}
	h.loopback = h.loopback || !all
}

// include tells whether all of another gate's hosts are this one's as well.
func (h *hosts) include(other *hosts) bool {
	return (h.loopback || !other.loopback) && isSubset(other.names, h.names) && isSubset(other.ports, h.ports)
}

// anyOf tells whether one of them is of a domain.
func (h *hosts) anyOf(domain string) bool {
	return slices.ContainsFunc(h.list(), func(host string) bool {
		name, _ := splitHost(host)
		return isOf(name, domain)
	})
}

// named tells whether a name is one of theirs, on whatever port: cookies know none.
func (h *hosts) named(name string) bool {
	name = strings.ToLower(name)
	if h.names[name] || h.loopback && oauth.IsLoopback(name) {
		return true
	}
	for listed := range h.ports {
		if host, _ := splitHost(listed); host == name {
			return true
		}
	}
	return false
}

// isOf tells whether a host is of a domain; of "", none is.
func isOf(host, domain string) bool {
	return domain != "" && strings.HasSuffix(strings.ToLower("."+host), "."+strings.ToLower(domain))
}

func isSubset(some, all map[string]bool) bool {
	for name := range some {
		if !all[name] {
			return false
		}
	}
	return true
}

// list is for messages.
func (h *hosts) list() []string {
	known := slices.Sorted(maps.Keys(h.names))
	known = slices.AppendSeq(known, maps.Keys(h.ports))
	if h.loopback {
		known = append(known, "localhost and its like")
	}
	return known
}

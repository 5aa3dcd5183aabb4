package caddymodule

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/tokeninject"
)

// placeGates tells each gate where it stands: on which hosts browsers may sign in, and whether its
// logout path leads to it. It is for Start: every app is provisioned, and no request has come to a gate.
func (a *App) placeGates() error {
	app, err := a.ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return err
	}
	servers := app.(*caddyhttp.App).Servers
	for _, server := range servers {
		s := survey{server: server, places: &a.places}
		s.walk(nil, server.Routes)
		if server.Errors != nil {
			s.walk(nil, server.Errors.Routes)
		}
	}
	for _, gate := range a.described {
		gate.reach(a.places, servers)
	}
	for _, gate := range a.gates {
		gate.placed(a.log)
		gate.signsOut = slices.ContainsFunc(a.gates, gate.endedHere)
		if gate.server != nil && !slices.ContainsFunc(a.gates, gate.endedAt) {
			a.log.Warn("the path that signs out is not known to lead to this gate, so that nobody may be able to sign out; session { logout <path> } names another",
				zap.String("token_inject", gate.Place), zap.String("logout", gate.logoutPath()))
		}
	}
	return nil
}

// endedAt tells whether the gate's sessions end at another, which is itself or shares them: it has
// the same issuer, client and cookie, and its own path for signing out leads to it.
func (h *TokenInject) endedAt(other *TokenInject) bool {
	return other.logout && h.issuer == other.issuer && h.Session.Client == other.Session.Client &&
		h.Session.Cookie == other.Session.Cookie && h.logoutPath() == other.logoutPath()
}

// endedHere tells whether the gate's sessions end at another on all of its own hosts, such as the gate of a whole site
// that this one is behind.
func (h *TokenInject) endedHere(other *TokenInject) bool {
	return h.server == other.server && h.endedAt(other) && other.hosts.include(h.hosts)
}

// sessionCookies are the cookies with names of their own that browsers send to a request's host.
func (a *App) sessionCookies(r *http.Request) (names []string) {
	host, _ := splitHost(r.Host)
	for _, gate := range a.gates {
		if name := gate.Session.Cookie; name != "" && (gate.hosts.named(host) || isOf(host, gate.Session.Domain)) {
			names = append(names, name)
		}
	}
	return names
}

func (h *TokenInject) logoutPath() string {
	return cmp.Or(h.Session.Logout, tokeninject.DefaultLogout)
}

// survey looks for the gates of an HTTP server.
type survey struct {
	server  *caddyhttp.Server
	places  *[]documents
	invoked []string // named routes on the way
}

func (s *survey) walk(from way, routes caddyhttp.RouteList) {
	for i := range routes {
		to := append(slices.Clip(from), &routes[i])
		for _, handler := range routes[i].Handlers {
			switch h := handler.(type) {
			case *TokenInject:
				h.place(s.server, to)
				*s.places = append(*s.places, documents{h.enforcer.Resources(), to, s.server})
			case *AuthzServer:
				*s.places = append(*s.places, documents{h.issuer.server.Described(), to, s.server})
			case *caddyhttp.Subroute:
				s.walk(to, h.Routes)
				if h.Errors != nil {
					s.walk(to, h.Errors.Routes)
				}
			case *caddyhttp.Invoke:
				s.invoke(to, h.Name)
			}
		}
	}
}

// invoke goes on in a named route, but not round and round.
func (s *survey) invoke(from way, name string) {
	route := s.server.NamedRoutes[name]
	if route == nil || slices.Contains(s.invoked, name) {
		return
	}
	s.invoked = append(s.invoked, name)
	s.walk(from, caddyhttp.RouteList{*route})
	s.invoked = s.invoked[:len(s.invoked)-1]
}

// place takes note of one way that leads to the gate.
func (h *TokenInject) place(server *caddyhttp.Server, w way) {
	if h.Session == nil {
		return // nobody signs in
	}
	h.hosts.add(w)
	h.logout = (h.logout || h.server == nil) && w.leads(h.logoutPath())
	h.server = server
}

// placed ends the survey. A gate to which no way was found, inside some other module's routes, gets
// what one without a fixed host gets.
func (h *TokenInject) placed(log *zap.Logger) {
	h.hosts.loopback = h.hosts.loopback || h.server == nil
	if h.hosts.loopback && len(h.Session.Hosts) == 0 {
		log.Warn("browsers can sign in at this gate only on the hosts listed here; session { host <name> } adds others",
			zap.String("token_inject", h.Place), zap.Strings("hosts", h.hosts.list()))
	}
	if domain := h.Session.Domain; domain != "" && !h.hosts.anyOf(domain) {
		log.Warn("no host of this gate is known to be of the domain that is to share its sessions",
			zap.String("token_inject", h.Place), zap.String("domain", domain), zap.Strings("hosts", h.hosts.list()))
	}
}

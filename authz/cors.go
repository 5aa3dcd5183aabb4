package authz

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/token"
)

// corsPolicy says which web pages may read an endpoint's answers (G3).
type corsPolicy int

const (
	corsNone   corsPolicy = iota // pages and forms: nobody
	corsPublic                   // metadata and keys: everybody, without credentials
	corsListed                   // the listed origins, and the issuer's own
)

// preflightMaxAge is how long a browser may remember a preflight, in seconds.
const preflightMaxAge = "600"

// checkOrigins refuses what a browser never sends as Origin: it has a scheme and a host, a default
// port is left out. "*" is for the whole server.
func checkOrigins(origins []string, all bool) error {
	for _, o := range origins {
		if o == "*" && all {
			continue
		}
		u, err := url.Parse(o)
		switch {
		case err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || strings.Contains(o, "#"):
			return fmt.Errorf("%q is not an origin: scheme://host[:port]", o)
		case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
			return fmt.Errorf("%q: a browser leaves the default port out", o)
		case o != strings.ToLower(o):
			return fmt.Errorf("%q: a browser writes an origin in lower case", o)
		}
	}
	return nil
}

// listed tells whether an origin may read answers meant for a client; nil is any client, for a
// preflight, which names none.
func (s *Server) listed(ctx context.Context, origin string, c *client) bool {
	if origin == s.origin || slices.Contains(s.cfg.CORS, "*") || slices.Contains(s.cfg.CORS, origin) {
		return true
	}
	if c != nil {
		return slices.Contains(c.CORS, origin)
	}
	for _, c := range s.clients {
		if slices.Contains(c.CORS, origin) {
			return true
		}
	}
	registered, err := s.listedByRegistered(ctx, origin)
	if err != nil && ctx.Err() == nil { // else nobody waits for the answer
		s.cfg.Logger.Error("origins of registered clients could not be read", zap.Error(err))
	}
	return registered
}

// maxListingPages is how many pages of entries are looked at to find one client that lists an origin.
const maxListingPages = 10

// listedByRegistered tells whether a registered client lists an origin.
func (s *Server) listedByRegistered(ctx context.Context, origin string) (bool, error) {
	name, from := listing(origin), ""
	for range maxListingPages {
		found, next, err := s.index(name).List(ctx, from, listPage)
		if err != nil {
			return false, err
		}
		for _, entry := range found {
			c, err := s.findClient(ctx, entry.ID)
			if err != nil {
				return false, err
			}
			if c != nil && slices.Contains(c.CORS, origin) {
				return true, nil
			}
			s.sweep(ctx, name, entry)
		}
		if next == "" {
			break
		}
		from = next
	}
	return false, nil
}

// preflight answers OPTIONS (Fetch §3.2.2).
func (s *Server) preflight(w http.ResponseWriter, rt route) {
	h := w.Header()
	if rt.cors == corsPublic {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", strings.Join(rt.methods, ", "))
		h.Set("Access-Control-Allow-Headers", allowHeaders(rt))
		h.Set("Access-Control-Max-Age", preflightMaxAge)
	}
	w.WriteHeader(http.StatusNoContent)
}

// allowHeaders are the request headers that a web page may set. Any will do where the answer is the same for
// everybody: MCP clients name their protocol's version to metadata. "*" does not stand for Authorization.
func allowHeaders(rt route) string {
	if rt.cors == corsPublic {
		return "*, Authorization"
	}
	return "Authorization, Content-Type"
}

func (s *Server) setOrigin(w http.ResponseWriter, origin string) {
	w.Header().Set("Access-Control-Allow-Origin", origin)
	if s.cfg.CORSCredentials {
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
}

// allowOrigin lets a listed web page read the answer; it returns false for an unlisted one. A request
// without Origin is no web page's. Until the client is known (nil), the union of all lists counts, so
// that a web page can read what went wrong.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request, c *client) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if !s.listed(r.Context(), origin, c) {
		w.Header().Del("Access-Control-Allow-Origin")
		w.Header().Del("Access-Control-Allow-Credentials")
		return false
	}
	s.setOrigin(w, origin)
	return true
}

// allowTokenOrigin is allowOrigin for the client of a token.
func (s *Server) allowTokenOrigin(w http.ResponseWriter, r *http.Request, t *token.AccessToken) bool {
	c, err := s.findClient(r.Context(), t.ClientID)
	if err != nil || c == nil {
		c = s.gate
	}
	return s.allowOrigin(w, r, c)
}

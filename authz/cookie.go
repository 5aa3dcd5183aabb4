package authz

import (
	"net/http"
	"strings"
)

// Cookies of the server. Cookies ignore ports, so a name carries the issuer's tag (decision 10), and
// gates strip everything with our prefix before an upstream.
const (
	cookiePrefix  = "gw-"
	cookieSession = "session"
	cookieBrowser = "browser"
	// cookiePersistent outlives the browser (C5).
	cookiePersistent = "persistent"
)

// cookieName has the __Host- prefix, which keeps sub-domains from planting cookies (A66), except
// where an http issuer on loopback can't have it.
func (s *Server) cookieName(kind string) string {
	name := cookiePrefix + s.tag + "-" + kind
	if s.secure() {
		return "__Host-" + name
	}
	return name
}

func (s *Server) secure() bool { return strings.HasPrefix(s.cfg.Issuer, "https:") }

// cookie returns the value of one of our cookies; one that stands twice counts as none, since there
// is no telling which is ours.
func (s *Server) cookie(r *http.Request, kind string) string {
	found := r.CookiesNamed(s.cookieName(kind))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// setCookie sets a cookie that ends with the browser.
func (s *Server) setCookie(w http.ResponseWriter, kind, value string) {
	http.SetCookie(w, s.newCookie(kind, value, 0))
}

func (s *Server) clearCookie(w http.ResponseWriter, kind string) {
	http.SetCookie(w, s.newCookie(kind, "", -1))
}

func (s *Server) newCookie(kind, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ // #nosec G124 -- not Secure only on a loopback issuer without TLS
		Name:     s.cookieName(kind),
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   s.secure(),
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
}

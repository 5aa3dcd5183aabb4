package tokeninject

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
)

// cookieName is a cookie's name in parts, so that comparing needs no memory. Cookies ignore ports
// (decision 10): a name carries the issuer and client (in its prefix) and the port of the site, or two
// sites on one host would take each other's cookies away.
type cookieName struct{ prefix, port, suffix string }

// cookieNames are those of one site.
type cookieNames struct {
	secure           bool
	domain           string // of the session's cookie; "": this host alone
	session, browser cookieName
}

// cookiePrefix tells issuers and clients apart, by 8 characters.
func cookiePrefix(issuer, client string) string {
	sum := sha256.Sum256([]byte(issuer + "\n" + client))
	return "__Host-gw-" + hex.EncodeToString(sum[:4])
}

func (e *Enforcer) cookieNames(r *http.Request) cookieNames {
	secure := e.overTLS(r)
	names := cookieNames{secure: secure, session: e.sessionCookie(r, secure), browser: e.ownCookie(r, secure)}
	names.browser.suffix = "-login"
	if e.shares(r) {
		names.domain = e.cfg.Session.Domain
	}
	return names
}

// sessionCookie is the name of the session's cookie alone.
func (e *Enforcer) sessionCookie(r *http.Request, secure bool) cookieName {
	switch {
	case e.shares(r):
		return e.sharedCookie(secure)
	case e.cfg.Session.Cookie != "":
		return cookieName{prefix: e.cfg.Session.Cookie}
	}
	return e.ownCookie(r, secure)
}

// ownCookie is what the gate's cookies of one site begin with. __Host- keeps sub-domains from planting a cookie of that
// name (A66); browsers take it only with Secure, so http on loopback goes without.
func (e *Enforcer) ownCookie(r *http.Request, secure bool) cookieName {
	name := cookieName{prefix: e.cookiePrefix, port: "443"}
	if !secure {
		name = cookieName{prefix: strings.TrimPrefix(e.cookiePrefix, "__Host-"), port: "80"}
	}
	if port := portOf(r.Host); port != "" {
		name.port = port
	}
	return name
}

// shares tells whether a request is for a host of the domain that shares its sessions.
func (e *Enforcer) shares(r *http.Request) bool {
	domain := e.cfg.Session.Domain
	if domain == "" {
		return false
	}
	host := withoutPort(r.Host)
	rest := len(host) - len(domain)
	return rest >= 0 && strings.EqualFold(host[rest:], domain) && (rest == 0 || host[rest-1] == '.')
}

// site names whose session one is: that of a host with its port, or of all hosts of a domain.
func (e *Enforcer) site(r *http.Request) string {
	if e.shares(r) {
		return "*." + e.cfg.Session.Domain
	}
	return r.Host
}

// sharedCookie is the cookie of a domain. It can't be a __Host- one, which is what keeps sub-domains apart.
func (e *Enforcer) sharedCookie(secure bool) cookieName {
	if e.cfg.Session.Cookie != "" {
		return cookieName{prefix: e.cfg.Session.Cookie}
	}
	name := strings.TrimPrefix(e.cookiePrefix, "__Host-")
	if secure {
		name = "__Secure-" + name
	}
	return cookieName{prefix: name, port: "shared"}
}

// tab is the browser's cookie for one login.
func (n cookieNames) tab(state string) cookieName {
	name := n.browser
	name.suffix += "-" + state[len(statePrefix):][:8]
	return name
}

func (n cookieName) String() string {
	if n.port == "" {
		return n.prefix
	}
	return n.prefix + "-" + n.port + n.suffix
}

// is tells whether s is the name.
func (n cookieName) is(s string) bool {
	rest, ok := strings.CutPrefix(s, n.prefix)
	if n.port == "" {
		return ok && rest == ""
	}
	if !ok || rest == "" || rest[0] != '-' {
		return false
	}
	rest, ok = strings.CutPrefix(rest[1:], n.port)
	return ok && rest == n.suffix
}

// value finds the cookie in Cookie headers. One that stands twice counts as none, since there is no
// telling which is ours; so does one that can't be a secret of ours.
func (n cookieName) value(headers []string) string {
	found := ""
	for _, header := range headers {
		for header != "" {
			var member string
			member, header, _ = strings.Cut(header, ";")
			name, value, _ := strings.Cut(strings.TrimSpace(member), "=")
			if !n.is(name) {
				continue
			}
			if found != "" {
				return ""
			}
			found = value
		}
	}
	if !wellFormedSecret(found) {
		return ""
	}
	return found
}

// cookie makes a cookie of the gate; it ends with the browser, or after maxAge seconds.
func (n cookieNames) cookie(name cookieName, value string, maxAge int) *http.Cookie {
	domain := ""
	if name == n.session {
		domain = n.domain
	}
	return &http.Cookie{ //nolint:gosec // Secure is left out only for http on loopback, which has no TLS
		Name: name.String(), Value: value, Path: "/", MaxAge: maxAge, Domain: domain,
		Secure: n.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// overTLS tells whether the client speaks TLS, with Caddy or with a proxy that the host trusts.
func (e *Enforcer) overTLS(r *http.Request) bool {
	return r.TLS != nil || e.cfg.OverTLS(r)
}

// seenDirectly is Config.Seen where nothing stands between the client and the gate.
func seenDirectly(r *http.Request) Seen {
	seen := Seen{URL: *r.URL, ClientIP: r.RemoteAddr}
	seen.URL.Scheme = "http"
	if r.TLS != nil {
		seen.URL.Scheme = "https"
	}
	seen.URL.Host = r.Host
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		seen.ClientIP = host
	}
	return seen
}

func portOf(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') && digits(host[i+1:]) {
		return host[i+1:]
	}
	return ""
}

func withoutPort(host string) string {
	if port := portOf(host); port != "" {
		return host[:len(host)-len(port)-1]
	}
	return host
}

// digits tells whether s is a port as a host name may end in one; anything else has no business in a
// cookie's name.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) <= 5
}

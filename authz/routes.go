package authz

import (
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
)

// Paths below the issuer.
const (
	pathOpenIDMetadata = "/.well-known/openid-configuration"
	pathMetadata       = "/.well-known/oauth-authorization-server" // before the issuer's path (RFC 8414 §3.1)
	pathJWKS           = "/jwks.json"
	pathAuthorize      = "/authorize"
	pathLogin          = "/login"
	pathConsent        = "/consent"
	pathPasskeyScript  = "/passkey.js"
	pathToken          = "/token"
	pathUserInfo       = "/userinfo"
	pathTokenInfo      = "/tokeninfo"
	pathIntrospect     = "/introspect"
	pathRevoke         = "/revoke"
	pathEndSession     = "/end_session"
	pathLogout         = "/logout"
	pathHealth         = "/health"
	pathRegister       = "/register"
)

func (s *Server) routeTable() map[string]route {
	get := []string{http.MethodGet, http.MethodHead}
	post := []string{http.MethodPost}
	both := append(slices.Clone(get), http.MethodPost)
	routes := map[string]route{
		s.base + pathOpenIDMetadata: {get, s.serveMetadata, corsPublic},
		pathMetadata + s.base:       {get, s.serveMetadata, corsPublic},
		s.base + pathJWKS:           {get, s.serveJWKS, corsPublic},
		s.base + pathAuthorize:      {both, s.authorize, corsNone},
		s.base + pathLogin:          {both, s.login, corsNone},
		s.base + pathConsent:        {both, s.consent, corsNone},
		s.base + pathPasskeyScript:  {get, s.passkeyScript, corsNone},
		s.base + pathToken:          {post, s.token, corsListed},
		s.base + pathUserInfo:       {both, s.userInfo, corsListed},
		s.base + pathTokenInfo:      {both, s.tokenInfo, corsListed},
		s.base + pathIntrospect:     {post, s.introspect, corsListed},
		s.base + pathRevoke:         {post, s.revoke, corsListed},
		s.base + pathEndSession:     {both, s.endSessionEndpoint, corsNone},
		s.base + pathLogout:         {both, s.logout, corsNone},
		s.base + pathHealth:         {get, s.health, corsNone},
	}
	if s.cfg.Registration != RegistrationOff {
		routes[s.base+pathRegister] = route{[]string{http.MethodGet, http.MethodPost}, s.register, corsListed}
		routes[s.base+pathRegister+"/{id}"] = route{[]string{http.MethodGet, http.MethodPut, http.MethodDelete}, s.registeredClient, corsListed}
		routes[s.base+pathRegister+"/{id}/secret"] = route{post, s.clientSecret, corsListed}
	}
	for _, m := range s.methods {
		if guest, ok := m.(guestRoute); ok {
			path, handle := guest.route()
			routes[s.base+path] = route{both, handle, corsNone}
		}
	}
	s.addCompat(routes)
	return routes
}

// Handles tells whether the request is for one of this server's endpoints.
func (s *Server) Handles(r *http.Request) bool {
	_, ok := s.routeOf(r)
	return ok
}

// routeOf finds the endpoint of a request; of a registered client's, the path value "id" is then set.
func (s *Server) routeOf(r *http.Request) (route, bool) {
	if rt, ok := s.routes[r.URL.Path]; ok && !strings.Contains(r.URL.Path, "{") {
		return rt, true
	}
	rest, below := strings.CutPrefix(r.URL.Path, s.base+pathRegister+"/")
	id, action, _ := strings.Cut(rest, "/")
	if !below || !validClientID(id) {
		return route{}, false
	}
	r.SetPathValue("id", id)
	rt, ok := s.routes[strings.TrimSuffix(s.base+pathRegister+"/{id}/"+action, "/")]
	return rt, ok
}

// ServeHTTP answers a request for which Handles is true.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rt, ok := s.routeOf(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if err := s.Ready(r.Context()); err != nil {
		s.unavailable(w, r, err)
		return
	}
	if rt.cors == corsListed {
		w.Header().Add("Vary", "Origin")
		s.allowOrigin(w, r, nil)
	}
	if r.Method == http.MethodOptions && rt.cors != corsNone {
		s.preflight(w, rt)
		return
	}
	if !slices.Contains(rt.methods, r.Method) {
		s.wrongMethod(w, r, rt)
		return
	}
	if rt.cors == corsPublic {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	if err := s.admit(r, rt); err != nil {
		s.refuse(w, r, err)
		return
	}
	rt.handle(w, r)
}

// refuse is for what is wrong whatever the endpoint.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if s.isPage(r) {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	e := oauth.From(err)
	s.log(r, "request refused", e)
	writeError(w, e)
}

// wrongMethod is what a method comes to that an endpoint doesn't take (RFC 9110 §15.5.6).
func (s *Server) wrongMethod(w http.ResponseWriter, r *http.Request, rt route) {
	e := oauth.Errorf(oauth.InvalidRequest, "the method is not allowed here")
	w.Header().Set("Allow", strings.Join(rt.methods, ", "))
	if s.isPage(r) {
		s.pages.render(w, r, http.StatusMethodNotAllowed, errorView{Code: e.Code}, pageOptions{})
		return
	}
	writeErrorStatus(w, http.StatusMethodNotAllowed, e)
}

func (s *Server) unavailable(w http.ResponseWriter, r *http.Request, cause error) {
	w.Header().Set("Retry-After", "5")
	if s.isPage(r) {
		s.errorPage(w, r, oauth.Errorf(oauth.TemporarilyUnavailable, "").Because(cause), errorPageOptions{})
		return
	}
	s.cfg.Logger.Error("not ready", zap.Error(cause))
	writeError(w, oauth.Errorf(oauth.TemporarilyUnavailable, "the server is starting"))
}

// isPage tells whether a person looks at the answer.
func (s *Server) isPage(r *http.Request) bool {
	switch s.relative(r.URL.Path) {
	case pathAuthorize, pathLogin, pathConsent, pathEndSession, pathLogout:
		return true
	default:
		return false
	}
}

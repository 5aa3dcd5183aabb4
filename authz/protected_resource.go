package authz

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
)

// This file serves the metadata of protected resources (RFC 9728), by which somebody who knows only an
// API's address finds out where its tokens are to be had.

// Describe returns the metadata of a resource server, one for each of its identifiers; none where there
// is no such resource server.
func (s *Server) Describe(resourceServer string) (all []oauth.ProtectedResource) {
	r := s.resourceNamed(resourceServer)
	if r == nil || r.Name == IssuerResource {
		return nil
	}
	var scopes []string
	for _, sc := range r.Scopes {
		scopes = append(scopes, sc.Name)
	}
	for _, identifier := range r.Identifiers {
		all = append(all, oauth.ProtectedResource{
			Resource: identifier, AuthorizationServers: []string{s.cfg.Issuer}, ScopesSupported: scopes,
			BearerMethodsSupported: []string{"header"}, ResourceName: r.Name,
		})
	}
	return all
}

// Described are the identifiers of which the server serves metadata, those on its own origin, with the URL
// of each.
func (s *Server) Described() map[string]*url.URL {
	all := map[string]*url.URL{}
	for _, r := range s.resources {
		for _, described := range s.Describe(r.Name) {
			u, ok := oauth.ProtectedResourceURL(described.Resource)
			if ok && u.Scheme+"://"+u.Host == strings.ToLower(s.origin) {
				all[described.Resource] = u
			}
		}
	}
	return all
}

// addProtectedResources adds that metadata.
func (s *Server) addProtectedResources(routes map[string]route) error {
	var errs []error
	served := s.Described()
	for _, r := range s.resources {
		for _, described := range s.Describe(r.Name) {
			u := served[described.Resource]
			if u == nil {
				continue
			}
			document, err := json.Marshal(described)
			errs = append(errs, err)
			serve := route{
				[]string{http.MethodGet, http.MethodHead},
				func(w http.ResponseWriter, _ *http.Request) { writePublic(w, document) },
				corsPublic,
			}
			routes[u.Path] = serve
			if strings.HasSuffix(described.Resource, "/") { // which some clients keep
				routes[u.Path+"/"] = serve
			}
		}
	}
	return errors.Join(errs...)
}

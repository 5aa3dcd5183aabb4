package tokeninject

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
)

// Describer is an Issuer that knows the metadata of its resource servers.
type Describer interface {
	// Describe returns one document for each identifier of a resource server.
	Describe(resourceServer string) []oauth.ProtectedResource
}

// document is the metadata of a gate's protected resource, under one of its identifiers (RFC 9728).
type document struct {
	resource string
	path     string // of the resource
	url      *url.URL
	body     []byte
}

// newDocuments describes the gate's resource server or, where there is no name to ask the issuer for, the
// audiences that are URLs.
func newDocuments(cfg Config, scopes []string) (list []document, err error) {
	var described []oauth.ProtectedResource
	if describer, ok := cfg.Issuer.(Describer); ok && cfg.ResourceServer != "" {
		described = describer.Describe(cfg.ResourceServer)
	} else {
		for _, audience := range cfg.Audiences {
			described = append(described, oauth.ProtectedResource{
				Resource: audience, ScopesSupported: scopes, BearerMethodsSupported: []string{"header"}, ResourceName: cfg.ResourceServer,
			})
		}
	}
	for _, resource := range described {
		u, ok := oauth.ProtectedResourceURL(resource.Resource)
		if !ok {
			continue
		}
		resource.AuthorizationServers = nil
		for _, issuer := range append([]Issuer{cfg.Issuer}, cfg.Others...) {
			resource.AuthorizationServers = append(resource.AuthorizationServers, issuer.URL())
		}
		d := document{resource: resource.Resource, path: strings.TrimPrefix(u.Path, oauth.PathProtectedResource), url: u}
		if d.body, err = json.Marshal(resource); err != nil {
			return nil, fmt.Errorf("metadata of %s: %w", resource.Resource, err)
		}
		list = append(list, d)
	}
	return list, nil
}

// at tells whether a path is that of the document. Clients keep the slash that an identifier ends with, or don't (RFC 9728
// §3.1 removes the one behind the host).
func (d *document) at(path string) bool {
	return path == d.url.Path || strings.HasSuffix(d.resource, "/") && path == d.url.Path+"/"
}

// Resources are the identifiers of which the gate serves metadata, with the URL of each.
func (e *Enforcer) Resources() map[string]*url.URL {
	all := map[string]*url.URL{}
	for _, d := range e.documents {
		all[d.resource] = d.url
	}
	return all
}

// document is the metadata that the request asks for; nil: it is for something else.
func (p *passage) document() *document {
	if len(p.e.documents) == 0 || !strings.HasPrefix(p.r.URL.Path, oauth.PathProtectedResource) {
		return nil
	}
	seen := p.e.cfg.Seen(p.r).URL
	for i := range p.e.documents {
		if d := &p.e.documents[i]; d.at(seen.Path) && d.sameHost(seen) {
			return d
		}
	}
	return nil
}

func (d *document) sameHost(seen url.URL) bool {
	port := func(u *url.URL) string {
		if u.Port() != "" {
			return u.Port()
		}
		return map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.EqualFold(d.url.Hostname(), seen.Hostname()) && port(d.url) == port(&seen)
}

// describe answers with the metadata, which is for everybody, web pages of any origin included.
func (p *passage) describe(d *document) *Refusal {
	header := p.w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	switch p.r.Method {
	case http.MethodGet, http.MethodHead:
		header.Set("Content-Type", "application/json")
		header.Set("Cache-Control", "public, max-age=300")
		header.Set("X-Content-Type-Options", "nosniff")
		p.e.write(p.w, p.r, http.StatusOK, d.body)
	case http.MethodOptions: // Fetch §3.2.2
		header.Set("Access-Control-Allow-Methods", "GET, HEAD")
		header.Set("Access-Control-Allow-Headers", "*, Authorization")
		header.Set("Access-Control-Max-Age", "600")
		p.w.WriteHeader(http.StatusNoContent)
	default:
		header.Set("Allow", "GET, HEAD, OPTIONS")
		p.w.WriteHeader(http.StatusMethodNotAllowed)
	}
	return answered
}

// metadataURL is what a challenge says of where the metadata is (RFC 9728 §5.1): of the identifier that
// is nearest to the page that was asked for, if it can be fetched; else "".
func (p *passage) metadataURL() string {
	if len(p.e.documents) == 0 {
		return ""
	}
	seen := p.e.cfg.Seen(p.r).URL
	best, length := "", -1
	for i := range p.e.documents {
		d := &p.e.documents[i]
		near := 0
		if d.sameHost(seen) {
			near = 1
			if seen.Path == d.path || strings.HasPrefix(seen.Path, d.path+"/") {
				near += 1 + len(d.path)
			}
		}
		if near > length && p.e.cfg.Reached(d.resource) {
			best, length = d.url.String(), near
		}
	}
	return best
}

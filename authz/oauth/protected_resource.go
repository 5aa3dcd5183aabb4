package oauth

import (
	"net/url"
	"strings"
)

// PathProtectedResource comes before the path of a resource identifier (RFC 9728 §3.1).
const PathProtectedResource = "/.well-known/oauth-protected-resource"

// ProtectedResource is the metadata of a protected resource (RFC 9728 §2).
type ProtectedResource struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers,omitempty"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported,omitempty"`
	ResourceName           string   `json:"resource_name,omitempty"`
}

// ProtectedResourceURL is where the metadata of a resource is (RFC 9728 §3.1). ok is false for an
// identifier that is no https URL, or http on loopback: nothing can be fetched of it.
func ProtectedResourceURL(identifier string) (metadata *url.URL, ok bool) {
	u, err := url.Parse(identifier)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return nil, false
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(u.Hostname())) {
		return nil, false
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: PathProtectedResource + strings.TrimSuffix(u.Path, "/")}, true
}

// NormalResource is an identifier in the spelling that it shares with every other one of the same URL, for
// comparison: libraries write an http URL with its host in lower case, without a default port, and with "/"
// for no path (RFC 3986 §6.2.3).
func NormalResource(identifier string) string {
	u, err := url.Parse(identifier)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return identifier
	}
	u.Host = strings.ToLower(u.Host)
	if port := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; u.Port() != "" {
		u.Host = strings.TrimSuffix(u.Host, port)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}

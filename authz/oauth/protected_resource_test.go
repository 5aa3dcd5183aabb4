package oauth

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestW9_WhereTheMetadataOfAResourceIs(t *testing.T) {
	for identifier, want := range map[string]string{ // RFC 9728 §3.1
		"https://resource.example.com":           "https://resource.example.com/.well-known/oauth-protected-resource",
		"https://resource.example.com/":          "https://resource.example.com/.well-known/oauth-protected-resource",
		"https://resource.example.com/resource1": "https://resource.example.com/.well-known/oauth-protected-resource/resource1",
		"https://Resource.example.com:8443/a/b":  "https://resource.example.com:8443/.well-known/oauth-protected-resource/a/b",
		"http://localhost:9000/mcp":              "http://localhost:9000/.well-known/oauth-protected-resource/mcp",
		"http://resource.example.com":            "",
		"urn:example:orders":                     "",
		"https://a@resource.example.com":         "",
		"https:///x":                             "",
	} {
		u, ok := ProtectedResourceURL(identifier)
		require.Equal(t, want != "", ok, identifier)
		if ok {
			require.Equal(t, want, u.String())
		}
	}
}

func TestR5_SpellingsOfAResource(t *testing.T) {
	for identifier, want := range map[string]string{ // RFC 3986 §6.2.3
		"https://API.example.com":            "https://api.example.com/",
		"HTTPS://api.example.com:443/":       "https://api.example.com/",
		"http://localhost:80/mcp":            "http://localhost/mcp",
		"https://api.example.com:80":         "https://api.example.com:80/",
		"https://api.example.com:8443":       "https://api.example.com:8443/",
		"https://[2001:DB8::443]":            "https://[2001:db8::443]/",
		"https://api.example.com/mcp":        "https://api.example.com/mcp",
		"https://api.example.com/mcp/":       "https://api.example.com/mcp/",
		"https://api.example.com/Mcp?a=%2Fb": "https://api.example.com/Mcp?a=%2Fb",
		"urn:Example:orders":                 "urn:Example:orders",
		"/orders":                            "/orders",
	} {
		require.Equal(t, want, NormalResource(identifier), identifier)
	}
}

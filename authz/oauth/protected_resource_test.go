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

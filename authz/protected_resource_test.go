package authz_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

func TestW9_MetadataOfResourcesOnTheIssuersOrigin(t *testing.T) {
	cfg := authztest.Config()
	cfg.Issuer = "https://id.example.com/main"
	cfg.ResourceServers[0].Identifiers = []string{"https://elsewhere.example.com/x", "https://ID.example.com/mcp", "https://id.example.com/files/"}
	f := authztest.New(t, cfg)
	get := func(path string) authztest.Answer {
		req, err := http.NewRequest(http.MethodGet, f.HTTP.URL+path, nil)
		require.NoError(t, err)
		return f.Do(req)
	}
	found := get("/.well-known/oauth-protected-resource/mcp")
	require.Equal(t, http.StatusOK, found.Status)
	require.Equal(t, "*", found.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "public, max-age=300", found.Header.Get("Cache-Control"))
	require.Equal(t, "https://ID.example.com/mcp", found.JSON["resource"])
	require.Equal(t, []any{f.URL}, found.JSON["authorization_servers"])
	require.Contains(t, found.JSON["scopes_supported"], "orders.read", "whoever wants in has to know what to ask for")
	for _, path := range []string{"/files", "/files/"} { // clients keep the slash, or don't
		require.Equal(t, "https://id.example.com/files/", get("/.well-known/oauth-protected-resource" + path).JSON["resource"])
	}
	for _, path := range []string{"", "/x", "/mcp/"} {
		require.Equal(t, http.StatusNotFound, get("/.well-known/oauth-protected-resource"+path).Status, path)
	}
}

func TestW9_AWebPageMayReadMetadataWhateverHeaderItSends(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	for path, want := range map[string]string{
		"/.well-known/oauth-authorization-server": "*, Authorization", "/token": "",
	} {
		req, err := http.NewRequest(http.MethodOptions, f.URL+path, nil)
		require.NoError(t, err)
		req.Header.Set("Origin", "https://inspector.example.com")
		req.Header.Set("Access-Control-Request-Headers", "mcp-protocol-version")
		require.Equal(t, want, f.Do(req).Header.Get("Access-Control-Allow-Headers"), path)
	}
}

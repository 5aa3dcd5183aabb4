package tokeninject

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// describing is an issuer that knows the resource server "orders".
type describing struct{ *testIssuer }

func (describing) Describe(string) []oauth.ProtectedResource {
	resource := oauth.ProtectedResource{
		AuthorizationServers: []string{testURL}, ScopesSupported: []string{"orders.read", "orders.list"},
		BearerMethodsSupported: []string{"header"}, ResourceName: "orders",
	}
	all := []oauth.ProtectedResource{resource, resource, resource, resource}
	all[0].Resource, all[1].Resource, all[2].Resource = "https://orders.example", "https://orders.example/mcp", "urn:example:orders"
	all[3].Resource = "https://orders.example/files/"
	return all
}

func withMetadata(reached ...string) func(*Config) {
	return func(cfg *Config) {
		cfg.Issuer = describing{cfg.Issuer.(*testIssuer)}
		cfg.Reached = func(resource string) bool { return slices.Contains(reached, resource) }
	}
}

func TestW9_TheGateServesTheMetadataOfItsResource(t *testing.T) {
	s := newSite(t, nil)
	gate := guard(s.gate(withMetadata()), http.NotFoundHandler())
	w := record(t, gate, "https://orders.example/.well-known/oauth-protected-resource/mcp", "Origin: https://anybody.example")
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"resource":"https://orders.example/mcp","authorization_servers":["https://id.example"],
		"scopes_supported":["orders.read","orders.list"],"bearer_methods_supported":["header"],"resource_name":"orders"}`, w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "public, max-age=300", w.Header().Get("Cache-Control"))
	require.Contains(t, record(t, gate, "https://ORDERS.example:443/.well-known/oauth-protected-resource").Body.String(), `"resource":"https://orders.example"`)

	for _, path := range []string{"/files", "/files/"} { // clients keep the slash, or don't
		require.Contains(t, record(t, gate, "https://orders.example/.well-known/oauth-protected-resource"+path).Body.String(), `"resource":"https://orders.example/files/"`)
	}
	for _, elsewhere := range []string{
		"https://other.example/.well-known/oauth-protected-resource", "https://orders.example:444/.well-known/oauth-protected-resource",
		"https://orders.example/.well-known/oauth-protected-resource/", "https://orders.example/.well-known/oauth-protected-resource/mcp/x",
		"https://orders.example/.well-known/oauth-protected-resources", "https://orders.example//.well-known/oauth-protected-resource",
		"https://orders.example/.well-known/%6fauth-protected-resource/x", "https://orders.example/x/.well-known/oauth-protected-resource",
	} {
		require.Equal(t, http.StatusUnauthorized, record(t, gate, elsewhere).Code, "A63: %s", elsewhere)
	}
}

func TestW9_PreflightAndOtherMethods(t *testing.T) {
	s := newSite(t, nil)
	gate := guard(s.gate(withMetadata()), http.NotFoundHandler())
	for method, status := range map[string]int{http.MethodHead: http.StatusOK, http.MethodOptions: http.StatusNoContent, http.MethodPost: http.StatusMethodNotAllowed} {
		r := httptest.NewRequestWithContext(t.Context(), method, "https://orders.example/.well-known/oauth-protected-resource", nil)
		w := httptest.NewRecorder()
		gate.ServeHTTP(w, r)
		require.Equal(t, status, w.Code, method)
		require.Empty(t, w.Body.String())
		require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
	}
}

func TestW9_EveryChallengeNamesTheMetadataThatCanBeFetched(t *testing.T) {
	s := newSite(t, nil)
	good := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	const mcp, all = "https://orders.example/.well-known/oauth-protected-resource/mcp", "https://orders.example/.well-known/oauth-protected-resource"
	gate := func(configure ...func(*Config)) http.Handler {
		return guard(s.gate(func(cfg *Config) {
			for _, change := range configure {
				change(cfg)
			}
		}), http.NotFoundHandler())
	}
	both := withMetadata("https://orders.example", "https://orders.example/mcp")
	writer := func(cfg *Config) { cfg.Require = []Requirement{{Kind: RequireScope, Values: []string{"orders.write"}}} }
	admiral := func(cfg *Config) { cfg.Require = []Requirement{{Kind: RequireRole, Values: []string{"admiral"}}} }
	rows := []struct {
		rule, target, named string
		gate                http.Handler
		headers             []string
	}{
		{"no credential", "https://orders.example/x", all, gate(both), nil},
		{"bad token", "https://orders.example/x", all, gate(both), []string{"Authorization: Bearer bad"}},
		{"malformed", "https://orders.example/x", all, gate(both), []string{"Authorization: Bearer a b"}},
		{"insufficient scope", "https://orders.example/x", all, gate(both, writer), []string{good}},
		{"no role", "https://orders.example/x", all, gate(both, admiral), []string{good}},
		{"the nearest identifier", "https://orders.example/mcp/x", mcp, gate(both), nil},
		{"itself", "https://orders.example/mcp", mcp, gate(both), nil},
		{"a like path", "https://orders.example/mcpx", all, gate(both), nil},
		{"another host", "https://other.example/mcp", all, gate(both), nil},
		{"only that can be fetched", "https://orders.example/mcp", all, gate(withMetadata("https://orders.example")), nil},
		{"none can be fetched", "https://orders.example/x", "", gate(withMetadata()), nil},
		{"no identifier", "https://orders.example/x", "", gate(), nil},
	}
	for _, row := range rows {
		t.Run(row.rule, func(t *testing.T) {
			challenge := record(t, row.gate, row.target, row.headers...).Header().Get("WWW-Authenticate")
			require.NotEmpty(t, challenge)
			if row.named == "" {
				require.NotContains(t, challenge, "resource_metadata")
			} else {
				require.Contains(t, challenge, `resource_metadata="`+row.named+`"`)
			}
		})
	}
}

func TestW9_AudiencesThatAreURLsAreDescribedAsWell(t *testing.T) {
	s := newSite(t, nil)
	gate := s.gate(func(cfg *Config) {
		cfg.ResourceServer, cfg.Audiences = "", []string{"https://orders.example/v1", "orders"}
		cfg.Require = []Requirement{{Kind: RequireScope, Values: []string{"orders.read"}}}
	})
	w := record(t, guard(gate, http.NotFoundHandler()), "https://orders.example/.well-known/oauth-protected-resource/v1")
	require.JSONEq(t, `{"resource":"https://orders.example/v1","authorization_servers":["https://id.example"],"scopes_supported":["orders.read"],
		"bearer_methods_supported":["header"]}`, w.Body.String())
	require.Len(t, gate.Resources(), 1)
}

// The challenges of RFC 6750 §3, to the letter.
func TestW1_Challenges(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Require = []Requirement{{Kind: RequireScope, Values: []string{"orders.read", "orders.write"}}}
	})
	good := s.issuer.accessToken(t, nil)
	old := s.issuer.accessToken(t, func(a *token.AccessToken) {
		a.IssuedAt, a.ExpiresAt = a.IssuedAt.Add(-3600e9), a.IssuedAt.Add(-60e9)
	})
	realm := `Bearer realm="` + s.server.Listener.Addr().String() + `"`
	rows := []struct {
		rule      string
		headers   []string
		query     string
		status    int
		challenge string
	}{
		{"§3.1 no credential: no error", nil, "", 401, realm + `, scope="orders.read orders.write"`},
		{"§3.1 another scheme: no error", []string{"Authorization: Basic YTpi"}, "", 401, realm + `, scope="orders.read orders.write"`},
		{"invalid_token", []string{"Authorization: Bearer bad"}, "", 401, realm + `, error="invalid_token", error_description="the access token is not valid here"`},
		{"invalid_token, expired", []string{"Authorization: Bearer " + old}, "", 401, realm + `, error="invalid_token", error_description="the access token has expired"`},
		{"insufficient_scope", []string{"Authorization: Bearer " + good}, "", 403, realm + `, error="insufficient_scope", error_description="a scope is missing", scope="orders.read orders.write"`},
		{"invalid_request, no token", []string{"Authorization: Bearer"}, "", 400, realm + `, error="invalid_request", error_description="the Authorization header is malformed or repeated"`},
		{"invalid_request, two ways", []string{"Authorization: Bearer " + good}, "?access_token=x", 400, realm + `, error="invalid_request", error_description="there is a second access token in the query"`},
	}
	for _, row := range rows {
		t.Run(row.rule, func(t *testing.T) {
			got := s.get("/"+row.query, row.headers...)
			require.Equal(t, row.status, got.status)
			require.Equal(t, []string{row.challenge}, got.header["Www-Authenticate"])
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
			if row.status == 401 && len(row.headers) == 0 {
				require.JSONEq(t, `{"error_description":"sign in or send an access token"}`, got.body)
			}
		})
	}
}

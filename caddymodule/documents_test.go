package caddymodule

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// described asks for the metadata of a resource, and for an API without a credential.
func (w *world) described(metadata, api string) (status int, document, challenge string) {
	w.t.Helper()
	status, _, document, err := navigate(w.browser(), metadata)
	require.NoError(w.t, err)
	resp, err := w.browser().Get(api)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	require.Equal(w.t, http.StatusUnauthorized, resp.StatusCode)
	return status, document, resp.Header.Get("WWW-Authenticate")
}

func TestW9_MetadataWhereverItCanBeFetched(t *testing.T) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	const gate = "\n\ttoken_inject {\n\t\tresource_server mcp\n\t\trequire scope mcp.use\n\t}\n\trespond hello\n"
	for name, row := range map[string]struct {
		identifier func(w *world) string
		site       string
		served     int
		named      bool
	}{
		"at the gate itself":         {func(w *world) string { return w.app + "/mcp" }, gate, http.StatusOK, true},
		"at a second gate":           {func(w *world) string { return w.app + "/mcp" }, "handle /mcp/* {" + gate + "}\nhandle " + wellKnown + "/* {" + gate + "}", http.StatusOK, true},
		"on the issuer's own origin": {func(w *world) string { return w.issuer + "/mcp" }, "handle /mcp/* {" + gate + "}", http.StatusOK, true},
		"where no gate sees it":      {func(w *world) string { return w.app + "/mcp" }, "handle /mcp/* {" + gate + "}", http.StatusNotFound, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			identifier := row.identifier(w)
			w.block = "resource_server mcp {\n\t\t\tidentifier " + identifier + "\n\t\t\tscope mcp.use\n\t\t}"
			w.site = row.site
			w.start()
			origin := strings.TrimSuffix(identifier, "/mcp")
			status, document, challenge := w.described(origin+wellKnown+"/mcp", w.app+"/mcp/x")
			require.Equal(t, row.named, strings.Contains(challenge, `resource_metadata="`+origin+wellKnown+`/mcp"`), challenge)
			if row.served == http.StatusOK {
				require.Equal(t, http.StatusOK, status)
				require.JSONEq(t, `{"resource":"`+identifier+`","authorization_servers":["`+w.issuer+`"],"scopes_supported":["mcp.use"],
					"bearer_methods_supported":["header"],"resource_name":"mcp"}`, document)
			} else {
				require.NotContains(t, document, "authorization_servers")
			}
		})
	}
}

// A port that another site has leads nowhere else. One that nobody has may be that of a proxy in front.
func TestW9_MetadataIsNotLookedForAtAnotherSite(t *testing.T) {
	for name, taken := range map[string]bool{"another site's port": true, "nobody's port": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			elsewhere := "http://localhost:" + freePort(t)
			w.block = "resource_server mcp {\n\t\t\tidentifier " + elsewhere + "/mcp\n\t\t\tscope mcp.use\n\t\t}"
			w.site = "token_inject {\n\t\tresource_server mcp\n\t}\n\trespond hello\n"
			if taken {
				w.site += "}\n" + elsewhere + " {\n\trespond other\n"
			}
			w.start()
			resp, err := w.browser().Get(w.app + "/mcp")
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			challenge := resp.Header.Get("WWW-Authenticate")
			require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
			require.Equal(t, !taken, strings.Contains(challenge, `resource_metadata="`+elsewhere), challenge)
		})
	}
}

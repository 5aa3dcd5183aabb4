package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// behindMCP runs examples/mcp as its README.md has a person do, save that the SDK is the one of the tests.
func behindMCP(t *testing.T) *caddy {
	t.Helper()
	folder := filepath.Join("..", "examples", "mcp")
	c := prepare(t, read(t, folder, "Caddyfile"))
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "server.mjs"), []byte(read(t, folder, "server.mjs")), 0o600))
	linkModules(t, c.dir)
	sameVersion(t, folder, "@modelcontextprotocol/sdk")

	typed := fenced(c.ported(read(t, folder, "README.md")))["sh"]
	require.Len(t, typed, 3, "README.md has other commands than this test knows")
	install, serve, _ := strings.Cut(typed[1], "\n")
	require.Equal(t, "npm install --ignore-scripts", install)
	launch(t, c.shell("exec "+serve), func() bool { return listens(c.port["9000"]) })
	c.run()
	return c
}

func TestW9_AnMCPClientGetsInByItself(t *testing.T) {
	c := behindMCP(t)
	for name, callback := range map[string]string{
		"by address": "http://127.0.0.1:" + c.port["8445"] + "/callback",
		"by name":    "http://localhost:" + c.port["8445"] + "/callback",
	} {
		t.Run(name, func(t *testing.T) {
			c.node(t, "mcp.mjs", "walk", map[string]any{"mcp": c.gate() + "/mcp", "callback": callback}, nil)
		})
	}
}

func TestW9_G3_AWebPageReadsAllThatAnMCPClientNeeds(t *testing.T) {
	c := behindMCP(t)
	c.node(t, "mcp.mjs", "webPage", map[string]any{"mcp": c.gate() + "/mcp", "port": c.port["6274"]}, nil)
}

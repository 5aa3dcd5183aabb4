package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// examples/spa as its README.md has a person run it, save that the library is the one of the tests.
func TestExample_SPA_OIDCClientTS(t *testing.T) {
	folder := filepath.Join("..", "examples", "spa")
	c := prepare(t, read(t, folder, "Caddyfile"))
	sameVersion(t, folder, "oidc-client-ts")
	require.NoError(t, os.Mkdir(filepath.Join(c.dir, "site"), 0o700))
	files, err := os.ReadDir(filepath.Join(folder, "site"))
	require.NoError(t, err)
	for _, file := range files {
		page := c.ported(read(t, folder, "site", file.Name()))
		require.NoError(t, os.WriteFile(filepath.Join(c.dir, "site", file.Name()), []byte(page), 0o600))
	}
	linkModules(t, c.dir)
	c.run()
	c.node(t, "spa.mjs", "walk", nil, nil)
}

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// node runs one function of a script. What it throws fails the test; what it returns goes to out,
// where that is not nil.
func (c *caddy) node(t testing.TB, script, function string, in map[string]any, out any) {
	t.Helper()
	shots, err := filepath.Abs(filepath.Join("..", ".build", "e2e"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(shots, 0o755))
	about := map[string]any{
		"function": function, "issuer": c.issuer(), "gate": c.gate(), "intermediate": c.intermediateFile(), "shots": shots,
	}
	maps.Copy(about, in)
	stdin, err := json.Marshal(about)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+c.rootFile())
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s %s:\n%s", script, function, &stderr)
	if out != nil {
		require.NoError(t, json.Unmarshal(stdout.Bytes(), out), "%s", &stdout)
	}
}

// linkModules has programs in a folder find the packages of the tests.
func linkModules(t testing.TB, dir string) {
	t.Helper()
	modules, err := filepath.Abs("node_modules")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))
}

// sameVersion asserts that an example asks for the package that the tests have.
func sameVersion(t testing.TB, folder, name string) {
	t.Helper()
	_, version, _ := strings.Cut(read(t, "package.json"), `"`+name+`": "`)
	version, _, _ = strings.Cut(version, `"`)
	require.Contains(t, read(t, folder, "package.json"), `"`+name+`": "`+version+`"`)
}

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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

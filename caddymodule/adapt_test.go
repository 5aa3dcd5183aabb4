package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/stretchr/testify/require"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write what the adapt cases give now; review the difference")

// separator stands between a case's Caddyfile and what it becomes.
const separator = "\n----------\n"

// adapt turns a Caddyfile into JSON, as `caddy adapt --pretty` prints it.
func adapt(caddyfile string) (string, error) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	var pretty bytes.Buffer
	err = json.Indent(&pretty, adapted, "", "\t")
	return pretty.String(), err
}

// TestAdapt compares each case of testdata/adapt with the JSON, or the error, that it names.
func TestAdapt(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join("testdata", "adapt", "*.caddyfiletest"))
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			caddyfile, want, found := strings.Cut(string(content), separator)
			got, err := adapt(caddyfile + "\n")
			if err != nil {
				got = err.Error()
			}
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(caddyfile+separator+got+"\n"), 0o600))
				return
			}
			require.True(t, found, "the case has no expectation: run with -update")
			require.Equal(t, strings.TrimSpace(want), got)
		})
	}
}

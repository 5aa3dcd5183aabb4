package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzCaddyfile feeds blocks of words to both parsers, seeded with every adapt case. What a parser
// takes must be a config whose own JSON holds; what it refuses must yield none.
func FuzzCaddyfile(f *testing.F) {
	cases, err := filepath.Glob(filepath.Join("testdata", "adapt", "*.caddyfiletest"))
	require.NoError(f, err)
	require.NotEmpty(f, cases)
	for _, file := range cases {
		content, err := os.ReadFile(file)
		require.NoError(f, err)
		caddyfile, _, _ := strings.Cut(string(content), separator)
		f.Add(caddyfile + "\n")
	}
	f.Fuzz(func(t *testing.T, caddyfile string) {
		if strings.Contains(caddyfile, "import") || strings.Contains(caddyfile, "{$") {
			t.SkipNow() // Caddy's own, and they read files and the environment
		}
		adapted, err := adapt(caddyfile)
		if err != nil {
			require.Empty(t, adapted)
			return
		}
		var config struct {
			Apps struct {
				Authz json.RawMessage `json:"authz"`
			} `json:"apps"`
		}
		require.NoError(t, json.Unmarshal([]byte(adapted), &config))
		if config.Apps.Authz == nil {
			return
		}
		var app App
		require.NoError(t, json.Unmarshal(config.Apps.Authz, &app))
		require.NotEmpty(t, app.Servers)
		for name, server := range app.Servers {
			require.NotNil(t, server, name)
			require.NotEmpty(t, server.Issuer, name)
		}
	})
}

package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/stretchr/testify/require"
)

// FuzzCaddyfile feeds the same words to the option and to both directives, seeded with the blocks of
// all adapt cases. What a parser takes must be a config that its own JSON gives back; what it refuses
// must yield none.
func FuzzCaddyfile(f *testing.F) {
	cases, err := filepath.Glob(filepath.Join("testdata", "adapt", "*.caddyfiletest"))
	require.NoError(f, err)
	require.NotEmpty(f, cases)
	for _, file := range cases {
		content, err := os.ReadFile(file)
		require.NoError(f, err)
		source, _, _ := strings.Cut(string(content), separator)
		f.Add(wordsOf(source))
	}
	f.Fuzz(func(t *testing.T, block string) {
		checkAuthz(t, "authz {\n"+block+"\n}")
		for name, parse := range map[string]httpcaddyfile.UnmarshalHandlerFunc{
			"authz_server": parseAuthzServer, "token_inject": parseTokenInject,
		} {
			d := caddyfile.NewTestDispenser(name + " {\n" + block + "\n}")
			handler, err := parse(httpcaddyfile.Helper{Dispenser: d})
			if err != nil {
				require.Nil(t, handler, name)
				continue
			}
			document, err := json.Marshal(handler)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(document, handler))
			again, err := json.Marshal(handler)
			require.NoError(t, err)
			require.JSONEq(t, string(document), string(again))
		}
	})
}

func checkAuthz(t *testing.T, source string) {
	parsed, err := parseAuthz(caddyfile.NewTestDispenser(source), nil)
	if err != nil {
		require.Nil(t, parsed)
		return
	}
	app := parsed.(httpcaddyfile.App)
	require.Equal(t, "authz", app.Name)
	var config App
	require.NoError(t, json.Unmarshal(app.Value, &config))
	require.Len(t, config.Servers, 1)
	require.NotEmpty(t, config.Servers[defaultServer].Issuer)
	again, err := json.Marshal(config)
	require.NoError(t, err)
	require.JSONEq(t, string(app.Value), string(again))
}

// wordsOf is what stands in the blocks of an option or directive, which are indented twice.
func wordsOf(source string) string {
	var lines []string
	for line := range strings.Lines(source) {
		if inner, ok := strings.CutPrefix(line, "\t\t"); ok {
			lines = append(lines, inner)
		}
	}
	return strings.Join(lines, "")
}

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What README.md of examples/ldap has a person type, with other ports, and do in a browser.
func TestExample_LDAP(t *testing.T) {
	folder := filepath.Join("..", "examples", "ldap")
	c := prepare(t, read(t, folder, "Caddyfile"))
	for _, name := range []string{"slapd.conf", "people.ldif", "schema/openldap/gatewright.schema"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(c.dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(c.dir, name), []byte(read(t, folder, name)), 0o600))
	}
	readme := c.ported(strings.ReplaceAll(read(t, folder, "README.md"), "~/.local/share", c.dir))
	blocks := fenced(readme)
	typed := blocks["sh"]
	require.Len(t, typed, 7, "README.md has other commands than this test knows")

	before, serve, found := strings.Cut(typed[0], "/usr/sbin/slapd -d")
	require.True(t, found)
	c.types(before)
	launch(t, c.shell("exec /usr/sbin/slapd -d"+serve), func() bool {
		return exec.Command("ldapsearch", "-x", "-H", "ldap://127.0.0.1:"+c.port["3389"], "-s", "base", "-b", "").Run() == nil
	})
	c.run()
	require.Empty(t, c.types(typed[2]+"grants"), "nobody has agreed to anything")

	link := regexp.MustCompile(`(?m)^<(https://localhost\S+)>$`).FindStringSubmatch(readme)
	require.NotNil(t, link)
	var code string
	c.node(t, "directory.mjs", "code", map[string]any{"url": link[1]}, &code)
	said := strings.Split(c.types(typed[2]+strings.ReplaceAll(strings.Join(typed[3:], "echo; echo =====\n"), "THE-CODE", code)), "=====\n")
	require.Len(t, said, 4)
	require.Contains(t, said[0], `<consent scope="email"`)
	require.Contains(t, said[0], "<family")
	require.Contains(t, said[1], `"access_token"`)
	require.Contains(t, said[2], strings.TrimSpace(blocks["json"][0]))
	require.Contains(t, said[3], "<consent")
	require.NotContains(t, said[3], "<family")
}

package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// apachePage is a page that tells, by server-side includes, who Apache thinks is there.
const apachePage = `<!--#echo var="REMOTE_USER" --> <!--#echo var="OIDC_CLAIM_email" -->`

// startApache runs Apache with mod_auth_openidc beside a Caddy.
func startApache(t *testing.T, c *caddy) {
	t.Helper()
	// Apache gives up being root, and can't look into a folder of root's then.
	dir, err := os.MkdirTemp("", "gatewright-apache")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	write("www/secure/index.html", apachePage)
	write("www/api/index.html", apachePage)
	write("root.crt", read(t, c.rootFile()))
	config := strings.NewReplacer("{DIR}", dir, "{ISSUER}", c.issuer(),
		":9000", ":"+c.port["9000"], ":8445", ":"+c.port["8445"]).Replace(read(t, "testdata", "apache.conf"))
	write("apache.conf", config)
	launch(t, exec.Command("apache2", "-X", "-f", filepath.Join(dir, "apache.conf")), func() bool {
		connection, err := net.Dial("tcp", "127.0.0.1:"+c.port["9000"])
		return err == nil && connection.Close() == nil
	})
}

func TestApacheSignsPeopleIn(t *testing.T) {
	c := startForClients(t)
	startApache(t, c)
	c.node(t, "clients.mjs", "apache", map[string]any{"apache": "http://127.0.0.1:" + c.port["9000"]}, nil)
}

func TestApacheTakesAccessTokens(t *testing.T) {
	c := startForClients(t)
	startApache(t, c)
	config := clientcredentials.Config{ClientID: "robot", ClientSecret: robotSecret, TokenURL: c.issuer() + "/token"}
	token, err := config.Token(contextWith(t, c))
	require.NoError(t, err)

	status := func(port, token string) int {
		return get(t, http.DefaultClient, "http://127.0.0.1:"+c.port[port]+"/api/", "Authorization", "Bearer "+token).status
	}
	forged := token.AccessToken[:len(token.AccessToken)-8] + "AAAAAAAA"
	for port, how := range map[string]string{"9000": "introspection", "8445": "the published keys"} {
		require.Equal(t, http.StatusOK, status(port, token.AccessToken), how)
		require.Equal(t, http.StatusUnauthorized, status(port, forged), how)
	}

	revoke(t, c, "robot", robotSecret, token)
	require.Equal(t, http.StatusUnauthorized, status("9000", token.AccessToken), "introspection tells of a revocation")
}

// revoke ends a token as its client (RFC 7009).
func revoke(t *testing.T, c *caddy, client, secret string, token *oauth2.Token) {
	t.Helper()
	require.Equal(t, http.StatusOK, post(t, c, "/revoke", client, secret, "token", token.AccessToken).status)
}

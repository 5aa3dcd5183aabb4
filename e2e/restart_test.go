package e2e

import (
	"context"
	"crypto/sha256"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestA80_O5_AKilledServerLosesNoSessionNoTokenNoCode(t *testing.T) {
	c := contract(t)
	browser, _ := signInAtApp(t, c)
	tokens := codeFlow(t, c, shop("openid", "offline_access", "orders.read"))
	revoked := codeFlow(t, c, shop("openid", "orders.read"))
	revoke(t, c, "shop", shopSecret, revoked)
	require.Equal(t, http.StatusUnauthorized, call(t, c, "/api/", revoked.AccessToken).status)
	config := shop("openid", "orders.read")
	config.Endpoint = oauth2.Endpoint{AuthURL: c.issuer() + "/authorize", TokenURL: c.issuer() + "/token"}
	back := authorize(t, c, config.AuthCodeURL("state"))

	c.end(syscall.SIGKILL)
	c.run()

	require.Equal(t, "alice", receivedAt(t, browser, c.gate()+"/app/page").Header.Get("X-User"), "the session")
	_, err := config.Exchange(contextWith(t, c), back.Get("code"))
	require.NoError(t, err, "the code")
	refreshed := post(t, c, "/token", "shop", shopSecret, "grant_type", "refresh_token", "refresh_token", tokens.RefreshToken)
	require.NotEmpty(t, refreshed.tokens(t).AccessToken, "the refresh token")
	require.Equal(t, http.StatusOK, call(t, c, "/api/", tokens.AccessToken).status, "an access token: the keys are the same")
	require.Equal(t, http.StatusUnauthorized, call(t, c, "/api/", revoked.AccessToken).status, "a revocation is not forgotten")
}

func TestValidateBesideARunningServerNeitherWaitsNorWrites(t *testing.T) {
	c := contract(t)
	before := files(t, c.dir)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := c.command(ctx, "validate").CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Equal(t, before, files(t, c.dir))
}

// files are the contents of a folder, by their digest.
func files(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	found := make(map[string][sha256.Size]byte)
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "autosave.json" { // Caddy's own, which it writes in its own time
			return err
		}
		content, err := os.ReadFile(path)
		found[path] = sha256.Sum256(content)
		return err
	}))
	return found
}

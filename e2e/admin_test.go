package e2e

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// authz runs a command of `caddy authz` against the running server, and returns what it says.
func (c *caddy) authz(arguments string) (said string, err error) {
	output, err := c.shell(c.cmd.Path + " authz " + arguments + " --address localhost:" + c.port["2019"]).CombinedOutput()
	return string(output), err
}

func TestG12_O3_KeysAreRotatedByCommand(t *testing.T) {
	c := startForClients(t)
	published := func() (kids []string) {
		resp, err := c.client().Get(c.issuer() + "/jwks.json")
		require.NoError(t, err)
		defer func() { require.NoError(t, resp.Body.Close()) }()
		var set struct {
			Keys []struct {
				ID string `json:"kid"`
			} `json:"keys"`
		}
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&set))
		for _, key := range set.Keys {
			kids = append(kids, key.ID)
		}
		return kids
	}
	before := published()
	said, err := c.authz("key rotate")
	require.NoError(t, err, said)
	require.Contains(t, said, "has a successor")
	after := published()
	require.Subset(t, after, before, "what the old ones signed is still good")
	require.Len(t, after, len(before)+2, "RS256 and ES256")

	said, err = c.authz("key rotate --server nowhere")
	require.Error(t, err)
	require.Contains(t, said, "there is no authz server")
}

func TestU9_O6_AccountsAreUnlockedByCommand(t *testing.T) {
	c := start(t, read(t, "testdata", "lockout.Caddyfile"), aliceHash(t))
	guess := func(password, from string) string {
		return c.types("curl -sk --interface " + from + " -u app:app-secret-app-secret-app-secret -d grant_type=password -d username=alice -d password=" + password + " " + c.issuer() + "/token")
	}
	for range 3 { // from elsewhere, whose own pause stays
		require.Contains(t, guess("wrong", "127.0.0.2"), "invalid_grant")
	}
	require.Contains(t, guess(password, "127.0.0.1"), "invalid_grant", "the account pauses")
	said, err := c.authz("user unlock alice")
	require.NoError(t, err, said)
	require.Contains(t, guess(password, "127.0.0.1"), "access_token")

	said, err = c.authz("user reset-factor alice")
	require.NoError(t, err, said)
	require.Contains(t, guess(password, "127.0.0.1"), "access_token", "at once")
	said, err = c.authz("user reset-factor nobody")
	require.Error(t, err)
	require.Contains(t, said, "no such user")
}

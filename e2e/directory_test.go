package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// directory starts a slapd with one person, on a socket of the test's own, and returns its URL.
func directory(t *testing.T) string {
	t.Helper()
	requireE2E(t)
	dir := t.TempDir()
	schema, err := filepath.Abs("../examples/ldap/schema/openldap/gatewright.schema")
	require.NoError(t, err)
	conf := strings.NewReplacer("SCHEMA", schema, "DIR", dir).Replace(read(t, "testdata", "slapd.conf"))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "db"), 0o700))
	file := filepath.Join(dir, "slapd.conf")
	require.NoError(t, os.WriteFile(file, []byte(conf), 0o600))
	output, err := exec.Command("/usr/sbin/slapadd", "-q", "-f", file, "-l", filepath.Join("testdata", "people.ldif")).CombinedOutput()
	require.NoError(t, err, "%s", output)
	address := "ldapi://" + url.QueryEscape(filepath.Join(dir, "socket"))
	launch(t, exec.Command("/usr/sbin/slapd", "-d", "0", "-f", file, "-h", address), func() bool {
		return exec.Command("ldapsearch", "-x", "-H", address, "-s", "base", "-b", "").Run() == nil
	})
	return address
}

// grantsOf is what the directory keeps in alice's entry, as the service account sees it.
func grantsOf(t *testing.T, directory string) string {
	t.Helper()
	output, err := exec.Command("ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", directory,
		"-D", "cn=gatewright,dc=example,dc=org", "-w", "service-password",
		"-b", "ou=people,dc=example,dc=org", "(uid=alice)", "nidsOAuthGrant").Output()
	require.NoError(t, err)
	value := regexp.MustCompile(`(?m)^nidsOAuthGrant:: (\S+)$`).FindSubmatch(output)
	if value == nil {
		return ""
	}
	document, err := base64.StdEncoding.DecodeString(string(value[1]))
	require.NoError(t, err)
	return string(document)
}

func TestU1_U3_PeopleAndTheirGrantsAreInTheDirectory(t *testing.T) {
	slapd := directory(t)
	c := start(t, read(t, "testdata", "directory.Caddyfile"), "LDAP_URL="+slapd)
	token := func(pairs ...string) answer {
		return post(t, c, "/token", "shop", "shop-secret-shop-secret-shop-secret", pairs...)
	}
	refused := token("grant_type", "password", "username", "alice", "password", "wrong", "scope", "openid")
	require.Equal(t, http.StatusBadRequest, refused.status)
	require.Empty(t, grantsOf(t, slapd))

	granted := token("grant_type", "password", "username", "alice", "password", "looking-glass", "scope", "openid email").tokens(t)
	info := get(t, c.client(), c.issuer()+"/userinfo", "Authorization", "Bearer "+granted.AccessToken)
	var claims map[string]any
	require.NoError(t, json.Unmarshal(info.body, &claims))
	require.Equal(t, "alice@example.org", claims["email"])
	document := grantsOf(t, slapd)
	require.Contains(t, document, `<client`, "U3: one document in her own entry")
	require.Contains(t, document, `scope="openid email"`)
	require.NotContains(t, document, granted.RefreshToken, "never a usable token")

	require.NotEmpty(t, token("grant_type", "refresh_token", "refresh_token", granted.RefreshToken).tokens(t).AccessToken)
	require.Equal(t, http.StatusOK, post(t, c, "/revoke", "shop", "shop-secret-shop-secret-shop-secret", "token", granted.RefreshToken).status)
	require.NotContains(t, grantsOf(t, slapd), "<family", "U4: revoked there too")
	require.Equal(t, http.StatusBadRequest, token("grant_type", "refresh_token", "refresh_token", granted.RefreshToken).status)
}

package e2e

import (
	"encoding/base64"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// entry is a person's entry in a directory, as ldapsearch shows it to the service account.
type entry struct{ url, account, password, base, filter string }

// grants is what the entry holds of them, "" for nothing.
func (e entry) grants(t *testing.T) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", e.url,
		"-D", e.account, "-w", e.password, "-b", e.base, e.filter, "nidsOAuthGrant").Output()
	require.NoError(t, err)
	require.Contains(t, string(output), "dn: ", "nobody is found")
	value := regexp.MustCompile(`(?m)^nidsOAuthGrant:: (\S+)$`).FindSubmatch(output)
	if value == nil {
		return ""
	}
	document, err := base64.StdEncoding.DecodeString(string(value[1]))
	require.NoError(t, err)
	return string(document)
}

// startWith starts testdata/directory.Caddyfile with lines for its users ldap.
func startWith(t *testing.T, people ...string) *caddy {
	t.Helper()
	c := prepare(t, read(t, "testdata", "directory.Caddyfile"), "PEOPLE="+strings.Join(people, "\n"))
	c.env = append(c.env, "DIR="+c.dir)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.log())
		}
	})
	c.run()
	return c
}

// log is what Caddy has written so far.
func (c *caddy) log() string { return read(c.t, filepath.Join(c.dir, "log.json")) }

// aliceAt is her entry at an OpenLDAP.
func aliceAt(s *ldaptest.Slapd) entry {
	return entry{s.URL, ldaptest.Account, ldaptest.Password, "ou=people," + ldaptest.Base, "(uid=alice)"}
}

// at are the lines of users ldap for an OpenLDAP.
func at(s *ldaptest.Slapd, more ...string) []string {
	return append([]string{
		"tls_ca " + s.Cert, "bind " + ldaptest.Account + " " + ldaptest.Password, "base ou=people," + ldaptest.Base,
	}, more...)
}

// token asks the token endpoint as the shop.
func token(t *testing.T, c *caddy, pairs ...string) answer {
	t.Helper()
	return post(t, c, "/token", "shop", shopSecret, pairs...)
}

func refresh(t *testing.T, c *caddy, refreshToken string) answer {
	t.Helper()
	return token(t, c, "grant_type", "refresh_token", "refresh_token", refreshToken)
}

// userinfo asks what an access token tells of its person.
func userinfo(t *testing.T, c *caddy, accessToken string) answer {
	t.Helper()
	return get(t, c.client(), c.issuer()+"/userinfo", "Authorization", "Bearer "+accessToken)
}

// Reads come from a replica, writes go to its provider.
func TestU1_U3_E7_AliceOfOpenLDAP(t *testing.T) {
	requireE2E(t)
	provider := ldaptest.StartSlapd(t, ldaptest.Options{})
	replica := ldaptest.StartSlapd(t, ldaptest.Options{Provider: provider.URL, Cert: provider.Cert, Key: provider.Key})
	require.Eventually(t, func() bool { return replica.Knows(t, ldaptest.Alice) }, patience, 20*time.Millisecond)
	c := startWith(t, at(provider, "server "+replica.TLS, "write_server "+provider.TLS)...)
	tokens := consent(t, c, "alice", "alice-pw", "alice@example.org", aliceAt(provider))

	require.Eventually(t, func() bool { return strings.Contains(aliceAt(replica).grants(t), "<family") }, patience, 100*time.Millisecond)
	replica.Freeze(t)
	revoked(t, c, tokens, aliceAt(provider))
	require.Contains(t, aliceAt(replica).grants(t), "<family", "the replica doesn't know of the revocation")
	c.end(syscall.SIGKILL)
	c.run()
	requireRevoked(t, c, tokens)
}

// One domain for everything about Active Directory: it takes seconds to make.
func TestU1_U3_E7_BobOfActiveDirectory(t *testing.T) {
	requireE2E(t)
	domain := ldaptest.StartSamba(t)
	for _, name := range []string{"gatewright", "bob", "dora", "erin", "max", "lou"} {
		domain.Add(t, name)
	}
	domain.Extend(t)
	bob := entry{domain.URL, "gatewright@ad.example.org", "gatewright.Secret.1", ldaptest.ADUsers, "(sAMAccountName=bob)"}
	c := startWith(t, "server "+domain.URL, "bind "+bob.account+" "+bob.password, "base "+ldaptest.ADUsers)

	t.Run("consent, refresh, revocation", func(t *testing.T) {
		revoked(t, c, consent(t, c, "bob", "bob.Secret.1", "bob@mail.example.org", bob), bob)
	})
	t.Run("who may not is told why", func(t *testing.T) { tellsWhy(t, c, domain) })
}

// consent signs somebody in through a browser, and sees the consent and the family appear in the entry.
func consent(t *testing.T, c *caddy, name, password, mail string, e entry) oauth2.Token {
	t.Helper()
	require.Empty(t, e.grants(t), "before")
	var got struct {
		oauth2.Token
		Userinfo map[string]any `json:"userinfo"`
	}
	c.node(t, "directory.mjs", "consent", map[string]any{"name": name, "password": password, "secret": shopSecret}, &got)
	require.Equal(t, mail, got.Userinfo["email"])
	document := e.grants(t)
	t.Logf("the entry after consent:\n%s", document)
	require.Contains(t, document, `<client`, "U3")
	require.Contains(t, document, `<consent scope="email"`)
	require.Equal(t, 1, strings.Count(document, `<family`))
	require.NotContains(t, document, got.RefreshToken, "U3: never a usable token")

	refreshed := refresh(t, c, got.RefreshToken).tokens(t)
	require.Equal(t, http.StatusOK, userinfo(t, c, refreshed.AccessToken).status)
	require.Equal(t, document, e.grants(t), "U4: a refresh writes nothing")
	got.AccessToken = refreshed.AccessToken
	return got.Token
}

// revoked revokes a grant, and sees it gone from the entry and at the endpoints.
func revoked(t *testing.T, c *caddy, tokens oauth2.Token, e entry) {
	t.Helper()
	require.Equal(t, http.StatusOK, post(t, c, "/revoke", "shop", shopSecret, "token", tokens.RefreshToken).status)
	document := e.grants(t)
	t.Logf("the entry after revocation:\n%s", document)
	require.NotContains(t, document, "<family", "U4")
	require.Contains(t, document, `<consent`, "the consent stays")
	requireRevoked(t, c, tokens)
}

func requireRevoked(t *testing.T, c *caddy, tokens oauth2.Token) {
	t.Helper()
	require.Contains(t, string(refresh(t, c, tokens.RefreshToken).body), `"invalid_grant"`)
	require.Equal(t, http.StatusUnauthorized, userinfo(t, c, tokens.AccessToken).status, "E7: its access tokens end with it")
}

// tellsWhy signs in as accounts that can't: only the right password learns the reason.
func tellsWhy(t *testing.T, c *caddy, domain *ldaptest.Samba) {
	dn := func(name string) string { return "CN=" + name + "," + ldaptest.ADUsers }
	domain.Change(t, dn("dora"), "userAccountControl", "514")
	domain.Change(t, dn("erin"), "accountExpires", "133000000000000000")
	domain.Change(t, dn("max"), "pwdLastSet", "0")
	domain.Lock(t, "lou")
	const wrong = "The user name or the password is wrong"
	tries := []struct{ name, password, told string }{
		{"nobody", "nobody.Secret.1", wrong},
		{"dora", "wrong", wrong},
		{"dora", "dora.Secret.1", "The account is disabled"},
		{"erin", "erin.Secret.1", "This account has expired"},
		{"max", "max.Secret.1", "Your password has to be changed first"},
		// Active Directory says so whatever the password: to repeat it would tell a stranger which names exist.
		{"lou", "lou.Secret.1", wrong},
	}
	people := make([][2]string, len(tries))
	for i, try := range tries {
		people[i] = [2]string{try.name, try.password}
	}
	var told []string
	c.node(t, "directory.mjs", "refused", map[string]any{"secret": shopSecret, "people": people, "inspect": "max"}, &told)
	require.Len(t, told, len(tries))
	for i, try := range tries {
		require.Contains(t, told[i], try.told, "%s with %s", try.name, try.password)
	}
}

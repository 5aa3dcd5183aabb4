package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// fault is something that happens to a directory while everybody works with it.
type fault struct {
	name   string
	strike func(*testing.T, *ldaptest.Slapd) (mend func())
	away   bool   // nobody can be looked up
	reads  bool   // grants can't be read either
	cause  string // what the log says
}

var faults = []fault{
	{name: "stopped", away: true, reads: true, cause: "connection refused", strike: func(t *testing.T, s *ldaptest.Slapd) func() {
		s.Stop()
		return func() { s.Again(t) }
	}},
	{name: "hung", away: true, reads: true, cause: "timed out", strike: func(t *testing.T, s *ldaptest.Slapd) func() {
		s.Hang(t)
		return s.Awake
	}},
	{name: "certificate expired", away: true, reads: true, cause: "certificate has expired", strike: func(t *testing.T, s *ldaptest.Slapd) func() {
		return otherCertificate(t, s, -time.Hour)
	}},
	{name: "certificate of another authority", away: true, reads: true, cause: "certificate signed by unknown authority", strike: func(t *testing.T, s *ldaptest.Slapd) func() {
		return otherCertificate(t, s, time.Hour)
	}},
	{name: "attribute not writable", cause: "service account may not write the attribute", strike: func(t *testing.T, s *ldaptest.Slapd) func() {
		rules := s.Configure(t, "olcAccess", "{0}to attrs=userPassword by anonymous auth by * none", "{1}to * by dn.exact="+ldaptest.Account+" read by anonymous auth")
		return func() { s.Configure(t, "olcAccess", rules...) }
	}},
	{name: "attribute of something else", reads: true, cause: "not ours", strike: func(t *testing.T, s *ldaptest.Slapd) func() {
		const foreign = `<grants xmlns="https://other.example/"/>`
		ours := aliceAt(s).grants(t)
		s.Change(t, ldaptest.Alice, "nidsOAuthGrant", foreign)
		return func() {
			require.Equal(t, foreign, aliceAt(s).grants(t), "U5: never overwritten")
			s.Change(t, ldaptest.Alice, "nidsOAuthGrant", ours)
		}
	}},
	{name: "disk full", cause: "commit failed", strike: func(t *testing.T, s *ldaptest.Slapd) func() { return s.Full(t) }},
}

// otherCertificate restarts a server with another certificate in the place of the one that is trusted.
func otherCertificate(t *testing.T, s *ldaptest.Slapd, valid time.Duration) (mend func()) {
	t.Helper()
	cert, key := ldaptest.Certificate(t, valid)
	ours := map[string]string{s.Cert: read(t, s.Cert), s.Key: read(t, s.Key)}
	restart := func(files map[string]string) {
		s.Stop()
		for file, content := range files {
			require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		}
		s.Again(t)
	}
	restart(map[string]string{s.Cert: read(t, cert), s.Key: read(t, key)})
	return func() { restart(ours) }
}

// One directory and one server go through all of it, as they would in the course of a year.
func TestU1_U5_U6_FaultsOfTheDirectory(t *testing.T) {
	requireE2E(t)
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	c := startWith(t, at(s, "server "+s.TLS)...)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) { f.happens(t, c, s) })
	}
	t.Run("what a person sees", func(t *testing.T) {
		s.Stop()
		defer func() {
			s.Again(t)
			require.Eventually(t, c.healthy, patience, 20*time.Millisecond)
		}()
		var told []string
		c.node(t, "directory.mjs", "refused", map[string]any{
			"secret": shopSecret, "people": [][2]string{{"alice", "alice-pw"}}, "inspect": "alice",
		}, &told)
		require.Len(t, told, 1)
		require.Contains(t, told[0], directoryAway)
	})
	t.Run("killed amid writes", func(t *testing.T) { killedAmidWrites(t, c, s) })
	t.Run("fifty writers", func(t *testing.T) { fiftyWriters(t, c, s) })
}

// happens has everybody at work when a fault strikes: each is told so, and what was true before is true after.
func (f fault) happens(t *testing.T, c *caddy, s *ldaptest.Slapd) {
	person := authztest.NewBrowser(t, c.client(), c.issuer())
	login := person.Get(authorizeURL(c, "prompt", "consent"))
	kept, doomed := passwordGrant(t, c, "alice").tokens(t), passwordGrant(t, c, "alice").tokens(t)
	code := codeOfAlice(t, c)
	logged := len(c.log())
	mend := sync.OnceFunc(f.strike(t, s))
	defer mend()

	if f.reads {
		requireFault(t, refresh(t, c, kept.RefreshToken))
	} else {
		require.NotEmpty(t, refresh(t, c, kept.RefreshToken).tokens(t).AccessToken, "nothing is to be written")
	}
	requireFault(t, passwordGrant(t, c, "alice"))
	requireFault(t, token(t, c, "grant_type", "authorization_code", "code", code, "redirect_uri", shopCallback))
	requireFault(t, post(t, c, "/revoke", "shop", shopSecret, "token", doomed.RefreshToken))
	f.requirePlainWords(t, person, login)
	require.Contains(t, c.log()[logged:], f.cause)

	mend()
	require.Eventually(t, func() bool { return refresh(t, c, kept.RefreshToken).status == http.StatusOK },
		patience, 100*time.Millisecond, "a grant is lost")
	require.Contains(t, string(refresh(t, c, doomed.RefreshToken).body), `"invalid_grant"`, "its revocation counts, though the directory missed it")
}

// requirePlainWords signs a person in, who is told here, or by the client.
func (f fault) requirePlainWords(t *testing.T, person *authztest.Browser, login *authztest.Page) {
	t.Helper()
	page := person.Submit(login, "username", "alice", "password", "alice-pw")
	if f.away {
		require.Equal(t, http.StatusServiceUnavailable, page.Status)
		require.Equal(t, "login", page.ID())
		require.Contains(t, page.Text(), directoryAway)
		return
	}
	if page.ID() == "consent" {
		page = person.Submit(page, "decision", "allow")
	}
	require.NotNil(t, page.Location, "%d %s", page.Status, page.Text())
	require.Contains(t, faultCodes, page.Location.Query().Get("error"))
	require.Empty(t, page.Location.Query().Get("code"))
}

const directoryAway = "The directory of users does not answer. Your password was not checked."

const shopCallback = "https://shop.example.com/callback"

func authorizeURL(c *caddy, pairs ...string) string {
	query := url.Values{"response_type": {"code"}, "client_id": {"shop"}, "redirect_uri": {shopCallback}, "scope": {"openid email"}, "state": {"s"}}
	authztest.Set(query, pairs...)
	return c.issuer() + "/authorize?" + query.Encode()
}

// codeOfAlice signs her in at the pages.
func codeOfAlice(t *testing.T, c *caddy) string {
	t.Helper()
	browser := authztest.NewBrowser(t, c.client(), c.issuer())
	page := browser.Submit(browser.Get(authorizeURL(c)), "username", "alice", "password", "alice-pw")
	if page.ID() == "consent" {
		page = browser.Submit(page, "decision", "allow")
	}
	require.NotNil(t, page.Location, "%d %s", page.Status, page.Text())
	require.NotEmpty(t, page.Location.Query().Get("code"), page.Location)
	return page.Location.Query().Get("code")
}

func passwordGrant(t *testing.T, c *caddy, name string) answer {
	t.Helper()
	return token(t, c, "grant_type", "password", "username", name, "password", name+"-pw", "scope", "openid email")
}

var faultCodes = []string{"temporarily_unavailable", "server_error"}

// requireFault wants an answer that tells a client whose fault it is, no more, and gives it no token.
func requireFault(t *testing.T, a answer) {
	t.Helper()
	var got map[string]string
	require.NoError(t, json.Unmarshal(a.body, &got), "%s", a.body)
	require.Contains(t, faultCodes, got["error"], "%s", a.body)
	require.GreaterOrEqual(t, a.status, http.StatusInternalServerError)
	require.NotContains(t, string(a.body), "token\":")
	require.NotContains(t, strings.ToLower(string(a.body)), "ldap", "no internals")
}

// Everybody who got tokens before the server was killed has them after, and what was revoked stays so.
func killedAmidWrites(t *testing.T, c *caddy, s *ldaptest.Slapd) {
	const writers, enough = 4, 12 // each has two families at most: none is dropped for another
	var work sync.WaitGroup
	var mu sync.Mutex
	var revoked []string
	latest, busy := make([]string, writers), make(chan struct{}, enough)
	for i := range writers {
		work.Go(func() {
			for {
				got := passwordGrant(t, c, "bob")
				if got.status != http.StatusOK {
					requireFault(t, got)
					return
				}
				select {
				case busy <- struct{}{}:
				default:
				}
				before := latest[i]
				latest[i] = got.tokens(t).RefreshToken
				if before != "" && post(t, c, "/revoke", "shop", shopSecret, "token", before).status == http.StatusOK {
					mu.Lock()
					revoked = append(revoked, before)
					mu.Unlock()
				}
			}
		})
	}
	require.Eventually(t, func() bool { return len(busy) == enough }, patience, time.Millisecond)
	s.End(syscall.SIGKILL)
	work.Wait()
	s.Again(t)

	for _, token := range latest {
		require.Eventually(t, func() bool { return refresh(t, c, token).status == http.StatusOK }, patience, 100*time.Millisecond, "a grant is lost")
	}
	require.NotEmpty(t, revoked)
	for _, token := range revoked {
		require.Contains(t, string(refresh(t, c, token).body), `"invalid_grant"`)
	}
}

// Of the families of one person and client the newest ten live: those in the entry, and no others.
func fiftyWriters(t *testing.T, c *caddy, s *ldaptest.Slapd) {
	answers := make([]answer, 50)
	var work sync.WaitGroup
	for i := range answers {
		work.Go(func() { answers[i] = passwordGrant(t, c, "carol") })
	}
	work.Wait()
	living := 0
	for _, a := range answers {
		if a.status != http.StatusOK { // too many at once for the time there is
			requireFault(t, a)
			continue
		}
		switch refreshed := refresh(t, c, a.tokens(t).RefreshToken); refreshed.status {
		case http.StatusOK:
			living++
		default:
			require.Contains(t, string(refreshed.body), `"invalid_grant"`)
		}
	}
	carol := aliceAt(s)
	carol.filter = "(uid=carol)"
	require.Equal(t, 10, living)
	require.Equal(t, living, strings.Count(carol.grants(t), "<family"))
}

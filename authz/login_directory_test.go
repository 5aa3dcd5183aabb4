package authz_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// restarting is a server whose people are in an OpenLDAP, and which another process has taken over before every
// guess: nothing of the one before is left but what the store has.
type restarting struct {
	*authztest.Fixture
	t     *testing.T
	slapd *ldaptest.Slapd
	cfg   authz.Config
}

// newRestarting pauses after two wrong guesses: the directory itself locks after three.
func newRestarting(t *testing.T, s *ldaptest.Slapd) *restarting {
	t.Helper()
	cfg := authztest.Config()
	cfg.Lockout = authz.Lockout{Guesses: 2}
	cfg.ClientIP = func(*http.Request) string { return "" } // the account's count is meant
	cfg.GrantTypes = []string{authz.GrantAuthorizationCode, authz.GrantPassword}
	cfg.Clients = cfg.Clients[:1]
	cfg.Clients[0].GrantTypes = cfg.GrantTypes
	cfg.Contracts = []authz.Contract{{URI: twoSteps, Methods: []string{authz.MethodPassword, authz.MethodTOTP}, Level: 2}}
	cfg.Users = withSecrets{openDirectory(t, s)}
	return &restarting{authztest.New(t, cfg), t, s, cfg}
}

// withSecrets is a store of users that all have bob's authenticator app.
type withSecrets struct{ users.Store }

func (withSecrets) TOTPSecret(context.Context, string) (string, error) { return bobsSecret, nil }

func (f *restarting) restart() {
	f.t.Helper()
	state, err := authz.NewState(f.t.Context(), f.State.Store(), f.Clock.Now)
	require.NoError(f.t, err)
	f.State, f.cfg.Users = state, withSecrets{openDirectory(f.t, f.slapd)}
	f.Reload(f.cfg)
}

// signIn tries a password in the browser of somebody else.
func (f *restarting) signIn(username, password string) *authztest.Page {
	f.t.Helper()
	f.restart()
	browser := f.NewBrowser()
	return browser.Submit(browser.Get(f.AuthorizeURL()), "username", username, "password", password)
}

// code tries a code after alice's password.
func (f *restarting) code(username, code string) authztest.Answer {
	f.t.Helper()
	f.restart()
	return f.Token("shop", "grant_type", "password", "username", username, "password", "alice-pw", "otp", code, "scope", "openid", "acr_values", twoSteps)
}

// wrongBinds is how many wrong passwords of alice's the directory has seen.
func (f *restarting) wrongBinds() int {
	return len(ldaptest.Read(f.t, f.slapd.Admin(f.t), ldaptest.Alice, "pwdFailureTime").GetAttributeValues("pwdFailureTime"))
}

const (
	byAccount = "alice"
	byMail    = "alice@example.org"
	byOther   = "A.Example@example.org"
)

func TestA72_NamesOfOnePersonShareTheirGuessesOverRestarts(t *testing.T) {
	f := newRestarting(t, ldaptest.StartSlapd(t, ldaptest.Options{}))
	for _, name := range []string{byAccount, byMail} {
		require.Contains(t, f.signIn(name, "wrong").Body, "That did not work")
	}
	require.Equal(t, 2, f.wrongBinds())

	look := func(page *authztest.Page, name string) string {
		_, fields := page.Form()
		return strings.NewReplacer(fields.Get("interaction"), "", fields.Get("csrf"), "", name, "").Replace(page.Body)
	}
	other, nobody := f.signIn(byOther, "alice-pw"), f.signIn("nobody", "alice-pw")
	assert.Nil(t, other.Location, "the account pauses, by whichever name")
	assert.Equal(t, nobody.Status, other.Status)
	assert.Equal(t, look(nobody, "nobody"), look(other, byOther), "A75: that it pauses tells nobody that the name is hers")
	paused := eventsNamed(f.Fixture, "login_paused")
	require.Len(t, paused, 1)
	assert.Equal(t, byOther, paused[0].Account)
	for _, name := range []string{byOther, "nobody"} {
		require.Equal(t, http.StatusOK, f.signIn(name, "wrong").Status, name)
		require.Equal(t, http.StatusTooManyRequests, f.signIn(name, "wrong").Status, name)
	}
	assert.Equal(t, 2, f.wrongBinds(), "the password was looked at no more")

	f.restart()
	require.NoError(t, f.Server.Unlock(t.Context(), strings.ToUpper(byMail)))
	for _, name := range []string{byAccount, byMail, byOther} {
		assert.NotNil(t, f.signIn(name, "alice-pw").Location, name)
	}
	assert.Equal(t, http.StatusTooManyRequests, f.signIn("nobody", "wrong").Status)
	require.NoError(t, f.Server.Unlock(t.Context(), "Nobody"))
	assert.Equal(t, http.StatusOK, f.signIn("nobody", "wrong").Status)
}

func TestU9_UnlockByAnotherNameEndsThePauseOfThisOne(t *testing.T) {
	f := newRestarting(t, ldaptest.StartSlapd(t, ldaptest.Options{}))
	for range 2 {
		f.signIn(byMail, "wrong")
	}
	require.Equal(t, http.StatusTooManyRequests, f.signIn(byMail, "alice-pw").Status)
	f.restart()
	require.NoError(t, f.Server.Unlock(t.Context(), byAccount))
	assert.NotNil(t, f.signIn(byMail, "alice-pw").Location)

	f.signIn(byMail, "wrong")
	require.NotNil(t, f.signIn(byAccount, "alice-pw").Location)
	f.signIn(byAccount, "wrong")
	assert.NotNil(t, f.signIn(byAccount, "alice-pw").Location, "the right password forgave the account")
}

func TestU9_UnlockTellsThatTheDirectoryIsDown(t *testing.T) {
	f := newRestarting(t, ldaptest.StartSlapd(t, ldaptest.Options{}))
	for range 2 {
		f.signIn("nobody", "wrong")
	}
	f.slapd.Stop()
	require.ErrorIs(t, f.Server.Unlock(t.Context(), "nobody"), users.ErrUnavailable, "whose it is may not be known")
	f.slapd.Again(t)
	assert.Equal(t, http.StatusOK, f.signIn("nobody", "wrong").Status, "what could be forgotten is")
}

func TestU9_GuessesAtACodeAreOnesByWhicheverName(t *testing.T) {
	f := newRestarting(t, ldaptest.StartSlapd(t, ldaptest.Options{}))
	right := func() string { return codeAt(t, bobsSecret, f.Clock.Now()) }
	paused := func() int { return len(eventsNamed(f.Fixture, "login_paused")) }
	for _, name := range []string{byAccount, byMail} {
		require.Equal(t, "invalid_grant", f.code(name, "000000").Get("error"))
	}
	require.Zero(t, paused())
	f.slapd.Change(t, ldaptest.Alice, "uid", "alice", "aalice") // the first of them is who she is from now on
	assert.Equal(t, "invalid_grant", f.code(byOther, right()).Get("error"), "the right password forgives none")
	assert.Equal(t, 1, paused())

	f.restart()
	require.NoError(t, f.Server.Unlock(t.Context(), byOther))
	got := f.code(byMail, right())
	assert.Equal(t, http.StatusOK, got.Status, got.Body)
}

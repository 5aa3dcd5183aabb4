package authz_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

func TestA66_AnOldSessionIsNotBroughtBack(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	var old *http.Cookie
	for _, c := range browser.Cookies() {
		if strings.HasSuffix(c.Name, "session") {
			old = c
		}
	}
	require.NotNil(t, old)
	f.Clock.Advance(2 * time.Minute)
	browser.Submit(browser.Get(f.AuthorizeURL("prompt", "login")), "username", "alice", "password", authztest.Password)
	req, err := http.NewRequest(http.MethodGet, f.AuthorizeURL("prompt", "none"), nil)
	require.NoError(t, err)
	req.Header.Set("Cookie", old.Name+"="+old.Value)
	answer := f.NewBrowser().Do(req)
	require.NotNil(t, answer.Location)
	assert.Equal(t, "login_required", answer.Location.Query().Get("error"), "the secret was replaced")
}

func TestG11_SessionsEnd(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	for range 14 { // used every 55 minutes, idle is an hour
		f.Clock.Advance(50 * time.Minute)
		require.NotNil(t, browser.Get(f.AuthorizeURL()).Location)
	}
	f.Clock.Advance(50 * time.Minute) // 12.5 hours since the login
	assert.Equal(t, "login", browser.Get(f.AuthorizeURL()).ID(), "absolute lifetime")

	other := f.NewBrowser()
	other.Authorize(f.AuthorizeURL(), "bob")
	f.Clock.Advance(61 * time.Minute)
	assert.Equal(t, "login", other.Get(f.AuthorizeURL()).ID(), "idle lifetime")
}

func TestA66_SessionCookies(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL())
	before := page
	browser.Submit(before, "username", "alice", "password", authztest.Password)
	var session *http.Cookie
	for _, c := range browser.Cookies() {
		if strings.HasSuffix(c.Name, "session") {
			session = c
		}
	}
	require.NotNil(t, session)
	assert.True(t, strings.HasPrefix(session.Name, "__Host-gw-"))

	forged := f.NewBrowser()
	req, err := http.NewRequest(http.MethodGet, f.AuthorizeURL("prompt", "none"), nil)
	require.NoError(t, err)
	req.Header.Set("Cookie", session.Name+"="+session.Value+"x")
	answer := forged.Do(req)
	assert.Equal(t, "login_required", answer.Location.Query().Get("error"), "tampered")

	req, err = http.NewRequest(http.MethodGet, f.AuthorizeURL("prompt", "none"), nil)
	require.NoError(t, err)
	req.Header.Set("Cookie", session.Name+"=planted; "+session.Name+"="+session.Value)
	answer = forged.Do(req)
	assert.Equal(t, "login_required", answer.Location.Query().Get("error"), "planted beside the real one")
}

package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

func TestE1_DenyingIsAccessDenied(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("scope", "openid email"), "alice")
	done := browser.Submit(page, "decision", "deny")
	assert.Equal(t, "access_denied", done.Location.Query().Get("error"))
	assert.Empty(t, done.Location.Query().Get("code"))
}

func TestA27_AnInteractionBelongsToItsBrowser(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	attacker, victim := f.NewBrowser(), f.NewBrowser()
	page := attacker.Get(f.AuthorizeURL())
	require.Equal(t, "login", page.ID())

	opened := victim.Get(page.URL.String())
	assert.Equal(t, "error", opened.ID(), "the attacker's login page opened by the victim")
	victim.Get(f.AuthorizeURL()) // the victim has a browser cookie of its own now
	posted := victim.Submit(page, "username", "alice", "password", authztest.Password)
	assert.Equal(t, "error", posted.ID(), "the attacker's form sent by the victim")
	for _, c := range victim.Cookies() {
		assert.NotContains(t, c.Name, "session")
	}
}

func TestA29_PagesCannotBeFramed(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	login := browser.Get(f.AuthorizeURL())
	consent := browser.SignIn(f.AuthorizeURL("scope", "openid email"), "alice")
	failure := f.NewBrowser().Get(f.URL + "/login")
	for _, page := range []*authztest.Page{login, consent, failure} {
		policy := page.Header.Get("Content-Security-Policy")
		assert.Contains(t, policy, "frame-ancestors 'none'", page.ID())
		assert.NotContains(t, policy, "unsafe", page.ID())
		assert.Equal(t, "no-store", page.Header.Get("Cache-Control"), page.ID())
	}
	assert.Contains(t, login.Header.Get("Content-Security-Policy"), "https://shop.example.com", "form-action judges the redirect too")
}

func TestE1_LoginPageWithoutARequest(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	for _, path := range []string{"/login", "/consent", "/login?interaction=x", "/authorize", "/authorize?client_id=nobody"} {
		page := f.NewBrowser().Get(f.URL + path)
		assert.Equal(t, "error", page.ID(), path)
		assert.Equal(t, http.StatusBadRequest, page.Status, path)
		assert.Nil(t, page.Location, path)
	}
}

func TestA27_OldPagesAreRefused(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL())
	f.Clock.Advance(31 * time.Minute)
	assert.Equal(t, "error", browser.Submit(page, "username", "alice", "password", authztest.Password).ID())
}

func TestE1_AuthorizeTakesPost(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	target, err := url.Parse(f.AuthorizeURL())
	require.NoError(t, err)
	req, err := http.NewRequest(http.MethodPost, f.URL+"/authorize", strings.NewReader(target.RawQuery))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	assert.Equal(t, "login", f.NewBrowser().Do(req).ID())
}

// Tabs of a new browser that open at once have no cookie yet, and each is given one of the same name.
func TestE1_ManyTabsOfANewBrowserSignIn(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	var pages []*authztest.Page
	for range 3 {
		tab := f.NewBrowser()
		pages = append(pages, tab.Get(f.AuthorizeURL("scope", "openid")))
		browser.Take(tab)
	}
	for _, page := range pages {
		next := browser.Submit(page, "username", "alice", "password", authztest.Password)
		if next.ID() == "consent" {
			next = browser.Submit(next, "decision", "allow")
		}
		require.NotNil(t, next.Location, next.Body)
		require.NotEmpty(t, next.Location.Query().Get("code"))
	}
	stranger := f.NewBrowser().Submit(pages[0], "username", "alice", "password", authztest.Password)
	require.Equal(t, "error", stranger.ID(), "A27")
	require.Nil(t, stranger.Location)
}

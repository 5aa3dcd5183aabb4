package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

func TestS4_ConsentIsAskedOnceAndRemembered(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	asked := f.AuthorizeURL("scope", "openid email orders.write")
	page := browser.SignIn(asked, "alice")
	require.Equal(t, "consent", page.ID())
	assert.Contains(t, page.Text(), "The shop")
	assert.Contains(t, page.Text(), "Change your orders")

	silent := browser.Get(f.AuthorizeURL("scope", "openid email", "prompt", "none"))
	assert.Equal(t, "consent_required", silent.Location.Query().Get("error"))

	done := browser.Submit(page, "decision", "allow")
	require.NotNil(t, done.Location)
	assert.Equal(t, "openid email orders.write", f.Redeem("shop", done.Location.Query().Get("code")).Get("scope"))

	assert.NotNil(t, browser.Get(asked).Location, "remembered")
	assert.Equal(t, "consent", browser.Get(f.AuthorizeURL("scope", "openid email", "prompt", "consent")).ID())
	onlyNew := browser.Get(f.AuthorizeURL("scope", "openid email profile"))
	require.Equal(t, "consent", onlyNew.ID())
	assert.NotContains(t, onlyNew.Text(), "Change your orders", "only new scopes are asked")
	assert.NotNil(t, browser.Get(f.AuthorizeURL("scope", "openid orders.read", "prompt", "consent")).Location,
		"a scope without require_consent never shows the page")
}

func TestS5_AnOptionalScopeMayBeDeclined(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("scope", "openid email orders.write"), "alice")
	_, fields := page.Form()
	assert.Equal(t, []string{"orders.write"}, fields["scope"], "only the optional scope has a check box")
	done := browser.Submit(page, "decision", "allow", "scope", "")
	tokens := f.Redeem("shop", done.Location.Query().Get("code"))
	assert.Equal(t, "openid email", tokens.Get("scope"))
}

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

func TestA28_ConsentFormIsGoodOnceAndFromHere(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("scope", "openid email"), "alice")
	action, fields := page.Form()

	t.Run("from another site", func(t *testing.T) {
		fields.Set("decision", "allow")
		req, err := http.NewRequest(http.MethodPost, action.String(), strings.NewReader(fields.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://evil.example")
		assert.Equal(t, "error", browser.Do(req).ID())
	})
	t.Run("a CSRF token of another step", func(t *testing.T) {
		assert.Equal(t, "error", browser.Submit(page, "decision", "allow", "csrf", "forged").ID())
	})
	t.Run("the login page's interaction", func(t *testing.T) {
		login := f.NewBrowser().Get(f.AuthorizeURL())
		_, stolen := login.Form()
		assert.Equal(t, "error", browser.Submit(page, "decision", "allow", "interaction", stolen.Get("interaction")).ID())
	})
	t.Run("a scope that was not shown", func(t *testing.T) {
		other := f.NewBrowser()
		page := other.SignIn(f.AuthorizeURL("scope", "openid email"), "alice")
		done := other.Submit(page, "decision", "allow", "scope", "orders.write")
		assert.Equal(t, "openid email", f.Redeem("shop", done.Location.Query().Get("code")).Get("scope"))
	})
	require.NotNil(t, f.NewBrowser()) // a consent given above is remembered; this browser's page is still unanswered
	assert.NotNil(t, browser.Submit(page, "decision", "allow").Location)
	again := browser.Submit(page, "decision", "allow")
	assert.Equal(t, "error", again.ID(), "single use")
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

func TestU9_GuessesAreLimited(t *testing.T) {
	cfg := authztest.Config()
	cfg.Lockout = authz.Lockout{Guesses: 3, Window: time.Minute, Pause: time.Minute}
	addresses := map[string]string{}
	cfg.ClientIP = func(r *http.Request) string {
		return addresses[r.URL.Query().Get("interaction")] + r.Header.Get("Client-Address")
	}
	for _, name := range []string{"alice", "nobody"} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, cfg)
			browser := f.NewBrowser()
			page := browser.Get(f.AuthorizeURL())
			for range 3 {
				page = browser.Submit(page, "username", strings.ToUpper(name), "password", "wrong")
				assert.Equal(t, "login", page.ID())
				assert.Equal(t, http.StatusOK, page.Status)
				_, fields := page.Form()
				assert.Equal(t, strings.ToUpper(name), fields.Get("username"), "the name is kept")
			}
			page = browser.Submit(page, "username", name, "password", authztest.Password)
			assert.Equal(t, http.StatusTooManyRequests, page.Status, "A72: one counter for every spelling")
			assert.Equal(t, "60", page.Header.Get("Retry-After"))
			f.Clock.Advance(61 * time.Second)
			page = browser.Submit(page, "username", "alice", "password", authztest.Password)
			assert.NotNil(t, page.Location, "the pause is over")
		})
	}
}

func TestA75_AWrongNameLooksLikeAWrongPassword(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	body := func(username string) string {
		browser := f.NewBrowser()
		page := browser.Submit(browser.Get(f.AuthorizeURL()), "username", username, "password", "wrong")
		_, fields := page.Form()
		return strings.NewReplacer(fields.Get("interaction"), "", fields.Get("csrf"), "", username, "").Replace(page.Body)
	}
	assert.Equal(t, body("alice"), body("nobody"))
	assert.Equal(t, body("alice"), body("carol"), "a disabled account is told only to who knows the password")
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

func TestC22_OnlyAllowedPeopleSignIn(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].AllowRoles = []string{"employee"}
	f := authztest.New(t, cfg)
	assert.NotEmpty(t, f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	refused := f.NewBrowser().SignIn(f.AuthorizeURL(), "bob")
	assert.Equal(t, "error", refused.ID())
	assert.Equal(t, http.StatusForbidden, refused.Status)
	assert.Contains(t, refused.Body, "https://shop.example.com/callback?error=access_denied", "the way back tells the client")
}

func TestC18_PromptUser(t *testing.T) {
	on, off := true, false
	cfg := authztest.Config()
	cfg.Clients[0].PromptUser = &on
	cfg.Clients[1].PromptUser = &off
	f := authztest.New(t, cfg)
	assert.Equal(t, "consent", f.NewBrowser().SignIn(f.AuthorizeURL("scope", "openid"), "alice").ID(), "on: the page though no scope asks")
	page := f.NewBrowser().SignIn(f.AuthorizeURL("client_id", "rotating", "redirect_uri", "https://rotating.example.com/callback", "scope", "openid"), "alice")
	assert.NotNil(t, page.Location, "off: never")
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

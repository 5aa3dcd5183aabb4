package authz_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

func logoutConfig(ask bool) authz.Config {
	cfg := authztest.Config()
	cfg.LogoutConsent = &ask
	cfg.Clients[0].PostLogoutRedirectURIs = []string{"https://shop.example.com/bye"}
	return cfg
}

func endSessionURL(f *authztest.Fixture, pairs ...string) string {
	query := url.Values{"post_logout_redirect_uri": {"https://shop.example.com/bye"}, "state": {"s"}}
	authztest.Set(query, pairs...)
	return f.URL + "/end_session?" + query.Encode()
}

func signedIn(f *authztest.Fixture) (*authztest.Browser, string) {
	browser := f.NewBrowser()
	tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
	return browser, tokens.Get("id_token")
}

func TestG7_LogoutAsks(t *testing.T) {
	f := authztest.New(t, logoutConfig(true))
	browser, hint := signedIn(f)
	page := browser.Get(endSessionURL(f, "id_token_hint", hint))
	require.Equal(t, "logout", page.ID())
	assert.Contains(t, page.Text(), "The shop")

	stayed := browser.Submit(page, "decision", "stay")
	require.NotNil(t, stayed.Location)
	assert.NotNil(t, browser.Get(f.AuthorizeURL("prompt", "none")).Location.Query()["code"], "still signed in")

	done := browser.Submit(page, "decision", "logout")
	require.NotNil(t, done.Location)
	assert.Equal(t, "https://shop.example.com/bye?state=s", done.Location.String())
	assert.Equal(t, "login", browser.Get(f.AuthorizeURL()).ID())
	assert.Equal(t, "logged-out", browser.Submit(page, "decision", "logout").ID(), "sent again")
	assert.Equal(t, "logged-out", browser.Get(page.URL.String()).ID(), "out of the history")
}

func TestE9_RedirectsOnlyWithHintAndRegisteredURI(t *testing.T) {
	for name, c := range map[string]struct {
		pairs func(hint string) []string
		want  string // page, or "redirect"
	}{
		"hint and registered URI": {func(hint string) []string { return []string{"id_token_hint", hint} }, "redirect"},
		"another URI": {func(hint string) []string {
			return []string{"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/"}
		}, "logged-out"},
		"no hint: it asks":                     {func(string) []string { return nil }, "logout"},
		"a hint of another client":             {func(hint string) []string { return []string{"id_token_hint", hint, "client_id", "spa"} }, "error"},
		"a hint that is none":                  {func(string) []string { return []string{"id_token_hint", "x"} }, "error"},
		"RP-Initiated Logout §2 no URI wanted": {func(hint string) []string { return []string{"id_token_hint", hint, "post_logout_redirect_uri", ""} }, "logged-out"},
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, logoutConfig(false))
			browser, hint := signedIn(f)
			page := browser.Get(endSessionURL(f, c.pairs(hint)...))
			if c.want == "redirect" {
				require.NotNil(t, page.Location)
				assert.Equal(t, "https://shop.example.com/bye?state=s", page.Location.String())
				return
			}
			assert.Nil(t, page.Location)
			assert.Equal(t, c.want, page.ID())
		})
	}
}

func TestE9_NoSessionCountsAsDone(t *testing.T) {
	f := authztest.New(t, logoutConfig(true))
	_, hint := signedIn(f)
	stranger := f.NewBrowser()
	page := stranger.Get(endSessionURL(f, "id_token_hint", hint))
	require.NotNil(t, page.Location)
	assert.Equal(t, "/bye", page.Location.Path)
	assert.Equal(t, "logged-out", stranger.Get(f.URL+"/end_session").ID())
}

func TestE9_SomebodyElsesHintAsks(t *testing.T) {
	f := authztest.New(t, logoutConfig(false))
	_, alices := signedIn(f)
	bob := f.NewBrowser()
	bob.Authorize(f.AuthorizeURL(), "bob")
	page := bob.Get(endSessionURL(f, "id_token_hint", alices))
	require.Equal(t, "logout", page.ID(), "a hint of somebody else signs nobody out unasked")
	stayed := bob.Submit(page, "decision", "stay", "interaction", "forged")
	assert.Equal(t, http.StatusBadRequest, stayed.Status)
}

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
	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/users"
)

func TestS4_ConsentMatrix(t *testing.T) {
	for _, c := range []struct {
		scope, prompt string
		want          string // page, "code", or the error
	}{
		{"orders.write", "consent", "consent"},
		{"orders.write", "none", "consent_required"},
		{"orders.read", "consent", "code"},
		{"orders.read", "none", "code"},
	} {
		t.Run(c.scope+" "+c.prompt, func(t *testing.T) {
			f := authztest.New(t, authztest.Config())
			browser := f.NewBrowser()
			browser.Authorize(f.AuthorizeURL("scope", "openid"), "alice")
			page := browser.Get(f.AuthorizeURL("scope", "openid "+c.scope, "prompt", c.prompt))
			got := page.ID()
			if page.Location != nil {
				got = page.Location.Query().Get("error")
				if page.Location.Query().Has("code") {
					got = "code"
				}
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestC9_TheConsentPageSaysWhoAsks(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].Logo = "https://static.example.com/logo.png"
	cfg.Clients[0].Policy = "https://shop.example.com/privacy"
	cfg.Clients[0].Terms = "https://shop.example.com/terms"
	cfg.Clients[0].Contacts = []string{"help@shop.example.com"}
	f := authztest.New(t, cfg)
	page := f.NewBrowser().SignIn(f.AuthorizeURL("scope", "openid email"), "alice")
	for _, want := range []string{"https://static.example.com/logo.png", "https://shop.example.com/privacy", "https://shop.example.com/terms", "mailto:help@shop.example.com"} {
		assert.Contains(t, page.Body, want)
	}
	policy := page.Header.Get("Content-Security-Policy")
	assert.Contains(t, policy, "img-src https://static.example.com;")
	assert.NotContains(t, policy, "img-src *")
}

func TestR13_WithCompatNAM(t *testing.T) {
	cfg := authztest.Config()
	cfg.Compat = authz.CompatNAM
	f := authztest.NewBelow(t, cfg, "/nidp/oauth/nam")
	mint := func(pairs ...string) map[string]any {
		answer := f.Token("robot", append([]string{"grant_type", "client_credentials"}, pairs...)...)
		require.Equal(t, http.StatusOK, answer.Status, answer.JSON)
		raw := answer.Get("access_token")
		if strings.Count(raw, ".") == 4 {
			return f.Bearer(http.MethodGet, "/tokeninfo", raw).JSON
		}
		return map[string]any{"audience": f.Claims(raw)["aud"]}
	}
	assert.Equal(t, f.URL, mint("scope", "orders.read")["audience"], "the only one whose scopes are asked for is no step here")
	assert.Equal(t, "https://orders.example.com", mint("scope", "orders.read", "resourceServer", "orders")["audience"])
}

func TestO4_ARemovedRedirectURIGetsNothingMore(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("scope", "openid email"), "alice")
	require.Equal(t, "consent", page.ID())
	changed := authztest.Config()
	changed.Clients[0].RedirectURIs = []string{"https://shop.example.com/elsewhere"}
	f.Reload(changed)
	done := browser.Submit(page, "decision", "allow")
	assert.Nil(t, done.Location)
	assert.Equal(t, "error", done.ID())
}

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

// refusingGrants can be read and not written.
type refusingGrants struct {
	grants.Grants
	refuse error
}

func (g refusingGrants) Update(context.Context, string, func(*grants.Record) error) error {
	return g.refuse
}

func TestU5_U6_AConsentThatCanNeverBeWrittenIsNoPassingFault(t *testing.T) {
	for code, refuse := range map[string]error{
		"server_error":            grants.ErrForeign,
		"temporarily_unavailable": users.ErrUnavailable,
	} {
		cfg := authztest.Config()
		cfg.NewGrants = func(d grants.DirectoryConfig) (grants.Grants, error) {
			return refusingGrants{grants.NewStored(d.Store, d.Now), refuse}, nil
		}
		f := authztest.New(t, cfg)
		browser := f.NewBrowser()
		page := browser.Submit(browser.SignIn(f.AuthorizeURL("scope", "openid orders.write"), "alice"), "decision", "allow")
		require.NotNil(t, page.Location, page.Text())
		assert.Equal(t, code, page.Location.Query().Get("error"))
	}
}

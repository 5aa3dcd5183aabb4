package authz_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

// These tests have the names of modules of the OpenID Foundation's conformance suite (docs/conformance.md), where no
// other test looks at what they expect.

func TestE9_OIDCCRPInitiatedLogout(t *testing.T) {
	const bye = "https://shop.example.com/bye"
	for module, c := range map[string]struct {
		query func(t *testing.T, f *authztest.Fixture, hint string) url.Values
		want  string // a page, or where it redirects to
	}{
		"oidcc-rp-initiated-logout": {func(_ *testing.T, _ *authztest.Fixture, hint string) url.Values {
			return url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {bye}, "state": {"s"}}
		}, bye + "?state=s"},
		"oidcc-rp-initiated-logout-no-state": {func(_ *testing.T, _ *authztest.Fixture, hint string) url.Values {
			return url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {bye}}
		}, bye},
		"oidcc-rp-initiated-logout-no-params": {func(*testing.T, *authztest.Fixture, string) url.Values { return nil }, "logged-out"},
		"oidcc-rp-initiated-logout-only-state": {func(*testing.T, *authztest.Fixture, string) url.Values {
			return url.Values{"state": {"s"}}
		}, "logged-out"},
		"oidcc-rp-initiated-logout-no-post-logout-redirect-uri": {func(_ *testing.T, _ *authztest.Fixture, hint string) url.Values {
			return url.Values{"id_token_hint": {hint}, "state": {"s"}}
		}, "logged-out"},
		"oidcc-rp-initiated-logout-no-id-token-hint": {func(*testing.T, *authztest.Fixture, string) url.Values {
			return url.Values{"post_logout_redirect_uri": {bye}, "state": {"s"}}
		}, "logged-out"},
		"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri": {func(_ *testing.T, _ *authztest.Fixture, hint string) url.Values {
			return url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {bye + "x"}}
		}, "logged-out"},
		"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": {func(_ *testing.T, _ *authztest.Fixture, hint string) url.Values {
			return url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {bye + "?foo=bar"}}
		}, "logged-out"},
		"oidcc-rp-initiated-logout-modified-id-token-hint": {func(t *testing.T, f *authztest.Fixture, hint string) url.Values {
			return url.Values{"id_token_hint": {unsigned(t, f.Claims(hint))}, "post_logout_redirect_uri": {bye}}
		}, "error"},
		"oidcc-rp-initiated-logout-bad-id-token-hint": {func(t *testing.T, f *authztest.Fixture, hint string) url.Values {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(authztest.Secret)}, nil)
			require.NoError(t, err)
			forged, err := jwt.Signed(signer).Claims(f.Claims(hint)).Serialize()
			require.NoError(t, err)
			return url.Values{"id_token_hint": {forged}, "post_logout_redirect_uri": {bye}}
		}, "error"},
	} {
		t.Run(module, func(t *testing.T) {
			f := authztest.New(t, logoutConfig(true))
			browser, hint := signedIn(f)
			page := browser.Get(f.URL + "/end_session?" + c.query(t, f, hint).Encode())
			silent := f.AuthorizeURL("prompt", "none")
			if c.want == "error" {
				assert.Equal(t, "error", page.ID())
				assert.NotEmpty(t, browser.Get(silent).Location.Query().Get("code"), "still signed in")
				return
			}
			require.Equal(t, "logout", page.ID())
			done := browser.Submit(page, "decision", "logout")
			if done.Location != nil {
				assert.Equal(t, c.want, done.Location.String())
			} else {
				assert.Equal(t, c.want, done.ID())
			}
			assert.Equal(t, "login_required", browser.Get(silent).Location.Query().Get("error"))
		})
	}
}

// oidcc-registration-logo-uri, -policy-uri and -tos-uri look at the page where somebody signs in. A logo is not loaded
// before an administrator has verified the client (A36).
func TestE1_OIDCCRegistrationOnTheLoginPage(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	sent := members{
		"redirect_uris": app["redirect_uris"], "logo_uri": "https://app.example.com/logo.png",
		"policy_uri": "https://app.example.com/policy", "tos_uri": "https://app.example.com/tos",
	}
	id := g.register("", sent).Get("client_id")
	login := func() string {
		page := g.NewBrowser().Get(g.AuthorizeURL("client_id", id, "redirect_uri", "https://app.example.com/callback", "scope", "openid"))
		require.Equal(t, "login", page.ID())
		return page.Body
	}
	page := login()
	assert.Contains(t, page, `href="https://app.example.com/policy"`)
	assert.Contains(t, page, `href="https://app.example.com/tos"`)
	assert.NotContains(t, page, "logo.png")
	sent["verified"] = true
	require.Equal(t, http.StatusOK, g.update(g.token("alice", "registration.full"), id, sent).Status)
	assert.Contains(t, login(), `src="https://app.example.com/logo.png"`)
}

func TestA23_OIDCCCodeReuse30Seconds(t *testing.T) {
	clock := authztest.NewClock()
	cfg := authztest.Config()
	cfg.Now = clock.Now
	f := authztest.New(t, cfg)
	code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
	tokens := f.Redeem("shop", code)
	require.Equal(t, http.StatusOK, f.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token")).Status)
	clock.Advance(30 * time.Second)
	again := f.Redeem("shop", code)
	assert.Equal(t, http.StatusBadRequest, again.Status)
	assert.Equal(t, "invalid_grant", again.Get("error"))
	assert.Equal(t, http.StatusUnauthorized, f.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token")).Status)
}

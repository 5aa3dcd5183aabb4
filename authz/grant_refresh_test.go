package authz_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users/static"
)

// rotatingURL is an authorization request of the client that rotates.
func rotatingURL(f *authztest.Fixture) string {
	return f.AuthorizeURL("client_id", "rotating", "redirect_uri", "https://rotating.example.com/callback")
}

func refresh(f *authztest.Fixture, clientID, token string, pairs ...string) authztest.Answer {
	return f.Token(clientID, append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
}

func TestE3_RefreshWithoutRotation(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	first := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	for range 3 {
		next := refresh(f, "shop", first.Get("refresh_token"))
		require.Equal(t, http.StatusOK, next.Status, next.JSON)
		assert.Empty(t, next.Get("refresh_token"), "the client goes on with the one it has")
		assert.Equal(t, "alice", f.Claims(next.Get("access_token"))["sub"])
	}
	less := refresh(f, "shop", first.Get("refresh_token"), "scope", "openid")
	assert.Equal(t, "openid", less.Get("scope"))
	more := refresh(f, "shop", first.Get("refresh_token"), "scope", "openid email")
	assert.Equal(t, "invalid_scope", more.Get("error"), "scope may only shrink")
	assert.Equal(t, "invalid_grant", refresh(f, "rotating", first.Get("refresh_token")).Get("error"), "A39")
	assert.Equal(t, "invalid_grant", refresh(f, "shop", first.Get("access_token")).Get("error"))
	assert.Equal(t, "invalid_request", refresh(f, "shop", "").Get("error"))
}

func TestE3_RotationWithGrace(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	first := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code")).Get("refresh_token")

	second := refresh(f, "rotating", first).Get("refresh_token")
	require.NotEmpty(t, second)
	f.Clock.Advance(9 * time.Second)
	sameAgain := refresh(f, "rotating", first)
	require.Equal(t, http.StatusOK, sameAgain.Status, "within the grace, the successor unused")

	third := refresh(f, "rotating", sameAgain.Get("refresh_token")).Get("refresh_token")
	require.NotEmpty(t, third, "the same generation, whichever answer arrived")
	fromSecond := refresh(f, "rotating", second)
	require.Equal(t, http.StatusOK, fromSecond.Status, "two tabs: no fork, no logout")
	assert.Equal(t, http.StatusOK, refresh(f, "rotating", third).Status)
}

func TestA37_RefreshReplayEndsTheFamily(t *testing.T) {
	for name, c := range map[string]func(f *authztest.Fixture, first, second string){
		"after the grace": func(f *authztest.Fixture, _, _ string) { f.Clock.Advance(11 * time.Second) },
		"a generation whose successor was used": func(f *authztest.Fixture, _, second string) {
			require.Equal(t, http.StatusOK, refresh(f, "rotating", second).Status)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, authztest.Config())
			tokens := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code"))
			first := tokens.Get("refresh_token")
			next := refresh(f, "rotating", first)
			c(f, first, next.Get("refresh_token"))
			assert.Equal(t, "invalid_grant", refresh(f, "rotating", first).Get("error"))
			assert.Equal(t, "invalid_grant", refresh(f, "rotating", next.Get("refresh_token")).Get("error"), "the whole family")
			assert.False(t, active(f, next.Get("access_token")))
		})
	}
}

func TestA38_ManyRefreshesAtOnceLogNobodyOut(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	first := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code")).Get("refresh_token")
	answers := make(chan authztest.Answer, 20)
	var wg sync.WaitGroup
	for range cap(answers) {
		wg.Go(func() { answers <- refresh(f, "rotating", first) })
	}
	wg.Wait()
	close(answers)
	for a := range answers {
		require.Equal(t, http.StatusOK, a.Status, a.JSON)
		first = a.Get("refresh_token")
	}
	assert.Equal(t, http.StatusOK, refresh(f, "rotating", first).Status)
}

func TestE3_PublicClientsAlwaysRotate(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	code := f.NewBrowser().Authorize(f.AuthorizeURL("client_id", "spa", "redirect_uri", "https://spa.example.com/callback",
		"code_challenge", rfcChallenge, "code_challenge_method", "S256"), "alice").Get("code")
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"spa"},
		"redirect_uri": {"https://spa.example.com/callback"}, "code_verifier": {rfcVerifier},
	}
	tokens := f.Post("/token", "", form)
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	next := f.Post("/token", "", url.Values{"grant_type": {"refresh_token"}, "client_id": {"spa"}, "refresh_token": {tokens.Get("refresh_token")}})
	assert.NotEmpty(t, next.Get("refresh_token"))
	assert.NotEqual(t, tokens.Get("refresh_token"), next.Get("refresh_token"))
}

func TestC16_IdleAndAbsoluteLifetimeOfRefreshTokens(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	token := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("refresh_token")
	for range 4 { // idle is 7 days, absolute 30
		f.Clock.Advance(6 * 24 * time.Hour)
		require.Equal(t, http.StatusOK, refresh(f, "shop", token).Status)
	}
	f.Clock.Advance(6*24*time.Hour - time.Minute)
	last := refresh(f, "shop", token)
	require.Equal(t, http.StatusOK, last.Status)
	assert.LessOrEqual(t, last.JSON["expires_in"], 60.0, "nothing outlives its parent")
	f.Clock.Advance(2 * time.Minute)
	assert.Equal(t, "invalid_grant", refresh(f, "shop", token).Get("error"), "use never extends the absolute lifetime")

	token = f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "bob").Get("code")).Get("refresh_token")
	f.Clock.Advance(8 * 24 * time.Hour)
	assert.Equal(t, "invalid_grant", refresh(f, "shop", token).Get("error"), "unused that long")
}

func TestA40_RefreshLooksThePersonUpAfresh(t *testing.T) {
	for name, change := range map[string]func(*static.User){
		"disabled":         func(u *static.User) { u.Disabled = true },
		"removed":          func(u *static.User) { u.Name = "somebody else" },
		"without the role": func(u *static.User) { u.Roles = nil },
		"password changed": func(u *static.User) { u.Password = newHash(t) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			cfg.Clients[0].AllowRoles = []string{"employee"}
			f := authztest.New(t, cfg)
			browser := f.NewBrowser()
			tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
			waiting := browser.Authorize(f.AuthorizeURL(), "alice").Get("code")

			people := authztest.Users(t)
			change(&people[0])
			store, err := static.New(people)
			require.NoError(t, err)
			cfg.Users = store
			f.Reload(cfg)
			assert.Equal(t, "invalid_grant", refresh(f, "shop", tokens.Get("refresh_token")).Get("error"))
			assert.Equal(t, "invalid_grant", f.Redeem("shop", waiting).Get("error"), "a code that was waiting")
		})
	}
}

func newHash(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(authztest.Password), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hash)
}

func TestE3_ARefreshWhoseTokenCantBeMadeChangesNothing(t *testing.T) {
	key := newResourceKey("rs1-key")
	rs := resourceKeyServer("orders", "orders.read", key, t)
	cfg := authztest.Config()
	cfg.ResourceServers = []authz.ResourceServer{rs}
	cfg.Clients = cfg.Clients[1:2]
	f := authztest.New(t, cfg)
	first := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code")).Get("refresh_token")

	broken := cfg
	broken.ResourceServers = []authz.ResourceServer{rs}
	broken.ResourceServers[0].JWKS, broken.ResourceServers[0].JWKSURL = nil, "https://127.0.0.1:1/jwks.json"
	f.Reload(broken)
	assert.Equal(t, "server_error", refresh(f, "rotating", first).Get("error"))
	assert.Equal(t, "invalid_target", refresh(f, "rotating", first, "resource", "https://nobody.example").Get("error"))
	f.Clock.Advance(time.Minute)
	f.Reload(cfg)
	assert.Equal(t, http.StatusOK, refresh(f, "rotating", first).Status, "the client's token is still the last generation")
}

func TestG11_NoTokenIsBornDead(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].Lifetimes = authz.Lifetimes{RefreshToken: 10 * time.Second, RefreshIdle: 10 * time.Second}
	f := authztest.New(t, cfg)
	token := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("refresh_token")
	f.Clock.Advance(8500 * time.Millisecond)
	last := refresh(f, "shop", token)
	require.Equal(t, http.StatusOK, last.Status, last.JSON)
	assert.InDelta(t, 1, last.JSON["expires_in"], 0)
	f.Clock.Advance(time.Second)
	assert.Equal(t, "invalid_grant", refresh(f, "shop", token).Get("error"), "half a second is no lifetime")
}

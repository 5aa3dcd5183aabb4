package authz_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/static"
)

const (
	twoSteps   = "urn:example:two-steps"
	bobsSecret = "JBSWY3DPEHPK3PXP" // in bob's entry
)

// withTOTP has a contract of password and app beside the built-in one.
func withTOTP(t *testing.T, change ...func(*authz.Config)) authz.Config {
	t.Helper()
	people := authztest.Users(t)
	people[1].TOTP = "jbsw y3dp ehpk 3pxp"
	list, err := static.New(people)
	require.NoError(t, err)
	cfg := authztest.Config()
	cfg.Users = list
	cfg.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials", "password"}
	cfg.Clients[0].GrantTypes = []string{"authorization_code", "refresh_token", "password"}
	cfg.Contracts = []authz.Contract{{URI: twoSteps, Methods: []string{authz.MethodPassword, authz.MethodTOTP}, Level: 2}}
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

func codeAt(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	require.NoError(t, err)
	return code
}

var (
	shownSecret = regexp.MustCompile(`id="secret"[^>]*>([A-Z2-7 ]+)<`)
	shownCode   = regexp.MustCompile(`<code>(\d{4}-\d{4}-\d{4})</code>`)
)

// enrol signs somebody in by two steps for the first time: their secret and recovery codes, and where
// that leads.
func enrol(t *testing.T, f *authztest.Fixture, b *authztest.Browser, username string) (secret string, recovery []string, page *authztest.Page) {
	t.Helper()
	secret, recovery, page = toRecovery(t, f, b, username)
	return secret, recovery, b.Submit(page)
}

// toRecovery goes as far as the page with the recovery codes.
func toRecovery(t *testing.T, f *authztest.Fixture, b *authztest.Browser, username string) (secret string, recovery []string, page *authztest.Page) {
	t.Helper()
	page = b.SignIn(f.AuthorizeURL("acr_values", twoSteps), username)
	require.Equal(t, "login", page.ID())
	shown := shownSecret.FindStringSubmatch(page.Body)
	require.NotNil(t, shown, page.Body)
	secret = strings.ReplaceAll(shown[1], " ", "")
	page = b.Submit(page, "otp", codeAt(t, secret, f.Clock.Now()))
	for _, match := range shownCode.FindAllStringSubmatch(page.Body, -1) {
		recovery = append(recovery, match[1])
	}
	require.Len(t, recovery, 10, page.Body)
	return secret, recovery, page
}

// signOut ends the session of a browser.
func signOut(t *testing.T, f *authztest.Fixture, b *authztest.Browser) {
	t.Helper()
	page := b.Submit(b.Get(f.URL+"/end_session"), "decision", "logout")
	require.Equal(t, "logged-out", page.ID(), page.Body)
}

func eventsNamed(f *authztest.Fixture, name string) (found []authz.Event) {
	for _, e := range f.Events() {
		if e.Name == name {
			found = append(found, e)
		}
	}
	return found
}

func TestE1_TheFirstSecondFactorIsTrusted(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	secret, _, page := enrol(t, f, browser, "alice")
	require.NotNil(t, page.Location, page.Body)
	claims := f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
	assert.Equal(t, twoSteps, claims["acr"])
	assert.Equal(t, []any{"pwd", "otp", "mfa"}, claims["amr"])
	assert.Len(t, eventsNamed(f, "second_factor_enrolled"), 1)

	f.Clock.Advance(time.Minute)
	other := f.NewBrowser()
	page = other.SignIn(f.AuthorizeURL("acr_values", twoSteps), "alice")
	require.Nil(t, shownSecret.FindStringSubmatch(page.Body), "nobody enrols twice")
	page = other.Submit(page, "otp", codeAt(t, secret, f.Clock.Now()))
	assert.NotNil(t, page.Location, page.Body)
}

func TestE1_AnEntrysOwnSecretGoesFirst(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "bob")
	assert.Nil(t, shownSecret.FindStringSubmatch(page.Body))
	assert.Contains(t, page.Body, `name="otp"`)
	assert.NotNil(t, browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now())).Location)
}

func TestE1_NoSessionBeginsBeforeTheLastMethod(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "bob")
	answer := browser.Get(f.AuthorizeURL("prompt", "none")).Location.Query()
	assert.Equal(t, "login_required", answer.Get("error"))
	assert.Empty(t, eventsNamed(f, "login"))
}

func TestA66_ALogoutEndsWhatABrowserHasOpen(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	half := browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "bob")
	require.NotNil(t, browser.Submit(half, "otp", codeAt(t, bobsSecret, f.Clock.Now())).Location)
	signOut(t, f, browser)
	f.Clock.Advance(5 * time.Minute)
	assert.Equal(t, "error", browser.Get(half.URL.String()).ID(), "a URL of the history")
	assert.Equal(t, "error", browser.Submit(half, "otp", codeAt(t, bobsSecret, f.Clock.Now())).ID())
	assert.Equal(t, "login_required", browser.Get(f.AuthorizeURL("prompt", "none")).Location.Query().Get("error"))
}

func TestA66_ALogoutFollowsAPageOfRecoveryCodes(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	_, _, recovery := toRecovery(t, f, browser, "alice")
	assert.Len(t, eventsNamed(f, "login"), 1, "the page goes on, and proves nothing")
	require.NotNil(t, browser.Submit(recovery).Location)
	signOut(t, f, browser)
	assert.Equal(t, "error", browser.Submit(recovery).ID())
	assert.Equal(t, "login_required", browser.Get(f.AuthorizeURL("prompt", "none")).Location.Query().Get("error"))
}

func TestA35_ProofsMakeOneSession(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	half := browser.SignIn(f.AuthorizeURL("acr_values", twoSteps, "prompt", "login"), "bob")
	require.NotNil(t, browser.Submit(half, "otp", codeAt(t, bobsSecret, f.Clock.Now())).Location)
	f.Clock.Advance(time.Minute)
	req, err := http.NewRequest(http.MethodGet, half.URL.String(), nil)
	require.NoError(t, err)
	for _, c := range browser.Cookies() {
		if strings.HasSuffix(c.Name, "browser") {
			req.AddCookie(c)
		}
	}
	page := f.NewBrowser().Do(req) // a copy that has no session
	require.Equal(t, "login", page.ID())
	assert.Contains(t, page.Body, `name="password"`, "the password was used")
}

func TestE7_RevokingAPersonEndsHalfALogin(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser, lonely := f.NewBrowser(), f.NewBrowser()
	half := browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "bob")
	_, _, recovery := toRecovery(t, f, lonely, "alice")
	for _, subject := range []string{"alice", "bob"} {
		require.NoError(t, f.Server.RevokeUser(t.Context(), subject))
	}
	f.Clock.Advance(2 * time.Second)
	page := browser.Submit(half, "otp", codeAt(t, bobsSecret, f.Clock.Now()))
	assert.Nil(t, page.Location)
	assert.Contains(t, page.Body, `name="password"`)
	assert.Contains(t, lonely.Submit(recovery).Body, `name="password"`)
}

func TestA35_StepUpAsksForWhatIsMissing(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	first := idTokenOf(t, f, browser, "bob")
	f.Clock.Advance(10 * time.Minute)
	page := browser.Get(f.AuthorizeURL("acr_values", twoSteps))
	require.Equal(t, "login", page.ID())
	require.NotContains(t, page.Body, `name="password"`)
	assert.Equal(t, "login", f.NewBrowser().Get(f.AuthorizeURL("acr_values", twoSteps)).ID())
	stolen := f.NewBrowser().Get(page.URL.String())
	assert.Equal(t, "error", stolen.ID(), "A35: a step is its browser's own")

	page = browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now()))
	require.NotNil(t, page.Location, page.Body)
	second := f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
	assert.Equal(t, twoSteps, second["acr"])
	assert.Equal(t, first["sid"], second["sid"], "the session goes on")
	assert.Equal(t, first["auth_time"], second["auth_time"], "the password is as old as it was")

	page = browser.Get(f.AuthorizeURL("acr_values", twoSteps, "max_age", "300"))
	assert.Contains(t, page.Body, `name="password"`, "A35: the password is too old, the code is not")
	page = browser.Submit(page, "username", "bob", "password", authztest.Password)
	assert.NotNil(t, page.Location, page.Body)
}

func idTokenOf(t *testing.T, f *authztest.Fixture, b *authztest.Browser, username string) map[string]any {
	t.Helper()
	return f.Claims(f.Redeem("shop", b.Authorize(f.AuthorizeURL(), username).Get("code")).Get("id_token"))
}

func TestA35_ASecondFactorIsItsPersonsOwn(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL("acr_values", authz.PasswordContract), "bob")
	page := browser.Get(f.AuthorizeURL("acr_values", twoSteps))
	page = browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now()))
	require.NotNil(t, page.Location)
	page = browser.Get(f.AuthorizeURL("acr_values", twoSteps, "prompt", "login"))
	page = browser.Submit(page, "username", "alice", "password", authztest.Password)
	assert.NotNil(t, shownSecret.FindStringSubmatch(page.Body), "what bob proved is not alice's")
}

func TestA35_ALonelySessionEnrolsNothing(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	page := browser.Get(f.AuthorizeURL("acr_values", twoSteps))
	require.Contains(t, page.Body, `name="password"`, "first the person says who they are")
	require.Contains(t, page.Body, "You are signed in, but this needs a second step", "and is told why")
	page = browser.Submit(page, "username", "alice", "password", authztest.Password)
	assert.NotNil(t, shownSecret.FindStringSubmatch(page.Body))
}

func TestU9_ACodeWorksOnce(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	code := codeAt(t, bobsSecret, f.Clock.Now())
	var wg sync.WaitGroup
	landed := make([]bool, 4)
	for i := range landed {
		browser := f.NewBrowser()
		page := browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "bob")
		wg.Go(func() { landed[i] = browser.Submit(page, "otp", code).Location != nil })
	}
	wg.Wait()
	won := 0
	for _, in := range landed {
		if in {
			won++
		}
	}
	assert.Equal(t, 1, won)
}

func TestU9_CodesOfOtherTimesAreWrong(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	for off, right := range map[time.Duration]bool{-time.Minute: false, -30 * time.Second: true, 30 * time.Second: true, time.Minute: false} {
		browser := f.NewBrowser()
		page := browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "bob")
		f.Clock.Advance(5 * time.Minute)
		page = browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now().Add(off)))
		assert.Equal(t, right, page.Location != nil, "%s", off)
		if !right {
			assert.Contains(t, page.Body, "That code did not work")
			assert.Regexp(t, `name="otp"[^>]*aria-invalid="true"`, page.Body)
		}
	}
}

func TestU9_ARecoveryCodeWorksOnce(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	_, recovery, _ := enrol(t, f, f.NewBrowser(), "alice")
	use := func(code string) *authztest.Page {
		browser := f.NewBrowser()
		return browser.Submit(browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "alice"), "otp", code)
	}
	assert.NotNil(t, use(recovery[3]).Location)
	assert.Nil(t, use(recovery[3]).Location)
	assert.NotNil(t, use(strings.ReplaceAll(recovery[4], "-", " ")).Location)
	assert.Len(t, eventsNamed(f, "recovery_code_used"), 2)
}

func TestU9_GuessesAtACodeArePausedAndOutliveARestart(t *testing.T) {
	cfg := withTOTP(t)
	cfg.Lockout = authz.Lockout{Guesses: 3}
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "bob")
	for range 3 {
		page = browser.Submit(page, "otp", "000000")
		require.Contains(t, page.Body, "That code did not work")
	}
	f.Reload(cfg)
	page = browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now()))
	assert.Equal(t, 429, page.Status)
	assert.NotEmpty(t, page.Header.Get("Retry-After"))
	assert.NotEmpty(t, eventsNamed(f, "login_paused"))
	f.Clock.Advance(6 * time.Minute)
	assert.NotNil(t, browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now())).Location)
}

func TestU9_AHundredWrongCodesInARowLockTheFactor(t *testing.T) {
	for name, free := range map[string]func(*authz.Server) error{
		"unlock":       func(s *authz.Server) error { return s.Unlock(t.Context(), "Bob") },
		"reset-factor": func(s *authz.Server) error { return s.ResetSecondFactor(t.Context(), "Bob") },
	} {
		t.Run(name, func(t *testing.T) { lockAndFree(t, free) })
	}
}

func lockAndFree(t *testing.T, free func(*authz.Server) error) {
	cfg := withTOTP(t)
	cfg.Lockout = authz.Lockout{Guesses: 60, Window: time.Minute, Pause: time.Minute}
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "bob")
	for i := range 100 {
		page = browser.Submit(page, "otp", "000000")
		require.Equal(t, 200, page.Status)
		if i == 59 {
			f.Clock.Advance(time.Minute)
		}
	}
	f.Clock.Advance(20 * time.Minute)
	page = browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now()))
	assert.Equal(t, 429, page.Status)
	assert.Empty(t, page.Header.Get("Retry-After"), "nobody knows")
	assert.Contains(t, page.Body, "Your second factor is locked")
	require.NoError(t, free(f.Server))
	f.Clock.Advance(time.Second) // who was signed in before is no more
	browser = f.NewBrowser()
	page = browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "bob")
	assert.NotNil(t, browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now())).Location)
}

func TestU9_ResettingAFactorForgivesNoGuessesAtThePassword(t *testing.T) {
	cfg := withTOTP(t)
	cfg.Lockout = authz.Lockout{Guesses: 3}
	f := authztest.New(t, cfg)
	for range 3 {
		f.Token("shop", "grant_type", "password", "username", "bob", "password", "wrong", "scope", "orders.read")
	}
	require.NoError(t, f.Server.ResetSecondFactor(t.Context(), "bob"))
	page := f.NewBrowser().SignIn(f.AuthorizeURL(), "bob")
	assert.Equal(t, http.StatusTooManyRequests, page.Status)
}

func TestO6_ASecondFactorIsReset(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	enrol(t, f, browser, "alice")
	require.NoError(t, f.Server.ResetSecondFactor(t.Context(), "alice"))
	f.Clock.Advance(2 * time.Second)
	answer := browser.Get(f.AuthorizeURL("acr_values", twoSteps, "prompt", "none")).Location.Query()
	assert.Equal(t, "login_required", answer.Get("error"), "whoever signed in with the old one")
	page := f.NewBrowser().SignIn(f.AuthorizeURL("acr_values", twoSteps), "alice")
	assert.NotNil(t, shownSecret.FindStringSubmatch(page.Body))
	assert.Len(t, eventsNamed(f, "second_factor_reset"), 1)
}

// stubborn is a store that doesn't forget what is under one prefix: no real one fails on demand.
type stubborn struct {
	store.Store
	prefix string
}

var errStubborn = errors.New("not deleted")

func (s stubborn) Delete(ctx context.Context, key string) error {
	if strings.HasPrefix(key, s.prefix) {
		return errStubborn
	}
	return s.Store.Delete(ctx, key)
}

func TestO6_AResetEndsSessionsThoughGuessesStay(t *testing.T) {
	cfg := withTOTP(t)
	f := authztest.New(t, cfg)
	state, err := authz.NewState(t.Context(), stubborn{f.State.Store(), "guesses/"}, f.Clock.Now)
	require.NoError(t, err)
	f.State = state
	f.Reload(cfg)
	browser := f.NewBrowser()
	enrol(t, f, browser, "alice")
	require.ErrorIs(t, f.Server.ResetSecondFactor(t.Context(), "alice"), errStubborn)
	assert.Len(t, eventsNamed(f, "second_factor_reset"), 1)
	assert.Len(t, eventsNamed(f, "user_revoked"), 1)
	f.Clock.Advance(2 * time.Second)
	answer := browser.Get(f.AuthorizeURL("acr_values", twoSteps, "prompt", "none")).Location.Query()
	assert.Equal(t, "login_required", answer.Get("error"))
}

func TestO6_WhoMayNotSignInCanBeReset(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	for _, name := range []string{"Alice", "carol"} {
		require.NoError(t, f.Server.ResetSecondFactor(t.Context(), name))
		reset := eventsNamed(f, "second_factor_reset")
		assert.Equal(t, strings.ToLower(name), reset[len(reset)-1].Subject)
	}
	assert.ErrorIs(t, f.Server.ResetSecondFactor(t.Context(), "nobody"), users.ErrNotFound)
}

func TestG14_ThePasswordGrantTakesACode(t *testing.T) {
	f := authztest.New(t, withTOTP(t, func(cfg *authz.Config) { cfg.PasswordGrantContracts = []string{twoSteps, authz.PasswordContract} }))
	ask := func(username string, pairs ...string) authztest.Answer {
		return f.Token("shop", append([]string{"grant_type", "password", "username", username, "password", authztest.Password, "scope", "orders.read"}, pairs...)...)
	}
	code := codeAt(t, bobsSecret, f.Clock.Now())
	for name, refused := range map[string]authztest.Answer{
		"G13: without a code, no weaker contract": ask("bob"),
		"a wrong code":                       ask("bob", "otp", "000000"),
		"a wrong password with a right code": ask("bob", "password", "wrong", "otp", code),
		"nobody enrols here":                 ask("alice", "otp", code),
	} {
		assert.Equal(t, "invalid_grant", refused.Get("error"), name)
		assert.Equal(t, ask("nobody").Get("error_description"), refused.Get("error_description"), "A75")
	}
	got := ask("bob", "otp", code)
	require.Equal(t, 200, got.Status, got.JSON)
	claims := f.Claims(got.Get("access_token"))
	assert.Equal(t, twoSteps, claims["acr"])
	assert.Equal(t, []any{"pwd", "otp", "mfa"}, claims["amr"])
	assert.Equal(t, "invalid_grant", ask("bob", "otp", code).Get("error"), "a code works once")
}

package authz_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

var shownRecovery = regexp.MustCompile(`<code>([\d-]+)</code>`)

// shownCodes are the recovery codes of a page.
func shownCodes(page *authztest.Page) (codes []string) {
	for _, match := range shownRecovery.FindAllStringSubmatch(page.Body, -1) {
		codes = append(codes, match[1])
	}
	return codes
}

// enrolWithCodes gives alice a passkey, and returns her recovery codes.
func enrolWithCodes(t *testing.T, f *authztest.Fixture) (*authenticator, []string) {
	t.Helper()
	a, browser := newAuthenticator(t), f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", withPasskey), "alice")
	page = browser.Submit(page, "credential", a.create(page))
	codes := shownCodes(page)
	require.Len(t, codes, 10)
	require.NotNil(t, browser.Submit(page, "skip", "on").Location)
	return a, codes
}

// withoutPasskey goes to the page that asks for a recovery code.
func withoutPasskey(t *testing.T, f *authztest.Fixture, browser *authztest.Browser, contract, username string) *authztest.Page {
	t.Helper()
	page := browser.Get(f.AuthorizeURL("acr_values", contract))
	if contract == withPasskey {
		page = browser.Submit(page, "username", username, "password", authztest.Password)
	}
	page = browser.Submit(page, "recover", "on")
	if contract == passkeyOnly {
		require.Contains(t, page.Body, `name="password"`, "who it is, the passkey can't say")
		page = browser.Submit(page, "username", username, "password", authztest.Password)
	}
	require.Contains(t, page.Body, `name="otp"`)
	return page
}

func (a *authenticator) signsIn(f *authztest.Fixture) bool {
	a.t.Helper()
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
	return browser.Submit(page, "credential", a.get(page)).Location != nil
}

func TestE1_ASecondPasskeyIsOfferedWithTheFirst(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	first, second := newAuthenticator(t), newAuthenticator(t)
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", withPasskey), "alice")
	page = browser.Submit(page, "credential", first.create(page))
	require.Len(t, shownCodes(page), 10)
	assert.Contains(t, page.Attribute("data-options"), encode(first.id), "the same device makes no second one")
	page = browser.Submit(page, "credential", second.create(page))
	require.NotNil(t, page.Location, page.Body)
	assert.Equal(t, first.handle, second.handle, "of one person")
	assert.True(t, first.signsIn(f))
	assert.True(t, second.signsIn(f))
	assert.Len(t, eventsNamed(f, "second_factor_enrolled"), 2)
}

func TestE1_AnotherPasskeyAtAnySignIn(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	a, _ := enrolWithCodes(t, f)
	for _, contract := range []string{passkeyOnly, withPasskey} {
		browser, next := f.NewBrowser(), newAuthenticator(t)
		page := browser.Get(f.AuthorizeURL("acr_values", contract))
		if contract == withPasskey {
			page = browser.Submit(page, "username", "alice", "password", authztest.Password)
		}
		page = browser.Submit(page, "credential", a.get(page), "another", "on")
		assert.Empty(t, shownCodes(page), "she has some")
		failed := browser.Submit(page, "credential", "nonsense")
		require.Contains(t, failed.Body, "That passkey did not work")
		page = browser.Submit(failed, "credential", next.create(failed))
		require.NotNil(t, page.Location, page.Body)
		claims := f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
		assert.Equal(t, contract, claims["acr"])
		assert.True(t, next.signsIn(f))
	}
	assert.True(t, a.signsIn(f))
}

func TestE1_TheOldestOfManyPasskeysGoes(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	oldest, _ := enrolWithCodes(t, f)
	current := oldest
	for range 10 {
		browser := f.NewBrowser()
		page := browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
		page = browser.Submit(page, "credential", current.get(page), "another", "on")
		current = newAuthenticator(t)
		require.NotNil(t, browser.Submit(page, "credential", current.create(page)).Location)
	}
	assert.False(t, oldest.signsIn(f))
	assert.True(t, current.signsIn(f))
}

func TestE1_ARecoveryCodeStandsInForAPasskey(t *testing.T) {
	for _, forget := range []bool{false, true} {
		for _, contract := range []string{withPasskey, passkeyOnly} {
			f := authztest.New(t, withPasskeys(t))
			lost, codes := enrolWithCodes(t, f)
			browser, next := f.NewBrowser(), newAuthenticator(t)
			page := withoutPasskey(t, f, browser, contract, "alice")
			page = browser.Submit(page, "otp", "0000-0000-0000")
			require.Contains(t, page.Body, "A recovery code works once")
			page = browser.Submit(page, "otp", codes[3])
			pairs := []string{"credential", next.create(page)}
			if forget {
				pairs = append(pairs, "forget", "on")
			}
			page = browser.Submit(page, pairs...)
			require.NotNil(t, page.Location, page.Body)
			claims := f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
			assert.Equal(t, contract, claims["acr"])
			assert.Equal(t, []any{"pwd", "otp", "mfa"}, claims["amr"], "what was done, and not what the contract says")
			assert.Len(t, eventsNamed(f, "recovery_code_used"), 1)
			assert.True(t, next.signsIn(f))
			assert.Equal(t, !forget, lost.signsIn(f))

			browser = f.NewBrowser()
			page = browser.Submit(withoutPasskey(t, f, browser, contract, "alice"), "otp", codes[3])
			assert.Contains(t, page.Body, "A recovery code works once")
			page = browser.Submit(page, "recover", "off")
			page = browser.Submit(page, "credential", next.get(page))
			assert.NotNil(t, page.Location, "she has found it")
		}
	}
}

func TestE1_WhoHasUsedUpTheCodesGetsOthers(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	_, codes := enrolWithCodes(t, f)
	for i, code := range codes {
		browser := f.NewBrowser()
		page := browser.Submit(withoutPasskey(t, f, browser, passkeyOnly, "alice"), "otp", code)
		if i < len(codes)-1 {
			require.NotNil(t, browser.Submit(page, "skip", "on").Location)
			continue
		}
		page = browser.Submit(page, "credential", newAuthenticator(t).create(page))
		require.Len(t, shownCodes(page), 10)
		assert.NotNil(t, browser.Submit(page, "skip", "on").Location)
	}
}

func TestA35_ARecoveryCodeIsNoWayAround(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	alices, codes := enrolWithCodes(t, f)
	enrolPasskey(t, f, "bob")
	t.Run("of somebody else", func(t *testing.T) {
		browser := f.NewBrowser()
		page := browser.Submit(withoutPasskey(t, f, browser, passkeyOnly, "bob"), "otp", codes[0])
		assert.Contains(t, page.Body, "A recovery code works once")
		assert.NotContains(t, page.Body, "data-ceremony", "nothing is set up")
	})
	t.Run("a session alone says not who it is", func(t *testing.T) {
		browser := f.NewBrowser()
		require.NotNil(t, browser.SignIn(f.AuthorizeURL("acr_values", authz.PasswordContract), "alice").Location)
		page := browser.Get(f.AuthorizeURL("acr_values", withPasskey))
		require.Equal(t, "get", page.Attribute("data-ceremony"))
		page = browser.Submit(page, "recover", "on")
		assert.Contains(t, page.Body, `name="password"`)
	})
	t.Run("of who never had a passkey", func(t *testing.T) {
		other := authztest.New(t, withPasskeys(t))
		_, recovery, _ := enrol(t, other, other.NewBrowser(), "alice") // an app
		browser := other.NewBrowser()
		page := browser.Submit(withoutPasskey(t, other, browser, passkeyOnly, "alice"), "otp", recovery[0])
		assert.Contains(t, page.Body, "A recovery code works once")
		page = browser.SignIn(other.AuthorizeURL("acr_values", twoSteps), "alice")
		assert.NotNil(t, browser.Submit(page, "otp", recovery[0]).Location, "it is not used up")
	})
	t.Run("passkeys that were reset meanwhile", func(t *testing.T) {
		browser := f.NewBrowser()
		page := browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
		page = browser.Submit(page, "credential", alices.get(page), "another", "on")
		require.NoError(t, f.Server.ResetSecondFactor(t.Context(), "alice"))
		next := newAuthenticator(t)
		page = browser.Submit(page, "credential", next.create(page))
		assert.Equal(t, "get", page.Attribute("data-ceremony"), "it begins anew")
		assert.False(t, next.signsIn(f))
	})
}

func TestA35_AnOfferIsForOneAnswer(t *testing.T) {
	for _, first := range []string{"skip", "credential"} {
		f := authztest.New(t, withPasskeys(t))
		a, _ := enrolWithCodes(t, f)
		browser, next := f.NewBrowser(), newAuthenticator(t)
		page := browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
		page = browser.Submit(page, "credential", a.get(page), "another", "on")
		assert.Len(t, eventsNamed(f, "login"), 2, "the page goes on, and proves nothing")
		browser.Submit(page, first, "nonsense")
		again := browser.Submit(page, "credential", next.create(page))
		assert.NotNil(t, again.Location, "whoever finds the page gets on with it, and no further")
		assert.False(t, next.signsIn(f))

		page = browser.Get(f.AuthorizeURL("acr_values", passkeyOnly, "prompt", "login"))
		page = browser.Submit(page, "credential", a.get(page), "another", "on")
		signOut(t, f, browser)
		assert.Equal(t, "error", browser.Submit(page, "credential", next.create(page)).ID())
		assert.False(t, next.signsIn(f))
	}
}

func TestE1_AnotherPasskeyBeforeASecondStep(t *testing.T) {
	cfg := withPasskeys(t)
	both := "urn:example:passkey-and-app"
	cfg.Contracts = append(cfg.Contracts, authz.Contract{URI: both, Methods: []string{authz.MethodWebAuthn, authz.MethodTOTP}, Level: 5})
	f := authztest.New(t, cfg)
	for _, username := range []string{"alice", "bob"} {
		a, next := enrolPasskey(t, f, username), newAuthenticator(t)
		f.Clock.Advance(time.Minute)
		before := len(eventsNamed(f, "login"))
		browser := f.NewBrowser()
		page := browser.Get(f.AuthorizeURL("acr_values", both))
		page = browser.Submit(page, "credential", a.get(page), "another", "on")
		assert.Len(t, eventsNamed(f, "login"), before, "the app is missing still")
		if username == "bob" { // who has one
			page = browser.Submit(page, "otp", "000000")
			page = browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now()))
			require.NotNil(t, browser.Submit(page, "credential", next.create(page)).Location)
		} else {
			page = browser.Submit(page, "credential", next.create(page))
			assert.Contains(t, page.Body, `id="secret"`)
		}
		assert.True(t, next.signsIn(f))
	}
}

func TestU9_WrongRecoveryCodesArePaused(t *testing.T) {
	cfg := withPasskeys(t)
	cfg.Lockout = authz.Lockout{Guesses: 2}
	f := authztest.New(t, cfg)
	_, codes := enrolWithCodes(t, f)
	browser := f.NewBrowser()
	page := withoutPasskey(t, f, browser, passkeyOnly, "alice")
	for range 2 {
		page = browser.Submit(page, "otp", "000000000000")
	}
	page = browser.Submit(page, "otp", codes[0])
	assert.Equal(t, 429, page.Status)
	f.Clock.Advance(6 * time.Minute)
	page = browser.Submit(page, "otp", codes[0])
	assert.Equal(t, "create", page.Attribute("data-ceremony"), page.Body)
}

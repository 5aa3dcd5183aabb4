package authz_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// riddle is a method of somebody else's: who knows the word may be anybody, or is the one it must be.
type riddle struct{ word string }

func (riddle) Identifies() bool { return true }

func (riddle) Ask(w http.ResponseWriter, _ *http.Request, step authz.MethodStep) {
	_, _ = fmt.Fprintf(w, `<main id="riddle"><form method="post" action="%s"><input type="hidden" name="state" value="%s"></form>refused=%t</main>`,
		step.URL, step.State, step.Refused)
}

func (m riddle) Verify(r *http.Request, step authz.MethodStep) (*authz.MethodProof, error) {
	return m.check(r.Form.Get("word"), r.Form.Get("who"))
}

func (m riddle) check(word, who string) (*authz.MethodProof, error) {
	switch word {
	case m.word:
		return &authz.MethodProof{Subject: who, AMR: []string{"kba"}}, nil
	case "fault":
		return nil, errors.New("the oracle is away")
	}
	return nil, fmt.Errorf("not the word: %w", authz.ErrMethodRefused)
}

// directRiddle needs no browser.
type directRiddle struct{ riddle }

func (m directRiddle) VerifyDirect(_ context.Context, _ *users.User, params oauth.Params) (*authz.MethodProof, error) {
	return m.check(params.Get("word"), params.Get("username"))
}

const (
	riddleFirst = "urn:example:riddle"
	riddleLast  = "urn:example:riddle-too"
	riddleLater = "urn:example:direct-riddle-too"
)

func withRiddle(t *testing.T) authz.Config {
	t.Helper()
	return withTOTP(t, func(cfg *authz.Config) {
		cfg.Methods = map[string]authz.Method{"riddle": riddle{"plover"}, "direct-riddle": directRiddle{riddle{"xyzzy"}}}
		cfg.Contracts = append(cfg.Contracts,
			authz.Contract{URI: riddleFirst, Methods: []string{"riddle"}},
			authz.Contract{URI: riddleLast, Methods: []string{"password", "riddle"}},
			authz.Contract{URI: riddleLater, Methods: []string{"password", "direct-riddle"}})
	})
}

func TestG14_AMethodOfSomebodyElseIsAStep(t *testing.T) {
	f := authztest.New(t, withRiddle(t))
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", riddleLast), "alice")
	require.Equal(t, "riddle", page.ID())
	assert.Equal(t, "frame-ancestors 'none'", page.Header.Get("Content-Security-Policy"))
	page = browser.Submit(page, "word", "plugh")
	require.Equal(t, "riddle", page.ID())
	assert.Contains(t, page.Body, "refused=true")
	page = browser.Submit(page, "word", "plover", "who", "bob")
	require.Contains(t, page.Body, "refused=true", "it is to be alice")
	page = browser.Submit(page, "word", "plover")
	require.NotNil(t, page.Location, page.Body)
	claims := f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
	assert.Equal(t, "alice", claims["sub"])
	assert.Equal(t, riddleLast, claims["acr"])
	assert.Equal(t, []any{"pwd", "kba", "mfa"}, claims["amr"])
	failed := eventsNamed(f, "login_failed")
	require.Len(t, failed, 2)
	assert.Equal(t, "riddle", failed[0].Method)
	assert.Equal(t, "alice", failed[1].Subject)
}

func TestA35_AMethodThatNamedNobodyIsNoFirstOne(t *testing.T) {
	for who, next := range map[string]string{"": "riddle", "alice": ""} {
		f := authztest.New(t, withRiddle(t))
		browser := f.NewBrowser()
		page := browser.SignIn(f.AuthorizeURL("acr_values", riddleLast), "alice")
		require.NotNil(t, browser.Submit(page, "word", "plover", "who", who).Location)
		assert.Equal(t, next, browser.Get(f.AuthorizeURL("acr_values", riddleFirst)).ID(), "who=%q", who)
	}
}

func TestU9_GuessesAtAFirstMethodArePaused(t *testing.T) {
	cfg := withRiddle(t)
	cfg.Lockout = authz.Lockout{Guesses: 2}
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL("acr_values", riddleFirst))
	for range 2 {
		page = browser.Submit(page, "word", "plugh", "who", "bob")
		require.Equal(t, "riddle", page.ID())
	}
	paused := browser.Submit(page, "word", "plover", "who", "bob")
	assert.Equal(t, http.StatusServiceUnavailable, paused.Status)
	assert.NotEmpty(t, paused.Header.Get("Retry-After"))
	assert.Len(t, eventsNamed(f, "login_paused"), 1)
	f.Clock.Advance(6 * time.Minute)
	assert.NotNil(t, browser.Submit(page, "word", "plover", "who", "bob").Location)
}

func TestU10_AFirstMethodOfSomebodyElseSaysWhoItIs(t *testing.T) {
	f := authztest.New(t, withRiddle(t))
	for who, in := range map[string]bool{"bob": true, "carol": false, "nobody": false} {
		browser := f.NewBrowser()
		page := browser.Get(f.AuthorizeURL("acr_values", riddleFirst))
		_, fields := page.Form()
		// An upstream sends the browser back with a query.
		page = browser.Get(f.URL + "/login/riddle?" + url.Values{"state": fields["state"], "word": {"plover"}, "who": {who}}.Encode())
		assert.Equal(t, in, page.Location != nil, "%s: %s", who, page.Body)
	}
}

func TestA27_AnAnswerToAMethodIsItsBrowsersOwn(t *testing.T) {
	f := authztest.New(t, withRiddle(t))
	page := f.NewBrowser().Get(f.AuthorizeURL("acr_values", riddleFirst))
	_, fields := page.Form()
	for name, state := range map[string]string{"another browser": fields.Get("state"), "no state": "", "a state of ours": "x"} {
		other := f.NewBrowser()
		other.Get(f.AuthorizeURL())
		page := other.Get(f.URL + "/login/riddle?" + url.Values{"state": {state}, "word": {"plover"}, "who": {"bob"}}.Encode())
		assert.Equal(t, "error", page.ID(), name)
	}
}

func TestG14_AFaultOfAMethodIsNobodysGuess(t *testing.T) {
	cfg := withRiddle(t)
	cfg.Lockout = authz.Lockout{Guesses: 1}
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	asks := browser.SignIn(f.AuthorizeURL("acr_values", riddleLast), "alice")
	for range 3 {
		page := browser.Submit(asks, "word", "fault")
		assert.Equal(t, http.StatusServiceUnavailable, page.Status)
		assert.NotContains(t, page.Body, "oracle")
	}
	assert.NotNil(t, browser.Submit(asks, "word", "plover").Location)
	asks = f.NewBrowser().SignIn(f.AuthorizeURL("acr_values", riddleLast), "alice")
	require.Equal(t, "riddle", asks.ID())
}

func TestG14_ThePasswordGrantTakesAMethodThatNeedsNoBrowser(t *testing.T) {
	f := authztest.New(t, withRiddle(t))
	ask := func(word string) authztest.Answer {
		return f.Token("shop", "grant_type", "password", "username", "alice", "password", authztest.Password, "scope", "orders.read",
			"acr_values", riddleLast+" "+riddleLater, "word", word)
	}
	got := ask("xyzzy")
	require.Equal(t, 200, got.Status, got.JSON)
	assert.Equal(t, riddleLater, f.Claims(got.Get("access_token"))["acr"], "the one that needs a browser is skipped")
	assert.Equal(t, "invalid_grant", ask("plugh").Get("error"))
	assert.Equal(t, "temporarily_unavailable", ask("fault").Get("error"))
}

func TestG14_AMethodMayNotTakeABuiltInName(t *testing.T) {
	cfg := withRiddle(t)
	cfg.Issuer, cfg.Methods = "https://login.example.com", map[string]authz.Method{"totp": riddle{}, "a/b": riddle{}}
	_, err := authz.New(cfg)
	require.ErrorContains(t, err, "method totp: is built in")
	require.ErrorContains(t, err, "method a/b: a name has letters, digits, and ._@- only")
}

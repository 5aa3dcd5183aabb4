package authz_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

// TestW5_ATabThatWaitsSeesASignInElsewhere: of several tabs that wait for a sign-in, one is enough.
func TestW5_ATabThatWaitsSeesASignInElsewhere(t *testing.T) {
	f := authztest.New(t, withTOTP(t))
	browser := f.NewBrowser()
	waiting, stepUp := browser.Get(f.AuthorizeURL()), browser.Get(f.AuthorizeURL("acr_values", twoSteps))
	anew := browser.Get(f.AuthorizeURL("prompt", "login"))
	f.Clock.Advance(time.Second)
	mine := browser.Get(f.AuthorizeURL())
	require.NotNil(t, browser.Submit(mine, "username", "bob", "password", authztest.Password).Location)

	assert.NotNil(t, browser.Get(waiting.URL.String()).Location)
	assert.Contains(t, browser.Get(anew.URL.String()).Body, `name="password"`, "its application wants a sign-in of its own")
	assert.Contains(t, browser.Get(mine.URL.String()).Body, `name="password"`, "whoever comes back may sign in anew")
	code := browser.Get(stepUp.URL.String())
	require.Contains(t, code.Body, `name="otp"`, "the password is given, and the code is not")

	f.Clock.Advance(time.Second)
	again := browser.Get(f.AuthorizeURL("acr_values", twoSteps))
	used := codeAt(t, bobsSecret, f.Clock.Now())
	require.NotNil(t, browser.Submit(again, "otp", used).Location)
	assert.NotNil(t, browser.Submit(code, "otp", used).Location, "a code that counts once would not work a second time")

	other := f.NewBrowser()
	other.Authorize(f.AuthorizeURL(), "alice")
	page := other.Get(f.AuthorizeURL("prompt", "login"))
	assert.NotNil(t, other.Submit(page, "username", "bob", "password", authztest.Password).Location, "whoever types a name means it")
}

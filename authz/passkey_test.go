package authz_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/store"
)

const (
	withPasskey = "urn:example:passkey-too"
	passkeyOnly = "urn:example:passkey"
)

func withPasskeys(t *testing.T) authz.Config {
	t.Helper()
	return withTOTP(t, func(cfg *authz.Config) {
		cfg.Issuer = "https://example.com"
		cfg.Contracts = append(cfg.Contracts,
			authz.Contract{URI: withPasskey, Methods: []string{authz.MethodPassword, authz.MethodWebAuthn}, Level: 3},
			authz.Contract{URI: passkeyOnly, Methods: []string{authz.MethodWebAuthn}, Level: 4})
	})
}

// authenticator is a security key that verifies its owner, with one credential at most.
type authenticator struct {
	t      *testing.T
	origin string
	key    *ecdsa.PrivateKey
	id     []byte
	handle string
	count  uint32
	// touched: it only finds that somebody is there.
	touched bool
}

func newAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return &authenticator{t: t, origin: "https://example.com", key: key, id: id}
}

// options is what the page asks of authenticators.
type options struct {
	PublicKey struct {
		Challenge string
		User      struct{ ID string }
	}
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func (a *authenticator) read(page *authztest.Page) (o options, clientData []byte) {
	a.t.Helper()
	require.NoError(a.t, json.Unmarshal([]byte(page.Attribute("data-options")), &o), page.Body)
	clientData, err := json.Marshal(map[string]any{
		"type": "webauthn." + page.Attribute("data-ceremony"), "challenge": o.PublicKey.Challenge, "origin": a.origin,
	})
	require.NoError(a.t, err)
	return o, clientData
}

// data is the authenticator data (Web Authentication §6.1): present and, as a rule, verified.
func (a *authenticator) data(flags byte) []byte {
	hash := sha256.Sum256([]byte("example.com"))
	a.count++
	flags |= 0b101
	if a.touched {
		flags &^= 0b100
	}
	return binary.BigEndian.AppendUint32(append(hash[:], flags), a.count)
}

func (a *authenticator) answer(response map[string]any) string {
	a.t.Helper()
	text, err := json.Marshal(map[string]any{
		"id": encode(a.id), "rawId": encode(a.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
	})
	require.NoError(a.t, err)
	return string(text)
}

// create makes the credential that a page asks for.
func (a *authenticator) create(page *authztest.Page) string {
	a.t.Helper()
	require.Equal(a.t, "create", page.Attribute("data-ceremony"), page.Body)
	o, clientData := a.read(page)
	a.handle = o.PublicKey.User.ID
	public, err := a.key.PublicKey.Bytes() // 4, x, y
	require.NoError(a.t, err)
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: public[1:33], -3: public[33:]})
	require.NoError(a.t, err)
	data := append(a.data(0x40), make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), cose...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	require.NoError(a.t, err)
	return a.answer(map[string]any{"clientDataJSON": encode(clientData), "attestationObject": encode(object)})
}

// get answers a page's challenge.
func (a *authenticator) get(page *authztest.Page) string {
	a.t.Helper()
	require.Equal(a.t, "get", page.Attribute("data-ceremony"), page.Body)
	_, clientData := a.read(page)
	data, hash := a.data(0), sha256.Sum256(clientData)
	digest := sha256.Sum256(append(slices.Clip(data), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	require.NoError(a.t, err)
	return a.answer(map[string]any{
		"clientDataJSON": encode(clientData), "authenticatorData": encode(data), "signature": encode(signature), "userHandle": a.handle,
	})
}

// enrolPasskey gives somebody a passkey.
func enrolPasskey(t *testing.T, f *authztest.Fixture, username string) *authenticator {
	t.Helper()
	a, browser := newAuthenticator(t), f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", withPasskey), username)
	if username == "bob" {
		page = browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now()))
	}
	page = browser.Submit(page, "credential", a.create(page))
	page = browser.Submit(page, "skip", "on") // no second one
	require.NotNil(t, page.Location, page.Body)
	claims := f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
	require.Equal(t, withPasskey, claims["acr"])
	require.Equal(t, []any{"pwd", "hwk", "user", "mfa"}, claims["amr"])
	return a
}

func TestE1_APasskeyIsSetUpAndAskedFor(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	a := enrolPasskey(t, f, "alice")
	assert.Len(t, eventsNamed(f, "second_factor_enrolled"), 1)
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", withPasskey), "alice")
	assert.Contains(t, page.Header.Get("Content-Security-Policy"), "script-src https://example.com/passkey.js;")
	assert.Contains(t, page.Body, `<script src="https://example.com/passkey.js" defer>`)
	page = browser.Submit(page, "credential", a.get(page))
	assert.NotNil(t, page.Location, page.Body)
	script := f.Bearer("GET", "/passkey.js", "")
	assert.Equal(t, 200, script.Status)
	assert.Equal(t, "text/javascript; charset=utf-8", script.Header.Get("Content-Type"))
}

func TestE1_APasskeyAloneSaysWhoItIs(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	a := enrolPasskey(t, f, "alice")
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
	require.NotContains(t, page.Body, `name="password"`)
	page = browser.Submit(page, "credential", a.get(page))
	require.NotNil(t, page.Location, page.Body)
	claims := f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
	assert.Equal(t, "alice", claims["sub"])
	assert.Equal(t, passkeyOnly, claims["acr"])
	page = browser.Get(f.AuthorizeURL("acr_values", twoSteps))
	require.NotNil(t, page.Location, "a higher level is enough for a lower one")
	claims = f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
	assert.Equal(t, passkeyOnly, claims["acr"])
}

func TestA35_APasskeyThatProvesNothing(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	alices, bobs := enrolPasskey(t, f, "alice"), enrolPasskey(t, f, "bob")
	elsewhere := *alices
	elsewhere.origin = "https://example.org"
	strangers := newAuthenticator(t)
	strangers.id, strangers.handle = alices.id, alices.handle
	for name, answer := range map[string]func(*authztest.Page) string{
		"of somebody else": bobs.get,
		"of another site":  elsewhere.get,
		"of another key":   strangers.get,
		"nothing":          func(*authztest.Page) string { return "" },
		"no JSON":          func(*authztest.Page) string { return "{" },
		"for another challenge": func(*authztest.Page) string {
			return alices.get(f.NewBrowser().Get(f.AuthorizeURL("acr_values", passkeyOnly)))
		},
		"a counter that went back": func(p *authztest.Page) string { alices.count = 0; return alices.get(p) },
	} {
		t.Run(name, func(t *testing.T) {
			alices.count += 10
			browser := f.NewBrowser()
			page := browser.SignIn(f.AuthorizeURL("acr_values", withPasskey), "alice")
			page = browser.Submit(page, "credential", answer(page))
			assert.Nil(t, page.Location)
			assert.Contains(t, page.Body, "That passkey did not work")
			assert.Equal(t, "get", page.Attribute("data-ceremony"), "nothing weaker is offered")
		})
	}
}

func TestA35_ATouchSaysThatSomebodyIsThereNotWho(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	a := enrolPasskey(t, f, "alice")
	a.touched = true
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
	require.Contains(t, browser.Submit(page, "credential", a.get(page)).Body, "That passkey did not work")

	page = browser.SignIn(f.AuthorizeURL("acr_values", withPasskey), "alice")
	page = browser.Submit(page, "credential", a.get(page))
	require.NotNil(t, page.Location, "after a password it is enough")
	claims := f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
	assert.Equal(t, withPasskey, claims["acr"])
	assert.Equal(t, []any{"pwd", "hwk", "user", "mfa"}, claims["amr"])

	page = browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
	require.Equal(t, "login", page.ID(), "but not for the contract that begins with it")
	assert.Equal(t, "login_required", browser.Get(f.AuthorizeURL("acr_values", passkeyOnly, "prompt", "none")).Location.Query().Get("error"))
	assert.NotNil(t, browser.Get(f.AuthorizeURL("acr_values", withPasskey, "prompt", "none")).Location.Query()["code"])
	a.touched = false
	page = browser.Submit(page, "credential", a.get(page))
	require.NotNil(t, page.Location, page.Body)
	claims = f.Claims(f.Redeem("shop", page.Location.Query().Get("code")).Get("id_token"))
	assert.Equal(t, passkeyOnly, claims["acr"])
}

func TestG11_ATouchProlongsNoSession(t *testing.T) {
	for touched, want := range map[bool]string{true: "login_required", false: ""} {
		f := authztest.New(t, withPasskeys(t))
		a := enrolPasskey(t, f, "alice")
		a.touched = touched
		browser := f.NewBrowser()
		browser.Authorize(f.AuthorizeURL("acr_values", authz.PasswordContract), "alice")
		for range 13 {
			f.Clock.Advance(55 * time.Minute)
			browser.Get(f.AuthorizeURL("acr_values", authz.PasswordContract))
		}
		page := browser.Get(f.AuthorizeURL("acr_values", withPasskey))
		page = browser.Submit(page, "credential", a.get(page))
		require.NotNil(t, page.Location, page.Body)
		f.Clock.Advance(10 * time.Minute) // 12:05 since the password, the session's lifetime is 12 hours
		answer := browser.Get(f.AuthorizeURL("prompt", "none")).Location.Query()
		assert.Equal(t, want, answer.Get("error"), "touched: %t", touched)
	}
}

func TestA35_ATouchEnrolsNothing(t *testing.T) {
	const all = "urn:example:all"
	for touched, asks := range map[bool]string{true: `name="password"`, false: `id="secret"`} {
		cfg := withPasskeys(t)
		cfg.Contracts = append(cfg.Contracts, authz.Contract{URI: all, Methods: []string{authz.MethodPassword, authz.MethodWebAuthn, authz.MethodTOTP}, Level: 5})
		f := authztest.New(t, cfg)
		a := enrolPasskey(t, f, "alice")
		a.touched = touched
		browser := f.NewBrowser()
		browser.Authorize(f.AuthorizeURL("acr_values", authz.PasswordContract), "alice")
		page := browser.Get(f.AuthorizeURL("acr_values", all))
		page = browser.Submit(page, "credential", a.get(page))
		assert.Contains(t, page.Body, asks, "touched: %t", touched)

		page = browser.Get(f.AuthorizeURL("acr_values", withPasskey))
		page = browser.Submit(page, "credential", a.get(page), "another", "on")
		if touched {
			require.Contains(t, page.Body, `name="password"`)
			require.NotContains(t, page.Body, "data-ceremony")
			page = browser.Submit(page, "username", "alice", "password", authztest.Password)
		}
		next := newAuthenticator(t)
		require.NotNil(t, browser.Submit(page, "credential", next.create(page)).Location)
		assert.True(t, next.signsIn(f))
	}
}

func TestA35_WhoAsksForAnotherPasskeyIsWhoeverGetsIt(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	a := enrolPasskey(t, f, "alice")
	enrolPasskey(t, f, "bob")
	a.touched = true
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL("acr_values", authz.PasswordContract), "alice")
	page := browser.Get(f.AuthorizeURL("acr_values", withPasskey))
	page = browser.Submit(page, "credential", a.get(page), "another", "on")
	page = browser.Submit(page, "username", "bob", "password", authztest.Password)
	assert.Equal(t, "get", page.Attribute("data-ceremony"), "bob has answered nothing")
}

func TestA53_OnlyAProofWritesThatAChallengeWasAnswered(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	a, browser := enrolPasskey(t, f, "alice"), f.NewBrowser()
	page := browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
	decided := func() int {
		entries, err := f.State.Store().Scan(t.Context(), "decided/", "", 100)
		require.NoError(t, err)
		return len(entries)
	}
	before := decided()
	for _, answer := range []string{"", "{", newAuthenticator(t).get(page)} {
		page = browser.Submit(page, "credential", answer)
	}
	assert.Equal(t, before, decided())
	require.NotNil(t, browser.Submit(page, "credential", a.get(page)).Location)
	assert.Greater(t, decided(), before)
}

// interrupted is a store in which something happens before a write, which may fail then.
type interrupted struct {
	store.Store
	before func(key string) error
}

func (i *interrupted) Update(ctx context.Context, key string, fn store.UpdateFunc) error {
	if err := i.before(key); err != nil {
		return err
	}
	return i.Store.Update(ctx, key, fn)
}

// beforeClient has something happen before the registration of a client is written; nil: nothing.
func (i *interrupted) beforeClient(do func() error) {
	i.before = func(key string) error {
		if do != nil && strings.HasPrefix(key, "client/") {
			return do()
		}
		return nil
	}
}

// full is what a store says that has no room.
func full() error { return errors.New("the disk is full") }

// interruptible serves a configuration over a store in which things can happen.
func interruptible(t *testing.T, f *authztest.Fixture, cfg authz.Config) *interrupted {
	t.Helper()
	i := &interrupted{f.State.Store(), func(string) error { return nil }}
	var err error
	f.State, err = authz.NewState(t.Context(), i, f.Clock.Now)
	require.NoError(t, err)
	f.Reload(cfg)
	return i
}

func TestA35_ACounterIsGoodForOneOfTwoAtOnce(t *testing.T) {
	cfg := withPasskeys(t)
	f := authztest.New(t, cfg)
	slow := interruptible(t, f, cfg)
	a := enrolPasskey(t, f, "alice")
	copied := *a
	first, second := f.NewBrowser(), f.NewBrowser()
	pages := []*authztest.Page{first.Get(f.AuthorizeURL("acr_values", passkeyOnly)), second.Get(f.AuthorizeURL("acr_values", passkeyOnly))}
	var between *authztest.Page
	slow.before = func(key string) error {
		if strings.HasPrefix(key, "factor/") {
			slow.before = func(string) error { return nil }
			between = second.Submit(pages[1], "credential", copied.get(pages[1]))
		}
		return nil
	}
	page := first.Submit(pages[0], "credential", a.get(pages[0]))
	require.NotNil(t, between)
	assert.NotNil(t, between.Location, between.Body)
	assert.Nil(t, page.Location, "the same count")
	assert.Contains(t, page.Body, "That passkey did not work")
}

func TestA35_AChallengeIsAnsweredOnce(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	a := enrolPasskey(t, f, "alice")
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
	answer := a.get(page)
	require.NotNil(t, browser.Submit(page, "credential", answer).Location)
	assert.Nil(t, browser.Submit(page, "credential", answer).Location)
}

func TestO6_APasskeyIsReset(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	a := enrolPasskey(t, f, "alice")
	require.NoError(t, f.Server.ResetSecondFactor(t.Context(), "alice"))
	f.Clock.Advance(2 * time.Second)
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL("acr_values", passkeyOnly))
	assert.Nil(t, browser.Submit(page, "credential", a.get(page)).Location)
	enrolPasskey(t, f, "alice")
}

func TestU9_WrongPasskeysArePaused(t *testing.T) {
	cfg := withPasskeys(t)
	cfg.Lockout = authz.Lockout{Guesses: 2}
	f := authztest.New(t, cfg)
	a := enrolPasskey(t, f, "alice")
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", withPasskey), "alice")
	for range 2 {
		page = browser.Submit(page, "credential", "")
	}
	page = browser.Submit(page, "credential", a.get(page))
	assert.Equal(t, 429, page.Status)
	f.Clock.Advance(6 * time.Minute)
	page = browser.Submit(page, "credential", a.get(page))
	assert.NotNil(t, page.Location, page.Body)
}

func TestG14_AContractThatNeedsABrowserIsSkipped(t *testing.T) {
	cfg := withPasskeys(t)
	f := authztest.New(t, cfg)
	ask := func(contracts string) authztest.Answer {
		return f.Token("shop", "grant_type", "password", "username", "alice", "password", authztest.Password, "scope", "orders.read", "acr_values", contracts)
	}
	got := ask(passkeyOnly + " " + authz.PasswordContract)
	require.Equal(t, 200, got.Status, got.JSON)
	assert.Equal(t, authz.PasswordContract, f.Claims(got.Get("access_token"))["acr"])
	assert.Equal(t, "unauthorized_client", ask(passkeyOnly+" "+withPasskey).Get("error"), "none can run")
}

func TestA35_WhoHasOneFactorEnrolsAnotherOnlyWithIt(t *testing.T) {
	f := authztest.New(t, withPasskeys(t))
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("acr_values", withPasskey), "bob") // his entry has a secret
	require.Contains(t, page.Body, `name="otp"`)
	page = browser.Submit(page, "otp", "000000")
	require.Contains(t, page.Body, `name="otp"`)
	page = browser.Submit(page, "otp", codeAt(t, bobsSecret, f.Clock.Now()))
	a := newAuthenticator(t)
	page = browser.Submit(page, "credential", a.create(page))
	page = browser.Submit(page, "skip", "on")
	require.NotNil(t, page.Location, page.Body)

	alices := enrolPasskey(t, f, "alice")
	browser = f.NewBrowser()
	page = browser.SignIn(f.AuthorizeURL("acr_values", twoSteps), "alice")
	require.NotContains(t, page.Body, `id="secret"`)
	page = browser.Submit(page, "credential", alices.get(page))
	// Password and passkey are a contract of a higher level than the one that was asked for.
	require.NotNil(t, page.Location, page.Body)
}

func TestE1_PasskeysNeedAName(t *testing.T) {
	cfg := withPasskeys(t)
	cfg.Issuer = "https://192.0.2.1"
	_, err := authz.New(cfg)
	require.ErrorContains(t, err, "method webauthn needs an issuer whose host is a name")
}

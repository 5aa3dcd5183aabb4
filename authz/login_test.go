package authz_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

// faulty is a store of users that can be made to fail: no real one fails on demand.
type faulty struct {
	users.Store
	failure atomic.Pointer[error]
}

func (f *faulty) Authenticate(ctx context.Context, c users.Credentials, admit func(subject string) error) (*users.User, error) {
	if err := f.failure.Load(); err != nil {
		return nil, *err
	}
	return f.Store.Authenticate(ctx, c, admit)
}

func (f *faulty) Lookup(ctx context.Context, subject string) (*users.User, error) {
	if err := f.failure.Load(); err != nil {
		return nil, *err
	}
	return f.Store.Lookup(ctx, subject)
}

func (f *faulty) Find(ctx context.Context, attribute, value string) (*users.User, error) {
	if err := f.failure.Load(); err != nil {
		return nil, *err
	}
	return f.Store.(users.Finder).Find(ctx, attribute, value)
}

func TestU1_WordsForWhyAnAccountCantSignIn(t *testing.T) {
	store := &faulty{Store: people(t)}
	cfg := authztest.Config()
	cfg.Users = store
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL())
	seen := map[string]bool{}
	for _, why := range []error{users.ErrDisabled, users.ErrLocked, users.ErrExpired, users.ErrPasswordExpired, users.ErrMustChange, users.ErrNotNow} {
		store.failure.Store(&why)
		page = browser.Submit(page, "username", "alice", "password", authztest.Password)
		require.Equal(t, "login", page.ID())
		require.Equal(t, http.StatusOK, page.Status)
		seen[page.Text()] = true
	}
	assert.Len(t, seen, 6, "each has words of its own")
}

func TestU9_AnAbortedRequestWashesNoGuessAway(t *testing.T) {
	cfg := authztest.Config()
	cfg.Lockout = authz.Lockout{Guesses: 3}
	store := &faulty{Store: people(t)}
	cfg.Users = store
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	page := browser.Get(f.AuthorizeURL())
	page = browser.Submit(page, "username", "alice", "password", "wrong")
	page = browser.Submit(page, "username", "alice", "password", "wrong")
	fault := errors.Join(users.ErrUnavailable, context.Canceled)
	store.failure.Store(&fault)
	page = browser.Submit(page, "username", "alice", "password", "wrong")
	assert.Equal(t, http.StatusServiceUnavailable, page.Status)
	store.failure.Store(nil)
	page = browser.Submit(page, "username", "alice", "password", "wrong")
	page = browser.Submit(page, "username", "alice", "password", authztest.Password)
	assert.Equal(t, http.StatusTooManyRequests, page.Status, "the guesses before the fault still count")
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

func TestU9_APauseSurvivesARestartAndEndsByUnlock(t *testing.T) {
	cfg := authztest.Config()
	cfg.Lockout = authz.Lockout{Guesses: 3}
	cfg.ClientIP = func(r *http.Request) string { return r.Header.Get("User-Agent") } // the account's count is meant
	f := authztest.New(t, cfg)
	try := func(address, password string) *authztest.Page {
		browser := f.NewBrowser()
		page := browser.Get(f.AuthorizeURL())
		action, form := page.Form()
		authztest.Set(form, "username", "alice", "password", password)
		req, err := http.NewRequest(http.MethodPost, action.String(), strings.NewReader(form.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("User-Agent", address)
		return browser.Do(req)
	}
	for _, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		require.Equal(t, "login", try(address, "wrong").ID())
	}
	state, err := authz.NewState(t.Context(), f.State.Store(), f.Clock.Now)
	require.NoError(t, err)
	f.State = state
	f.Reload(cfg)
	require.Equal(t, http.StatusTooManyRequests, try("192.0.2.4", authztest.Password).Status)

	require.NoError(t, f.Server.Unlock(t.Context(), "ALICE"))
	assert.NotNil(t, try("192.0.2.4", authztest.Password).Location)
	assert.Contains(t, f.Events(), authz.Event{Name: "unlocked", Issuer: f.URL, Account: "ALICE"})
}

// countedUpdates is a store that counts the writes of wrong guesses.
type countedUpdates struct {
	store.Store
	guesses atomic.Int32
}

func (c *countedUpdates) Update(ctx context.Context, key string, fn store.UpdateFunc) error {
	if strings.HasPrefix(key, "guesses/") {
		c.guesses.Add(1)
	}
	return c.Store.Update(ctx, key, fn)
}

func TestA75_KeepingAGuessCostsTheSameForEveryName(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	counted := &countedUpdates{Store: f.State.Store()}
	state, err := authz.NewState(t.Context(), counted, f.Clock.Now)
	require.NoError(t, err)
	f.State = state
	f.Reload(cfg)
	for _, name := range []string{"alice", "nobody", "carol"} {
		before := counted.guesses.Load()
		browser := f.NewBrowser()
		browser.Submit(browser.Get(f.AuthorizeURL()), "username", name, "password", "wrong")
		assert.EqualValues(t, 3, counted.guesses.Load()-before, "%s: the name, its owner, and the address", name)
	}
}

func TestU9_OneOfABackEndsPeopleLocksOutNobodyElse(t *testing.T) {
	cfg := withTOTP(t)
	cfg.Lockout = authz.Lockout{Guesses: 3}
	cfg.Clients = append(cfg.Clients, authz.Client{
		ID: "app", Type: authz.ClientNative, GrantTypes: []string{authz.GrantPassword}, Scopes: []string{"openid", "orders.read"},
	})
	f := authztest.New(t, cfg)
	ask := func(client, username, password string) authztest.Answer {
		return f.Post("/token", client, url.Values{"grant_type": {"password"}, "username": {username}, "password": {password}, "scope": {"orders.read"}})
	}
	for i := range 9 {
		ask("shop", fmt.Sprintf("nobody%d", i), "wrong")
	}
	require.Equal(t, http.StatusOK, ask("shop", "bob", authztest.Password).Status)
	for range 3 {
		ask("shop", "alice", "wrong")
	}
	assert.Equal(t, "invalid_grant", ask("shop", "alice", authztest.Password).Get("error"), "guesses at an account count")
	public := func(username, password string) authztest.Answer {
		return f.Post("/token", "", url.Values{"client_id": {"app"}, "grant_type": {"password"}, "username": {username}, "password": {password}})
	}
	require.Equal(t, http.StatusOK, public("bob", authztest.Password).Status)
	for i := range 3 {
		public(fmt.Sprintf("nobody%d", i+9), "wrong")
	}
	assert.Equal(t, "invalid_grant", public("bob", authztest.Password).Get("error"), "any program may say that it is a public client")
}

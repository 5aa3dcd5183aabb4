// Package authztest gives tests a ready authorization server, a clock they can set, and a browser
// that is driven by code.
package authztest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users/static"
)

// Password is the password of every user that Config sets up.
const Password = "open sesame"

// Secret is the secret of every confidential client that Config sets up.
const Secret = "a-secret-that-only-this-client-and-the-server-know"

// Clock is a time that tests set. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at the present second.
func NewClock() *Clock { return &Clock{now: time.Now().Truncate(time.Second)} }

// Now is what the server takes for the present.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Keys is an authz.KeyStore in memory. It is safe for concurrent use.
type Keys struct {
	mu        sync.Mutex
	documents map[string][]byte
}

// Load implements authz.KeyStore.
func (k *Keys) Load(_ context.Context, name string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if doc, ok := k.documents[name]; ok {
		return doc, nil
	}
	return nil, fs.ErrNotExist
}

// Save implements authz.KeyStore.
func (k *Keys) Save(_ context.Context, name string, document []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.documents == nil {
		k.documents = make(map[string][]byte)
	}
	k.documents[name] = document
	return nil
}

// Lock implements authz.KeyStore; one process needs none.
func (*Keys) Lock(context.Context, string) error { return nil }

// Unlock implements authz.KeyStore.
func (*Keys) Unlock(context.Context, string) error { return nil }

// sharedKeys spares each test the making of RSA keys.
var sharedKeys = new(Keys)

// Config is a small, complete configuration; tests change it before New.
func Config() authz.Config {
	return authz.Config{
		Keys: sharedKeys,
		ResourceServers: []authz.ResourceServer{
			{
				Name: "orders", Identifiers: []string{"https://orders.example.com"}, Encryption: authz.EncryptionNone,
				Scopes: []authz.Scope{
					{Name: "orders.read", Description: "See your orders", Permissions: []authz.ScopePermissions{
						{Permissions: []string{"read"}, To: authz.Placement{AccessToken: true}},
					}},
					{Name: "orders.write", Description: "Change your orders", RequireConsent: true, Optional: true},
					{Name: "who", Roles: &authz.Placement{AccessToken: true}},
				},
			},
		},
		Clients: []authz.Client{
			{
				ID: "shop", Name: "The shop", SecretHash: oauth.Fingerprint(Secret),
				RedirectURIs: []string{"https://shop.example.com/callback"},
				Scopes:       []string{"openid", "profile", "email", "orders.read", "orders.write", "who"},
			},
			{
				ID: "rotating", SecretHash: oauth.Fingerprint(Secret), RotateRefreshToken: true,
				RedirectURIs: []string{"https://rotating.example.com/callback"},
				Scopes:       []string{"openid", "orders.read"},
			},
			{
				ID: "spa", RedirectURIs: []string{"https://spa.example.com/callback"}, CORS: []string{"https://spa.example.com"},
				Scopes: []string{"openid", "orders.read"},
			},
			{
				ID: "robot", AccessType: authz.AccessService, SecretHash: oauth.Fingerprint(Secret),
				Scopes: []string{"orders.read", "orders.write"},
			},
		},
	}
}

// hash is made once: a new one would look like a changed password.
var hash = sync.OnceValues(func() ([]byte, error) {
	return bcrypt.GenerateFromPassword([]byte(Password), bcrypt.MinCost)
})

// Users are alice (employee), bob and the disabled carol.
func Users(t testing.TB) []static.User {
	t.Helper()
	hash, err := hash()
	require.NoError(t, err)
	return []static.User{
		{
			Name: "alice", Password: string(hash), Roles: []string{"employee", "buyer"},
			Attributes: map[string][]string{"mail": {"alice@example.com"}, "givenName": {"Alice"}, "sn": {"Liddell"}, "departmentNumber": {"42", "43"}},
		},
		{Name: "bob", Password: string(hash), Attributes: map[string][]string{"mail": {"bob@example.com"}}},
		{Name: "carol", Password: string(hash), Disabled: true},
	}
}

// People is a store of Users.
func People(t testing.TB) *static.Store {
	t.Helper()
	list, err := static.New(Users(t))
	require.NoError(t, err)
	return list
}

// Fixture is a server that answers over TLS on loopback.
type Fixture struct {
	t      testing.TB
	Server *authz.Server
	State  *authz.State
	Clock  *Clock
	URL    string // the issuer
	HTTP   *httptest.Server
	Logs   *observer.ObservedLogs

	log    *zap.Logger
	mu     sync.Mutex
	events []authz.Event
}

// New starts a server with the configuration. Issuer, users, clock and log are filled in where they
// are missing.
func New(t testing.TB, cfg authz.Config) *Fixture {
	t.Helper()
	return NewBelow(t, cfg, "")
}

// NewBelow is New with an issuer that has a path.
func NewBelow(t testing.TB, cfg authz.Config, path string) *Fixture {
	t.Helper()
	f := &Fixture{t: t, Clock: NewClock()}
	f.HTTP = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.Server.ServeHTTP(w, r)
	}))
	if cfg.Issuer == "" {
		cfg.Issuer = "https://" + f.HTTP.Listener.Addr().String() + path
	}
	f.URL = cfg.Issuer
	if cfg.Now == nil {
		cfg.Now = f.Clock.Now
	}
	core, logs := observer.New(zap.DebugLevel)
	f.Logs = logs
	f.log = zap.New(core)
	f.State = NewState(t, cfg.Now)
	f.Reload(cfg)
	f.HTTP.StartTLS()
	t.Cleanup(f.HTTP.Close)
	return f
}

// Reload serves another configuration over the same state, as a reload of the host does.
func (f *Fixture) Reload(cfg authz.Config) {
	f.t.Helper()
	if cfg.Issuer == "" {
		cfg.Issuer = f.URL
	}
	if cfg.Users == nil {
		cfg.Users = People(f.t)
	}
	if cfg.Now == nil {
		cfg.Now = f.Clock.Now
	}
	if cfg.Observe == nil {
		cfg.Observe = f.record
	}
	if cfg.Logger == nil {
		cfg.Logger = f.log
	}
	server, err := authz.New(cfg)
	require.NoError(f.t, err)
	require.NoError(f.t, server.Start(f.t.Context(), f.State))
	f.t.Cleanup(server.Stop)
	f.Server = server
}

// NewState is a fresh state in memory.
func NewState(t testing.TB, now func() time.Time) *authz.State {
	t.Helper()
	state, err := authz.NewState(t.Context(), store.NewMemory(now), now)
	require.NoError(t, err)
	return state
}

func (f *Fixture) record(_ context.Context, e authz.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

// Events are what the server told its observer so far.
func (f *Fixture) Events() []authz.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]authz.Event(nil), f.events...)
}

// Client is an HTTP client that trusts the server, also as example.com, and follows no redirect.
func (f *Fixture) Client() *http.Client {
	return &http.Client{
		Transport:     f.HTTP.Client().Transport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// TLS trusts the server's certificate.
func (f *Fixture) TLS() *tls.Config {
	return f.HTTP.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
}

// AuthorizeURL is an authorization request of the shop; pairs of name and value replace or, with an
// empty value, remove parameters.
func (f *Fixture) AuthorizeURL(pairs ...string) string {
	query := url.Values{
		"client_id":     {"shop"},
		"redirect_uri":  {"https://shop.example.com/callback"},
		"response_type": {"code"},
		"scope":         {"openid orders.read"},
		"state":         {"the-state"},
	}
	Set(query, pairs...)
	return f.URL + "/authorize?" + query.Encode()
}

// Set writes pairs of name and value into a form; an empty value removes the name.
func Set(form url.Values, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			form.Del(pairs[i])
		} else {
			form.Set(pairs[i], pairs[i+1])
		}
	}
}

// String says which server a failing test talks of.
func (f *Fixture) String() string { return fmt.Sprintf("authorization server %s", f.URL) }

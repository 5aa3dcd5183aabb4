package authz_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

// limited is a server with limits; requests come from where their User-Agent says.
func limited(t *testing.T, l authz.RateLimit) (*authztest.Fixture, authz.Config) {
	t.Helper()
	cfg := authztest.Config()
	cfg.RateLimit = l
	cfg.ClientIP = func(r *http.Request) string { return r.Header.Get("User-Agent") }
	return authztest.New(t, cfg), cfg
}

// from sends a request that comes from an address.
func from(t *testing.T, f *authztest.Fixture, address, method, path string, form url.Values) authztest.Answer {
	t.Helper()
	req, err := http.NewRequest(method, f.URL+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("User-Agent", address)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if id := form.Get("as"); id != "" {
		req.SetBasicAuth(id, authztest.Secret)
	}
	return f.Do(req)
}

func tokenForm(client string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "as": {client}}
}

func requireTooMany(t *testing.T, a authztest.Answer) {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, a.Status, a.JSON)
	require.Equal(t, "temporarily_unavailable", a.Get("error"), "RFC 6749 §4.1.2.1")
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
}

func TestG15_AddressesAreLimited(t *testing.T) {
	f, _ := limited(t, authz.RateLimit{Address: 2})
	ask := func(address string) authztest.Answer {
		return from(t, f, address, http.MethodPost, "/token", tokenForm("robot"))
	}
	for range 3 {
		require.Equal(t, http.StatusOK, ask("192.0.2.1").Status)
		require.Equal(t, http.StatusOK, ask("192.0.2.1").Status)
		requireTooMany(t, ask("192.0.2.1"))
		f.Clock.Advance(time.Second)
	}
	require.Equal(t, http.StatusOK, ask("2001:db8::1").Status)
	require.Equal(t, http.StatusOK, ask("2001:db8::2").Status)
	requireTooMany(t, ask("2001:db8::3"))
	require.Equal(t, http.StatusOK, ask("2001:db8:0:1::1").Status, "another network")
	f.Clock.Advance(500 * time.Millisecond)
	require.Equal(t, http.StatusOK, ask("2001:db8::4").Status, "what is refused is not counted")
}

func TestG15_TheTotalIsLimited(t *testing.T) {
	f, _ := limited(t, authz.RateLimit{Total: 4, Address: 3})
	for range 10 {
		from(t, f, "192.0.2.1", http.MethodPost, "/token", nil)
	}
	require.NotEqual(t, http.StatusTooManyRequests, from(t, f, "192.0.2.2", http.MethodPost, "/token", nil).Status,
		"one address can't use up what is there for all")
	requireTooMany(t, from(t, f, "192.0.2.3", http.MethodPost, "/token", nil))
}

func TestG15_EveryEndpointCounts(t *testing.T) {
	for path, method := range map[string]string{
		"/token": http.MethodPost, "/introspect": http.MethodPost, "/revoke": http.MethodPost,
		"/userinfo": http.MethodGet, "/tokeninfo": http.MethodGet,
	} {
		f, _ := limited(t, authz.RateLimit{Total: 1})
		require.NotEqual(t, http.StatusTooManyRequests, from(t, f, "", method, path, nil).Status, path)
		requireTooMany(t, from(t, f, "", method, path, nil))
	}
	for _, path := range []string{"/authorize", "/login", "/consent", "/end_session", "/logout"} {
		f, _ := limited(t, authz.RateLimit{Total: 1})
		browser := f.NewBrowser()
		require.NotEqual(t, http.StatusTooManyRequests, browser.Get(f.URL+path).Status, path)
		page := browser.Get(f.URL + path)
		require.Equal(t, http.StatusTooManyRequests, page.Status, path)
		require.Equal(t, "1", page.Header.Get("Retry-After"))
		require.Equal(t, "error", page.ID())
		require.Contains(t, page.Text(), "Too many requests")
	}
	f, _ := limited(t, authz.RateLimit{Total: 1})
	for range 3 {
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks.json", "/health"} {
			require.Equal(t, http.StatusOK, from(t, f, "", http.MethodGet, path, nil).Status, path)
		}
	}
	assert.Zero(t, f.Logs.FilterMessage("request refused").Len())
}

func TestG15_ClientsAreLimited(t *testing.T) {
	f, _ := limited(t, authz.RateLimit{Client: 1})
	robots := from(t, f, "", http.MethodPost, "/token", tokenForm("robot")).Get("access_token")
	require.NotEmpty(t, robots)
	form := url.Values{"token": {robots}, "as": {"robot"}}
	for name, ask := range map[string]func() authztest.Answer{
		"token":      func() authztest.Answer { return from(t, f, "", http.MethodPost, "/token", tokenForm("robot")) },
		"introspect": func() authztest.Answer { return from(t, f, "", http.MethodPost, "/introspect", form) },
		"revoke":     func() authztest.Answer { return from(t, f, "", http.MethodPost, "/revoke", form) },
		"tokeninfo":  func() authztest.Answer { return f.Bearer(http.MethodGet, "/tokeninfo", robots) },
		"userinfo":   func() authztest.Answer { return f.Bearer(http.MethodGet, "/userinfo", robots) },
	} {
		t.Run(name, func(t *testing.T) { requireTooMany(t, ask()) })
	}
	form.Set("as", "shop")
	require.Equal(t, true, from(t, f, "", http.MethodPost, "/introspect", form).JSON["active"], "another client")

	f.Clock.Advance(time.Second)
	for range 3 {
		wrong := url.Values{"grant_type": {"client_credentials"}, "client_id": {"robot"}, "client_secret": {"wrong"}}
		require.Equal(t, "invalid_client", from(t, f, "", http.MethodPost, "/token", wrong).Get("error"))
	}
	require.Equal(t, http.StatusOK, from(t, f, "", http.MethodPost, "/token", tokenForm("robot")).Status,
		"nobody uses up what is there for a client without its secret")
}

func TestG15_NamingAClientSpendsNothingOfItsOwn(t *testing.T) {
	f, _ := limited(t, authz.RateLimit{Client: 1})
	for range 3 {
		from(t, f, "192.0.2.1", http.MethodGet, "/authorize?client_id=robot", nil)
	}
	require.Equal(t, http.StatusOK, from(t, f, "192.0.2.2", http.MethodPost, "/token", tokenForm("robot")).Status)
	requireTooMany(t, from(t, f, "192.0.2.2", http.MethodPost, "/token", tokenForm("robot")))

	named := url.Values{"grant_type": {"authorization_code"}, "client_id": {"spa"}, "code": {"x"}}
	require.Equal(t, "invalid_grant", from(t, f, "192.0.2.1", http.MethodPost, "/token", named).Get("error"))
	requireTooMany(t, from(t, f, "192.0.2.2", http.MethodPost, "/token", named))
}

func TestG15_SignInsForAClientAreLimited(t *testing.T) {
	f, _ := limited(t, authz.RateLimit{Client: 1})
	browser := f.NewBrowser()
	require.Equal(t, "login", browser.Get(f.AuthorizeURL()).ID())
	page := browser.Get(f.AuthorizeURL())
	require.Equal(t, http.StatusTooManyRequests, page.Status)
	require.Equal(t, "error", page.ID())
	spa := f.AuthorizeURL("client_id", "spa", "redirect_uri", "https://spa.example.com/callback", "code_challenge", rfcChallenge, "code_challenge_method", "S256")
	require.Equal(t, "login", browser.Get(spa).ID(), "another client")
}

func TestG15_TheCountOutlivesAReload(t *testing.T) {
	f, cfg := limited(t, authz.RateLimit{Address: 2})
	ask := func() authztest.Answer { return from(t, f, "192.0.2.1", http.MethodPost, "/token", tokenForm("robot")) }
	require.Equal(t, http.StatusOK, ask().Status)
	require.Equal(t, http.StatusOK, ask().Status)
	f.Reload(cfg)
	requireTooMany(t, ask())
	cfg.RateLimit.Address = 1
	f.Reload(cfg)
	f.Clock.Advance(10 * time.Second)
	require.Equal(t, http.StatusOK, ask().Status)
	requireTooMany(t, ask())
	cfg.RateLimit = authz.RateLimit{}
	f.Reload(cfg)
	require.Equal(t, http.StatusOK, ask().Status, "no limit is the default")
}

func TestG15_ManyAtOnce(t *testing.T) {
	f, _ := limited(t, authz.RateLimit{Total: 10})
	var taken atomic.Int32
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			w := httptest.NewRecorder()
			f.Server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, f.URL+"/userinfo", nil))
			if w.Code != http.StatusTooManyRequests {
				taken.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 10, taken.Load())
}

func TestG15_NegativeIsRefused(t *testing.T) {
	cfg := authztest.Config()
	cfg.Issuer, cfg.Users, cfg.RateLimit.Client = "https://id.example.com", people(t), -1
	_, err := authz.New(cfg)
	require.ErrorContains(t, err, "rate_limit: requests per second must not be negative")
}

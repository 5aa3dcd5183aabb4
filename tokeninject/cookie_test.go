package tokeninject

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// visitor is a browser at several hosts that one handler serves.
type visitor struct {
	t       *testing.T
	handler http.Handler
	client  http.CookieJar
}

func (v visitor) get(target string) (status int, cookies []*http.Cookie) {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), http.MethodGet, target, nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	u := *r.URL
	for _, cookie := range v.client.Cookies(&u) {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	answer := w.Result()
	require.NoError(v.t, answer.Body.Close())
	v.client.SetCookies(&u, answer.Cookies())
	return answer.StatusCode, answer.Cookies()
}

func TestW5_HostsOfADomainShareASessionOnlyWhereTheySaySo(t *testing.T) {
	s := newSite(t, nil)
	shared := guard(s.gate(func(cfg *Config) { withSession(cfg); cfg.Session.Domain = "example.com" }), http.NotFoundHandler())
	alone := guard(s.gate(withSession), http.NotFoundHandler())
	v := visitor{t, shared, newBrowser(t).Jar}

	status := func(target string) int {
		code, _ := v.get(target)
		return code
	}
	require.Equal(t, http.StatusFound, status("https://wiki.example.com/page"))
	l := s.issuer.begun()[0]
	code, cookies := v.get("https://wiki.example.com/page?" + queryOf(l))
	require.Equal(t, http.StatusSeeOther, code)
	cookie := cookies[0]
	require.Regexp(t, `^__Secure-gw-[0-9a-f]{8}-shared$`, cookie.Name)
	require.Equal(t, "example.com", cookie.Domain)
	require.True(t, cookie.Secure && cookie.HttpOnly)

	for target, want := range map[string]int{
		"https://wiki.example.com/":         http.StatusNotFound, // it passed the gate, and nothing is behind it
		"https://archive.example.com:8444/": http.StatusNotFound,
		"https://example.com/":              http.StatusNotFound,
		"https://badexample.com/":           http.StatusFound,
		"https://example.com.evil.example/": http.StatusFound,
	} {
		require.Equal(t, want, status(target), target)
	}
	v.handler = alone
	require.Equal(t, http.StatusFound, status("https://archive.example.com/"), "a gate that doesn't share has sessions of its own")
	v.handler = shared
	require.Equal(t, http.StatusOK, status("https://archive.example.com/.authz/logout"))
	require.Equal(t, http.StatusFound, status("https://wiki.example.com/"), "signing out of one is signing out of all")
}

func TestW5_DomainsThatNobodyOwnsShareNothing(t *testing.T) {
	s := newSite(t, nil)
	for _, domain := range []string{"com", "co.uk", ".example.com", "example.com.", "127.0.0.1", "example.com:8444", "a b.example"} {
		cfg := Config{Issuer: s.issuer, Store: s.store, KnownHost: anyHost}
		withSession(&cfg)
		cfg.Session.Domain = domain
		_, err := New(cfg)
		require.ErrorContains(t, err, "could share a session", domain)
	}
}

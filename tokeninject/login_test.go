package tokeninject

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gatewright/gatewright/authz/oauth"
)

func TestW5_BrowserComesBackToThePageItAskedFor(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Headers = []HeaderInjection{{"X-User", subject}}
	})
	browser := newBrowser(t)
	s.signIn(browser, "/app/a%20b?x=1&y=%2F&code=mine")
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app/a%20b?x=1&y=%2F&code=mine", asNavigation).status)
	seen := s.last()
	require.Equal(t, "/app/a%20b?x=1&y=%2F&code=mine", seen.uri)
	require.Equal(t, "alice-id", seen.header.Get("X-User"))
	require.NotContains(t, seen.header, "Cookie", "A58")

	l := s.issuer.begun()[0]
	require.Equal(t, s.server.URL+"/app/a%20b", l.RedirectURI, "decision 9: the page itself, without its query")
	require.True(t, oauth.ValidVerifier(l.Verifier))
	require.NotEmpty(t, l.Nonce)
	require.Equal(t, []string{"openid", "profile"}, l.Scope)
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app/data.json").status, "and so do its API calls")
}

func TestW5_SeenIsWhatTheClientSentBeforeRewrites(t *testing.T) {
	s := newSite(t, nil)
	e := s.gate(func(cfg *Config) {
		withSession(cfg)
		cfg.Seen = func(*http.Request) Seen {
			return Seen{URL: url.URL{Scheme: "https", Host: "app.example:8444", Path: "/prefix/page", RawQuery: "q=1"}, ClientIP: "203.0.113.7"}
		}
	})
	handler := http.StripPrefix("/prefix", guard(e, http.NotFoundHandler()))
	w := record(t, handler, "http://app.example:8444/prefix/page?q=1", asNavigation)
	require.Equal(t, http.StatusFound, w.Code)
	require.Equal(t, "https://app.example:8444/prefix/page", s.issuer.begun()[0].RedirectURI)
	cookie := w.Result().Cookies()[0]
	require.Regexp(t, `^__Host-gw-[0-9a-f]{8}-8444-login$`, cookie.Name)
	require.True(t, cookie.Secure && cookie.HttpOnly)
	require.Equal(t, "/", cookie.Path)
	require.Empty(t, cookie.Domain)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
}

func TestW5_ARewriteThatTakesTheQueryAwayKeepsNoLoginFromEnding(t *testing.T) {
	s := newSite(t, nil)
	e := s.gate(func(cfg *Config) {
		withSession(cfg)
		cfg.Seen = func(r *http.Request) Seen {
			seen := seenDirectly(r)
			seen.URL.RawQuery = r.Header.Get("Original-Query")
			return seen
		}
	})
	inner := guard(e, http.NotFoundHandler())
	s.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Original-Query", r.URL.RawQuery)
		r.URL.RawQuery = "rewritten=1"
		inner.ServeHTTP(w, r)
	})
	browser := newBrowser(t)
	s.signIn(browser, "/app?x=1")
	require.Equal(t, http.StatusNotFound, s.do(browser, http.MethodGet, "/app?x=1", asNavigation).status)
}

func TestA68_APICallsGetAChallengeAndNoCookie(t *testing.T) {
	s := newSite(t, withSession)
	for rule, headers := range map[string][]string{
		"plain":           nil,
		"JSON":            {"Accept: application/json"},
		"XHR":             {"X-Requested-With: XMLHttpRequest", "Accept: text/html"},
		"fetch":           {"Sec-Fetch-Mode: cors", "Accept: text/html"},
		"image":           {"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"},
		"part of headers": {"Sec-Fetch-Site: same-origin", "Accept: text/html"},
		"WebSocket":       {"Connection: Upgrade", "Upgrade: websocket", "Sec-Fetch-Mode: websocket", "Accept: text/html"},
	} {
		t.Run(rule, func(t *testing.T) {
			got := s.get("/app", headers...)
			require.Equal(t, http.StatusUnauthorized, got.status)
			require.Equal(t, `Bearer realm="`+s.server.Listener.Addr().String()+`"`, got.header.Get("WWW-Authenticate"), "RFC 6750 §3.1: no error code")
			require.NotContains(t, got.body, `"error"`, "nor in the body")
			require.Contains(t, got.body, "sign in or send an access token")
			require.Empty(t, got.header["Set-Cookie"])
			require.Empty(t, got.header["Location"])
			require.Contains(t, got.header.Get("Content-Type"), "application/json")
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		})
	}
	require.Empty(t, s.issuer.begun())
	post := s.do(newBrowser(t), http.MethodPost, "/app", asNavigation)
	require.Equal(t, http.StatusUnauthorized, post.status, "a form can't be sent again after a login")
	require.Contains(t, post.body, `<main id="error">`)
	require.Equal(t, http.StatusFound, s.get("/app", "Accept: text/html,*/*").status, "a browser that sends no Sec-Fetch")
	require.Equal(t, http.StatusFound, s.do(newBrowser(t), http.MethodHead, "/app", asNavigation).status)
}

func TestW5_ManyTabsShareOneCookie(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	var tabs []LoginRequest
	for _, page := range []string{"/a", "/b", "/c", "/d", "/e"} {
		tabs = append(tabs, s.begin(browser, page))
	}
	require.Len(t, cookies(t, browser, s), 1)
	for _, tab := range slices.Backward(tabs) {
		got := s.do(browser, http.MethodGet, s.answerPath(tab), asNavigation)
		require.Equal(t, http.StatusSeeOther, got.status)
		require.Equal(t, tab.RedirectURI, got.header.Get("Location"))
		require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/x", asNavigation).status)
	}
}

func cookies(t *testing.T, browser *http.Client, s *site) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, cookie := range browser.Jar.Cookies(s.address()) {
		if !strings.Contains(cookie.Name, "-login-") { // of one login
			all[cookie.Name] = cookie.Value
		}
	}
	return all
}

func (s *site) address() *url.URL {
	s.t.Helper()
	u, err := url.Parse(s.server.URL)
	require.NoError(s.t, err)
	return u
}

// Tabs of a new browser that open at once have no cookie yet, and each is given one of the same name.
func TestW5_ManyTabsOfANewBrowserSignIn(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	begun := map[string]LoginRequest{}
	for _, path := range []string{"/a", "/b", "/c"} {
		tab := newBrowser(t)
		begun[path] = s.begin(tab, path)
		browser.Jar.SetCookies(s.address(), tab.Jar.Cookies(s.address()))
	}
	for path, l := range begun {
		got := s.do(browser, http.MethodGet, s.answerPath(l), asNavigation)
		require.Equal(t, http.StatusSeeOther, got.status, got.body)
		require.Equal(t, s.server.URL+path, got.header.Get("Location"))
		require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, path, asNavigation).status)
	}
	require.Len(t, browser.Jar.Cookies(s.address()), 2, "what was for one login goes with it")
	require.Equal(t, http.StatusBadRequest, s.do(newBrowser(t), http.MethodGet, s.answerPath(begun["/a"]), asNavigation).status, "A27")
}

func TestW5_TwoPortsOneJar(t *testing.T) {
	first, second := newSite(t, withSession), newSite(t, withSession)
	browser := newBrowser(t)
	for _, s := range []*site{first, second} {
		s.signIn(browser, "/app")
	}
	for _, s := range []*site{first, second} {
		require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status)
		require.NotContains(t, s.last().header, "Cookie")
	}
	require.Len(t, cookies(t, browser, first), 4)
}

func TestA27_LoginOfAnotherBrowserIsNotTaken(t *testing.T) {
	s := newSite(t, withSession)
	attacker, victim := newBrowser(t), newBrowser(t)
	l := s.begin(attacker, "/app")
	s.begin(victim, "/app")
	got := s.do(victim, http.MethodGet, s.answerPath(l), asNavigation)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.body, pageStale.title)
	require.Contains(t, got.body, `href="`+s.server.URL+`/app"`)
	require.Len(t, cookies(t, victim, s), 1, "no session")
	require.Equal(t, http.StatusSeeOther, s.do(attacker, http.MethodGet, s.answerPath(l), asNavigation).status)
	replay := s.do(attacker, http.MethodGet, s.answerPath(l), asNavigation)
	require.Equal(t, http.StatusSeeOther, replay.status, "a state is good once")
	require.Equal(t, s.server.URL+"/app", replay.header.Get("Location"))
	s.nothingArrived()
}

func TestW5_ApplicationsKeepTheirOwnCodeAndState(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	query := "/app?code=abc&state=" + oauth.NewSecret() + "&iss=https%3A%2F%2Felse.example"
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, query, asNavigation).status)
	require.Equal(t, query, s.last().uri)

	l := s.begin(newBrowser(t), "/other")
	elsewhere := strings.Replace(s.answerPath(l), "/other", "/app", 1)
	got := s.do(browser, http.MethodGet, elsewhere, asNavigation)
	require.Equal(t, http.StatusSeeOther, got.status, "but a gate's own, of another page, is nobody's")
	require.Equal(t, s.server.URL+"/app", got.header.Get("Location"))
	s.nothingArrived()

	query = "/app?code=abc&state=" + oauth.NewSecret() + "&iss=" + url.QueryEscape(testURL)
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, query, asNavigation).status, "a client of our issuer")
	require.Equal(t, query, s.last().uri)
}

func TestW5_ErrorIsAPageAndNeverAnotherLogin(t *testing.T) {
	s := newSite(t, withSession)
	rows := map[string]struct {
		change func(url.Values)
		status int
		text   string
	}{
		"denied":            {func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, http.StatusForbidden, pageDenied.title},
		"issuer's fault":    {func(q url.Values) { q.Del("code"); q.Set("error", "server_error") }, http.StatusBadGateway, pageFailed.title},
		"RFC 9207 iss":      {func(q url.Values) { q.Set("iss", "https://evil.example") }, http.StatusBadRequest, pageFailed.title},
		"RFC 9207 no iss":   {func(q url.Values) { q.Del("iss") }, http.StatusBadRequest, pageFailed.title},
		"code of nobody":    {func(q url.Values) { q.Set("code", "<script>") }, http.StatusBadRequest, pageFailed.title},
		"error with markup": {func(q url.Values) { q.Del("code"); q.Set("error", "<b>x") }, http.StatusBadGateway, pageFailed.title},
	}
	for rule, row := range rows {
		t.Run(rule, func(t *testing.T) {
			browser := newBrowser(t)
			l := s.begin(browser, "/app?a=1")
			path, query, _ := strings.Cut(s.answerPath(l), "?")
			values, err := url.ParseQuery(query)
			require.NoError(t, err)
			row.change(values)
			got := s.do(browser, http.MethodGet, path+"?"+values.Encode(), asNavigation)
			require.Equal(t, row.status, got.status)
			require.Contains(t, got.body, `<main id="error">`)
			require.Contains(t, got.body, row.text)
			require.NotContains(t, got.body, "<b>")
			require.NotContains(t, got.body, "<script>")
			require.Empty(t, got.header["Location"])
			require.Len(t, cookies(t, browser, s), 1, "no session")
		})
	}
}

func TestW5_BrowserWithoutCookiesIsToldSo(t *testing.T) {
	s := newSite(t, withSession)
	l := s.begin(newBrowser(t), "/app")
	got := s.do(newBrowser(t), http.MethodGet, s.answerPath(l), asNavigation)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, pageCookies.title)
	require.Contains(t, got.body, `href="`+s.server.URL+`/app"`, "and there is a way on")
}

// Somebody goes back to the login's page and signs in again: there is another code for the same state.
func TestW5_TheSecondAnswerOfALoginGoesToThePageAndNotToTheUpstream(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	l := s.begin(browser, "/app?x=1&y=2")
	back := s.answerPath(l)
	require.Equal(t, http.StatusSeeOther, s.do(browser, http.MethodGet, back, asNavigation).status)
	for _, answer := range []string{back, strings.Replace(back, "code=code-", "error=access_denied&code2=", 1)} {
		got := s.do(browser, http.MethodGet, answer, asNavigation)
		require.Equal(t, http.StatusSeeOther, got.status)
		require.Equal(t, s.server.URL+"/app?x=1&y=2", got.header.Get("Location"), "the query is known still")
	}
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app?x=1&y=2", asNavigation).status, "no loop")
	require.Equal(t, "/app?x=1&y=2", s.last().uri)

	other := newBrowser(t)
	s.signIn(other, "/elsewhere")
	got := s.do(other, http.MethodGet, back+"&z=3", asNavigation)
	require.Equal(t, http.StatusSeeOther, got.status)
	require.Equal(t, s.server.URL+"/app?z=3", got.header.Get("Location"), "another browser doesn't learn the query")
	s.nothingArrived()

	s.do(browser, http.MethodPost, DefaultLogout)
	got = s.do(browser, http.MethodGet, back, asNavigation)
	require.Equal(t, http.StatusBadRequest, got.status, "whoever signed out is not signed in again")
	require.Contains(t, got.body, pageStale.title)
	require.Contains(t, got.body, `href="`+s.server.URL+`/app"`)
	require.Empty(t, got.header["Location"])
}

func TestW5_WhoeverTakesTooLongIsToldSo(t *testing.T) {
	s := newSite(t, func(cfg *Config) { withSession(cfg); cfg.Optional = true; cfg.Session.Login = "/in" })
	browser := newBrowser(t)
	l := s.begin(browser, "/in")
	s.clock.advance(30 * time.Minute)
	require.Equal(t, http.StatusSeeOther, s.do(browser, http.MethodGet, s.answerPath(l), asNavigation).status, "half an hour is fine")

	browser = newBrowser(t)
	l = s.begin(browser, "/in")
	s.clock.advance(loginLifetime + time.Second)
	got := s.do(browser, http.MethodGet, s.answerPath(l)+"&lang=de", asNavigation, "Accept-Language: de")
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.body, german[pageStale.title])
	require.Contains(t, got.body, `href="`+s.server.URL+`/in?lang=de"`)
	require.Contains(t, got.body, german[textOn])
	s.nothingArrived()
}

func TestW5_AnOptionalGateSignsInByALink(t *testing.T) {
	s := newSite(t, func(cfg *Config) { withSession(cfg); cfg.Optional = true })
	here := s.server.URL
	for referer, want := range map[string]string{
		"":                              "/",
		here + "/shop?item=7":           "/shop?item=7",
		here + "//evil.example":         "//evil.example",
		here + DefaultLogin:             "/",
		here + DefaultLogout:            "/",
		"https://evil.example/shop":     "/",
		"javascript:alert(1)":           "/",
		strings.ToUpper(here) + "/a":    "/a",
		here + "/%zz":                   "/",
		"http://user@" + here[7:] + "/": "/",
	} {
		t.Run(referer, func(t *testing.T) {
			browser := newBrowser(t)
			require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/shop", asNavigation).status)
			s.last()
			got := s.do(browser, http.MethodGet, DefaultLogin, asNavigation, "Referer: "+referer)
			require.Equal(t, http.StatusFound, got.status, got.body)
			begun := s.issuer.begun()
			l := begun[len(begun)-1]
			require.Equal(t, here+DefaultLogin, l.RedirectURI, "a path that leads to the gate for certain")
			got = s.do(browser, http.MethodGet, s.answerPath(l), asNavigation)
			require.Equal(t, http.StatusSeeOther, got.status, got.body)
			require.Equal(t, here+want, got.header.Get("Location"))
			got = s.do(browser, http.MethodGet, DefaultLogin, asNavigation, "Referer: "+here+"/x")
			require.Equal(t, http.StatusSeeOther, got.status, "who is signed in goes straight back")
			require.Equal(t, here+"/x", got.header.Get("Location"))
			s.nothingArrived()
		})
	}
	require.Equal(t, http.StatusUnauthorized, s.get(DefaultLogin).status, "a script can't sign anybody in")
}

func TestW5_LoginsThatGiveNoSessionDoNotLoop(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	forget := func() {
		u, err := url.Parse(s.server.URL)
		require.NoError(t, err)
		for name := range cookies(t, browser, s) {
			if !strings.HasSuffix(name, "-login") {
				browser.Jar.SetCookies(u, []*http.Cookie{{Name: name, MaxAge: -1, Path: "/"}})
			}
		}
	}
	for range loopLogins {
		s.signIn(browser, "/app")
		forget()
	}
	got := s.do(browser, http.MethodGet, "/app", asNavigation)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, pageCookies.title)
	s.clock.advance(loopWindow + 1)
	s.signIn(browser, "/app")
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app", asNavigation).status)
}

func TestW5_SessionsThatNeverPassDoNotLoop(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Token = &TokenInjection{ResourceServer: "orders"}
	})
	s.issuer.mint = func(MintRequest) (*MintedToken, error) { return nil, ErrSessionEnded }
	browser := newBrowser(t)
	for range loopLogins {
		s.signIn(browser, "/app")
	}
	got := s.do(browser, http.MethodGet, "/app", asNavigation)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, pageLoop.title)
	s.issuer.set(func() { s.issuer.mint = nil })
	s.clock.advance(loopWindow + 1)
	s.signIn(browser, "/app")
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app", asNavigation).status)
}

func TestA67_LoginsBeginAndEndOnKnownHostsOnly(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	var known atomic.Bool
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.KnownHost = func(*http.Request) bool { return known.Load() }
		cfg.Logger = zap.New(core)
	})
	browser := newBrowser(t)
	got := s.do(browser, http.MethodGet, "/app", asNavigation)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, pageHost.text)
	require.Empty(t, got.header["Location"])
	require.Empty(t, cookies(t, browser, s))
	require.Empty(t, s.issuer.begun(), "the issuer hears nothing of it")
	require.Equal(t, s.server.Listener.Addr().String(), logs.All()[0].ContextMap()["host"])
	require.Contains(t, logs.All()[0].ContextMap()["error"], "session { host }", "the log says what to do")
	require.Equal(t, http.StatusUnauthorized, s.do(browser, http.MethodGet, "/app").status, "an API call is challenged as ever")

	known.Store(true)
	l := s.begin(browser, "/app")
	known.Store(false)
	got = s.do(browser, http.MethodGet, s.answerPath(l), asNavigation)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Len(t, cookies(t, browser, s), 1, "no session")
	known.Store(true)
	require.Equal(t, http.StatusSeeOther, s.do(browser, http.MethodGet, s.answerPath(l), asNavigation).status, "the code was not spent")
}

func TestA67_WhereALoginComesBackToIsNotInTheRequest(t *testing.T) {
	s := newSite(t, withSession)
	for _, path := range []string{"//evil.example/x", "/%5Cevil.example", "/..//evil.example", "/app?next=https://evil.example"} {
		browser := newBrowser(t)
		l := s.begin(browser, path)
		require.True(t, strings.HasPrefix(l.RedirectURI, s.server.URL+"/"), l.RedirectURI)
		got := s.do(browser, http.MethodGet, s.answerPath(l)+"&url=https%3A%2F%2Fevil.example&redirect_uri=%2F%2Fevil.example", asNavigation)
		require.Equal(t, http.StatusSeeOther, got.status)
		require.True(t, strings.HasPrefix(got.header.Get("Location"), s.server.URL+"/"), got.header.Get("Location"))
	}
}

func TestA68_LoginsAreLimitedPerAddress(t *testing.T) {
	s := newSite(t, withSession)
	for range loginBurst {
		require.Equal(t, http.StatusFound, s.get("/app", asNavigation).status)
	}
	got := s.get("/app", asNavigation)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Contains(t, got.body, pageBusy.title)
	require.Len(t, s.issuer.begun(), loginBurst)
	s.clock.advance(2e9)
	require.Equal(t, http.StatusFound, s.get("/app", asNavigation).status)
}

func TestA68_TheRateOfLoginsIsTheOperators(t *testing.T) {
	s := newSite(t, func(cfg *Config) { withSession(cfg); cfg.Session.LoginRate = 2 })
	for range 2 * loginBurst {
		require.Equal(t, http.StatusFound, s.get("/app", asNavigation).status)
	}
	require.Equal(t, http.StatusTooManyRequests, s.get("/app", asNavigation).status)
	s.clock.advance(time.Second / 2)
	require.Equal(t, http.StatusFound, s.get("/app", asNavigation).status)
}

func TestA68_LoginsOfManyAddressesFillNoStore(t *testing.T) {
	s := newSite(t, withSession)
	require.True(t, s.enforcer.sessions.logins.AllowN(s.clock.now(), loginsAtOnce))
	got := s.get("/app", asNavigation)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Contains(t, got.body, pageBusy.title)
	require.Empty(t, s.issuer.begun())
	s.clock.advance(time.Second)
	require.Equal(t, http.StatusFound, s.get("/app", asNavigation).status)
}

func TestA68_ALoginKeepsNoLongURL(t *testing.T) {
	s := newSite(t, withSession)
	long := strings.Repeat("x", maxURL)
	browser := newBrowser(t)
	l := s.begin(browser, "/app?q="+long)
	got := s.do(browser, http.MethodGet, s.answerPath(l), asNavigation)
	require.Equal(t, s.server.URL+"/app", got.header.Get("Location"), "the query is lost")
	require.Equal(t, http.StatusRequestURITooLong, s.get("/"+long, asNavigation).status)
	require.Len(t, s.issuer.begun(), 1)
}

func TestW5_GatesOfOneHostShareASessionAndAskForTheUnion(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	// The same site, with a gate that wants more.
	wants := s.gate(func(cfg *Config) { cfg.Session = &SessionConfig{Scope: []string{"openid", "email"}} })
	s.server.Config.Handler = guard(wants, http.NotFoundHandler())
	got := s.do(browser, http.MethodGet, "/mail")
	require.Equal(t, http.StatusUnauthorized, got.status)
	s.signIn(browser, "/mail")
	begun := s.issuer.begun()
	require.Equal(t, []string{"openid", "profile", "email"}, begun[len(begun)-1].Scope)
	require.Equal(t, http.StatusNotFound, s.do(browser, http.MethodGet, "/mail").status, "it passes")
	// A scope that was asked for and not granted is not asked for again.
	s.issuer.set(func() { s.issuer.session.Scope = nil })
	require.Equal(t, http.StatusNotFound, s.do(browser, http.MethodGet, "/mail", asNavigation).status)
}

func TestW5_StoreOrIssuerDownIsAPage(t *testing.T) {
	s := newSite(t, withSession)
	require.NoError(t, s.store.Close())
	got := s.get("/app", asNavigation)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Contains(t, got.body, pageDown.title)
	require.Regexp(t, `<code>[A-Za-z0-9_-]{8}</code>`, got.body)
	require.Empty(t, got.header["Set-Cookie"])
}

func TestAddressLimitIsBoundedAndKnowsNetworks(t *testing.T) {
	c := newClock()
	l := addressLimit{rate: defaultLoginRate, burst: loginBurst}
	for range loginBurst {
		require.Zero(t, l.reserve("2001:db8::1", c.now()))
	}
	require.Positive(t, l.reserve("2001:db8::ffff", c.now()), "the same /64")
	require.Zero(t, l.reserve("2001:db8:0:1::1", c.now()))
	require.Zero(t, l.reserve("::ffff:192.0.2.1", c.now()))
	require.Contains(t, l.limiters, "192.0.2.1")
	for i := range 3 * maxAddresses {
		l.reserve(string(rune('a'+i%26))+oauth.NewSecret()[:6], c.now())
	}
	require.LessOrEqual(t, len(l.limiters), maxAddresses)
}

func TestA66_LimitsOnAttemptsAreBounded(t *testing.T) {
	var a attempts
	live := &liveSession{}
	for range 2 * maxAttempts {
		a.completed(oauth.NewSecret()[:8], live, newClock().now())
	}
	require.LessOrEqual(t, len(a.browser), maxAttempts)
}

func TestRedeemThatCannotBeDecidedIsAFault(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	l := s.begin(browser, "/app")
	s.issuer.set(func() { s.issuer.session.Claims = []byte("[]") })
	got := s.do(browser, http.MethodGet, s.answerPath(l), asNavigation)
	require.Equal(t, http.StatusBadRequest, got.status, "claims that are no object")
	require.Len(t, cookies(t, browser, s), 1)
}

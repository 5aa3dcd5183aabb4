package tokeninject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/token"
)

// sessionCookie is the browser's session at the site.
func sessionCookie(t *testing.T, browser *http.Client, s *site) (name, value string) {
	t.Helper()
	for name, value := range cookies(t, browser, s) {
		if !strings.HasSuffix(name, "-login") {
			return name, value
		}
	}
	require.FailNow(t, "there is no session cookie")
	return "", ""
}

func TestW5_IdleAndAbsoluteTimeouts(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.Session = &SessionConfig{Idle: 20 * time.Minute, Absolute: time.Hour} })
	api := func(browser *http.Client) int { return s.do(browser, http.MethodGet, "/app").status }

	idle := newBrowser(t)
	s.signIn(idle, "/app")
	s.clock.advance(time.Minute / 2)
	require.Equal(t, http.StatusOK, api(idle), "a use that the store doesn't learn of")
	s.clock.advance(20*time.Minute - time.Second)
	require.Equal(t, http.StatusOK, api(idle))
	s.clock.advance(20 * time.Minute)
	require.Equal(t, http.StatusUnauthorized, api(idle))
	require.Equal(t, http.StatusFound, s.do(idle, http.MethodGet, "/app", asNavigation).status)

	busy := newBrowser(t)
	s.signIn(busy, "/app")
	for range 5 {
		s.clock.advance(11 * time.Minute)
		require.Equal(t, http.StatusOK, api(busy))
	}
	s.clock.advance(5 * time.Minute)
	require.Equal(t, http.StatusUnauthorized, api(busy), "an hour is over")
}

func TestW5_StricterGateAsksAnew(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	s.clock.advance(10 * time.Minute)
	strict := s.gate(func(cfg *Config) { cfg.Session = &SessionConfig{Absolute: 5 * time.Minute, Idle: time.Minute} })
	strictSite := guard(strict, http.NotFoundHandler())
	name, value := sessionCookie(t, browser, s)
	w := record(t, strictSite, s.server.URL+"/app", "Cookie: "+name+"="+value)
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status, "the other gate still takes it")
}

func TestO4_SessionOutlivesTheGateThatMadeIt(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	for range 6 {
		s.clock.advance(30 * time.Minute)
		s.server.Config.Handler = guard(s.gate(withSession), http.NotFoundHandler())
		require.Equal(t, http.StatusNotFound, s.do(browser, http.MethodGet, "/app").status, "use reaches the store")
	}
}

func TestW5_UseAtOneNodeKeepsTheSessionAtAnother(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	name, value := sessionCookie(t, browser, s)
	second := guard(s.gate(withSession), http.NotFoundHandler())
	there := func() int { return record(t, second, s.server.URL+"/app", "Cookie: "+name+"="+value).Code }
	require.Equal(t, http.StatusNotFound, there())
	for range 3 {
		s.clock.advance(40 * time.Minute)
		require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status)
	}
	require.Equal(t, http.StatusNotFound, there())
}

// rotating is an issuer whose refresh tokens are good once.
type rotating struct {
	*testIssuer
	good string
	late bool // the time to answer runs out once the new one is there
}

func (*rotating) Renews(*Session) bool { return true }

func (i *rotating) Refresh(ctx context.Context, s *Session) (*Session, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if s.Stamp != i.good {
		return nil, ErrSessionEnded
	}
	i.good += "+"
	next := *s
	next.Stamp = i.good
	if i.late {
		<-ctx.Done()
	}
	return &next, ctx.Err()
}

func TestW5_ARefreshTokenThatCameIsKept(t *testing.T) {
	s := newSite(t, nil)
	issuer := &rotating{testIssuer: s.issuer, good: "1", late: true}
	e := s.gate(func(cfg *Config) {
		withSession(cfg)
		cfg.Issuer = issuer
	})
	handle, now := oauth.NewSecret(), s.clock.now()
	synctest.Test(t, func(t *testing.T) {
		live, err := e.sessions.create(t.Context(), handle, &sessionRecord{
			Session: Session{Subject: "alice-id", Stamp: "1", Claims: json.RawMessage("{}")}, Idle: time.Hour, Used: now, Expires: now.Add(time.Hour),
		})
		require.NoError(t, err)
		require.ErrorIs(t, e.lookUp(t.Context(), handle, live, now), context.DeadlineExceeded)
		restarted, err := NewSessions(s.store, s.clock.now).find(t.Context(), handle)
		require.NoError(t, err)
		require.Equal(t, "1+", restarted.session().Stamp)
	})
}

func TestW5_NodesRenewASessionOneAfterTheOther(t *testing.T) {
	s := newSite(t, nil)
	issuer := &rotating{testIssuer: s.issuer, good: "secret-rt"}
	issuer.session.Stamp = issuer.good
	node := func() http.Handler {
		return guard(s.gate(func(cfg *Config) {
			withSession(cfg)
			cfg.Issuer = issuer
		}), http.NotFoundHandler())
	}
	s.server.Config.Handler = node()
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	name, value := sessionCookie(t, browser, s)
	nodes := []http.Handler{s.server.Config.Handler, node(), node()}
	for round := range 4 {
		for n, node := range nodes {
			w := record(t, node, s.server.URL+"/app", "Cookie: "+name+"="+value)
			require.Equal(t, http.StatusNotFound, w.Code, "round %d, node %d", round, n)
			s.clock.advance(refreshEvery / 4)
		}
		s.clock.advance(refreshEvery)
	}
	entries, err := s.store.Scan(t.Context(), "", "", 100)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, entry := range entries {
		require.NotContains(t, string(entry.Value), "secret-rt", "whoever reads the store reads no token")
	}
	require.Greater(t, len(issuer.good), len("secret-rt+++"))
}

func TestW5_NoTwoNodesRenewASessionAtOnce(t *testing.T) {
	s := newSite(t, nil)
	here, there := NewSessions(s.store, s.clock.now), NewSessions(s.store, s.clock.now)
	handle, now := oauth.NewSecret(), s.clock.now()
	mine, err := here.create(t.Context(), handle, &sessionRecord{
		Session: Session{Subject: "alice-id", Stamp: "1"}, Idle: time.Hour, Used: now, Refreshed: now, Expires: now.Add(time.Hour),
	})
	require.NoError(t, err)
	theirs, err := there.find(t.Context(), handle)
	require.NoError(t, err)
	lease := func(at *Sessions, live *liveSession, now time.Time) bool {
		leased, err := at.lease(t.Context(), handle, live, now)
		require.NoError(t, err)
		return leased
	}
	busy := func(at *Sessions, live *liveSession) {
		_, err := at.lease(t.Context(), handle, live, now)
		require.ErrorIs(t, err, errElsewhere)
	}
	require.True(t, lease(here, mine, now))
	require.True(t, lease(here, mine, now), "its own, after a failure")
	busy(there, theirs)
	s.clock.advance(writeEvery(time.Hour))
	mine.refreshed.Store(s.clock.now().UnixMilli())
	require.NoError(t, here.renewed(t.Context(), handle, mine, &Session{Subject: "alice-id", Stamp: "2"}))
	require.True(t, theirs.use(s.clock.now()))
	require.NoError(t, there.noteUse(t.Context(), handle, theirs, s.clock.now()))
	require.True(t, lease(here, mine, now), "again at once")
	require.False(t, lease(there, theirs, now), "what one got, the other has")
	require.Equal(t, "2", theirs.session().Stamp)
	require.Equal(t, mine.refreshed.Load(), theirs.refreshed.Load())
	busy(there, theirs)
	require.True(t, lease(there, theirs, now.Add(leaseFor)), "whoever never comes back")
	busy(here, mine)
	require.NoError(t, here.end(t.Context(), handle, mine))
	_, err = there.lease(t.Context(), handle, theirs, now)
	require.ErrorIs(t, err, ErrSessionEnded)
}

// meanwhile is a store where something else happens just before the next write.
type meanwhile struct {
	store.Store
	first func()
}

func (m *meanwhile) Update(ctx context.Context, key string, fn store.UpdateFunc) error {
	if first := m.first; first != nil {
		m.first = nil
		first()
	}
	return m.Store.Update(ctx, key, fn)
}

func TestW5_AUseDoesNotBringADeadStampBack(t *testing.T) {
	c := newClock()
	slow := &meanwhile{Store: store.NewMemory(c.now)}
	sessions := NewSessions(slow, c.now)
	handle, now := oauth.NewSecret(), c.now()
	live, err := sessions.create(t.Context(), handle, &sessionRecord{
		Session: Session{Subject: "alice-id", Stamp: "1"}, Idle: time.Hour, Used: now, Refreshed: now, Expires: now.Add(time.Hour),
	})
	require.NoError(t, err)
	renewed := make(chan error, 1)
	slow.first = func() {
		next := &Session{Subject: "alice-id", Stamp: "2"}
		live.hold(*next)
		renewed <- sessions.renewed(t.Context(), handle, live, next)
	}
	require.True(t, live.use(now.Add(writeEvery(time.Hour))))
	require.NoError(t, sessions.noteUse(t.Context(), handle, live, now.Add(writeEvery(time.Hour))))
	require.NoError(t, <-renewed)
	restarted, err := NewSessions(slow, c.now).find(t.Context(), handle)
	require.NoError(t, err)
	require.Equal(t, "2", restarted.session().Stamp)
}

func TestA66_SessionOfAnotherHostIssuerOrClientIsNone(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	name, value := sessionCookie(t, browser, s)
	line := "Cookie: " + name + "=" + value
	_, port, _ := strings.Cut(s.server.Listener.Addr().String(), ":")

	e := guard(s.enforcer, http.NotFoundHandler())
	require.Equal(t, http.StatusNotFound, record(t, e, s.server.URL+"/app", line).Code)
	require.Equal(t, http.StatusUnauthorized, record(t, e, "http://localhost:"+port+"/app", line).Code, "another host")

	other := s.gate(func(cfg *Config) { cfg.Session = &SessionConfig{ClientID: "other"} })
	renamed := "Cookie: " + other.cookiePrefix[len("__Host-"):] + "-" + port + "=" + value
	require.Equal(t, http.StatusUnauthorized, record(t, guard(other, http.NotFoundHandler()), s.server.URL+"/app", renamed).Code, "another client")

	foreign := s.gate(func(cfg *Config) { withSession(cfg); cfg.Issuer = otherIssuer{s.issuer} })
	renamed = "Cookie: " + foreign.cookiePrefix[len("__Host-"):] + "-" + port + "=" + value
	require.Equal(t, http.StatusUnauthorized, record(t, guard(foreign, http.NotFoundHandler()), s.server.URL+"/app", renamed).Code, "another issuer")
}

// otherIssuer is the same under another name.
type otherIssuer struct{ *testIssuer }

func (otherIssuer) URL() string { return "https://other.example" }

func TestA66_CookiesThatAreNoSession(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	name, value := sessionCookie(t, browser, s)
	for rule, cookie := range map[string]string{
		"tampered":  name + "=" + value[:42] + "!",
		"guessed":   name + "=" + oauth.NewSecret(),
		"oversized": name + "=" + strings.Repeat("a", 8000),
		"empty":     name + "=",
		"twice":     name + "=" + value + "; " + name + "=" + oauth.NewSecret(),
	} {
		require.Equal(t, http.StatusUnauthorized, s.get("/app", "Cookie: "+cookie).status, rule)
	}
	require.Equal(t, http.StatusOK, s.get("/app", "Cookie: "+name+"="+value).status)
	entries, err := s.store.Scan(t.Context(), "", "", 100)
	require.NoError(t, err)
	for _, entry := range entries {
		require.NotContains(t, entry.Key+string(entry.Value), value, "the handle never lies at rest")
	}
}

func TestA66_LogoutEndsTheSessionEverywhere(t *testing.T) {
	shared := func(s *site) *Enforcer { return s.gate(withSession) }
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	name, value := sessionCookie(t, browser, s)
	got := s.do(browser, http.MethodPost, "/.authz/logout", "Sec-Fetch-Site: same-origin")
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, `<main id="logged-out">`)
	require.Empty(t, cookies(t, browser, s))
	require.Equal(t, "grant-1", s.issuer.ended[0].GrantID, "and at the issuer")
	require.Equal(t, http.StatusUnauthorized, s.get("/app", "Cookie: "+name+"="+value).status, "replay")
	again := record(t, guard(shared(s), http.NotFoundHandler()), s.server.URL+"/app", "Cookie: "+name+"="+value)
	require.Equal(t, http.StatusUnauthorized, again.Code)
	require.Equal(t, http.StatusFound, s.do(browser, http.MethodGet, "/app", asNavigation).status)
	out := s.get("/.authz/logout").body
	require.Contains(t, out, `<main id="logged-out">`)
	require.Contains(t, out, pageOutHere.text, "nobody knows of the issuer")
}

func TestW5_LogoutOfAnotherSiteIsAskedFirst(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	for name, headers := range map[string][]string{
		"a link elsewhere":           {asNavigation, "Sec-Fetch-Site: cross-site"},
		"a link of a sister":         {asNavigation, "Sec-Fetch-Site: same-site"},
		"an image of ours":           {"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Site: same-origin"},
		"a prefetch":                 {asNavigation, "Sec-Fetch-Site: same-origin", "Sec-Purpose: prefetch"},
		"elsewhere, an old browser":  {"Referer: https://evil.example/x"},
		"a form, of an old browser":  {"Origin: https://evil.example"},
		"a link from another scheme": {"Referer: " + strings.Replace(s.server.URL, "http:", "https:", 1) + "/"},
	} {
		got := s.do(browser, http.MethodGet, "/.authz/logout", headers...)
		require.Equal(t, http.StatusOK, got.status, name)
		require.Contains(t, got.body, `<main id="logout">`, name)
		require.Contains(t, got.body, `<form method="post" action="?">`)
		require.Empty(t, s.issuer.ended, name)
	}
	require.Contains(t, s.do(browser, http.MethodPost, "/.authz/logout", "Origin: https://evil.example").body, `<main id="logout">`)
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status)
	require.Equal(t, http.StatusMethodNotAllowed, s.do(browser, http.MethodDelete, "/.authz/logout").status)
	s.issuer.set(func() { s.issuer.endError = errors.New("down") })
	got := s.do(browser, http.MethodGet, "/.authz/logout", asNavigation, "Sec-Fetch-Site: none")
	require.Equal(t, http.StatusBadGateway, got.status)
	require.Contains(t, got.body, pageHalfOut.title)
	require.Equal(t, http.StatusUnauthorized, s.do(browser, http.MethodGet, "/app").status, "here it is over in any case")
}

func TestW5_LogoutClaimsNoMoreThanItDid(t *testing.T) {
	s := newSite(t, withSession)
	s.issuer.set(func() { s.issuer.endError = ErrSessionRemains })
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	got := s.do(browser, http.MethodPost, "/.authz/logout", "Sec-Fetch-Site: same-origin")
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, pageOutHere.text)
	require.Equal(t, http.StatusUnauthorized, s.do(browser, http.MethodGet, "/app").status)
}

func TestW7_RevocationEndsASession(t *testing.T) {
	for name, revoke := range map[string]func(s *site) error{
		"family": func(s *site) error {
			return s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-1", time.Time{})
		},
		"session": func(s *site) error {
			return s.issuer.feed.Revoke(t.Context(), revocation.Session, "sid-1", time.Time{})
		},
		"user": func(s *site) error {
			return s.issuer.feed.RevokeBefore(t.Context(), revocation.User, "alice-id", s.clock.now(), time.Time{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, withSession)
			browser := newBrowser(t)
			s.signIn(browser, "/app")
			require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status)
			require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "somebody else's", time.Time{}))
			require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status)
			require.NoError(t, revoke(s))
			require.Equal(t, http.StatusUnauthorized, s.do(browser, http.MethodGet, "/app").status)
			require.Equal(t, http.StatusFound, s.do(browser, http.MethodGet, "/app", asNavigation).status)
			entries, err := s.store.Scan(t.Context(), "gate-session/", "", 10)
			require.NoError(t, err)
			require.Empty(t, entries)
		})
	}
}

func TestW5_PersonIsLookedUpEveryMinuteOfUse(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	api := func() int { return s.do(browser, http.MethodGet, "/app").status }
	for range 3 {
		require.Equal(t, http.StatusOK, api())
	}
	require.Zero(t, s.issuer.refreshed.Load())
	s.clock.advance(refreshEvery)
	for range 3 {
		require.Equal(t, http.StatusOK, api())
	}
	require.EqualValues(t, 1, s.issuer.refreshed.Load())

	down := errors.New("no directory")
	s.issuer.set(func() { s.issuer.refresh = func(*Session) (*Session, error) { return nil, down } })
	s.clock.advance(4 * time.Minute)
	for range 3 {
		require.Equal(t, http.StatusOK, api(), "for a while what is known will do")
	}
	require.EqualValues(t, 2, s.issuer.refreshed.Load(), "and it isn't asked each time")
	s.clock.advance(time.Minute)
	require.Equal(t, http.StatusServiceUnavailable, api(), "then nothing is let through")
	require.Equal(t, http.StatusServiceUnavailable, api())

	s.issuer.set(func() { s.issuer.refresh = nil })
	s.clock.advance(refreshRetry)
	require.Equal(t, http.StatusOK, api())

	s.issuer.set(func() { s.issuer.refresh = func(*Session) (*Session, error) { return nil, ErrSessionEnded } })
	s.clock.advance(refreshEvery)
	require.Equal(t, http.StatusUnauthorized, api())
}

func TestW5_AnIssuerThatIsSilentHoldsUpNobodyTwice(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	api := func() int { return s.do(browser, http.MethodGet, "/app").status }
	s.issuer.set(func() {
		s.issuer.refresh = func(*Session) (*Session, error) { return nil, errors.New("no answer in time") }
	})
	s.clock.advance(refreshBound)
	require.Equal(t, http.StatusServiceUnavailable, api())

	answers := make(chan struct{})
	s.issuer.set(func() {
		s.issuer.refresh = func(old *Session) (*Session, error) {
			<-answers
			return old, nil
		}
	})
	s.clock.advance(refreshRetry)
	began := time.Now()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if status := s.do(browser, http.MethodGet, "/app").status; status != http.StatusServiceUnavailable {
				t.Error(status)
			}
		})
	}
	all.Wait()
	require.Less(t, time.Since(began), refreshWait/2)
	for range 6 {
		all.Go(func() {
			if status := s.do(browser, http.MethodGet, "/app").status; status != http.StatusOK {
				t.Error(status, "it is asked all the while")
			}
		})
	}
	close(answers)
	all.Wait()

	s.issuer.set(func() {
		s.issuer.refresh = func(*Session) (*Session, error) { return nil, errors.New("no answer in time") }
	})
	s.clock.advance(refreshEvery)
	require.Equal(t, http.StatusOK, api())
	s.issuer.set(func() { s.issuer.refresh = func(*Session) (*Session, error) { return nil, ErrSessionEnded } })
	s.clock.advance(refreshRetry)
	require.Eventually(t, func() bool { return api() == http.StatusUnauthorized }, 10*time.Second, 10*time.Millisecond)
}

func TestW5_OneLookUpForManyRequests(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	s.clock.advance(refreshBound + time.Minute)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if got := s.do(browser, http.MethodGet, "/app"); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, s.issuer.refreshed.Load())
}

func TestW5_NewLoginReplacesTheOldSessionSoon(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	second := s.begin(browser, "/b")
	s.signIn(browser, "/a")
	name, old := sessionCookie(t, browser, s)
	require.Equal(t, http.StatusSeeOther, s.do(browser, http.MethodGet, s.answerPath(second), asNavigation).status)
	_, replaced := sessionCookie(t, browser, s)
	require.NotEqual(t, old, replaced)
	require.Equal(t, http.StatusOK, s.get("/a", "Cookie: "+name+"="+old).status, "requests on their way still arrive")
	s.clock.advance(31 * time.Second)
	require.Equal(t, http.StatusUnauthorized, s.get("/a", "Cookie: "+name+"="+old).status)
	require.Equal(t, http.StatusOK, s.get("/a", "Cookie: "+name+"="+replaced).status)
}

func TestSessionsAreSharedByGatesThatSaySo(t *testing.T) {
	s := newSite(t, withSession)
	sessions := NewSessions(s.store, s.clock.now)
	share := func(cfg *Config) { withToken(cfg); cfg.Sessions = sessions }
	first, second := s.gate(share), s.gate(share)
	s.server.Config.Handler = guard(first, http.NotFoundHandler())
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	for _, e := range []*Enforcer{first, second} {
		s.server.Config.Handler = guard(e, http.NotFoundHandler())
		require.Equal(t, http.StatusNotFound, s.do(browser, http.MethodGet, "/app").status)
	}
	require.Len(t, s.issuer.minted(), 1)
	u, err := url.Parse(s.server.URL)
	require.NoError(t, err)
	require.NotEmpty(t, browser.Jar.Cookies(u))
}

func TestConfiguredCookieNameIsTakenAsItIs(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.Session = &SessionConfig{Cookie: "shop_session"} })
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	name, _ := sessionCookie(t, browser, s)
	require.Equal(t, "shop_session", name)
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status)
	require.NotContains(t, s.last().header, "Cookie")
}

func TestLiveSessionNeedsLessThanTwoKilobytes(t *testing.T) {
	const n = 10_000
	c := newClock()
	sessions := NewSessions(store.NewMemory(c.now), c.now)
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	record := func(i int) *sessionRecord {
		return &sessionRecord{
			Session: Session{
				Subject: fmt.Sprint("subject-", i), Username: fmt.Sprint("user-", i), ClientID: "gate", SessionID: fmt.Sprint("sid-", i),
				GrantID: fmt.Sprint("grant-", i), Scope: []string{"openid", "profile"}, Roles: []string{"employee"},
				Claims: json.RawMessage(fmt.Sprintf(`{"sub":"subject-%d","email":"user-%d@example.com","name":"User Number %d"}`, i, i, i)),
			},
			Host: "app.example", Asked: []string{"openid", "profile"}, Idle: time.Hour,
			Created: c.now(), Used: c.now(), Refreshed: c.now(), Expires: c.now().Add(time.Hour),
		}
	}
	before := heap()
	for i := range n {
		live := sessions.hold(*hashOf(i), record(i))
		live.policy.Store(&policyResult{})
		slot := &mintSlot{}
		slot.held.Store(&heldToken{header: "Bearer " + strings.Repeat("x", 650)})
		live.minted = append(live.minted, slot)
	}
	size := (heap() - before) / n
	t.Logf("%d bytes a session", size)
	require.Less(t, size, uint64(2<<10))
	runtime.KeepAlive(sessions)
}

func TestDeadSessionsLeaveTheMemory(t *testing.T) {
	c := newClock()
	sessions := NewSessions(store.NewMemory(c.now), c.now)
	held := func() (n int) {
		for i := range sessions.shards {
			n += len(sessions.shards[i].live)
		}
		return n
	}
	add := func(from, n int) {
		for i := range n {
			sessions.hold(*hashOf(from + i), &sessionRecord{Used: c.now(), Idle: time.Hour, Expires: c.now().Add(2 * time.Hour)})
		}
	}
	add(0, 5000)
	require.Equal(t, 5000, held())
	c.advance(2 * time.Hour)
	add(5000, 2500)
	require.Less(t, held(), 3000)
}

func TestO4_SessionsHoldNoGate(t *testing.T) {
	s := newSite(t, withSession)
	sessions := NewSessions(s.store, s.clock.now)
	share := func(cfg *Config) {
		withSession(cfg)
		cfg.Sessions, cfg.Require = sessions, []Requirement{{Kind: RequireRole, Values: []string{"boss"}}}
	}
	s.server.Config.Handler = guard(s.gate(share), http.NotFoundHandler())
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	name, value := sessionCookie(t, browser, s)
	collected := make(chan struct{})
	func() {
		old := s.gate(share)
		runtime.SetFinalizer(old, func(*Enforcer) { close(collected) })
		require.Equal(t, http.StatusNotFound, record(t, guard(old, http.NotFoundHandler()), s.server.URL+"/app", "Cookie: "+name+"="+value).Code)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-collected:
			return true
		default:
			return false
		}
	}, 10*time.Second, 20*time.Millisecond, "a gate of an old configuration would live on in every session it saw")
	runtime.KeepAlive(sessions)
}

func TestLiveSessionsAreBounded(t *testing.T) {
	c := newClock()
	sessions := NewSessions(store.NewMemory(c.now), c.now)
	for i := range sessionShards*shardSessions + 5000 {
		sessions.hold(*hashOf(i), &sessionRecord{Used: c.now(), Idle: time.Hour, Expires: c.now().Add(time.Hour)})
	}
	for i := range sessions.shards {
		require.LessOrEqual(t, len(sessions.shards[i].live), shardSessions)
	}
}

func TestAttributesAreReadOnceAMinute(t *testing.T) {
	s := newSite(t, nil)
	calls := 0
	s.issuer.attrs = func(subject string) (map[string][]string, error) {
		calls++
		return map[string][]string{"mail": {subject + "@example.com"}}, nil
	}
	id := s.check(s.issuer.accessToken(t, nil)).Identity
	for range 3 {
		attributes, err := id.Attributes(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"bob-id@example.com"}, attributes["mail"])
	}
	require.Equal(t, 1, calls)
	s.clock.advance(defaultRefresh)
	_, err := id.Attributes(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, calls)

	down := errors.New("no directory")
	s.issuer.set(func() {
		s.issuer.attrs = func(string) (map[string][]string, error) { calls++; return nil, down }
	})
	s.clock.advance(defaultRefresh)
	for range 3 {
		_, err = id.Attributes(t.Context())
		require.ErrorIs(t, err, down)
	}
	require.Equal(t, 3, calls, "a failure is remembered for a moment")
	for i := range maxPeople + 100 {
		s.enforcer.sources[0].people.keepFor(fmt.Sprint(i), nil, nil)
	}
	require.LessOrEqual(t, len(s.enforcer.sources[0].people.people), maxPeople)
}

func TestW3_WhoeverGoesAwayWaitsForNobodyToBeLookedUp(t *testing.T) {
	s := newSite(t, nil)
	asked, answer := make(chan struct{}, 2), make(chan struct{})
	s.issuer.attrs = func(string) (map[string][]string, error) {
		asked <- struct{}{}
		<-answer
		return map[string][]string{"room": {"7"}}, nil
	}
	id := s.check(s.issuer.accessToken(t, nil)).Identity
	ctx, leave := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	ask := func(ctx context.Context, done chan<- error) {
		_, err := id.Attributes(ctx)
		done <- err
	}
	go ask(ctx, first)
	<-asked
	go ask(t.Context(), second)
	leave()
	require.ErrorIs(t, <-first, context.Canceled)
	close(answer)
	require.NoError(t, <-second, "that the first went away is no failure of the issuer")
	require.Empty(t, asked, "one look-up is for all")
}

func TestLoginNameOfATokenIsLookedUp(t *testing.T) {
	s := newSite(t, nil)
	s.issuer.attrs = func(string) (map[string][]string, error) { return nil, nil }
	name := func(change func(*token.AccessToken)) (string, error) {
		return s.check(s.issuer.accessToken(t, change)).Identity.LoginName(t.Context())
	}
	got, err := name(func(a *token.AccessToken) { a.Extra, a.Subject = nil, "carol-id" })
	require.NoError(t, err)
	require.Equal(t, "carol", got, "as the issuer says")
	got, err = name(func(a *token.AccessToken) { a.Subject = "carol-id" })
	require.NoError(t, err)
	require.Equal(t, "bob", got, "as the token says")
	_, err = name(func(a *token.AccessToken) { a.Extra, a.Subject = nil, "shop" })
	require.ErrorIs(t, err, ErrNobody, "a client for itself")
	got, err = name(func(a *token.AccessToken) { a.Extra, a.Subject, a.AuthTime = nil, "shop", s.clock.now() })
	require.NoError(t, err)
	require.Equal(t, "shop", got, "a person who is called like a client")
}

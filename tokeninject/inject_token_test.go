package tokeninject

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// withToken injects tokens for the resource server "orders".
func withToken(cfg *Config) {
	withSession(cfg)
	cfg.Token = &TokenInjection{ResourceServer: "orders", Scope: []string{"orders.read"}, RenewBefore: 5 * time.Minute}
}

func TestW4_SessionGetsAToken(t *testing.T) {
	s := newSite(t, withToken)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	require.Equal(t, []string{"openid", "profile", "orders.read"}, s.issuer.begun()[0].Scope, "asked for at the login")

	injected := func() string {
		require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app", "Authorization: Basic YTpi").status)
		return s.last().header.Get("Authorization")
	}
	first := injected()
	require.Contains(t, first, "Bearer minted-")
	require.Equal(t, first, injected())
	require.Len(t, s.issuer.minted(), 1)
	m := s.issuer.minted()[0]
	require.Equal(t, "alice-id", m.Session.Subject)
	require.Nil(t, m.Caller)
	require.Equal(t, "orders", m.ResourceServer)
	require.Equal(t, []string{"orders.read"}, m.Scope)

	// Renewed five minutes before its end, while the old one is still good for those who come.
	s.clock.advance(5 * time.Minute)
	require.Equal(t, first, injected())
	require.Eventually(t, func() bool { return injected() != first }, 5*time.Second, 5*time.Millisecond)
	require.Len(t, s.issuer.minted(), 2)
}

func TestW4_OneFlightASession(t *testing.T) {
	var inside atomic.Int64
	s := newSite(t, func(cfg *Config) {
		withToken(cfg)
		cfg.Seen = func(r *http.Request) Seen { inside.Add(1); return seenDirectly(r) }
	})
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	inside.Store(0)
	entered, release := make(chan struct{}, 100), make(chan struct{})
	s.issuer.set(func() {
		s.issuer.mint = func(MintRequest) (*MintedToken, error) {
			entered <- struct{}{}
			<-release
			return &MintedToken{Token: "the-one", Expires: s.clock.now().Add(10 * time.Minute)}, nil
		}
	})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := s.do(browser, http.MethodGet, "/app"); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	<-entered
	require.Eventually(t, func() bool { return inside.Load() >= 50 }, 10*time.Second, time.Millisecond)
	close(release)
	wg.Wait()
	require.Len(t, s.issuer.minted(), 1)
	for range 50 {
		require.Equal(t, "Bearer the-one", s.last().header.Get("Authorization"))
	}
}

func TestW4_RenewBeforeLongerThanTheLifetimeMintsHalfWay(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withToken(cfg)
		cfg.Token.RenewBefore = time.Hour
	})
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	for range 10 {
		require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status)
	}
	require.Len(t, s.issuer.minted(), 1)
}

func TestW4_CallerGetsATokenOfItsOwn(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Token = &TokenInjection{ResourceServer: "orders", Scope: []string{"orders.read"}}
	})
	bearer := func(subject string) string {
		return "Authorization: Bearer " + s.issuer.accessToken(t, func(a *token.AccessToken) {
			a.Subject, a.ExpiresAt = subject, s.clock.now().Add(2*time.Minute)
		})
	}
	bob, carol := bearer("bob-id"), bearer("carol-id")
	injected := func(line string) string {
		require.Equal(t, http.StatusOK, s.get("/", line).status)
		return s.last().header.Get("Authorization")
	}
	first := injected(bob)
	require.Equal(t, first, injected(bob))
	require.NotEqual(t, first, injected(carol))
	mints := s.issuer.minted()
	require.Len(t, mints, 2)
	require.Equal(t, "bob-id", mints[0].Caller.Subject)
	require.Equal(t, "shop", mints[0].Caller.ClientID)
	require.Equal(t, "test-gate", mints[0].Gate)
	require.Nil(t, mints[0].Session)

	slot := s.enforcer.callers.slot(s.passageOf(bob).caller)
	require.LessOrEqual(t, slot.held.Load().expires, s.clock.now().Add(2*time.Minute).UnixMilli(), "not beyond the caller's own token")
}

// passageOf takes a request with one header through the gate.
func (s *site) passageOf(line string) *passage {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://localhost/", nil)
	require.NoError(s.t, err)
	r.Header.Set("Authorization", line[len("Authorization: "):])
	verdict := s.enforcer.Check(nil, r, Verdict{})
	require.True(s.t, verdict.Pass)
	verdict.Done()
	return verdict.passage
}

func TestW4_WhatIfThereIsNoToken(t *testing.T) {
	insufficient := oauth.Errorf(oauth.InsufficientScope, "never granted")
	t.Run("scope not granted to the caller: 403", func(t *testing.T) {
		s := newSite(t, withToken)
		s.issuer.mint = func(MintRequest) (*MintedToken, error) { return nil, fmt.Errorf("mint: %w", insufficient) }
		got := s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil))
		require.Equal(t, http.StatusForbidden, got.status)
		require.Contains(t, got.header.Get("WWW-Authenticate"), `error="insufficient_scope"`)
		require.Contains(t, got.header.Get("WWW-Authenticate"), `scope="orders.read"`)
		s.nothingArrived()
	})
	t.Run("scope no longer granted to the session: asked for once", func(t *testing.T) {
		s := newSite(t, withToken)
		browser := newBrowser(t)
		s.signIn(browser, "/app")
		s.issuer.set(func() { s.issuer.mint = func(MintRequest) (*MintedToken, error) { return nil, insufficient } })
		require.Equal(t, http.StatusForbidden, s.do(browser, http.MethodGet, "/app").status, "an API call")
		s.signIn(browser, "/app")
		got := s.do(browser, http.MethodGet, "/app", asNavigation)
		require.Equal(t, http.StatusForbidden, got.status)
		require.Contains(t, got.body, `<main id="error">`)
	})
	t.Run("session ended: login", func(t *testing.T) {
		s := newSite(t, withToken)
		browser := newBrowser(t)
		s.signIn(browser, "/app")
		s.issuer.set(func() { s.issuer.mint = func(MintRequest) (*MintedToken, error) { return nil, ErrSessionEnded } })
		require.Equal(t, http.StatusUnauthorized, s.do(browser, http.MethodGet, "/app").status)
		s.issuer.set(func() { s.issuer.mint = nil })
		require.Equal(t, http.StatusFound, s.do(browser, http.MethodGet, "/app", asNavigation).status)
	})
	t.Run("issuer down or panicking: 503, and again", func(t *testing.T) {
		s := newSite(t, withToken)
		for _, mint := range []func(MintRequest) (*MintedToken, error){
			func(MintRequest) (*MintedToken, error) { return nil, errors.New("secret detail") },
			func(MintRequest) (*MintedToken, error) { panic("secret detail") },
			func(MintRequest) (*MintedToken, error) {
				return &MintedToken{Token: "old", Expires: s.clock.now()}, nil
			},
			func(MintRequest) (*MintedToken, error) {
				return &MintedToken{Token: "a\r\nb", Expires: s.clock.now().Add(time.Hour)}, nil
			},
		} {
			s.issuer.set(func() { s.issuer.mint = mint })
			got := s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil))
			require.Equal(t, http.StatusServiceUnavailable, got.status)
			require.NotContains(t, got.body, "secret detail")
		}
		s.issuer.set(func() { s.issuer.mint = nil })
		require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil)).status)
	})
	t.Run("renewal fails: the old token serves to its end", func(t *testing.T) {
		s := newSite(t, withToken)
		browser := newBrowser(t)
		s.signIn(browser, "/app")
		require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status)
		s.issuer.set(func() { s.issuer.mint = func(MintRequest) (*MintedToken, error) { return nil, errors.New("down") } })
		s.clock.advance(9 * time.Minute)
		for range 5 {
			require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app").status)
		}
		s.clock.advance(time.Minute)
		require.Equal(t, http.StatusServiceUnavailable, s.do(browser, http.MethodGet, "/app").status)
	})
}

func TestW4_ANoIsRememberedForAMoment(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.Token = &TokenInjection{ResourceServer: "orders"} })
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	for status, no := range map[int]error{
		http.StatusForbidden:          oauth.Errorf(oauth.InsufficientScope, "never granted"),
		http.StatusServiceUnavailable: errors.New("down"),
	} {
		before := len(s.issuer.minted())
		s.issuer.set(func() { s.issuer.mint = func(MintRequest) (*MintedToken, error) { return nil, no } })
		for range 50 {
			require.Equal(t, status, s.get("/", bearer).status)
		}
		require.Len(t, s.issuer.minted(), before+1)
		s.clock.advance(mintRetry)
	}
	s.issuer.set(func() { s.issuer.mint = nil })
	require.Equal(t, http.StatusOK, s.get("/", bearer).status)
}

func TestCallersTokensAreBounded(t *testing.T) {
	var c callerTokens
	for i := range 40_000 {
		c.slot(*hashOf(i))
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].slots)
	}
	require.Equal(t, callerShards*shardCallers, n)
}

// A session may pass gates that mint by other issuers, or as other clients, for resource servers of one name.
func TestW4_TokensOfTwoIssuersAreNotMixedUp(t *testing.T) {
	s := newSite(t, nil)
	sessions := NewSessions(s.store, s.clock.now)
	other := newStranger(t, s.clock)
	mints := func(i *testIssuer, token string) {
		i.mint = func(MintRequest) (*MintedToken, error) {
			return &MintedToken{Token: token, Expires: s.clock.now().Add(time.Hour)}, nil
		}
	}
	mints(s.issuer, "ours")
	mints(other.testIssuer, "theirs")
	gate := func(by Issuer, client string) http.Handler {
		return guard(s.gate(func(cfg *Config) {
			withSession(cfg)
			cfg.Sessions, cfg.Token = sessions, &TokenInjection{Issuer: by, Client: client, ResourceServer: "orders"}
		}), http.HandlerFunc(s.serve))
	}
	mux := http.NewServeMux()
	mux.Handle("/a/", gate(nil, ""))
	mux.Handle("/b/", gate(other, ""))
	mux.Handle("/c/", gate(other, "c"))
	s.server.Config.Handler = mux
	browser := newBrowser(t)
	s.signIn(browser, "/a/")
	for path, want := range map[string]string{"/a/": "Bearer ours", "/b/": "Bearer theirs", "/c/": "Bearer theirs"} {
		require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, path, asNavigation).status)
		require.Equal(t, []string{want}, s.last().header["Authorization"], path)
	}
	require.Len(t, other.minted(), 2, "one for each client")
	require.Equal(t, testURL, other.minted()[0].SessionIssuer)
}

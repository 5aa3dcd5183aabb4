package tokeninject

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/token"
)

// levelled is a testIssuer that knows levels: "high" is above "low", and good for five minutes.
type levelled struct{ *testIssuer }

func (i levelled) Satisfies(wanted []string, acr string, at time.Time) (ok bool, maxAge time.Duration) {
	enough := slices.Contains(wanted, acr) || acr == "high" && slices.Contains(wanted, "low")
	if enough && acr == "high" && i.clock.now().Sub(at) > 5*time.Minute {
		return false, 5 * time.Minute
	}
	return enough, 0
}

func needs(contracts ...string) func(*Config) {
	return func(cfg *Config) {
		cfg.Contracts = contracts
		cfg.Issuer = levelled{cfg.Issuer.(*testIssuer)}
	}
}

func TestW9_ATokenOfAWeakerLoginIsChallenged(t *testing.T) {
	rows := []struct {
		rule      string
		wanted    []string
		acr       string
		age       time.Duration
		challenge string // "": it passes
	}{
		{"the contract", []string{"low"}, "low", time.Hour, ""},
		{"one of them", []string{"other", "low"}, "low", 0, ""},
		{"a higher one", []string{"low"}, "high", 0, ""},
		{"RFC 9470 §3 a lower one", []string{"high"}, "low", 0, `acr_values="high"`},
		{"RFC 9470 §3 none", []string{"low", "high"}, "", 0, `acr_values="low high"`},
		{"RFC 9470 §3 too old", []string{"high"}, "high", 6 * time.Minute, `acr_values="high", max_age="300"`},
	}
	for _, row := range rows {
		t.Run(row.rule, func(t *testing.T) {
			s := newSite(t, needs(row.wanted...))
			raw := s.issuer.accessToken(t, func(a *token.AccessToken) { a.ACR, a.AuthTime = row.acr, s.clock.now().Add(-row.age) })
			for range 2 { // verified, and from the cache
				got := s.get("/", "Authorization: Bearer "+raw)
				if row.challenge == "" {
					require.Equal(t, http.StatusOK, got.status)
					continue
				}
				require.Equal(t, http.StatusUnauthorized, got.status)
				require.Contains(t, got.header.Get("WWW-Authenticate"), `error="insufficient_user_authentication"`)
				require.Contains(t, got.header.Get("WWW-Authenticate"), row.challenge)
			}
		})
	}
}

func TestW9_ACachedTokenGrowsTooOld(t *testing.T) {
	s := newSite(t, needs("high"))
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, func(a *token.AccessToken) { a.ACR, a.AuthTime = "high", s.clock.now() })
	require.Equal(t, http.StatusOK, s.get("/", bearer).status)
	s.clock.advance(6 * time.Minute)
	require.Equal(t, http.StatusUnauthorized, s.get("/", bearer).status)
}

func TestA69_AStreamEndsWhenItsLoginGrowsTooOld(t *testing.T) {
	s := newSite(t, needs("high"))
	s.upstream = events
	ended := s.open(newBrowser(t), s.bearer(func(a *token.AccessToken) { a.ACR, a.AuthTime = "high", s.clock.now() }))
	s.clock.advance(5 * time.Minute)
	requireOpen(t, ended)
	s.clock.advance(time.Second)
	requireCut(t, ended)
}

func TestA69_AStreamEndsWhenTheContractOfItsPolicyIsOver(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		needs()(cfg)
		withPolicy(permit(when(IfContract, "high")), permit(when(IfPath, "/free/*")).at(2))(cfg)
	})
	s.upstream = events
	bearer := s.bearer(func(a *token.AccessToken) { a.ACR, a.AuthTime = "high", s.clock.now() })
	bearer["Accept"] = "text/event-stream"
	ended, free := s.open(newBrowser(t), bearer), s.openAt("/free/events", newBrowser(t), bearer)
	delete(bearer, "Accept")
	unannounced := s.open(newBrowser(t), bearer)
	s.clock.advance(5 * time.Minute)
	requireOpen(t, ended)
	s.clock.advance(time.Second)
	requireCut(t, ended)
	requireCut(t, unannounced)
	requireOpen(t, free)
}

func TestW9_WithoutLevelsAContractIsEqualToItselfOnly(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.Contracts = []string{"low"} })
	for acr, status := range map[string]int{"low": http.StatusOK, "high": http.StatusUnauthorized} {
		raw := s.issuer.accessToken(t, func(a *token.AccessToken) { a.ACR, a.AuthTime = acr, s.clock.now() })
		require.Equal(t, status, s.get("/", "Authorization: Bearer "+raw).status, acr)
	}
}

func TestW9_ABrowserIsSignedInByTheContract(t *testing.T) {
	s := newSite(t, func(cfg *Config) { withSession(cfg); needs("high")(cfg) })
	s.issuer.session.ACR = "high"
	browser := newBrowser(t)
	require.Equal(t, []string{"high"}, s.begin(browser, "/").ACRValues)
	s.signIn(browser, "/")
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/", asNavigation).status)

	s.clock.advance(6 * time.Minute)
	got := s.do(browser, http.MethodGet, "/", "Sec-Fetch-Mode: cors")
	require.Equal(t, http.StatusUnauthorized, got.status, "A68")
	require.Contains(t, got.header.Get("WWW-Authenticate"), `acr_values="high", max_age="300"`)
	s.issuer.session.AuthTime = s.clock.now()
	s.signIn(browser, "/page")
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/page", asNavigation).status)
}

func TestW9_AnIssuerThatGivesNoSuchLoginIsNotAskedAgain(t *testing.T) {
	s := newSite(t, func(cfg *Config) { withSession(cfg); needs("high")(cfg) })
	s.issuer.session.ACR = "low"
	browser := newBrowser(t)
	s.signIn(browser, "/")
	for range 2 {
		got := s.do(browser, http.MethodGet, "/", asNavigation)
		require.Equal(t, http.StatusForbidden, got.status)
		require.Empty(t, got.header.Get("Location"))
	}
	s.nothingArrived()
}

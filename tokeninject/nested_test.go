package tokeninject

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nest puts gates one behind the other, the first in front.
func (s *site) nest(gates ...func(*Config)) {
	s.t.Helper()
	sessions := NewSessions(s.store, s.clock.now)
	var handler http.Handler = http.HandlerFunc(s.serve)
	for _, configure := range slices.Backward(gates) {
		handler = guard(s.gate(func(cfg *Config) {
			cfg.Sessions = sessions
			configure(cfg)
		}), handler)
	}
	s.server.Close()
	s.server = serve(s.t, handler)
}

func injectUser(cfg *Config) { cfg.Headers = []HeaderInjection{{"X-User", subject}} }

func injectOuter(cfg *Config) { cfg.Headers = []HeaderInjection{{"X-Outer", subject}} }

func TestW5_GatesBehindEachOtherShareASession(t *testing.T) {
	s := newSite(t, nil)
	more := func(cfg *Config) {
		cfg.Session = &SessionConfig{Scope: []string{"openid", "email"}}
		injectUser(cfg)
	}
	s.nest(func(cfg *Config) { withSession(cfg); injectOuter(cfg) }, more)
	browser := newBrowser(t)
	s.signIn(browser, "/page") // at the gate in front
	s.signIn(browser, "/page") // and for what the one behind wants on top
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/page", asNavigation, "X-User: mallory", "X-Outer: mallory").status)
	got := s.last()
	require.Equal(t, []string{"alice-id"}, got.header["X-User"])
	require.Equal(t, []string{"alice-id"}, got.header["X-Outer"])
	require.Empty(t, got.header["Cookie"])
	require.Len(t, s.issuer.begun(), 2)
}

func TestW5_GatesOfTwoIssuersBehindEachOther(t *testing.T) {
	s := newSite(t, nil)
	other := newStranger(t, s.clock)
	s.nest(withSession, func(cfg *Config) { withSession(cfg); cfg.Issuer, cfg.ResourceServer = other, "" })
	browser := newBrowser(t)
	s.signIn(browser, "/")
	require.Equal(t, http.StatusFound, s.do(browser, http.MethodGet, "/", asNavigation).status)
	l := other.begun()[0]
	other.logins["code-"+l.State] = l
	back := url.Values{"code": {"code-" + l.State}, "state": {l.State}, "iss": {strangerURL}}
	require.Equal(t, http.StatusSeeOther, s.do(browser, http.MethodGet, "/?"+back.Encode(), asNavigation).status)
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/", asNavigation).status)
}

func TestW5_GatesBehindEachOtherWithCookiesOfTheirOwn(t *testing.T) {
	s := newSite(t, nil)
	s.nest(withSession, func(cfg *Config) {
		withSession(cfg)
		cfg.Session.Cookie = "inner"
	})
	browser := newBrowser(t)
	s.signIn(browser, "/page")
	s.signIn(browser, "/page")
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/page", asNavigation).status)
}

func TestW1_ATokenIsForEveryGateOnItsWay(t *testing.T) {
	keep := func(*Config) {}
	for name, test := range map[string]struct {
		front, behind func(*Config)
		authorization []string // as the upstream sees it; TOKEN is the client's
	}{
		"neither passes it on":  {injectOuter, injectUser, nil},
		"the one in front does": {func(cfg *Config) { cfg.PassToken = true }, keep, []string{"Bearer TOKEN"}},
		"the one behind does":   {keep, func(cfg *Config) { cfg.PassToken = true }, []string{"Bearer TOKEN"}},
		"an injected one stays": {func(cfg *Config) { cfg.Token = &TokenInjection{ResourceServer: "orders"} }, keep, []string{"Bearer minted"}},
		"the innermost injects": {
			func(cfg *Config) { cfg.PassToken = true },
			func(cfg *Config) { cfg.Basic = &BasicInjection{User: subject, Password: fixed("x")} },
			[]string{"Basic Ym9iLWlkOng="},
		},
		"in front of nobody": {func(cfg *Config) { cfg.Optional = true }, injectUser, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			s.issuer.mint = func(MintRequest) (*MintedToken, error) {
				return &MintedToken{Token: "minted", Expires: s.clock.now().Add(time.Hour)}, nil
			}
			s.nest(test.front, test.behind)
			raw := s.issuer.accessToken(t, nil)
			require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+raw).status)
			if len(test.authorization) > 0 && test.authorization[0] == "Bearer TOKEN" {
				test.authorization = []string{"Bearer " + raw}
			}
			require.Equal(t, test.authorization, s.last().header["Authorization"])
			require.Equal(t, http.StatusUnauthorized, s.get("/").status)
		})
	}
}

// What a gate injects is its own word for the upstream, and nobody's credential at the next gate.
func TestA64_AnInjectedTokenIsNoCredential(t *testing.T) {
	s := newSite(t, nil)
	ofBob := s.issuer.accessToken(t, nil)
	s.issuer.mint = func(MintRequest) (*MintedToken, error) {
		return &MintedToken{Token: ofBob, Expires: s.clock.now().Add(time.Hour)}, nil
	}
	s.nest(func(cfg *Config) { withSession(cfg); cfg.Token = &TokenInjection{ResourceServer: "orders"} }, injectUser)
	browser := newBrowser(t)
	s.signIn(browser, "/")
	require.Equal(t, http.StatusUnauthorized, s.do(browser, http.MethodGet, "/", asNavigation).status, "alice has no token of her own")
	s.nothingArrived()
}

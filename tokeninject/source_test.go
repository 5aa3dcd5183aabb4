package tokeninject

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/token"
)

// strangerURL is the issuer of tokens that testIssuer knows nothing of.
const strangerURL = "https://stranger.example"

// stranger is another issuer, with keys, feed and people of its own.
type stranger struct {
	*testIssuer
	asks   bool
	opaque map[string]string // token -> claims
	asked  []string
}

func newStranger(t *testing.T, c *clock) *stranger {
	t.Helper()
	keys, err := token.GenerateKeys([]jose.SignatureAlgorithm{jose.ES256}, c.now())
	require.NoError(t, err)
	s := &stranger{testIssuer: newTestIssuer(c)}
	s.keys, s.feed = keys, revocation.New(store.NewMemory(c.now), c.now)
	return s
}

func (s *stranger) URL() string { return strangerURL }

func (s *stranger) RolesClaim() string { return "groups" }

func (s *stranger) Introspects() bool { return s.asks }

func (s *stranger) Open(ctx context.Context, raw string, decrypt Decrypt) ([]byte, time.Time, error) {
	s.mu.Lock()
	s.asked = append(s.asked, raw)
	claims, ok := s.opaque[raw]
	away := s.notReady
	s.mu.Unlock()
	if away != nil {
		return nil, time.Time{}, fmt.Errorf("%w: %w", oauth.TemporarilyUnavailable, away)
	}
	if ok {
		return []byte(claims), s.clock.now().Add(time.Minute), nil
	}
	return s.testIssuer.Open(ctx, raw, decrypt)
}

func ofStranger(a *token.AccessToken) { a.Issuer = strangerURL }

func TestW6_EveryIssuerHasItsOwnKeysAndFeed(t *testing.T) {
	c := newClock()
	other := newStranger(t, c)
	s := newSite(t, func(cfg *Config) {
		cfg.Audiences, cfg.Others = []string{testAudience}, []Issuer{other}
	})
	bearer := func(raw string) string { return "Authorization: Bearer " + raw }
	ours, theirs := s.issuer.accessToken(t, nil), other.accessToken(t, ofStranger)
	for _, raw := range []string{ours, theirs, ours, theirs} {
		require.Equal(t, http.StatusOK, s.get("/", bearer(raw)).status)
	}
	for name, raw := range map[string]string{
		"theirs under our name":         other.accessToken(t, nil),
		"ours under theirs":             s.issuer.accessToken(t, ofStranger),
		"under a name nobody has":       other.accessToken(t, func(a *token.AccessToken) { a.Issuer = "https://nobody.example" }),
		"for another audience":          other.accessToken(t, func(a *token.AccessToken) { ofStranger(a); a.Audience = []string{"https://else.example"} }),
		"opaque, where nobody is asked": "opaque",
	} {
		require.Equal(t, http.StatusUnauthorized, s.get("/", bearer(raw)).status, name)
	}
	require.NoError(t, other.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
	require.Equal(t, http.StatusOK, s.get("/", bearer(ours)).status, "another issuer's revocation is none here")
	require.Equal(t, http.StatusUnauthorized, s.get("/", bearer(theirs)).status)
}

func TestW6_AnIssuerThatIsAwayMayKnowTheToken(t *testing.T) {
	c := newClock()
	other := newStranger(t, c)
	other.asks, other.opaque = true, map[string]string{}
	s := newSite(t, func(cfg *Config) {
		cfg.Audiences, cfg.Others = []string{testAudience}, []Issuer{other}
	})
	s.issuer.notReady = errors.New("starting")
	got := s.get("/", "Authorization: Bearer opaque")
	require.Equal(t, http.StatusServiceUnavailable, got.status, "that the last one refuses it says nothing")
	s.issuer.set(func() { s.issuer.notReady = nil })
	require.Equal(t, http.StatusUnauthorized, s.get("/", "Authorization: Bearer opaque").status)
}

func TestA69_EveryIssuersRevocationEndsItsStreams(t *testing.T) {
	c := newClock()
	other := newStranger(t, c)
	s := newSite(t, func(cfg *Config) {
		cfg.Audiences, cfg.Others = []string{testAudience}, []Issuer{other}
	})
	s.upstream = events
	theirs := s.open(newBrowser(t), map[string]string{"Authorization": "Bearer " + other.accessToken(t, ofStranger)})
	ours := s.open(newBrowser(t), s.bearer(nil))
	require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
	requireCut(t, ours)
	requireOpen(t, theirs)
	require.NoError(t, other.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
	requireCut(t, theirs)
}

// newVouched is a site of event streams whose tokens "thing" another issuer vouches for, a minute each time. They end
// so long after each answer.
func newVouched(t *testing.T, lasts time.Duration) (*site, *stranger) {
	t.Helper()
	other := newStranger(t, newClock())
	other.asks, other.opaque = true, map[string]string{}
	other.vouch(lasts)
	s := newSite(t, func(cfg *Config) {
		cfg.Audiences, cfg.Others, cfg.Now = []string{testAudience}, []Issuer{other}, other.clock.now
	})
	s.clock, s.upstream = other.clock, events
	return s, other
}

// vouch has the issuer know the token "thing", which ends so long from now.
func (s *stranger) vouch(lasts time.Duration) {
	s.opaque["thing"] = fmt.Sprintf(`{"iss":%q,"sub":"s","aud":%q,"client_id":"c","jti":"j","iat":1777890000,"exp":%d}`,
		strangerURL, testAudience, s.clock.now().Add(lasts).Unix())
}

func TestA69_AStreamGoesOnForAsLongAsTheIssuerVouchesForItsToken(t *testing.T) {
	for name, row := range map[string]struct {
		lasts time.Duration // the token, by every answer of the issuer's
		ends  func(*stranger)
	}{
		"withdrawn": {time.Hour, func(other *stranger) { delete(other.opaque, "thing") }},
		"withdrawn, the issuer never saying when it ends": {time.Minute + time.Second, func(other *stranger) { delete(other.opaque, "thing") }},
		"for another audience":                            {time.Hour, func(other *stranger) { other.opaque["thing"] = `{"aud":"else"}` }},
		"away for too long":                               {time.Hour, func(other *stranger) { other.notReady = errors.New("away") }},
	} {
		t.Run(name, func(t *testing.T) {
			s, other := newVouched(t, row.lasts)
			c := s.clock
			ended := s.open(newBrowser(t), map[string]string{"Authorization": "Bearer thing"})
			asked := func() int {
				other.mu.Lock()
				defer other.mu.Unlock()
				return len(other.asked)
			}
			require.Equal(t, 1, asked())
			c.advance(time.Minute)
			other.set(func() { other.vouch(row.lasts) })
			require.Eventually(t, func() bool { return asked() == 2 }, 5*time.Second, 10*time.Millisecond)
			requireOpen(t, ended)
			require.Equal(t, 2, asked(), "its word counts for a minute")
			other.set(func() { row.ends(other) })
			c.advance(time.Minute)
			require.Eventually(t, func() bool { return asked() == 3 }, 5*time.Second, 10*time.Millisecond)
			if name == "away for too long" {
				requireOpen(t, ended)
				c.advance(askBound)
			}
			requireCut(t, ended)
		})
	}
}

func TestW6_OneIssuerAwayKeepsNobodyElseOut(t *testing.T) {
	c := newClock()
	other := newStranger(t, c)
	s := newSite(t, func(cfg *Config) {
		cfg.Audiences, cfg.Others = []string{testAudience}, []Issuer{other}
	})
	s.issuer.set(func() { s.issuer.notReady = errors.New("away") })
	require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+other.accessToken(t, ofStranger)).status)
	require.Equal(t, http.StatusServiceUnavailable, s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil)).status)
	require.Equal(t, http.StatusServiceUnavailable, s.get("/").status)
	s.issuer.set(func() { s.issuer.notReady = nil })
	for _, malformed := range []string{"Authorization: Bearer", "Authorization: Bearer a b"} { // is no issuer's
		got := s.get("/", malformed)
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Contains(t, got.header.Get("Www-Authenticate"), `error="invalid_request"`)
	}
}

func TestW6_AnIssuerThatVouchesIsAskedAgain(t *testing.T) {
	c := newClock()
	other := newStranger(t, c)
	other.asks = true
	other.opaque = map[string]string{"thing": `{"iss":"` + strangerURL + `","sub":"s","aud":"` + testAudience + `","client_id":"c","jti":"j","iat":1777890000,"exp":1785000000}`}
	s := newSite(t, nil)
	e := s.gate(func(cfg *Config) {
		// People sign in at the one that is asked, and yet it is the last to see a token.
		cfg.Issuer, cfg.Others, cfg.Audiences, cfg.Now = other, []Issuer{s.issuer}, []string{testAudience}, c.now
	})
	pass := func(raw string) bool {
		w := record(t, guard(e, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })), "http://app.example/", "Authorization: Bearer "+raw)
		return w.Code == http.StatusNoContent
	}
	encrypted, err := s.issuer.keys.Encrypt(s.issuer.accessToken(t, nil))
	require.NoError(t, err)
	require.True(t, pass(encrypted))
	require.Empty(t, other.asked, "what an issuer of ours can open is shown to nobody")
	require.True(t, pass("thing"))
	require.True(t, pass("thing"))
	require.Len(t, other.asked, 1)
	c.advance(61 * time.Second)
	require.True(t, pass("thing"))
	require.Len(t, other.asked, 2)
	delete(other.opaque, "thing")
	c.advance(61 * time.Second)
	require.False(t, pass("thing"), "it was withdrawn")
}

func TestW5_ForeignLoginsComeBackToTheirCallback(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Session.Callback = "/.authz/callback"
	})
	browser := newBrowser(t)
	l := s.begin(browser, "/app?x=1")
	require.Equal(t, s.server.URL+"/.authz/callback", l.RedirectURI)
	answer := s.do(browser, http.MethodGet, s.answerPath(l), asNavigation)
	require.Equal(t, s.server.URL+"/app?x=1", answer.header.Get("Location"))
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app?x=1", asNavigation).status)
	s.last()
	for _, path := range []string{"/.authz/callback", s.answerPath(l)} {
		answer = s.do(newBrowser(t), http.MethodGet, path, asNavigation)
		require.Equal(t, http.StatusBadRequest, answer.status)
		s.nothingArrived()
	}
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, strings.Replace(s.answerPath(l), "/.authz/callback", "/app", 1), asNavigation).status,
		"elsewhere code and state are the application's own")
}

// anonymous is an issuer whose answers don't say who gives them.
type anonymous struct{ *testIssuer }

func (anonymous) NamesItself() bool { return false }

func TestW5_AnIssuerThatDoesNotNameItselfIsToldByState(t *testing.T) {
	s := newSite(t, nil)
	e := s.gate(func(cfg *Config) {
		withSession(cfg)
		cfg.Issuer = anonymous{s.issuer}
	})
	handler := guard(e, http.NotFoundHandler())
	answer := func(change func(url.Values)) int {
		begun := record(t, handler, "http://app.example/page", asNavigation)
		l := s.issuer.begun()[len(s.issuer.begun())-1]
		query := url.Values{"code": {"code-" + l.State}, "state": {l.State}}
		change(query)
		return record(t, handler, "http://app.example/page?"+query.Encode(), asNavigation,
			"Cookie: "+strings.Split(begun.Header().Get("Set-Cookie"), ";")[0]).Code
	}
	require.Equal(t, http.StatusSeeOther, answer(func(url.Values) {}))
	require.Equal(t, http.StatusSeeOther, answer(func(q url.Values) { q.Set("iss", testURL) }))
	require.Equal(t, http.StatusBadRequest, answer(func(q url.Values) { q.Set("iss", "https://evil.example") }))
	require.NotEqual(t, http.StatusSeeOther, answer(func(q url.Values) { q.Set("state", statePrefix+oauth.NewSecret()) }))
}

func TestW2_RolesAreWhereTheIssuerHasThem(t *testing.T) {
	c := newClock()
	other := newStranger(t, c)
	s := newSite(t, func(cfg *Config) {
		cfg.Audiences, cfg.Others = []string{testAudience}, []Issuer{other}
		cfg.Policy = &Policy{Rules: []Rule{deny(when(IfRole, "suspended")), permit(when(IfRole, "staff"))}}
	})
	of := func(roles, groups []string) string {
		return "Authorization: Bearer " + other.accessToken(t, func(a *token.AccessToken) {
			ofStranger(a)
			a.Roles = roles
			a.Extra = map[string]any{"groups": groups}
		})
	}
	require.Equal(t, http.StatusOK, s.get("/", of(nil, []string{"staff"})).status)
	require.Equal(t, http.StatusForbidden, s.get("/", of([]string{"staff"}, nil)).status)
	suspended := of([]string{"staff"}, []string{"staff", "suspended"})
	require.Equal(t, http.StatusForbidden, s.get("/", suspended).status)
	require.Equal(t, http.StatusForbidden, s.get("/", suspended).status, "from the cache as well")
}

// One sub may be two people: rules and values can say whose word it is.
func TestW2_W3_RulesAndValuesKnowTheIssuer(t *testing.T) {
	c := newClock()
	other := newStranger(t, c)
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Audiences, cfg.Others = []string{testAudience}, []Issuer{other}
		cfg.Headers = []HeaderInjection{
			{"X-User", subject}, {"X-Issuer", func(_ context.Context, _ *http.Request, id *Identity) (string, bool) { return id.Issuer(), true }},
		}
		cfg.Policy = &Policy{Rules: []Rule{
			deny(when(IfIssuer, strangerURL), when(IfRole, "boss")), deny(when(IfExpression, `issuer == "`+strangerURL+`" && client == "teller"`)),
			permit(always),
		}}
	})
	alice := func(role, client string) func(*token.AccessToken) {
		return func(a *token.AccessToken) {
			a.Subject, a.ClientID, a.Roles, a.Extra = "alice-id", client, []string{role}, map[string]any{"groups": []string{role}}
		}
	}
	theirs := func(role, client string) string {
		return other.accessToken(t, func(a *token.AccessToken) { ofStranger(a); alice(role, client)(a) })
	}
	for raw, want := range map[string]string{
		s.issuer.accessToken(t, alice("boss", "teller")): testURL, theirs("clerk", "shop"): strangerURL, theirs("boss", "shop"): "", theirs("clerk", "teller"): "",
	} {
		for range 2 { // from the cache as well
			status := s.get("/", "Authorization: Bearer "+raw).status
			if want == "" {
				require.Equal(t, http.StatusForbidden, status)
				continue
			}
			require.Equal(t, http.StatusOK, status)
			seen := s.last()
			require.Equal(t, []string{"alice-id"}, seen.header["X-User"])
			require.Equal(t, []string{want}, seen.header["X-Issuer"])
		}
	}
	s.nothingArrived()
	browser := newBrowser(t)
	s.signIn(browser, "/")
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/").status)
	require.Equal(t, []string{testURL}, s.last().header["X-Issuer"])
}

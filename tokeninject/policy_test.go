package tokeninject

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestW1_Requirements(t *testing.T) {
	rows := []struct {
		rule    string
		require Requirement
		status  int
	}{
		{"scope, all there", Requirement{Kind: RequireScope, Values: []string{"orders.read", "orders.list"}}, http.StatusOK},
		{"scope, one missing", Requirement{Kind: RequireScope, Values: []string{"orders.read", "orders.write"}}, http.StatusForbidden},
		{"scope, part of another", Requirement{Kind: RequireScope, Values: []string{"orders"}}, http.StatusForbidden},
		{"role, one of them", Requirement{Kind: RequireRole, Values: []string{"seller", "buyer"}}, http.StatusOK},
		{"role, none", Requirement{Kind: RequireRole, Values: []string{"seller"}}, http.StatusForbidden},
		{"claim, array", Requirement{Kind: RequireClaim, Name: "claims", Values: []string{"write", "read"}}, http.StatusOK},
		{"claim, array without", Requirement{Kind: RequireClaim, Name: "claims", Values: []string{"write"}}, http.StatusForbidden},
		{"claim, number", Requirement{Kind: RequireClaim, Name: "level", Values: []string{"7"}}, http.StatusOK},
		{"claim, bool", Requirement{Kind: RequireClaim, Name: "vip", Values: []string{"true"}}, http.StatusOK},
		{"claim, string", Requirement{Kind: RequireClaim, Name: "client_id", Values: []string{"shop"}}, http.StatusOK},
		{"claim, string differs in case", Requirement{Kind: RequireClaim, Name: "client_id", Values: []string{"Shop"}}, http.StatusForbidden},
		{"claim, none", Requirement{Kind: RequireClaim, Name: "nope", Values: []string{""}}, http.StatusForbidden},
	}
	for _, row := range rows {
		t.Run(row.rule, func(t *testing.T) {
			s := newSite(t, func(cfg *Config) {
				cfg.Require = []Requirement{{Kind: RequireScope, Values: []string{"orders.list"}}, row.require}
			})
			bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
			for range 2 { // verified, and from the cache
				got := s.get("/", bearer)
				require.Equal(t, row.status, got.status)
				if row.status == http.StatusOK {
					continue
				}
				challenge := got.header.Get("WWW-Authenticate")
				if row.require.Kind == RequireScope {
					require.Contains(t, challenge, `error="insufficient_scope"`)
					require.Contains(t, challenge, `scope="orders.list `)
				} else {
					require.NotContains(t, challenge, "error=")
					require.Contains(t, got.body, `"error":"access_denied"`)
				}
			}
		})
	}
}

func TestWhoMayNotPassCanSignInAsSomebodyElse(t *testing.T) {
	sees := true
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Require = []Requirement{{Kind: RequireRole, Values: []string{"admiral"}}}
		cfg.SeesLogout = func() bool { return sees }
	})
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	got := s.do(browser, http.MethodGet, "/app?a=1&b=//x", asNavigation)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, pageForbidden.title)
	action := "/.authz/logout?return=%2Fapp%3Fa%3D1%26b%3D%2F%2Fx"
	require.Contains(t, got.body, `<form method="post" action="`+action+`"><button type="submit">`+textOther+`</button>`)

	sees = false
	require.NotContains(t, s.do(browser, http.MethodGet, "/app", asNavigation).body, "<form", "its logout path leads elsewhere")
	sees = true
	stripped := http.StripPrefix("/app", guard(s.gate(func(cfg *Config) {
		withSession(cfg)
		cfg.Require, cfg.SeesLogout = s.enforcer.cfg.Require, s.enforcer.cfg.SeesLogout
		cfg.Seen = func(r *http.Request) Seen {
			seen := seenDirectly(r)
			seen.URL.Path = "/app" + seen.URL.Path
			return seen
		}
	}), http.NotFoundHandler()))
	name, value := sessionCookie(t, browser, s)
	w := record(t, stripped, s.server.URL+"/app/x", asNavigation, "Cookie: "+name+"="+value)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.NotContains(t, w.Body.String(), "<form", "the browser knows the path by another name")

	token := s.get("/app", asNavigation, "Authorization: Bearer "+s.issuer.accessToken(t, nil))
	require.Equal(t, http.StatusForbidden, token.status)
	require.NotContains(t, token.body, "<form", "a token has no session to end")

	require.Equal(t, s.server.URL+"/app?a=1&b=//x", s.signInAnew(browser, action))
	require.True(t, s.issuer.started[len(s.issuer.started)-1].Another)
	require.Len(t, s.issuer.ended, 1, "and the other one is signed out")
}

// signInAnew signs out by the form with an action, and in as the page that opens wants it. It returns where that leads to.
func (s *site) signInAnew(browser *http.Client, action string) string {
	s.t.Helper()
	before := len(s.issuer.started)
	out := s.do(browser, http.MethodPost, action, "Sec-Fetch-Site: same-origin")
	require.Equal(s.t, http.StatusOK, out.status, "a form is not redirected to another site")
	if len(s.issuer.started) == before {
		return ""
	}
	require.Regexp(s.t, "^0; url="+testURL+"/authorize", out.header.Get("Refresh"))
	require.Contains(s.t, out.body, textOn)
	back := s.do(browser, http.MethodGet, s.answerPath(s.issuer.started[before]), asNavigation)
	require.Equal(s.t, http.StatusSeeOther, back.status)
	return back.header.Get("Location")
}

func TestA68_SigningOutLeadsToNoOtherSite(t *testing.T) {
	s := newSite(t, withSession)
	for target, leads := range map[string]string{
		"//evil.example": "", "https://evil.example/": "", "evil.example": "", "/\t/evil.example": "", "javascript:alert(1)": "", "": "",
		"///evil.example": "///evil.example", `/\evil.example`: "/%5Cevil.example", "/%2Fevil.example": "/%2Fevil.example",
	} {
		got := s.signInAnew(newBrowser(t), "/.authz/logout?return="+url.QueryEscape(target))
		if leads != "" {
			leads = s.server.URL + leads
		}
		require.Equal(t, leads, got, target)
	}
	got := s.do(newBrowser(t), http.MethodGet, "/.authz/logout?return=/app", asNavigation, "Sec-Fetch-Site: none")
	require.Contains(t, got.body, `<a href="/">`+textBack+`</a>`, "a link does not say where to go on")
	got = s.do(newBrowser(t), http.MethodGet, "/.authz/logout?return=/app", asNavigation, "Sec-Fetch-Site: cross-site")
	require.Contains(t, got.body, `<form method="post" action="?">`, "nor does one of another site")
}

func TestRequirementsOfASessionFollowThePerson(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Require = []Requirement{{Kind: RequireRole, Values: []string{"boss"}}, {Kind: RequireClaim, Name: "level", Values: []string{"3"}}}
	})
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/app", asNavigation).status)
	s.issuer.set(func() {
		s.issuer.refresh = func(old *Session) (*Session, error) {
			next := *old
			next.Roles = []string{"employee"}
			return &next, nil
		}
	})
	s.clock.advance(refreshEvery)
	got := s.do(browser, http.MethodGet, "/app", asNavigation)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, `<main id="error">`)
}

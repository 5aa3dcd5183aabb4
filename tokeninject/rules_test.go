package tokeninject

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/token"
)

// permit and deny make rules of conditions; the first priority is the default.
func permit(conditions ...Condition) Rule { return Rule{Effect: Permit, Conditions: conditions} }

func deny(conditions ...Condition) Rule { return Rule{Effect: Deny, Conditions: conditions} }

func (r Rule) at(priority int) Rule {
	r.Priority = priority
	return r
}

func when(kind ConditionKind, values ...string) Condition {
	return Condition{Kind: kind, Values: values}
}

func whenClaim(name string, values ...string) Condition {
	return Condition{Kind: IfClaim, Name: name, Values: values}
}

// always and never fit everything and nothing.
var always, never = when(IfExpression, "true"), when(IfExpression, "false")

// withPolicy gives a gate rules.
func withPolicy(rules ...Rule) func(*Config) {
	return func(cfg *Config) { cfg.Policy = &Policy{Rules: rules} }
}

func TestW2_PriorityThenDenyThenNothing(t *testing.T) {
	rows := []struct {
		rule  string
		rules []Rule
		pass  bool
	}{
		{"a permit rule fits", []Rule{permit(always)}, true},
		{"no rule fits", []Rule{permit(never)}, false},
		{"deny wins a tie, written first", []Rule{deny(always), permit(always)}, false},
		{"deny wins a tie, written last", []Rule{permit(always), deny(always)}, false},
		{"deny wins a tie at priority 3", []Rule{permit(always).at(3), deny(always).at(3)}, false},
		{"priority 1 before 2, a permit", []Rule{deny(always).at(2), permit(always).at(1)}, true},
		{"priority 1 before 2, a deny", []Rule{permit(always).at(2), deny(always).at(1)}, false},
		{"2 before 10", []Rule{deny(always).at(10), permit(always).at(2)}, true},
		{"no priority is the first", []Rule{permit(always).at(1), deny(always)}, false},
		{"what does not fit does not count", []Rule{deny(never).at(1), permit(always).at(2)}, true},
		{"lines are ANDed", []Rule{permit(always, never)}, false},
	}
	for _, row := range rows {
		t.Run(row.rule, func(t *testing.T) {
			s := newSite(t, withPolicy(row.rules...))
			bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
			for range 2 { // verified, and from the cache
				got := s.get("/", bearer)
				if row.pass {
					require.Equal(t, http.StatusOK, got.status)
					continue
				}
				require.Equal(t, http.StatusForbidden, got.status)
				require.Contains(t, got.body, `"error":"access_denied"`)
				require.NotContains(t, got.header.Get("WWW-Authenticate"), "error=", "RFC 6750 has no code for it")
			}
		})
	}
}

func TestW2_EachKindOfCondition(t *testing.T) {
	rows := []struct {
		rule string
		when Condition
		fits bool
	}{
		{"scope, one of them", when(IfScope, "orders.write", "orders.read"), true},
		{"scope, none", when(IfScope, "orders.write", "orders"), false},
		{"role", when(IfRole, "seller", "buyer"), true},
		{"role, other case", when(IfRole, "Buyer"), false},
		{"client", when(IfClient, "shop", "robot"), true},
		{"client, none", when(IfClient, "robot"), false},
		{"contract", when(IfContract, "urn:card"), true},
		{"contract, none", when(IfContract, "urn:password"), false},
		{"claim, of a list", whenClaim("claims", "read"), true},
		{"claim, number", whenClaim("level", "7"), true},
		{"claim, none", whenClaim("nope", "7"), false},
		{"method", when(IfMethod, "POST", "GET"), true},
		{"method, none", when(IfMethod, "POST"), false},
		{"path", when(IfPath, "/orders/*"), true},
		{"path, none", when(IfPath, "/order/*", "/orders"), false},
		{"remote_ip, prefix", when(IfRemoteIP, "10.0.0.0/8", "192.0.2.0/24"), true},
		{"remote_ip, address", when(IfRemoteIP, "192.0.2.7"), true},
		{"remote_ip, mapped", when(IfRemoteIP, "::ffff:192.0.2.7"), true},
		{"remote_ip, none", when(IfRemoteIP, "192.0.3.0/24", "::/0"), false},
		{"expression, identity", when(IfExpression, `"buyer" in roles && claims.level >= 7 && claims.vip == true && "orders.read" in scopes`), true},
		{"expression, request", when(IfExpression, `method == "GET" && path.startsWith("/orders/") && remote_ip == "192.0.2.7" && host == "app.example"`), true},
		{"expression, person", when(IfExpression, `user.department == "sales" && "a" in user.groups && user.values.department == ["sales"] && username == "bob"`), true},
		{"expression, who", when(IfExpression, `subject == "bob-id" && client == "shop" && contract == "urn:card"`), true},
		{"expression, false", when(IfExpression, `client == "robot"`), false},
	}
	for _, row := range rows {
		t.Run(row.rule, func(t *testing.T) {
			for _, effect := range []Effect{Permit, Deny} {
				s := newSite(t, withPolicy(Rule{Effect: effect, Conditions: []Condition{row.when}}, permit(always).at(2)))
				if effect == Permit {
					s = newSite(t, withPolicy(permit(row.when)))
				}
				s.issuer.set(func() {
					s.issuer.attrs = func(string) (map[string][]string, error) {
						return map[string][]string{"department": {"sales"}, "groups": {"a", "b"}}, nil
					}
				})
				raw := s.issuer.accessToken(t, func(a *token.AccessToken) { a.ACR = "urn:card" })
				e := s.gate(func(cfg *Config) {
					cfg.Policy = s.enforcer.cfg.Policy
					cfg.Seen = func(r *http.Request) Seen {
						seen := seenDirectly(r)
						seen.ClientIP = "192.0.2.7"
						return seen
					}
				})
				for range 2 { // verified, and from the cache
					w := record(t, guard(e, http.NotFoundHandler()), "https://app.example/orders/7", "Authorization: Bearer "+raw)
					require.Equal(t, row.fits == (effect == Permit), w.Code == http.StatusNotFound, "%s: %d", effect, w.Code)
				}
			}
		})
	}
}

func TestW2_AContractOfAHigherLevelPermitsAndIsNotDenied(t *testing.T) {
	for _, row := range []struct {
		rule   string
		effect Effect
		acr    string
		age    time.Duration
		pass   bool
	}{
		{"permit, the contract", Permit, "low", 0, true},
		{"permit, a higher one", Permit, "high", 0, true},
		{"permit, a higher one that is too old", Permit, "high", 6 * time.Minute, false},
		{"permit, none", Permit, "", 0, false},
		{"permit, one that nobody knows", Permit, "other", 0, false},
		{"deny, the contract", Deny, "low", 0, false},
		{"deny, a higher one", Deny, "high", 0, true},
		{"deny, none", Deny, "", 0, true},
	} {
		t.Run(row.rule, func(t *testing.T) {
			rules := []Rule{{Effect: row.effect, Conditions: []Condition{when(IfContract, "low")}}}
			if row.effect == Deny {
				rules = append(rules, permit(when(IfRole, "buyer")).at(2))
			}
			s := newSite(t, func(cfg *Config) {
				needs()(cfg)
				withPolicy(rules...)(cfg)
			})
			raw := s.issuer.accessToken(t, func(a *token.AccessToken) { a.ACR, a.AuthTime = row.acr, s.clock.now().Add(-row.age) })
			for range 2 { // verified, and from the cache
				require.Equal(t, row.pass, s.get("/", "Authorization: Bearer "+raw).status == http.StatusOK)
			}
		})
	}
}

func TestW2_WhatCannotBeFoundOutIsRefused(t *testing.T) {
	for name, unknown := range map[string]Condition{
		"a claim that is not there":   when(IfExpression, `claims.tenant == "wonderland"`),
		"a person that can't be read": when(IfExpression, `user.department == "sales"`),
		"an expression that costs too much": when(IfExpression,
			strings.Repeat(`[1,2,3,4,5,6,7,8,9,10].all(a, `, 4)+`a < int(claims.level)*100`+strings.Repeat(")", 4)),
		"an address that is not known": when(IfRemoteIP, "0.0.0.0/0", "::/0"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, rules := range [][]Rule{{permit(unknown)}, {deny(unknown), permit(always).at(2)}} {
				s := newSite(t, nil)
				e := s.gate(func(cfg *Config) {
					cfg.Policy = &Policy{Rules: rules}
					cfg.Seen = func(r *http.Request) Seen { return Seen{URL: *r.URL} }
				})
				w := record(t, guard(e, http.NotFoundHandler()), "https://app.example/", "Authorization: Bearer "+s.issuer.accessToken(t, nil))
				require.Equal(t, http.StatusForbidden, w.Code, "%s", rules[0].Effect)
			}
		})
	}
}

func TestW2_MoreRulesThanAreRemembered(t *testing.T) {
	var rules []Rule
	for range maxJudged {
		rules = append(rules, permit(when(IfScope, "none")))
	}
	s := newSite(t, withPolicy(append(rules, deny(when(IfRole, "seller")).at(2), permit(when(IfRole, "buyer")).at(2))...))
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	for range 2 {
		require.Equal(t, http.StatusOK, s.get("/", bearer).status)
	}
	seller := "Authorization: Bearer " + s.issuer.accessToken(t, func(a *token.AccessToken) { a.Roles = []string{"buyer", "seller"} })
	for range 2 {
		require.Equal(t, http.StatusForbidden, s.get("/", seller).status)
	}
}

func TestW2_OnDeny(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.Policy = &Policy{Rules: []Rule{permit(never)}, DenyStatus: http.StatusNotFound} })
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	got := s.get("/", bearer)
	require.Equal(t, http.StatusNotFound, got.status)
	require.NotContains(t, got.header, "Www-Authenticate")
	require.Contains(t, s.get("/", bearer, asNavigation).body, `<main id="error">`)

	s = newSite(t, func(cfg *Config) {
		cfg.Policy = &Policy{Rules: []Rule{permit(never)}, DenyRedirect: "https://www.example.com/why?a=b"}
	})
	bearer = "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	got = s.get("/", bearer)
	require.Equal(t, http.StatusFound, got.status)
	require.Equal(t, "https://www.example.com/why?a=b", got.header.Get("Location"))
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	require.Equal(t, http.StatusUnauthorized, s.get("/").status, "whoever is not known is asked first")
	s.nothingArrived()

	s = newSite(t, func(cfg *Config) {
		cfg.Policy = &Policy{Rules: []Rule{permit(never)}, DenyRedirect: "/denied?a=b"}
	})
	bearer = "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	require.Equal(t, "/denied?a=b", s.get("/", bearer).header.Get("Location"))
	require.Equal(t, http.StatusForbidden, s.get("/denied", bearer).status, "not round and round")
}

func TestA59_NoSpellingOfMethodOrHostIsAWayAroundADenial(t *testing.T) {
	s := newSite(t, withPolicy(
		deny(when(IfMethod, "DELETE")), deny(when(IfExpression, `host == "admin.example" || method == "PATCH"`)), permit(always),
	))
	bearer := "\nAuthorization: Bearer " + s.issuer.accessToken(t, nil) + "\nConnection: close\n\n"
	for _, request := range []string{
		"DELETE / HTTP/1.1\nHost: HOST", "delete / HTTP/1.1\nHost: HOST", "Patch / HTTP/1.1\nHost: HOST", "GET / HTTP/1.1\nHost: admin.example",
		"GET / HTTP/1.1\nHost: ADMIN.example", "GET / HTTP/1.1\nHost: admin.example:443", "GET / HTTP/1.1\nHost: admin.example.",
	} {
		status, _ := s.raw(request + bearer)
		require.Equal(t, http.StatusForbidden, status, request)
	}
	s.nothingArrived()
	status, _ := s.raw("POST /?method=card&_method=DELETE&_METHOD=DELETE&%5Fmethod=DELETE&[_method]=DELETE HTTP/1.1\nHost: HOST\nX-HTTP-Method-Override: DELETE\nContent-Length: 0" + bearer)
	require.Equal(t, http.StatusOK, status)
	got := s.last()
	require.Equal(t, "/?method=card", got.uri)
	require.NotContains(t, got.header, "X-Http-Method-Override")
}

func TestW2_RequireAndPolicyMustBothHold(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Require = []Requirement{{Kind: RequireScope, Values: []string{"orders.write"}}}
		cfg.Policy = &Policy{Rules: []Rule{permit(always)}}
	})
	got := s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil))
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.header.Get("WWW-Authenticate"), `error="insufficient_scope"`)
}

func TestW2_AStrangerAtAnOptionalGateSignsInWhereNoRuleLetsThemPass(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Optional = true
		cfg.Policy = &Policy{Rules: []Rule{permit(when(IfMethod, "GET"), when(IfPath, "/open/*")), permit(when(IfRole, "boss"))}}
	})
	require.Equal(t, http.StatusOK, s.get("/open/x").status)
	got := s.get("/closed")
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Equal(t, http.StatusUnauthorized, s.do(newBrowser(t), http.MethodPost, "/open/x").status)
	browser := newBrowser(t)
	s.signIn(browser, "/closed")
	require.Equal(t, http.StatusOK, s.do(browser, http.MethodGet, "/closed", asNavigation).status)
}

func TestW2_RulesOfASessionFollowThePerson(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Policy = &Policy{Rules: []Rule{permit(when(IfRole, "boss"), whenClaim("level", "3"))}}
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
	require.Equal(t, http.StatusForbidden, s.do(browser, http.MethodGet, "/app", asNavigation).status)
}

func TestA61_ThePolicySeesThePathAndMethodThatTheUpstreamSees(t *testing.T) {
	s := newSite(t, withPolicy(deny(when(IfPath, "/admin/*")), deny(when(IfMethod, "DELETE")), permit(always).at(2)))
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	got := s.get("/open", bearer, "X-Original-URL: /admin/", "X_Rewrite_Url: /admin/", "X-Forwarded-Uri: /admin/",
		"X-HTTP-Method-Override: DELETE", "X-Http-Method: DELETE", "X-Method-Override: DELETE", "X-Forwarded-Method: DELETE")
	require.Equal(t, http.StatusOK, got.status)
	for name, values := range s.last().header {
		require.NotContains(t, strings.Join(values, ","), "/admin/", name)
		require.NotContains(t, values, "DELETE", name)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://app.example/socket", nil)
	require.NoError(t, err)
	r.Header.Set(":protocol", "websocket")
	require.Equal(t, http.MethodGet, forwardedMethod(r), "RFC 8441")
}

func TestW2_RulesThatMakeNoSenseAreRefused(t *testing.T) {
	for want, policy := range map[string]Policy{
		"it has no permit rule":                 {},
		"no permit rule, so that nobody":        {Rules: []Rule{deny(always)}},
		`"allow" is none of permit, deny`:       {Rules: []Rule{{Effect: "allow", Conditions: []Condition{always}}}},
		"a priority is 1 or more":               {Rules: []Rule{permit(always).at(-1)}},
		"a permit rule without a condition":     {Rules: []Rule{permit()}},
		"scope: no value":                       {Rules: []Rule{permit(when(IfScope))}},
		"is no list of scopes":                  {Rules: []Rule{permit(when(IfScope, "a b"))}},
		"claim: no name":                        {Rules: []Rule{permit(when(IfClaim, "x"))}},
		`"get" is no method in capital letters`: {Rules: []Rule{permit(when(IfMethod, "get"))}},
		`"https://x" is no issuer of this gate`: {Rules: []Rule{permit(when(IfIssuer, testURL, "https://x"))}},
		`"admin" fits no path`:                  {Rules: []Rule{permit(when(IfPath, "admin"))}},
		`"/a/../b" fits no path`:                {Rules: []Rule{permit(when(IfPath, "/a/../b"))}},
		`"/%61" fits no path`:                   {Rules: []Rule{permit(when(IfPath, "/%61"))}},
		`"10.0.0.0/33" is no address`:           {Rules: []Rule{permit(when(IfRemoteIP, "10.0.0.0/33"))}},
		"undeclared reference to 'roels'":       {Rules: []Rule{permit(when(IfExpression, `"a" in roels`))}},
		"it gives string, and not true":         {Rules: []Rule{permit(when(IfExpression, `"a"`))}},
		"Syntax error":                          {Rules: []Rule{permit(when(IfExpression, `a ==`))}},
		"one is needed":                         {Rules: []Rule{permit(when(IfExpression, "true", "false"))}},
		`"group" is none of scope`:              {Rules: []Rule{permit(when("group", "x"))}},
		"200 is no status of a refusal":         {Rules: []Rule{permit(always)}, DenyStatus: 200},
		`"javascript:x" is no http`:             {Rules: []Rule{permit(always)}, DenyRedirect: "javascript:x"},
		`"//evil.example" is no http`:           {Rules: []Rule{permit(always)}, DenyRedirect: "//evil.example"},
	} {
		_, err := New(Config{Issuer: newTestIssuer(newClock()), Policy: &policy})
		require.ErrorContains(t, err, want)
	}
}

func TestExpressionsThatOnlyAskForTheIdentityAreRemembered(t *testing.T) {
	for text, asksMore := range map[string]bool{
		`"a" in roles`: false, `claims.x == 1 && subject == client`: false, `contract == "" || "s" in scopes`: false, `issuer == "x"`: false,
		`path == "/"`: true, `"a" in roles && method == "GET"`: true, `user.x == "y"`: true, `username == "x"`: true,
	} {
		e, err := newExpression(text)
		require.NoError(t, err)
		require.Equal(t, asksMore, e.asks(ofRequest), text)
	}
	e, err := newExpression(`username == "bob"`)
	require.NoError(t, err)
	_, err = e.holds(facts{id: &Identity{}})
	require.Error(t, err, "there is no request")
}

// RFC 6750 §3.1: a client that lacks a scope is told which.
func TestW2_ALackingScopeIsNamed(t *testing.T) {
	s := newSite(t, withPolicy(
		deny(when(IfPath, "/secret/*")),
		permit(when(IfScope, "orders.write", "orders.admin"), when(IfMethod, "POST")),
		permit(when(IfScope, "orders.purge"), when(IfRole, "boss"), when(IfMethod, "DELETE")),
	))
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	for request, want := range map[string]string{
		"POST /":   `error="insufficient_scope", error_description="a scope is missing", scope="orders.write"`,
		"DELETE /": "", "GET /": "", "POST /secret/x": "",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := s.do(newBrowser(t), method, path, bearer)
		require.Equal(t, http.StatusForbidden, got.status, request)
		challenge := got.header.Get("WWW-Authenticate")
		if want == "" {
			require.NotContains(t, challenge, "error", request)
			continue
		}
		require.Contains(t, challenge, want, request)
	}
}

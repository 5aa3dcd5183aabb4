package tokeninject

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/token"
)

// benchGate is a gate with a clock that stands still.
func benchGate(b *testing.B, configure func(*Config)) (*Enforcer, *testIssuer) {
	b.Helper()
	c := newClock()
	issuer := newTestIssuer(c)
	cfg := Config{
		Issuer: issuer, ResourceServer: "orders", Store: store.NewMemory(c.now), Now: c.now, KnownHost: anyHost,
		Headers: []HeaderInjection{{"X-User", subject}},
	}
	if configure != nil {
		configure(&cfg)
	}
	e, err := New(cfg)
	require.NoError(b, err)
	return e, issuer
}

// browserHeaders are what a browser sends along.
var browserHeaders = http.Header{
	"User-Agent": {"Mozilla/5.0"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip, br"}, "Accept-Language": {"en"},
	"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"}, "Referer": {"https://app.example/"}, "Cache-Control": {"no-cache"},
}

// run takes one request after the other through the gate, prepared by prepare.
func run(b *testing.B, e *Enforcer, prepare func(i int, h http.Header)) {
	b.Helper()
	conn, other := net.Pipe()
	defer func() { _ = conn.Close(); _ = other.Close() }()
	ctx, cancel := context.WithCancel(KeepConnection(context.WithoutCancel(b.Context()), conn))
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://app.example/orders?a=1", nil)
	w := httptest.NewRecorder()
	header := browserHeaders.Clone()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		maps.Copy(r.Header, header)
		delete(r.Header, "Authorization")
		prepare(i, r.Header)
		i++
		verdict := e.Check(w, r, Verdict{})
		if !verdict.Pass {
			b.Fatal(verdict.Refusal)
		}
		verdict.Done()
	}
}

func bearerOf(raw string) func(int, http.Header) {
	value := []string{"Bearer " + raw}
	return func(_ int, h http.Header) { h["Authorization"] = value }
}

func BenchmarkCheckBearerCached(b *testing.B) {
	e, issuer := benchGate(b, nil)
	run(b, e, bearerOf(issuer.accessToken(b, nil)))
}

func BenchmarkCheckBearerCached20000(b *testing.B) {
	e, issuer := benchGate(b, nil)
	values := make([][]string, 20_000)
	for i := range values {
		values[i] = []string{"Bearer " + issuer.accessToken(b, func(a *token.AccessToken) { a.Subject = fmt.Sprint("user-", i) })}
	}
	for i := range values { // seen before
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "https://app.example/", nil)
		r.Header["Authorization"] = values[i]
		e.Check(httptest.NewRecorder(), r, Verdict{}).Done()
	}
	run(b, e, func(i int, h http.Header) { h["Authorization"] = values[i%len(values)] })
}

func BenchmarkCheckBearerCached20Requirements(b *testing.B) {
	e, issuer := benchGate(b, func(cfg *Config) { cfg.Require = twentyRequirements() })
	run(b, e, bearerOf(issuer.accessToken(b, nil)))
}

func BenchmarkCheckBearerCached20Rules(b *testing.B) {
	for name, of := range map[string]func(i int) Condition{
		"identity":   func(i int) Condition { return whenClaim("level", fmt.Sprint("no-", i)) },
		"path":       func(i int) Condition { return when(IfPath, fmt.Sprintf("/area-%d/*", i)) },
		"expression": func(i int) Condition { return when(IfExpression, fmt.Sprintf(`"no-%d" in roles`, i)) },
		"both halves": func(i int) Condition {
			return when(IfExpression, fmt.Sprintf(`"no-%d" in roles && method == "GET"`, i))
		},
	} {
		b.Run(name, func(b *testing.B) {
			e, issuer := benchGate(b, func(cfg *Config) {
				cfg.Policy = &Policy{Rules: []Rule{permit(when(IfScope, "orders.read")).at(2)}}
				for i := range 19 {
					cfg.Policy.Rules = append(cfg.Policy.Rules, deny(of(i)))
				}
			})
			run(b, e, bearerOf(issuer.accessToken(b, nil)))
		})
	}
}

func twentyRequirements() []Requirement {
	var list []Requirement
	for range 20 {
		list = append(list, Requirement{Kind: RequireScope, Values: []string{"orders.read"}})
	}
	return list
}

// BenchmarkCheckBearerUncached verifies tokens that nobody has seen: now and then, off the clock, gate
// and keys forget them.
func BenchmarkCheckBearerUncached(b *testing.B) {
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.RS256} {
		b.Run(string(alg), func(b *testing.B) {
			e, issuer := benchGate(b, nil)
			document, err := issuer.keys.Marshal()
			require.NoError(b, err)
			var tokens [256]string
			for i := range tokens {
				tokens[i] = benchToken(b, issuer, alg)
			}
			run(b, e, func(i int, h http.Header) {
				if i %= len(tokens); i == 0 {
					b.StopTimer()
					e.verified = newTokenCache()
					issuer.keys, err = token.ParseKeys(document)
					require.NoError(b, err)
					b.StartTimer()
				}
				h["Authorization"] = []string{"Bearer " + tokens[i]}
			})
		})
	}
}

func benchToken(b *testing.B, issuer *testIssuer, alg jose.SignatureAlgorithm) string {
	b.Helper()
	now := issuer.clock.now()
	a := &token.AccessToken{
		Issuer: testURL, Subject: "bob-id", ClientID: "shop", ID: oauth.NewSecret(), GrantID: "grant-b", SessionID: "sid-b",
		Audience: []string{testAudience}, Scope: []string{"orders.read"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	payload, err := a.Marshal()
	require.NoError(b, err)
	raw, err := issuer.keys.Sign(alg, token.TypeAccessToken, payload)
	require.NoError(b, err)
	return raw
}

func BenchmarkCheckSession(b *testing.B) {
	for name, configure := range map[string]func(*Config){
		"header":           withSession,
		"header and token": withToken,
		"20 requirements": func(cfg *Config) {
			withSession(cfg)
			for range 20 {
				cfg.Require = append(cfg.Require, Requirement{Kind: RequireClaim, Name: "level", Values: []string{"3"}})
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			e, issuer := benchGate(b, configure)
			handle := oauth.NewSecret()
			now := issuer.clock.now()
			_, err := e.sessions.create(b.Context(), handle, &sessionRecord{
				Session: issuer.session, Issuer: testURL, Host: "app.example", Asked: e.needs, Idle: time.Hour,
				Created: now, Used: now, Refreshed: now, Expires: now.Add(time.Hour),
			})
			require.NoError(b, err)
			cookie := []string{"theme=dark; " + e.cookiePrefix + "-443=" + handle}
			run(b, e, func(_ int, h http.Header) { h["Cookie"] = cookie })
		})
	}
}

func BenchmarkStripNothing(b *testing.B) {
	e, _ := benchGate(b, func(cfg *Config) { cfg.Cookies = []ValueInjection{{"who", subject}} })
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "https://app.example/orders?a=1", nil)
	r.Header = browserHeaders.Clone()
	r.Header.Set("Cookie", "a=1; b=2; theme=dark")
	b.ReportAllocs()
	for b.Loop() {
		e.owned.strip(r)
	}
}

func BenchmarkRefusedBefore(b *testing.B) {
	e, _ := benchGate(b, nil)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "https://app.example/", nil)
	w := httptest.NewRecorder()
	value := []string{"Bearer bad"}
	b.ReportAllocs()
	for b.Loop() {
		r.Header["Authorization"] = value
		if e.Check(w, r, Verdict{}).Pass {
			b.Fatal("it passed")
		}
	}
}

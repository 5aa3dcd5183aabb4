package tokeninject

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	rows := map[string]struct {
		change func(*Config)
		text   string
	}{
		"no issuer":          {func(c *Config) { c.Issuer = nil }, "an issuer with a URL is needed"},
		"session, no host":   {func(c *Config) { withSession(c); c.KnownHost = nil }, "KnownHost is needed"},
		"session, no store":  {func(c *Config) { withSession(c); c.Store = nil }, "a store is needed"},
		"idle over absolute": {func(c *Config) { c.Session = &SessionConfig{Idle: time.Hour, Absolute: time.Minute} }, "absolute not shorter"},
		"logout no path":     {func(c *Config) { c.Session = &SessionConfig{Logout: "bye"} }, "must be a path"},
		"cookie name":        {func(c *Config) { c.Session = &SessionConfig{Cookie: "a b"} }, "can't be a cookie's name"},
		"session scope":      {func(c *Config) { c.Session = &SessionConfig{Scope: []string{"a b"}} }, `"a b" is no scope`},
		"requirement kind":   {func(c *Config) { c.Require = []Requirement{{Kind: "mood", Values: []string{"x"}}} }, "none of scope, role, claim"},
		"requirement empty":  {func(c *Config) { c.Require = []Requirement{{Kind: RequireRole}} }, "no value"},
		"claim without name": {func(c *Config) { c.Require = []Requirement{{Kind: RequireClaim, Values: []string{"x"}}} }, "no name"},
		"scope with a space": {func(c *Config) { c.Require = []Requirement{{Kind: RequireScope, Values: []string{"a b"}}} }, "no list of scopes"},
		"missing":            {func(c *Config) { c.Missing = "shrug" }, "none of skip, empty, deny"},
		"hop-by-hop header":  {func(c *Config) { c.Headers = []HeaderInjection{{"transfer-encoding", subject}} }, "can't be injected"},
		"what tells of TLS":  {func(c *Config) { c.Headers = []HeaderInjection{{"X_Forwarded_Proto", subject}} }, "can't be injected"},
		"header name":        {func(c *Config) { c.Headers = []HeaderInjection{{"X User", subject}} }, "can't be injected"},
		"header of nothing":  {func(c *Config) { c.Headers = []HeaderInjection{{"__", subject}} }, "neither letter nor digit"},
		"header twice":       {func(c *Config) { c.Headers = []HeaderInjection{{"X-User", subject}, {"x_user", subject}} }, "fills \"x_user\" already"},
		"tag over header": {func(c *Config) {
			c.Headers, c.Tags = []HeaderInjection{{"X-User", subject}}, []TagInjection{{"X-User", "a", subject}}
		}, "inject header fills"},
		"tag name":              {func(c *Config) { c.Tags = []TagInjection{{"X-User", "a=b", subject}} }, "can't be a tag"},
		"basic and token":       {func(c *Config) { withToken(c); c.Basic = &BasicInjection{subject, subject} }, "inject basic fills"},
		"pass_token and token":  {func(c *Config) { withToken(c); c.PassToken = true }, "inject token fills"},
		"cookie of ours":        {func(c *Config) { c.Cookies = []ValueInjection{{"gw-x", subject}} }, "no name"},
		"cookie twice":          {func(c *Config) { c.Cookies = []ValueInjection{{"a", subject}, {"A", subject}} }, "injected twice"},
		"parameter of a login":  {func(c *Config) { withSession(c); c.Query = []ValueInjection{{"state", subject}} }, "no name"},
		"token with bad scope":  {func(c *Config) { c.Token = &TokenInjection{ResourceServer: "a", Scope: []string{""}} }, "no list of scopes"},
		"token renewed never":   {func(c *Config) { c.Token = &TokenInjection{ResourceServer: "a", RenewBefore: -1} }, "renew_before"},
		"empty audience":        {func(c *Config) { c.Audiences = []string{""} }, "audience"},
		"decrypt key of no use": {func(c *Config) { c.DecryptKey = []byte(`{"keys":[]}`) }, "decrypt_key"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			cfg := Config{Issuer: s.issuer, Store: s.store, KnownHost: anyHost}
			row.change(&cfg)
			_, err := New(cfg)
			require.ErrorContains(t, err, row.text)
		})
	}
}

func TestDecision10_CookiesNameTheirSite(t *testing.T) {
	s := newSite(t, withSession)
	for target, want := range map[string]string{
		"https://app.example/":      s.enforcer.cookiePrefix + "-443-login",
		"https://app.example:8444/": s.enforcer.cookiePrefix + "-8444-login",
		"http://localhost/":         s.enforcer.cookiePrefix[len("__Host-"):] + "-80-login",
		"http://[::1]:8080/":        s.enforcer.cookiePrefix[len("__Host-"):] + "-8080-login",
	} {
		w := record(t, guard(s.enforcer, http.NotFoundHandler()), target, asNavigation)
		require.Equal(t, http.StatusFound, w.Code, target)
		result := w.Result()
		require.NoError(t, result.Body.Close())
		require.Equal(t, want, result.Cookies()[0].Name)
		require.Equal(t, target[:5] == "https", result.Cookies()[0].Secure)
	}
	names := s.enforcer.cookieNames(&http.Request{Host: "app.example", TLS: &tls.ConnectionState{}})
	for name, want := range map[string]bool{
		names.session.String(): true, names.browser.String(): false, names.session.String() + "0": false, "__Host-gw-": false, "": false,
	} {
		require.Equal(t, want, names.session.is(name), name)
	}
}

func TestRefusalsAreLoggedWithoutTheToken(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	s := newSite(t, func(cfg *Config) { cfg.Logger = zap.New(core) })
	raw := s.issuer.accessToken(t, func(a *token.AccessToken) { a.Audience = []string{"elsewhere"} })
	s.get("/", "Authorization: Bearer "+raw)
	s.get("/", "Authorization: Bearer "+raw)
	s.get("/")
	page := s.get("/", "Authorization: Bearer "+raw, asNavigation)
	require.Equal(t, 4, logs.Len())
	levels := []string{}
	for _, entry := range logs.All() {
		levels = append(levels, entry.Level.String())
		for _, value := range entry.ContextMap() {
			require.NotContains(t, fmt.Sprint(value), raw)
		}
	}
	require.Equal(t, []string{"info", "debug", "debug", "debug"}, levels)
	require.Contains(t, logs.All()[0].ContextMap()["error"], errAudience.Error(), "the log knows why")
	reference, _ := logs.All()[3].ContextMap()["reference"].(string)
	require.Len(t, reference, 8)
	require.Contains(t, page.body, reference)
}

func TestPagesDoNothingButShow(t *testing.T) {
	s := newSite(t, withSession)
	s.enforcer.Close()
	got := s.get("/", asNavigation, "Accept-Language: fr, de-AT;q=0.9, en;q=0.5")
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Contains(t, got.body, `<html lang="de">`)
	require.Contains(t, got.body, german[pageDown.title])
	require.Contains(t, got.body, `name="viewport"`)
	require.Regexp(t, `<main id="error">\s*<h1>`, got.body)
	require.NotContains(t, got.body, "<script")
	require.NotContains(t, got.body, "ZgotmplZ")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(got.body)
	require.Len(t, style, 2)
	sum := sha256.Sum256([]byte(style[1]))
	policy := got.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		require.Contains(t, policy, part)
	}
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))

	head := s.do(newBrowser(t), http.MethodHead, "/", asNavigation)
	require.Equal(t, http.StatusServiceUnavailable, head.status)
	require.Empty(t, head.body)
}

func TestPagesSpeakGerman(t *testing.T) {
	for _, p := range []page{
		pageCookies, pageLoop, pageDenied, pageFailed, pageHost, pageForbidden, pageUnknown, pagePrograms, pageBusy, pageDown, pageBad, pageLogout, pageLoggedOut,
		pageOutHere, pageOnward, pageHalfOut,
	} {
		for _, text := range []string{p.title, p.text, p.button, p.label} {
			require.Equal(t, text == "", german[text] == "", text)
		}
	}
	for _, text := range []string{textAgain, textOther, textReference} {
		require.NotEmpty(t, german[text], text)
	}
	require.False(t, wantsGerman("en, de"))
	require.False(t, wantsGerman(""))
	require.True(t, wantsGerman("nl,DE"))
}

func TestEveryRefusalHasAPage(t *testing.T) {
	for status, want := range map[int]page{
		http.StatusUnauthorized: pageUnknown, http.StatusForbidden: pageForbidden, http.StatusTooManyRequests: pageBusy,
		http.StatusServiceUnavailable: pageDown, http.StatusBadRequest: pageBad, http.StatusMethodNotAllowed: pageBad,
	} {
		require.Equal(t, want, pageOf(&Refusal{Status: status, Err: &oauth.Error{}}))
	}
}

func TestVerdictsOfAHostThatAnswersItself(t *testing.T) {
	s := newSite(t, nil)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://app.example/", nil)
	verdict := s.enforcer.Check(httptest.NewRecorder(), r, Verdict{})
	require.False(t, verdict.Pass)
	verdict.Done() // harmless
	require.Equal(t, http.StatusUnauthorized, verdict.Refusal.Status)
	require.ErrorIs(t, verdict.Refusal, oauth.InvalidToken)
	require.ErrorContains(t, verdict.Refusal, "sign in")
	require.Equal(t, `Bearer realm="app.example"`, verdict.Refusal.Header.Get("WWW-Authenticate"))
	require.False(t, verdict.Refusal.Navigation)

	ctx := context.WithValue(t.Context(), contextKey{}, "kept")
	r = httptest.NewRequestWithContext(ctx, http.MethodGet, "https://app.example/", nil)
	r.Header.Set("Authorization", "Bearer "+s.issuer.accessToken(t, nil))
	verdict = s.enforcer.Check(httptest.NewRecorder(), r, Verdict{})
	require.True(t, verdict.Pass)
	require.Equal(t, "kept", verdict.Request.Context().Value(contextKey{}))
	verdict.Done()
	require.ErrorIs(t, verdict.Request.Context().Err(), context.Canceled)
}

type contextKey struct{}

// An absolute-form request target may have no path at all (RFC 9112 §3.2.2).
func TestW1_ARequestWithoutAPathIsNoLogin(t *testing.T) {
	s := newSite(t, withSession)
	status, _ := s.raw("GET http://HOST HTTP/1.1\nHost: HOST\nAuthorization: Bearer " + s.issuer.accessToken(t, nil) + "\nConnection: close\n\n")
	require.Equal(t, http.StatusOK, status)
}

func TestA5_AFloodFillsNoLog(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	s := newSite(t, func(cfg *Config) { cfg.Logger = zap.New(core) })
	for i := range 3 * lineBurst {
		s.get("/", fmt.Sprint("Authorization: Bearer bad-", i))
	}
	require.Equal(t, lineBurst, logs.Len())
	s.clock.advance(time.Second)
	s.get("/", "Authorization: Bearer bad")
	require.EqualValues(t, 2*lineBurst, logs.All()[lineBurst].ContextMap()["not_logged_before"])
	require.NotContains(t, logs.All()[0].ContextMap(), "not_logged_before")
	s.clock.advance(time.Minute)
	logs.TakeAll()
	for range 3 * lineBurst {
		s.do(newBrowser(t), http.MethodGet, "/", asNavigation, "Authorization: Bearer "+oauth.NewSecret())
	}
	require.Equal(t, lineBurst, logs.Len(), "nor do pages")
}

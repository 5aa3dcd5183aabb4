package token

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestR12_MarshalWritesRFC9068(t *testing.T) {
	a := goodClaims()
	a.NotBefore = testNow
	a.Actors = []string{"gate", "batch"}
	payload, err := a.Marshal()
	require.NoError(t, err)
	require.JSONEq(t, `{
		"iss":"https://id.example.org","exp":1772366700,"aud":"https://api.example.org","sub":"5c1f",
		"client_id":"web","iat":1772366400,"jti":"jti-1","scope":"openid orders.read","nbf":1772366400,
		"auth_time":1772366340,"acr":"password","sid":"s-1","grant_id":"g-1",
		"act":{"sub":"gate","act":{"sub":"batch"}},"roles":["buyer","clerk"],
		"department":"sales","mail":["a@example.org","b@example.org"]}`, string(payload))
	require.True(t, json.Valid(payload))

	parsed, err := ParseAccessToken(payload, testNow, 0)
	require.NoError(t, err)
	a.Extra = map[string]any{"department": "sales", "mail": []any{"a@example.org", "b@example.org"}}
	require.Equal(t, a, parsed)
}

func TestR12_ScopeAsArray(t *testing.T) {
	a := goodClaims()
	a.ScopeAsArray = true
	payload, err := a.Marshal()
	require.NoError(t, err)
	require.Contains(t, string(payload), `"scope":["openid","orders.read"]`)
	parsed, err := ParseAccessToken(payload, testNow, 0)
	require.NoError(t, err)
	require.Equal(t, a.Scope, parsed.Scope)
	require.True(t, parsed.ScopeAsArray)
}

func TestMarshal_ExtraNeverOverridesARegisteredClaim(t *testing.T) {
	a := goodClaims()
	a.ACR, a.Extra = "", make(map[string]any)
	for name := range reserved {
		require.True(t, Reserved(name))
		a.Extra[name] = "evil"
	}
	a.Extra["kept"] = 1
	payload, err := a.Marshal()
	require.NoError(t, err)
	require.NotContains(t, string(payload), "evil")
	require.NotContains(t, string(payload), `"acr"`)
	require.Contains(t, string(payload), `"kept":1`)
	claims, err := Claims(payload)
	require.NoError(t, err, "nothing twice")
	require.Equal(t, "5c1f", claims["sub"])
	require.False(t, Reserved("email"))
}

func TestMarshal_StringsSurviveAsTheyAre(t *testing.T) {
	for _, sub := range []string{`quote " and \`, "line\r\nbreak\x00\x1f", "é 😀 \u2028 </script>", strings.Repeat("long ", 500)} {
		a := goodClaims()
		a.Subject = sub
		a.Extra = map[string]any{sub: sub}
		payload, err := a.Marshal()
		require.NoError(t, err)
		parsed, err := ParseAccessToken(payload, testNow, 0)
		require.NoError(t, err)
		require.Equal(t, sub, parsed.Subject)
		require.Equal(t, map[string]any{sub: sub}, parsed.Extra)
	}
}

func TestMarshal_RefusesWhatCantBeAToken(t *testing.T) {
	for name, spoil := range map[string]func(a *AccessToken){
		"no iss":                  func(a *AccessToken) { a.Issuer = "" },
		"no sub":                  func(a *AccessToken) { a.Subject = "" },
		"no aud":                  func(a *AccessToken) { a.Audience = nil },
		"empty aud":               func(a *AccessToken) { a.Audience = []string{"a", ""} },
		"no client_id":            func(a *AccessToken) { a.ClientID = "" },
		"no jti":                  func(a *AccessToken) { a.ID = "" },
		"no exp":                  func(a *AccessToken) { a.ExpiresAt = time.Time{} },
		"no iat":                  func(a *AccessToken) { a.IssuedAt = time.Time{} },
		"exp before iat":          func(a *AccessToken) { a.ExpiresAt = a.IssuedAt },
		"scope with a space":      func(a *AccessToken) { a.Scope = []string{"read admin"} },
		"empty scope":             func(a *AccessToken) { a.Scope = []string{""} },
		"scope with a quote":      func(a *AccessToken) { a.Scope = []string{`"`} },
		"sub not UTF-8":           func(a *AccessToken) { a.Subject = "\xff" },
		"extra not JSON":          func(a *AccessToken) { a.Extra["f"] = func() {} },
		"extra's name is no text": func(a *AccessToken) { a.Extra["\xff"] = 1 },
		"endless act":             func(a *AccessToken) { a.Actors = make([]string, maxActors+1) },
	} {
		a := goodClaims()
		spoil(a)
		payload, err := a.Marshal()
		require.ErrorIs(t, err, ErrMalformed, name)
		require.Nil(t, payload, name)
	}
}

// claimsWith gives good claims with one replaced; raw "" takes it away.
func claimsWith(t testing.TB, name, raw string) []byte {
	t.Helper()
	payload, err := goodClaims().Marshal()
	require.NoError(t, err)
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(payload, &members))
	members = maps.Clone(members)
	delete(members, name)
	if raw != "" {
		members[name] = json.RawMessage(raw)
	}
	out, err := json.Marshal(members)
	require.NoError(t, err)
	return out
}

func TestA15_RequiredClaimsAndTheirTypes(t *testing.T) {
	for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} {
		for _, raw := range []string{"", "null", `""`, "{}", "true", "[]", `[""]`, "[1]"} {
			token, err := ParseAccessToken(claimsWith(t, name, raw), testNow, time.Minute)
			require.ErrorIs(t, err, ErrMalformed, "%s: %s", name, raw)
			require.Nil(t, token)
		}
	}
	for _, c := range []struct{ name, raw string }{
		{"exp", `"1772366700"`},
		{"exp", "-1"},
		{"exp", "1e400"},
		{"exp", "99999999999999999999"},
		{"exp", "1772366400"},
		{"iat", `"1772366400"`},
		{"nbf", `"0"`},
		{"auth_time", `"now"`},
		{"sub", "5"},
		{"scope", "5"},
		{"scope", `["a b"]`},
		{"scope", `"a  b"`},
		{"scope", `" "`},
		{"scope", `"a\tb"`},
		{"scope", `[["a"]]`},
		{"acr", "1"},
		{"sid", "null"},
		{"grant_id", "[]"},
		{"roles", "{}"},
		{"act", `"gate"`},
		{"act", `{}`},
		{"act", `{"sub":"a","act":{}}`},
		{"act", strings.Repeat(`{"sub":"a","act":`, maxActors) + `{"sub":"a"}` + strings.Repeat("}", maxActors)},
	} {
		_, err := ParseAccessToken(claimsWith(t, c.name, c.raw), testNow, time.Minute)
		require.ErrorIs(t, err, ErrMalformed, "%s: %s", c.name, c.raw)
	}
}

func TestA15_Times(t *testing.T) {
	at := func(d time.Duration) string { return fmt.Sprint(testNow.Add(d).Unix()) }
	const leeway = 30 * time.Second
	for _, c := range []struct {
		name, claim, raw string
		err              error
	}{
		{"exp in a second", "exp", at(time.Second), nil},
		{"exp with a fraction", "exp", at(time.Minute) + ".5", nil},
		{"exp beyond all bounds", "exp", at(MaxLifetime + leeway + time.Second), ErrMalformed},
		{"exp at the bound", "exp", at(MaxLifetime), nil},
		{"nbf now", "nbf", at(0), nil},
		{"nbf within the leeway", "nbf", at(leeway), nil},
		{"nbf past the leeway", "nbf", at(leeway + time.Second), ErrNotYetValid},
		{"iat within the leeway", "iat", at(leeway), nil},
		{"iat past the leeway", "iat", at(leeway + time.Second), ErrNotYetValid},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := ParseAccessToken(claimsWith(t, c.claim, c.raw), testNow, leeway)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.err == nil, token != nil)
		})
	}
	end := goodClaims().ExpiresAt
	payload := claimsWith(t, "nbf", "")
	for _, c := range []struct {
		now    time.Time
		leeway time.Duration
		err    error
	}{
		{end.Add(-time.Nanosecond), 0, nil},
		{end, 0, ErrExpired},
		{end.Add(leeway - time.Nanosecond), leeway, nil},
		{end.Add(leeway), leeway, ErrExpired},
	} {
		_, err := ParseAccessToken(payload, c.now, c.leeway)
		require.ErrorIs(t, err, c.err, "%v %v", c.now, c.leeway)
	}
}

func TestParseAccessToken_Shapes(t *testing.T) {
	token, err := ParseAccessToken(claimsWith(t, "aud", `["a","b"]`), testNow, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, token.Audience)
	payload, err := token.Marshal()
	require.NoError(t, err)
	require.Contains(t, string(payload), `"aud":["a","b"]`)

	for _, raw := range []string{"", `""`, `[]`} {
		token, err = ParseAccessToken(claimsWith(t, "scope", raw), testNow, 0)
		require.NoError(t, err)
		require.Empty(t, token.Scope)
	}
	token, err = ParseAccessToken(claimsWith(t, "roles", `"one"`), testNow, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"one"}, token.Roles)
	token, err = ParseAccessToken(claimsWith(t, "act", `{"act":{"client_id":"b","x":[1]},"client_id":"gate","iss":"x"}`), testNow, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"gate", "b"}, token.Actors)
}

package oauth

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzParseQuery: what is accepted is written again as the same parameters.
func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{
		"client_id=a&scope=a+b&state=%C2%A3", "resource=a&resource=b&resource=", "a=b&a=c", "a;b", "=x", "a=%zz", "%ff=a", "a=%00", "&&=&",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		params, err := ParseQuery(query(encoded))
		inForm, errForm := ParseForm(form(formType, encoded))
		require.Equal(t, err == nil, errForm == nil, "a form is read as a query is")
		require.Equal(t, params, inForm)
		if err != nil {
			require.ErrorIs(t, err, InvalidRequest)
			require.Nil(t, params)
			return
		}
		for name, values := range params {
			require.True(t, len(values) == 1 || name == "resource")
			for _, value := range values {
				require.NotEmpty(t, value)
				require.True(t, utf8.ValidString(value))
			}
		}
		again, err := ParseQuery(query(url.Values(params).Encode()))
		require.NoError(t, err)
		require.Equal(t, params, again)
	})
}

// FuzzParseScope: what is accepted is a list of tokens, written again as the same list.
func FuzzParseScope(f *testing.F) {
	for _, seed := range []string{"", "openid profile", "  a  a b ", `a"b`, "a\tb", "größe", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, scope string) {
		tokens, err := ParseScope(scope)
		if err != nil {
			require.ErrorIs(t, err, InvalidScope)
			require.Nil(t, tokens)
			return
		}
		seen := make(map[string]bool)
		for _, token := range tokens {
			require.True(t, ValidScopeToken(token))
			require.False(t, seen[token])
			seen[token] = true
		}
		for asked := range strings.SplitSeq(scope, " ") {
			require.True(t, asked == "" || seen[asked])
		}
		again, err := ParseScope(FormatScope(tokens))
		require.NoError(t, err)
		require.Equal(t, tokens, again)
	})
}

// FuzzCheckRedirectURI: what is accepted leads to one place only, however often it is parsed, and
// never to script.
func FuzzCheckRedirectURI(f *testing.F) {
	for _, seed := range []string{
		"https://shop.example.com/callback?a=b", "http://127.0.0.1:51234/cb", "http://[::1]/", "http://localhost/", "com.example.app:/cb",
		OOB, "javascript:alert(1)", "https://a@b@c/", `https:\\evil`, "https://%73hop/", "https://:443", "https://a:b", "//a", "https://a/#",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, raw string, native bool) {
		if CheckRedirectURI(raw, native) != nil {
			require.Error(t, CheckRedirectURI(raw, false), "native clients may have all that others may")
			return
		}
		if raw == OOB {
			return
		}
		u, err := url.Parse(raw)
		require.NoError(t, err)
		require.NotContains(t, raw, "#")
		require.Nil(t, u.User)
		require.False(t, forbiddenSchemes[u.Scheme])
		switch u.Scheme {
		case "https":
			require.NotEmpty(t, u.Hostname())
			require.NoError(t, CheckLink(raw))
		case "http":
			require.True(t, IsLoopback(u.Hostname()))
		default:
			require.True(t, native)
			require.NotEmpty(t, u.Scheme)
		}
		again, err := url.Parse(u.String())
		require.NoError(t, err)
		require.Equal(t, u.Scheme, again.Scheme)
		require.Equal(t, u.Host, again.Host)
	})
}

// FuzzMatchRedirectURI: a match is byte for byte; a native client's may differ in the port of a
// loopback address, and in nothing else.
func FuzzMatchRedirectURI(f *testing.F) {
	f.Add("https://shop.example.com/cb", "https://shop.example.com/cb", false)
	f.Add("http://127.0.0.1/cb?a=b", "http://127.0.0.1:51234/cb?a=b", true)
	f.Add("http://[::1]:80/cb", "http://[::1]/cb", true)
	f.Add("http://127.0.0.1/cb", `http://127.0.0.1:1\@evil.example/cb`, true)
	f.Add("com.example.app:/cb", "com.example.app:/cb", true)
	f.Fuzz(func(t *testing.T, registered, requested string, native bool) {
		if !MatchRedirectURI(registered, requested, native) || registered == requested {
			return
		}
		require.True(t, native)
		require.NoError(t, CheckRedirectURI(requested, true))
		a, err := url.Parse(registered)
		require.NoError(t, err)
		b, err := url.Parse(requested)
		require.NoError(t, err)
		require.Equal(t, "http", b.Scheme)
		require.Equal(t, a.Hostname(), b.Hostname())
		require.True(t, IsLoopback(b.Hostname()))
		a.Host, b.Host = "", ""
		require.Equal(t, a.String(), b.String())
	})
}

// FuzzChallenge: whatever is told, it stays in one header and between its quotes.
func FuzzChallenge(f *testing.F) {
	for _, seed := range []string{"", "example", `x", error="y`, "x\r\nSet-Cookie: a=b", `\`, "Zürich", "\xff", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		requireOneHeader(t, everyMember(value))
		requireOneHeader(t, Challenge{Scope: value})
		header := everyMember(value).String()
		require.NotContains(t, header, "\r")
		require.NotContains(t, header, "\n")
		require.Zero(t, strings.Count(header, `"`)%2)
	})
}

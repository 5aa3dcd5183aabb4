package tokeninject

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestA56_EverySpellingOfAnOwnedNameIsRemoved(t *testing.T) {
	spellings := []string{
		"X-Remote-User", "x_remote_user", "X.Remote.User", "X-REMOTE-USER", "X_Remote-User", "x-remote--user", "X%2DRemote-User",
		"X~Remote!User", "X-Remote-User-",
	}
	for _, optional := range []bool{false, true} {
		s := newSite(t, func(cfg *Config) {
			cfg.Optional = optional
			cfg.Headers = []HeaderInjection{{"X-Remote-User", subject}}
		})
		head := "GET / HTTP/1.1\nHost: HOST\nConnection: close\nX-Other: stays\nX-Remote: stays\nX-Remote-Users: stays\n"
		for _, spelling := range spellings {
			head += spelling + ": mallory\n"
		}
		if !optional {
			head += "Authorization: Bearer " + s.issuer.accessToken(t, nil) + "\n"
		}
		status, _ := s.raw(head + "\n")
		require.Equal(t, http.StatusOK, status)
		got := s.last()
		for name, values := range got.header {
			require.NotContains(t, values, "mallory", name)
		}
		for _, name := range []string{"X-Other", "X-Remote", "X-Remote-Users"} {
			require.Equal(t, []string{"stays"}, got.header[name], name)
		}
		if !optional {
			require.Equal(t, []string{"bob-id"}, got.header["X-Remote-User"])
		}
	}
}

func TestA56_NoSpellingOfAnInjectedParameterGetsThrough(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Query = []ValueInjection{{"user", subject}, {"role", fixed("boss")}}
	})
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	for _, query := range []string{
		"user=x", "USER=x", "user[]=x", "user[a]=x", "[user]=x", "%5Buser%5D=x", "[[user]]=x", "[user=x", "user%00x=x", "%00user=x", "us%65r=x", "user.=x",
		"[][user]=x", "user[a][b]=x", "]user=x", "user]x=x", "[user]x=x", "user%u0000x=x",
	} {
		require.Equal(t, http.StatusOK, s.get("/?a=1&"+query+"&b=2", bearer).status)
		require.Equal(t, "/?user=bob-id&role=boss&a=1&b=2", s.last().uri, query)
	}
	require.Equal(t, http.StatusOK, s.get("/", bearer).status)
	require.Equal(t, "/?user=bob-id&role=boss", s.last().uri)
	const others = "users=1&x[user]=2&[x][user]=3&x%00user=4&user_x=5"
	require.Equal(t, http.StatusOK, s.get("/?"+others, bearer).status)
	require.Equal(t, "/?user=bob-id&role=boss&"+others, s.last().uri)
}

func TestA56_SpaceBeforeTheColonIsNoWayIn(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.Optional, cfg.Headers = true, []HeaderInjection{{"X-User", subject}} })
	status, _ := s.raw("GET / HTTP/1.1\nHost: HOST\nConnection: close\nX-User : mallory\n\n")
	require.Equal(t, http.StatusBadRequest, status)
	s.nothingArrived()

	header := http.Header{"X-User ": {"mallory"}, "\tx_user": {"mallory"}}
	s.enforcer.owned.strip(&http.Request{Header: header, URL: &url.URL{}})
	require.Empty(t, header, "a host that lets such names through")
}

func TestA56_ConnectionTokenCannotUndoAnInjection(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Headers = []HeaderInjection{{"X-User", subject}}
		cfg.Cookies = []ValueInjection{{"who", subject}}
	})
	status, _ := s.raw("GET / HTTP/1.1\nHost: HOST\nConnection: close, X-User\nConnection: x_user, cookie, Authorization\n" +
		"Authorization: Bearer " + s.issuer.accessToken(t, nil) + "\n\n")
	require.Equal(t, http.StatusOK, status)
	got := s.last()
	require.Equal(t, "bob-id", got.header.Get("X-User"))
	require.Equal(t, "who=bob-id", got.header.Get("Cookie"))
}

func TestA56_OwnedTrailerNeverReachesTheUpstream(t *testing.T) {
	for name, announced := range map[string]string{"announced": "Trailer: X-User, X-Sum\n", "not announced": ""} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(cfg *Config) { cfg.Headers = []HeaderInjection{{"X-User", subject}} })
			status, _ := s.raw("POST / HTTP/1.1\nHost: HOST\nConnection: close\nTransfer-Encoding: chunked\nTe: trailers\n" + announced +
				"Authorization: Bearer " + s.issuer.accessToken(t, nil) + "\n\n5\nhello\n0\nX-User: mallory\nx_user: mallory\nX-Sum: 1\n\n")
			require.Equal(t, http.StatusOK, status)
			got := s.last()
			require.Equal(t, "hello", got.body)
			require.Equal(t, []string{"bob-id"}, got.header["X-User"])
			require.Empty(t, got.trailer)
		})
	}
}

func TestA56_OwnedCookiesAndParametersAreRemovedTheOthersUntouched(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Optional = true
		cfg.Cookies = []ValueInjection{{"who", subject}}
		cfg.Query = []ValueInjection{{"who", subject}}
	})
	s.get("/p%20q?a=%7e&who=1&%77ho=2&b=x+y&WHO=3&who%5b%5D=4&wh%u006f=5&&c",
		`Cookie: a="x y"; who=1;b==2; WHO=3; %77ho=4; c=1, who=5; whom=6`)
	got := s.last()
	require.Equal(t, "/p%20q?a=%7e&b=x+y&&c", got.uri)
	require.Equal(t, []string{`a="x y";b==2; c=1; whom=6`}, got.header["Cookie"])

	s.get("/?x=1;who=evil;y=2", "Cookie: who=1")
	got = s.last()
	require.NotContains(t, got.uri, "evil", "servers that separate by semicolons")
	require.NotContains(t, got.header, "Cookie")
}

// Python's http.cookies, WebOb and others look for pairs wherever a value has to have ended.
func TestA56_NoBackendFindsAnOwnedCookieInsideAnother(t *testing.T) {
	o := newOwned(Config{Cookies: []ValueInjection{{Name: "who"}}})
	for sent, kept := range map[string]string{
		"a=b who=evil; c=1":                "c=1",
		"a=b\twho=evil":                    "",
		`a="x who=evil; c=1`:               "c=1",
		`a="who=evil"`:                     "",
		`a=b\who=evil`:                     "",
		"a=b who =evil":                    "",
		"a=b WHO\t= evil":                  "",
		"a=who =evil":                      "",
		"a=[who=evil":                      "",
		"a=b\x80who=evil":                  "",
		"a=b __Host-gw-1234-443=x; c":      "c",
		`prefs={"who":"x","a":1}; c="d e"`: `prefs={"who":"x","a":1}; c="d e"`,
		"a=b who; note=who is it; x=who=1": "a=b who; note=who is it; x=who=1",
	} {
		require.Equal(t, kept, without(sent, separators{';', ','}, o.dropsCookies(nil)), sent)
	}
}

func TestA56_WhatIsInjectedIsBeforeWhatTheClientSent(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Query = []ValueInjection{{"user", subject}, {"b", fixed("2")}}
		cfg.QueryLists = []ListInjection{{"group", list("a", "b")}, {"c", list("3")}}
		cfg.Cookies = []ValueInjection{{"user", subject}, {"b", fixed("2")}}
	})
	s.get("/?"+strings.Repeat("a&", 1000), "Authorization: Bearer "+s.issuer.accessToken(t, nil),
		`Cookie: a="1; user=evil`, "Cookie: x=y")
	seen := s.last()
	require.Equal(t, "/?user=bob-id&b=2&group=a&group=b&c=3&"+strings.Repeat("a&", 1000), seen.uri)
	require.Equal(t, []string{`user=bob-id; b=2; a="1; x=y`}, seen.header["Cookie"])
}

func TestA58_OurCookiesAndTheClientsAuthorizationNeverReachTheUpstream(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.Optional = true })
	s.get("/", "Cookie: __Host-gw-abcd-443=secret; a=1; gw-abcd-80=secret; __host-GW-x=secret; __Secure-gw-y=secret; gwen=2",
		"Authorization: Basic YTpi")
	got := s.last()
	require.Equal(t, []string{"a=1; gwen=2"}, got.header["Cookie"])
	require.NotContains(t, got.header, "Authorization")
}

func TestA58_PassTokenKeepsTheTokenThatWasTheCredential(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.PassToken, cfg.Optional = true, true })
	value := "bearer " + s.issuer.accessToken(t, nil)
	s.get("/", "Authorization: "+value)
	require.Equal(t, []string{value}, s.last().header["Authorization"])
	s.get("/", "Authorization: Basic YTpi")
	require.NotContains(t, s.last().header, "Authorization", "it was no credential")
}

func TestA64_OneCredentialOrNone(t *testing.T) {
	s := newSite(t, nil)
	good := s.issuer.accessToken(t, nil)
	rows := []struct {
		rule    string
		headers []string
		query   string
		status  int
	}{
		{"RFC 6750 §2.1", []string{"Authorization: Bearer " + good}, "", http.StatusOK},
		{"RFC 9110 §11.1 scheme is case-insensitive", []string{"Authorization: bEARER " + good}, "", http.StatusOK},
		{"two headers", []string{"Authorization: Bearer " + good, "Authorization: Bearer " + good}, "", http.StatusBadRequest},
		{"two schemes", []string{"Authorization: Basic YTpi", "Authorization: Bearer " + good}, "", http.StatusBadRequest},
		{"two in one", []string{"Authorization: Bearer " + good + ", Bearer " + good}, "", http.StatusBadRequest},
		{"no token", []string{"Authorization: Bearer"}, "", http.StatusBadRequest},
		{"no b64token", []string{"Authorization: Bearer a b"}, "", http.StatusBadRequest},
		{"another scheme", []string{"Authorization: Basic YTpi"}, "", http.StatusUnauthorized},
		{"a longer scheme", []string{"Authorization: Bearerx " + good}, "", http.StatusUnauthorized},
		{"query parameter is ignored", nil, "?access_token=" + good, http.StatusUnauthorized},
		{"RFC 6750 §2 one method", []string{"Authorization: Bearer " + good}, "?a=1&access%5Ftoken=x", http.StatusBadRequest},
		{"servers that separate by semicolons", []string{"Authorization: Bearer " + good}, "?a=1;access_token=x", http.StatusBadRequest},
		{"servers that fold names", []string{"Authorization: Bearer " + good}, "?ACCESS_TOKEN=x", http.StatusBadRequest},
		{"servers that read lists", []string{"Authorization: Bearer " + good}, "?access_token[]=x", http.StatusBadRequest},
		{"as PHP reads it", []string{"Authorization: Bearer " + good}, "?access.token=x", http.StatusBadRequest},
		{"a parameter with a hyphen", []string{"Authorization: Bearer " + good}, "?access-token=x&access%2Dtoken=y", http.StatusOK},
		{"a longer parameter", []string{"Authorization: Bearer " + good}, "?access_tokens=x", http.StatusOK},
	}
	for _, row := range rows {
		t.Run(row.rule, func(t *testing.T) {
			got := s.get("/"+row.query, row.headers...)
			require.Equal(t, row.status, got.status)
			if row.status == http.StatusBadRequest {
				require.Contains(t, got.header.Get("WWW-Authenticate"), `error="invalid_request"`)
			}
		})
	}
}

func FuzzWithoutCookies(f *testing.F) {
	for _, seed := range []string{"a=1; who=2; b=3", "who=1", "; ;", "a=1,who=2", `x="; who=1"`, "%77HO=1;a", "__Host-gw-a=1; b", "a=b who=1", `a="x who =1`} {
		f.Add(seed)
	}
	o := newOwned(Config{Cookies: []ValueInjection{{Name: "who"}}})
	f.Fuzz(func(t *testing.T, list string) {
		kept := without(list, separators{';', ','}, o.dropsCookies(nil))
		for _, member := range strings.FieldsFunc(kept, func(r rune) bool { return r == ';' || r == ',' }) {
			require.False(t, o.dropsCookies(nil)(strings.TrimSpace(member)), "%q is still in %q", member, kept)
		}
		checkKept(t, list, kept, ";,", o.dropsCookies(nil))
	})
}

func FuzzWithoutParameters(f *testing.F) {
	for _, seed := range []string{"a=1&who=2&b=3", "who=1", "&&", "a=1;who=2", "%77ho=1&a", "who[]=1", "wh%u006f=1", "%", "a=%&who"} {
		f.Add(seed)
	}
	o := newOwned(Config{Query: []ValueInjection{{Name: "who"}}})
	f.Fuzz(func(t *testing.T, list string) {
		kept := without(list, separators{'&', ';'}, o.dropsParameter)
		checkKept(t, list, kept, "&;", o.dropsParameter)
		values, _ := url.ParseQuery(strings.ReplaceAll(kept, ";", "&"))
		require.NotContains(t, values, "who")
	})
}

// checkKept: the members that stay are those of the original that were not to go, in their order.
func checkKept(t *testing.T, list, kept, separators string, drop func(string) bool) {
	t.Helper()
	members := func(s string) (all []string) {
		for _, member := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
			if member = strings.TrimSpace(member); member != "" && !drop(member) {
				all = append(all, member)
			}
		}
		return all
	}
	require.Equal(t, members(list), members(kept))
}

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"Bearer abc", "bearer  a.b.c==", "Basic x", "Bearer", "Bearer a,b", "Bearer a\tb", "Bearerabc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, malformed := bearer([]string{value})
		if token == "" || !b64token(token) { // the gate asks that of what it doesn't know
			return
		}
		require.False(t, malformed)
		again, malformed := bearer([]string{"Bearer " + token})
		require.False(t, malformed)
		require.Equal(t, token, again)
		require.NotContains(t, token, " ")
	})
}

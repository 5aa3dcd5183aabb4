package tokeninject

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ambiguousPaths are spellings of /admin/x, and others that some backend reads differently.
var ambiguousPaths = []string{
	"/%61dmin/x", "/%41dmin/x", "//admin/x", "/x//admin", "/./admin/x", "/x/../admin/x", "/x/..;/admin/x", "/%2e/admin/x", "/x/%2e%2e/admin/x",
	"/%2fadmin/x", "/admin%2fx", "/admin%2Fx", "/admin%5cx", `/admin\x`, "/admin%00/x", "/admin/x%23", "/admin/x%3fa", "/admin;a=b/x",
	"/admin%3ba/x", "/admin./x", "/admin%20/x", "/admin/x.", "/%2561dmin/x", "/%252fadmin", "/%25u0061dmin", "/%c0%afadmin/x", "/%ff", "/admin%0a/x",
	"/admin%09/x", "/admin%7f/x", "/admin/..", "/admin/.", "/...", "/x/%2e", "/ad%6Din", "/admin%2dx",
}

func TestA59_AmbiguousPathsAreRefusedWhereARuleLooksAtPaths(t *testing.T) {
	for _, path := range ambiguousPaths {
		t.Run(path, func(t *testing.T) {
			s := newSite(t, withPolicy(deny(when(IfPath, "/admin/*"), never), permit(always).at(2)))
			status, _ := s.raw("GET " + path + " HTTP/1.1\nHost: HOST\nConnection: close\nAuthorization: Bearer " +
				s.issuer.accessToken(t, nil) + "\n\n")
			require.Equal(t, http.StatusBadRequest, status)
			s.nothingArrived()
			status, _ = s.raw("GET " + path + " HTTP/1.1\nHost: HOST\nConnection: close\n\n")
			require.Equal(t, http.StatusBadRequest, status, "whoever asks")
		})
	}
	s := newSite(t, withPolicy(permit(when(IfExpression, `path == "/"`))))
	require.Equal(t, http.StatusBadRequest, s.get("//").status, "an expression looks at it as well")
	s = newSite(t, withPolicy(permit(when(IfMethod, "GET"))))
	require.Equal(t, http.StatusOK, s.get("//x/%61", "Authorization: Bearer "+s.issuer.accessToken(t, nil)).status, "no rule looks at it")
	require.Equal(t, "//x/%61", s.last().uri)
}

func TestA59_PlainPathsGoOnByteForByteAsTheyWereMatched(t *testing.T) {
	for path, decoded := range map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a/", "/a%20b": "/a b", "/%C3%A9%2C%40": "/\u00e9,@", "/100%25": "/100%", "/a.b/.c": "/a.b/.c", "/a:b@c=d&e,f'(g)*!$+": "/a:b@c=d&e,f'(g)*!$+",
	} {
		s := newSite(t, withPolicy(permit(when(IfPath, decoded))))
		got := s.get(path, "Authorization: Bearer "+s.issuer.accessToken(t, nil))
		require.Equal(t, http.StatusOK, got.status, path)
		require.Equal(t, path, s.last().uri)
	}
}

func TestA59_ForwardedSpellingCountsNotTheDecodedOne(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://app.example/x", nil)
	r.URL.Path, r.URL.RawPath = "/a/b", "/a%2Fb" // what a stripped prefix may leave
	_, ok := plainPath(r)
	require.False(t, ok)
	r.URL.Path, r.URL.RawPath = "/b", "/a%2Fb" // RawPath is another path: URL encodes Path itself
	path, ok := plainPath(r)
	require.True(t, ok)
	require.Equal(t, "/b", path)
	r.URL = &url.URL{Opaque: "//evil/x"}
	_, ok = plainPath(r)
	require.False(t, ok)
	r.URL = &url.URL{}
	path, ok = plainPath(r)
	require.True(t, ok)
	require.Equal(t, "/", path)
	r.Method = http.MethodConnect
	_, ok = plainPath(r)
	require.False(t, ok)
	r.Method, r.URL = http.MethodOptions, &url.URL{Path: "*"}
	_, ok = plainPath(r)
	require.False(t, ok)
}

func TestA59_Patterns(t *testing.T) {
	rows := []struct {
		pattern, path string
		permit, deny  bool
	}{
		{"/admin", "/admin", true, true},
		{"/admin", "/ADMIN", false, true},
		{"/Admin", "/admin", false, true},
		{"/admin", "/admin/", false, true},
		{"/admin", "/admin/x", false, false},
		{"/admin/", "/admin", false, true},
		{"/admin/*", "/admin/", true, true},
		{"/admin/*", "/admin/a/b", true, true},
		{"/admin/*", "/admin", false, true},
		{"/admin/*", "/administer", false, false},
		{"/admin*", "/administer", true, true},
		{"*.php", "/a/b.php", true, true},
		{"*.php", "/a/b.PHP", false, true},
		{"*secret*", "/a/secrets/b", true, true},
		{"*", "/anything", true, true},
		{"/*", "/", true, true},
		{"/users/*/keys", "/users/7/keys", true, true},
		{"/users/*/keys", "/users/7/8/keys", false, false},
		{"/users/*/keys*", "/users/7/keys/1", true, true},
		{"*/a*b/c", "/a1/x/a2b/c", true, true},
		{"/a.b*c/d", "/axbc/d", false, false},
	}
	for _, row := range rows {
		for deny, want := range map[bool]bool{false: row.permit, true: row.deny} {
			p, err := newPathPattern(row.pattern, deny)
			require.NoError(t, err)
			require.Equal(t, want, p.matches(row.path), "%s %s deny=%t", row.pattern, row.path, deny)
		}
	}
}

// FuzzPlainPath: what passes for plain is what any backend makes of it.
func FuzzPlainPath(f *testing.F) {
	for _, seed := range append(ambiguousPaths, "/", "/a/b", "/a%20b", "/%C3%A9", "/100%25", "*", "") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		u, err := url.ParseRequestURI(sent)
		if err != nil || u.Host != "" {
			return
		}
		path, ok := plainPath(&http.Request{Method: http.MethodGet, URL: u})
		if !ok {
			return
		}
		require.Truef(t, strings.HasPrefix(path, "/"), "%q", path)
		again, err := url.PathUnescape(strings.ReplaceAll(path, "%", "%25"))
		require.NoError(t, err)
		require.Equal(t, path, again)
		if path != "/" {
			cleaned := (&url.URL{Path: path}).JoinPath()
			require.Equal(t, path, cleaned.Path, "it resolves to itself")
		}
		require.NotContains(t, path, `\`)
		require.NotContains(t, path, ";")
	})
}

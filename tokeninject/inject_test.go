package tokeninject

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/token"
)

func TestW3_EveryKindOfInjection(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Headers = []HeaderInjection{{"x-user", subject}, {"X-Const", fixed("a,b %41")}}
		cfg.Tags = []TagInjection{
			{"X-Role", "Role", func(_ context.Context, _ *http.Request, id *Identity) (string, bool) {
				return strings.Join(id.Roles(), ","), true
			}},
			{"x-role", "Client", fixed("shop")},
		}
		cfg.Cookies = []ValueInjection{{"who", subject}, {"odd", fixed(`a b;c="ö"%`)}}
		cfg.Query = []ValueInjection{{"who", subject}, {"odd", fixed("a&b=c ö")}}
		cfg.Basic = &BasicInjection{User: fixed("alice"), Password: fixed("pw:1")}
	})
	got := s.get("/p?x=1&who=mallory", "Authorization: Bearer "+s.issuer.accessToken(t, nil), "Cookie: a=1; who=mallory",
		"X-User: mallory", "X-Role: Role=boss")
	require.Equal(t, http.StatusOK, got.status)
	seen := s.last()
	require.Equal(t, []string{"bob-id"}, seen.header["X-User"])
	require.Equal(t, []string{"a,b %41"}, seen.header["X-Const"])
	require.Equal(t, []string{"Role=buyer;Client=shop"}, seen.header["X-Role"])
	require.Equal(t, []string{`who=bob-id; odd=a%20b%3Bc=%22%C3%B6%22%25; a=1`}, seen.header["Cookie"])
	require.Equal(t, "/p?who=bob-id&odd=a%26b%3Dc+%C3%B6&x=1", seen.uri)
	require.Equal(t, []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("alice:pw:1"))}, seen.header["Authorization"])
}

func TestW3_MissingValues(t *testing.T) {
	for missing, want := range map[Missing]struct {
		status int
		header http.Header
		uri    string
	}{
		MissingSkip:  {http.StatusOK, http.Header{"X-Role": {"Client=shop"}}, "/"},
		MissingEmpty: {http.StatusOK, http.Header{"X-Role": {"Role=;Client=shop"}, "X-User": {""}, "Cookie": {"who="}, "Authorization": {"Basic Og=="}}, "/?who="},
		MissingDeny:  {http.StatusForbidden, nil, ""},
	} {
		t.Run(string(missing), func(t *testing.T) {
			s := newSite(t, func(cfg *Config) {
				cfg.Missing = missing
				cfg.Headers = []HeaderInjection{{"X-User", absent}}
				cfg.Tags = []TagInjection{{"X-Role", "Role", absent}, {"X-Role", "Client", fixed("shop")}}
				cfg.Cookies = []ValueInjection{{"who", absent}}
				cfg.Query = []ValueInjection{{"who", absent}}
				cfg.Basic = &BasicInjection{User: absent, Password: absent}
			})
			got := s.get("/?who=mallory", "Authorization: Bearer "+s.issuer.accessToken(t, nil), "X-User: mallory", "Cookie: who=mallory")
			require.Equal(t, want.status, got.status)
			if want.status != http.StatusOK {
				s.nothingArrived()
				return
			}
			seen := s.last()
			require.Equal(t, want.uri, seen.uri)
			for _, name := range []string{"X-Role", "X-User", "Cookie", "Authorization"} {
				require.Equal(t, want.header[name], seen.header[name], name)
			}
		})
	}
}

func TestW3_NothingIsInjectedForNobody(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Optional = true
		cfg.Headers = []HeaderInjection{{"X-User", subject}, {"X-Env", fixed("prod")}}
	})
	require.Equal(t, http.StatusOK, s.get("/", "X-User: mallory").status)
	seen := s.last()
	require.NotContains(t, seen.header, "X-User")
	require.NotContains(t, seen.header, "X-Env")
	require.Equal(t, http.StatusUnauthorized, s.get("/", "Authorization: Bearer bad").status, "optional is not for bad credentials")
}

func TestA57_ValuesCannotSplitAHeaderOrAddAGroup(t *testing.T) {
	rows := []struct {
		rule, value string
		header, tag string // "": refused
	}{
		{"line break", "a\r\nX-Admin: 1", "", ""},
		{"lone LF", "a\nb", "", ""},
		{"NUL", "a\x00b", "", ""},
		{"other control character", "a\x1bb", "", ""},
		{"delete", "a\x7fb", "", ""},
		{"non-ASCII", "Zoë 50%", "Zo%C3%AB 50%25", "Role=Zo%C3%AB 50%25"},
		{"bytes that are no UTF-8", "\xff", "%FF", "Role=%FF"},
		{"a space that HTTP would drop", " alice", "%20alice", "Role=%20alice"},
		{"at the other end", "alice ", "alice%20", "Role=alice%20"},
		{"another tag", "a;Admin=1", "a;Admin=1", "Role=a%3BAdmin=1"},
	}
	for _, row := range rows {
		t.Run(row.rule, func(t *testing.T) {
			s := newSite(t, func(cfg *Config) {
				cfg.Headers = []HeaderInjection{{"X-Name", fixed(row.value)}}
				cfg.Tags = []TagInjection{{"X-Tag", "Role", fixed(row.value)}}
			})
			got := s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil))
			if row.header == "" {
				require.Equal(t, http.StatusForbidden, got.status)
				require.NotContains(t, got.body, "X-Name", "which value, only the log knows")
				s.nothingArrived()
				return
			}
			require.Equal(t, http.StatusOK, got.status)
			seen := s.last()
			require.Equal(t, []string{row.header}, seen.header["X-Name"])
			require.Equal(t, []string{row.tag}, seen.header["X-Tag"])
		})
	}
}

func TestA57_BasicUserWithColonIsRefused(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Basic = &BasicInjection{User: subject, Password: fixed("secret")}
	})
	bad := s.issuer.accessToken(t, func(a *token.AccessToken) { a.Subject = "bob:x" })
	require.Equal(t, http.StatusForbidden, s.get("/", "Authorization: Bearer "+bad).status)
}

// list gives values.
func list(values ...string) Values {
	return func(context.Context, *http.Request, *Identity) []string { return values }
}

func TestW3_ListsAreRepeated(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.HeaderLists = []ListInjection{{"x-group", list("a", "b b", "Zo\u00eb")}}
		cfg.QueryLists = []ListInjection{{"group", list("a", "b&c")}}
	})
	got := s.get("/?group=evil&x=1", "Authorization: Bearer "+s.issuer.accessToken(t, nil), "X_Group: evil", "X-Group: evil")
	require.Equal(t, http.StatusOK, got.status)
	seen := s.last()
	require.Equal(t, []string{"a", "b b", "Zo%C3%AB"}, seen.header["X-Group"])
	require.NotContains(t, seen.header, "X_Group")
	require.Equal(t, "/?group=a&group=b%26c&x=1", seen.uri)
}

func TestA57_AListIsNoWayToAHeaderEither(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.HeaderLists = []ListInjection{{"X-Group", list("a", "b\r\nX-Admin: 1")}} })
	require.Equal(t, http.StatusForbidden, s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil)).status)
	s.nothingArrived()
}

func TestW3_AnEmptyListIsMissing(t *testing.T) {
	for missing, want := range map[Missing][]string{MissingSkip: nil, MissingEmpty: {""}, MissingDeny: nil} {
		s := newSite(t, func(cfg *Config) { cfg.Missing, cfg.HeaderLists = missing, []ListInjection{{"X-Group", list()}} })
		got := s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil), "X-Group: evil")
		if missing == MissingDeny {
			require.Equal(t, http.StatusForbidden, got.status)
			continue
		}
		require.Equal(t, want, s.last().header["X-Group"], missing)
	}
}

func TestW3_AttributesAreReadAgainWhenTheyAreOld(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Refresh = 5 * time.Second
		cfg.Headers = []HeaderInjection{{"X-Team", func(ctx context.Context, _ *http.Request, id *Identity) (string, bool) {
			attributes, err := id.Attributes(ctx)
			return strings.Join(attributes["team"], ","), err == nil
		}}}
	})
	team := "red"
	s.issuer.set(func() {
		s.issuer.attrs = func(string) (map[string][]string, error) { return map[string][]string{"team": {team}}, nil }
	})
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	seen := func() string {
		require.Equal(t, http.StatusOK, s.get("/", bearer).status)
		return s.last().header.Get("X-Team")
	}
	require.Equal(t, "red", seen())
	s.issuer.set(func() { team = "blue" })
	require.Equal(t, "red", seen())
	s.clock.advance(5 * time.Second)
	require.Equal(t, "blue", seen())
}

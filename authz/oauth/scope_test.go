package oauth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRFC6749_3_3_ParseScope(t *testing.T) {
	for name, row := range map[string]struct {
		scope string
		want  []string // nil: invalid_scope, empty: no scope
	}{
		"none":                    {"", []string{}},
		"spaces only":             {"   ", []string{}},
		"one":                     {"openid", []string{"openid"}},
		"order is kept":           {"orders.read openid", []string{"orders.read", "openid"}},
		"spaces around":           {"  openid   profile ", []string{"openid", "profile"}},
		"each once":               {"a b a c b", []string{"a", "b", "c"}},
		"case-sensitive":          {"Openid openid", []string{"Openid", "openid"}},
		"all the characters":      {"!#[]~ https://api.example.com/orders:read", []string{"!#[]~", "https://api.example.com/orders:read"}},
		"quote":                   {`openid a"b`, nil},
		"backslash":               {`openid a\b`, nil},
		"tab is no separator":     {"openid\tprofile", nil},
		"line break":              {"openid\nprofile", nil},
		"NUL":                     {"openid\x00", nil},
		"DEL":                     {"openid\x7f", nil},
		"letter abroad":           {"größe", nil},
		"space of another script": {"openid\u00a0profile", nil},
		"not UTF-8":               {"openid \xff", nil},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, err := ParseScope(row.scope)
			if row.want == nil {
				require.ErrorIs(t, err, InvalidScope)
				require.Nil(t, tokens)
				return
			}
			require.NoError(t, err)
			require.ElementsMatch(t, row.want, tokens)
			require.Equal(t, strings.Join(row.want, " "), FormatScope(tokens))
		})
	}
}

func TestValidScopeToken(t *testing.T) {
	require.False(t, ValidScopeToken(""))
	require.False(t, ValidScopeToken("a b"), "a token has no space")
	for c := range 256 {
		want := c == 0x21 || 0x23 <= c && c <= 0x5b || 0x5d <= c && c <= 0x7e
		require.Equal(t, want, ValidScopeToken(string([]byte{byte(c)})), "RFC 6749 §3.3 character %#x", c)
	}
}

// BenchmarkParseScope: a stranger's largest scope must cost time in proportion to its length.
func BenchmarkParseScope(b *testing.B) {
	for _, count := range []int{4, 10_000} {
		names := make([]string, count)
		for i := range names {
			names[i] = fmt.Sprint("s", i)
		}
		scope := FormatScope(names)
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseScope(scope); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

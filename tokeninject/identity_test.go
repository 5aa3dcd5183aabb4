package tokeninject

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/token"
)

func TestClaimsAreReadOneByOne(t *testing.T) {
	id := &Identity{claims: ` { "a" : "x\"y" , "b":[1,{"c":"}]"}], "c":{"a":1}, "d":-1.5e3,"e":null,"f":true , "g\u0068":"escaped","a.b":"dot" } `}
	for name, want := range map[string]any{
		"a": `x"y`, "b": []any{json.Number("1"), map[string]any{"c": "}]"}}, "c": map[string]any{"a": json.Number("1")},
		"d": json.Number("-1.5e3"), "e": nil, "f": true, "gh": "escaped", "a.b": "dot",
	} {
		got, ok := id.Claim(name)
		require.True(t, ok, name)
		require.Equal(t, want, got, name)
	}
	for _, name := range []string{"", "x", "g", "A"} {
		_, ok := id.Claim(name)
		require.False(t, ok, name)
	}
	for _, broken := range []string{"", "[]", "{", `{"a`, `{"a"`, `{"a":`, `{"a":[`, `{"a":"`, `{a:1}`, "null", `{"b":1 "a":2}`} {
		_, ok := (&Identity{claims: broken}).Claim("a")
		require.False(t, ok, broken)
	}
}

func FuzzClaim(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"b":[{}],"a":"\\\""}`, `{"\u0061":null}`, ` { } `, `{"a":{"a":[]},"b":1}`} {
		f.Add(seed, "a")
	}
	f.Fuzz(func(t *testing.T, object, name string) {
		want, err := token.Claims([]byte(object))
		if err != nil {
			(&Identity{claims: object}).Claim(name) // no promise but to return
			return
		}
		got, ok := (&Identity{claims: object}).Claim(name)
		value, there := want[name]
		require.Equal(t, there, ok)
		require.Equal(t, value, got)
	})
}

func TestStringsOfAClaim(t *testing.T) {
	require.Equal(t, []string{"a", "1", "true", "false"}, stringsOf([]any{"a", json.Number("1"), true, false, nil, []any{"no"}, map[string]any{}}))
	require.Nil(t, stringsOf(nil))
	require.Nil(t, stringsOf(map[string]any{"a": "b"}))
}

func TestScopeListsCompareWholeTokens(t *testing.T) {
	require.True(t, hasScope("a b c", "b"))
	require.False(t, hasScope("ab c", "a"))
	require.False(t, hasScope("", ""))
	require.Equal(t, []string{"a", "b"}, union([]string{"a"}, nil, []string{"b", "a"}))
	require.True(t, subset(nil, nil))
	require.False(t, subset([]string{"a"}, []string{"b"}))
}

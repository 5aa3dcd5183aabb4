package token

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClaims_ReadsWhatJSONSays(t *testing.T) {
	claims, err := Claims([]byte(" {\"s\":\"a\\u00e9\\n\\\"\\/\\ud83d\\ude00\",\"n\":-1.5e+3,\"big\":12345678901234567890,\r\n\t\"l\":[1,[],{}],\"o\":{\"t\":true,\"f\":false,\"z\":null},\"\":\"\"} "))
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"s": "aé\n\"/😀", "n": json.Number("-1.5e+3"), "big": json.Number("12345678901234567890"),
		"l": []any{json.Number("1"), []any{}, map[string]any{}},
		"o": map[string]any{"t": true, "f": false, "z": nil}, "": "",
	}, claims)
}

func TestA13_ClaimsAreStrict(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprintf(`"m%d":%d`, i, i)
	}
	object := "{" + strings.Join(many, ",")
	claims, err := Claims([]byte(object + "}"))
	require.NoError(t, err)
	require.Len(t, claims, 100)
	nest := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	_, err = Claims([]byte(nest(maxDepth)))
	require.NoError(t, err)
	for name, text := range map[string]string{
		"duplicate":                  `{"a":1,"a":1}`,
		"duplicate by escape":        `{"a":1,"\u0061":1}`,
		"duplicate in an array":      `{"x":[{"a":1,"a":1}]}`,
		"duplicate of the first":     object + `,"m0":1}`,
		"duplicate of the last":      object + `,"m99":1}`,
		"too deep":                   nest(maxDepth + 1),
		"far too deep":               nest(MaxSize / 8),
		"too large":                  `{"a":"` + strings.Repeat("x", MaxSize) + `"}`,
		"invalid UTF-8":              "{\"a\":\"\xc3\x28\"}",
		"high surrogate alone":       `{"a":"\ud83d"}`,
		"high surrogate, then other": `{"a":"\ud83d\u0041"}`,
		"low surrogate alone":        `{"a":"\ude00"}`,
		"broken hex":                 `{"a":"\u00g0"}`,
		"short hex":                  `{"a":"\u00`,
		"unknown escape":             `{"a":"\x41"}`,
		"escape at the end":          `{"a":"\`,
		"control after an escape":    "{\"a\":\"\\n\t\"}",
		"no end after an escape":     `{"a":"\n`,
		"plus sign":                  `{"a":+1}`,
		"hex number":                 `{"a":0x1}`,
		"NaN":                        `{"a":NaN}`,
		"empty exponent":             `{"a":1e}`,
		"bare minus":                 `{"a":-}`,
		"literal in capitals":        `{"a":True}`,
		"literal cut":                `{"a":nul}`,
		"literal with a tail":        `{"a":nullx}`,
		"no comma":                   `{"a":1 "b":2}`,
		"unquoted name":              `{a:1}`,
		"byte order mark":            "\ufeff{}",
		"two values":                 `{}{}`,
		"a string":                   `"a"`,
		"null":                       `null`,
		"nothing":                    ``,
	} {
		claims, err := Claims([]byte(text))
		require.ErrorIs(t, err, ErrMalformed, name)
		require.Nil(t, claims, name)
	}
}

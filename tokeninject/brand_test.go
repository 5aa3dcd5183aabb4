package tokeninject

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestO7_PagesOfTheGateShowTheBrand(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Brand = Brand{Name: "Acme & <Sons>", Color: " #AB1234 "}
	})
	body := s.do(newBrowser(t), http.MethodGet, "/.authz/logout", "Sec-Fetch-Site: cross-site").body
	require.Contains(t, body, "<header><bdi>Acme &amp; &lt;Sons&gt;</bdi></header>")
	require.Contains(t, body, "<title>Sign out? · Acme &amp; &lt;Sons&gt;</title>")
	require.Contains(t, body, "--brand: #ab1234; --brand-dark: #dda0ad;")

	plain := newSite(t, withSession)
	body = plain.get("/.authz/logout", "Sec-Fetch-Site: cross-site").body
	require.NotContains(t, body, "<header>")
	require.Contains(t, body, "<title>Sign out?</title>")
	require.Contains(t, body, "--brand: "+defaultColor+";")
}

func TestO7_ColorsThatCannotBeReadOrWrittenAreNotUsed(t *testing.T) {
	for color, used := range map[string]bool{
		"#000": true, "#0f6a5b": true, "#767676": true, "#c00": true,
		"#777777": false, "#fff": false, "#ff0": false, "navy": false, "": false, "#12": false, "#ggg": false,
		"#0f6a5bcc": false, "#000;}body{display:none": false, "</style><script>": false,
	} {
		style := string(newLook(Brand{Color: color}).style)
		require.Equal(t, used, strings.HasPrefix(style, ":root { --brand: "+color+";"), color)
		require.Equal(t, !used, strings.HasPrefix(style, ":root { --brand: "+defaultColor+";"), color)
	}
	require.True(t, legibleColor(defaultColor))
	for _, color := range []string{"#000", "#00f", "#f00", defaultColor} {
		light := channels(lighter(color))
		require.GreaterOrEqual(t, min(light[0], light[1], light[2]), 153, fmt.Sprint(color, light))
	}
}

package oauth

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckRedirectURI(t *testing.T) {
	const nobody, native, everybody = 0, 1, 2
	for name, row := range map[string]struct {
		uri string
		who int
	}{
		"RFC 6749 §3.1.2 https":                 {"https://shop.example.com/callback", everybody},
		"RFC 6749 §3.1.2 query":                 {"https://shop.example.com/callback?a=b", everybody},
		"RFC 6749 §3.1.2 without a path":        {"https://shop.example.com", everybody},
		"RFC 6749 §3.1.2 port":                  {"https://shop.example.com:8443/", everybody},
		"RFC 6749 §3.1.2 IPv6":                  {"https://[2001:db8::1]/cb", everybody},
		"IDN as punycode":                       {"https://xn--mnchen-3ya.example/cb", everybody},
		"RFC 8252 §7.3 loopback IPv4":           {"http://127.0.0.1/cb", everybody},
		"RFC 8252 §7.3 loopback IPv6":           {"http://[::1]:51234/cb", everybody},
		"RFC 8252 §8.3 localhost":               {"http://localhost:3000/cb", everybody},
		"RFC 6761 §6.3 under localhost":         {"http://shop.localhost/cb", everybody},
		"a host is caseless":                    {"http://LOCALHOST:3000/cb", everybody},
		"the code on a page":                    {OOB, everybody},
		"RFC 8252 §7.1 scheme of its own":       {"com.example.app:/callback", native},
		"RFC 8252 §7.1 with a host":             {"com.example.app://login/callback", native},
		"RFC 6749 §3.1.2 relative":              {"/callback", nobody},
		"RFC 6749 §3.1.2 scheme-relative":       {"//shop.example.com/callback", nobody},
		"RFC 6749 §3.1.2 no scheme":             {"shop.example.com/callback", nobody},
		"empty":                                 {"", nobody},
		"RFC 6749 §3.1.2 fragment":              {"https://shop.example.com/#x", nobody},
		"RFC 6749 §3.1.2 empty fragment":        {"https://shop.example.com/#", nobody},
		"fragment of an app":                    {"com.example.app:/callback#", nobody},
		"http elsewhere":                        {"http://shop.example.com/callback", nobody},
		"http on a name like localhost":         {"http://localhost.example.com/", nobody},
		"http on a name that ends in localhost": {"http://notlocalhost/", nobody},
		"http on a short address":               {"http://127.1/", nobody},
		"http on an address as a number":        {"http://2130706433/", nobody},
		"http on any address":                   {"http://0.0.0.0/", nobody},
		"http on a private address":             {"http://192.168.0.1/", nobody},
		"A18 user name":                         {"https://shop.example.com@evil.example/", nobody},
		"A18 user name on loopback":             {"http://localhost@evil.example/", nobody},
		"A18 several @":                         {"https://a@b@evil.example/", nobody},
		"A18 empty user name":                   {"https://@evil.example/", nobody},
		"A18 backslash":                         {`https://evil.example\@shop.example.com/`, nobody},
		"A18 backslashes for slashes":           {`https:\\evil.example/`, nobody},
		"A18 tab":                               {"https://shop.example.com/\tcb", nobody},
		"A18 tab in the scheme":                 {"java\tscript:alert(1)", nobody},
		"A18 line break":                        {"https://shop.example.com/\r\nX: y", nobody},
		"A18 space":                             {"https://shop.example.com/a b", nobody},
		"A18 space in front":                    {" https://shop.example.com/", nobody},
		"A18 NUL":                               {"https://shop.example.com/\x00", nobody},
		"A18 DEL":                               {"https://shop.example.com/\x7f", nobody},
		"A18 IDN":                               {"https://münchen.example/cb", nobody},
		"A18 homoglyph":                         {"https://shop.ex\u0430mple.com/", nobody},
		"A18 full-width dot":                    {"https://evil。example/", nobody},
		"A18 not UTF-8":                         {"https://shop.example.com/\xff", nobody},
		"A18 quote":                             {`https://shop.example.com/"onclick="`, nobody},
		"A18 angle brackets":                    {"https://shop.example.com/<b>", nobody},
		"A18 braces":                            {"https://{evil}.example/", nobody},
		"A18 broken percent":                    {"https://shop.example.com/%zz", nobody},
		"A18 percent in a host":                 {"https://%73hop.example.com/", nobody},
		"A18 port that is none":                 {"https://shop.example.com:x/", nobody},
		"https without a host":                  {"https:///callback", nobody},
		"https with nothing but a port":         {"https://:443/callback", nobody},
		"https that is opaque":                  {"https:shop.example.com", nobody},
		"http that is opaque":                   {"http:localhost", nobody},
		"A20 javascript":                        {"javascript:alert(1)", nobody},
		"A20 javascript in any case":            {"JaVaScRiPt:alert(1)", nobody},
		"A20 javascript like a host":            {"javascript://localhost/%0aalert(1)", nobody},
		"A20 data":                              {"data:text/html,x", nobody},
		"A20 vbscript":                          {"VBScript:x", nobody},
		"A20 file":                              {"file:///etc/passwd", nobody},
		"A20 blob":                              {"blob:https://shop.example.com/1", nobody},
		"A20 about":                             {"about:blank", nobody},
		"A20 view-source":                       {"view-source:https://shop.example.com/", nobody},
		"A20 websocket":                         {"wss://shop.example.com/", nobody},
		"the code on a page, misspelt":          {"urn:ietf:wg:oauth:2.0:OOB", nobody},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, row.who >= native, CheckRedirectURI(row.uri, true) == nil, "native")
			require.Equal(t, row.who == everybody, CheckRedirectURI(row.uri, false) == nil, "not native")
		})
	}
}

func TestA20_CheckLink(t *testing.T) {
	for link, want := range map[string]bool{
		"https://shop.example.com/terms?lang=de": true,
		"http://localhost:3000/logo.png":         true,
		"http://shop.example.com/terms":          false,
		"https://shop.example.com/#terms":        false,
		"https://user@shop.example.com/":         false,
		"https:":                                 false,
		"https://:443":                           false,
		"/terms":                                 false,
		"":                                       false,
		"javascript:alert(1)":                    false,
		"JAVASCRIPT:alert(1)":                    false,
		"data:image/svg+xml,x":                   false,
		"com.example.app:/terms":                 false,
		OOB:                                      false,
	} {
		require.Equal(t, want, CheckLink(link) == nil, link)
	}
}

func TestErrorsOfURIsHoldNoURI(t *testing.T) {
	for _, uri := range []string{"https://alice:secret@shop.example.com/%zz", "https://alice:secret@shop.example.com/"} {
		err := CheckRedirectURI(uri, false)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestA18_MatchRedirectURIByteForByte(t *testing.T) {
	const registered = "https://shop.example.com/callback"
	require.True(t, MatchRedirectURI(registered, registered, false))
	require.True(t, MatchRedirectURI(registered, registered, true))
	for name, requested := range map[string]string{
		"empty":           "",
		"prefix":          "https://shop.example.com/call",
		"suffix":          "https://shop.example.com/callback2",
		"slash":           "https://shop.example.com/callback/",
		"path below":      "https://shop.example.com/callback/..",
		"path around":     "https://shop.example.com/x/../callback",
		"encoded dots":    "https://shop.example.com/x/%2e%2e/callback",
		"encoded letter":  "https://shop.example.com/%63allback",
		"query":           "https://shop.example.com/callback?a=b",
		"empty query":     "https://shop.example.com/callback?",
		"fragment":        "https://shop.example.com/callback#",
		"host in case":    "https://Shop.example.com/callback",
		"scheme in case":  "HTTPS://shop.example.com/callback",
		"path in case":    "https://shop.example.com/Callback",
		"scheme":          "http://shop.example.com/callback",
		"default port":    "https://shop.example.com:443/callback",
		"other port":      "https://shop.example.com:8443/callback",
		"trailing dot":    "https://shop.example.com./callback",
		"user name":       "https://x@shop.example.com/callback",
		"other host":      "https://shop.example.com@evil.example/callback",
		"several @":       "https://shop.example.com@evil.example@x/callback",
		"subdomain":       "https://evil.shop.example.com/callback",
		"longer host":     "https://shop.example.com.evil.example/callback",
		"backslash":       `https://evil.example\@shop.example.com/callback`,
		"tab":             "https://shop.example.com/call\tback",
		"line break":      "https://shop.example.com/callback\n",
		"space":           " https://shop.example.com/callback",
		"NUL":             "https://shop.example.com/callback\x00",
		"homoglyph":       "https://shop.ex\u0430mple.com/callback",
		"full-width dots": "https://shop。example。com/callback",
	} {
		require.False(t, MatchRedirectURI(registered, requested, false), name)
		require.False(t, MatchRedirectURI(registered, requested, true), "native: %s", name)
	}
}

func TestRFC8252_7_3_PortOfLoopback(t *testing.T) {
	for name, row := range map[string]struct {
		registered, requested string
		want                  bool
	}{
		"IPv4":                       {"http://127.0.0.1/cb", "http://127.0.0.1:51234/cb", true},
		"IPv6":                       {"http://[::1]/cb", "http://[::1]:51234/cb", true},
		"another port":               {"http://127.0.0.1:8080/cb", "http://127.0.0.1:51234/cb", true},
		"no port any more":           {"http://127.0.0.1:8080/cb", "http://127.0.0.1/cb", true},
		"query is kept":              {"http://127.0.0.1/cb?a=%20b", "http://127.0.0.1:51234/cb?a=%20b", true},
		"encoded path is kept":       {"http://127.0.0.1/a%2fb", "http://127.0.0.1:51234/a%2fb", true},
		"RFC 8252 §8.3 localhost":    {"http://localhost/cb", "http://localhost:51234/cb", false},
		"path differs":               {"http://127.0.0.1/cb", "http://127.0.0.1:51234/other", false},
		"path encoded otherwise":     {"http://127.0.0.1/a%2fb", "http://127.0.0.1:51234/a%2Fb", false},
		"query differs":              {"http://127.0.0.1/cb", "http://127.0.0.1:51234/cb?a=b", false},
		"empty query":                {"http://127.0.0.1/cb", "http://127.0.0.1:51234/cb?", false},
		"fragment":                   {"http://127.0.0.1/cb", "http://127.0.0.1:51234/cb#", false},
		"other loopback address":     {"http://127.0.0.1/cb", "http://127.0.0.2:51234/cb", false},
		"IPv6 for IPv4":              {"http://127.0.0.1/cb", "http://[::1]:51234/cb", false},
		"IPv4 within IPv6":           {"http://127.0.0.1/cb", "http://[::ffff:127.0.0.1]:51234/cb", false},
		"name for address":           {"http://127.0.0.1/cb", "http://localhost:51234/cb", false},
		"other host":                 {"http://127.0.0.1/cb", "http://evil.example:51234/cb", false},
		"host behind an @":           {"http://127.0.0.1/cb", "http://127.0.0.1:51234@evil.example/cb", false},
		"host behind a backslash":    {"http://127.0.0.1/cb", `http://127.0.0.1:51234\@evil.example/cb`, false},
		"https":                      {"http://127.0.0.1/cb", "https://127.0.0.1:51234/cb", false},
		"https is not free":          {"https://127.0.0.1/cb", "https://127.0.0.1:51234/cb", false},
		"an address beyond loopback": {"http://192.168.0.1/cb", "http://192.168.0.1:51234/cb", false},
		"port that is none":          {"http://127.0.0.1/cb", "http://127.0.0.1:x/cb", false},
		"scheme of its own":          {"com.example.app://127.0.0.1/cb", "com.example.app://127.0.0.1:51234/cb", false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, row.want, MatchRedirectURI(row.registered, row.requested, true))
			require.False(t, MatchRedirectURI(row.registered, row.requested, false), "only native clients choose a port")
		})
	}
}

func TestRFC6761_6_3_IsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "a.b.localhost": true, "127.0.0.1": true, "127.255.255.254": true, "::1": true,
		"": false, "localhost.": false, "localhost.example.com": false, "notlocalhost": false, "127.1": false, "128.0.0.1": false,
		"0.0.0.0": false, "::": false, "::2": false, "[::1]": false, "::1%eth0": false, "127.0.0.1:80": false,
	} {
		require.Equal(t, want, IsLoopback(host), host)
	}
}

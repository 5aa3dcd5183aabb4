package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// aGateForNobody lets sign in, and nobody pass.
const aGateForNobody = "token_inject {\nsession\nrequire role admiral\n}\nrespond in\n"

func TestWhoMayNotPassSignsInAsSomebodyElse(t *testing.T) {
	const way = `action="/.authz/logout?return=`
	w := newWorld(t)
	w.block = "brand {\nname \"Acme & Sons\"\ncolor \"#ab1234\"\n}"
	w.site = `
	handle /app/* {
		` + aGateForNobody + `
	}
	@odd header X-Odd *
	handle @odd {
		` + strings.Replace(aGateForNobody, "session", "session {\nclient shop shop-secret-shop-secret-shop-secret\nscope openid\n}", 1) + `
	}
	handle {
		` + aGateForNobody + `
	}`
	w.start()
	client := w.browser()
	_, _, body, err := navigate(client, w.app+"/page")
	require.NoError(t, err)
	_, body = w.signIn(client, body)
	require.Contains(t, body, `<main id="error">`)
	require.Contains(t, body, "<bdi>Acme &amp; Sons</bdi>")
	require.Contains(t, body, "--brand: #ab1234;")
	require.Contains(t, body, way)

	status, _, body, err := navigate(client, w.app+"/app/page")
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, way, "the path that signs out leads to another gate, which has the same sessions")
	r, err := http.NewRequest(http.MethodGet, w.app+"/page", nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("X-Odd", "1")
	_, _, body, err = answer(client, r)
	require.NoError(t, err)
	require.Contains(t, body, `<main id="error">`)
	require.NotContains(t, body, way, "the gate to which it leads has sessions of its own")

	r, err = http.NewRequest(http.MethodPost, w.app+"/.authz/logout", strings.NewReader(url.Values{}.Encode()))
	require.NoError(t, err)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	_, _, body, err = answer(client, r)
	require.NoError(t, err)
	require.Contains(t, body, `<main id="logged-out">`)
	_, _, body, err = navigate(client, w.app+"/")
	require.NoError(t, err)
	require.Contains(t, body, `<main id="login"`, "and the link back leads to sign in")
}

func TestALogoutPathBelowTheGatesPathIsSeen(t *testing.T) {
	w := newWorld(t)
	w.site = "handle /app/* {\n" + strings.Replace(aGateForNobody, "session", "session {\nlogout /app/bye\n}", 1) + "}"
	w.start()
	client := w.browser()
	_, _, body, err := navigate(client, w.app+"/app/page")
	require.NoError(t, err)
	_, body = w.signIn(client, body)
	require.Contains(t, body, `action="/app/bye?return=`)
}

func TestAGateThatDoesNotSeeItsLogoutPathIsWarnedOf(t *testing.T) {
	const warning = "the path that signs out is not known to lead to this gate"
	for name, row := range map[string]struct {
		site string
		want int
	}{
		"seen":         {bareGate, 0},
		"not seen":     {"handle /app/* {\n" + bareGate + "}", 1},
		"below":        {"handle /app/* {\n" + strings.Replace(bareGate, "session", "session {\nlogout /app/bye\n}", 1) + "}", 0},
		"another gate": {"handle /app/* {\n" + bareGate + "}\nhandle {\n" + bareGate + "}", 0},
		"another client's gate": {"handle /app/* {\n" + strings.Replace(bareGate, "session",
			"session {\nclient shop shop-secret-shop-secret-shop-secret\n}", 1) + "}\nhandle {\n" + bareGate + "}", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.site = row.site
			w.start()
			require.Equal(t, row.want, strings.Count(w.log(), warning))
			if row.want > 0 {
				require.Contains(t, w.log(), `"token_inject":"Caddyfile:`)
			}
		})
	}
}

package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

func TestP3_AnIssuerAndItsGatesInDifferentCaddys(t *testing.T) {
	gate := prepare(t, read(t, "testdata", "apart-gate.Caddyfile"), "GATE_SECRET="+shopSecret)
	startUpstream(t, "127.0.0.1:"+gate.port["9000"])
	issuer := start(t, read(t, "testdata", "apart-issuer.Caddyfile"), aliceHash(t),
		"GATE="+gate.gate(), "GATE_SECRET="+shopSecret, "ROBOT_SECRET="+serviceSecret)
	gate.env = append(gate.env, "ISSUER="+issuer.issuer(), "ISSUER_CA="+issuer.rootFile())
	gate.process = launch(t, gate.command(t.Context(), "run"), gate.answers)

	token := serviceToken(t, issuer)
	require.Equal(t, []string{"robot"}, call(t, gate, "/api/", token, "X_User", "mallory").received(t).Header["X-User"])
	require.Equal(t, http.StatusUnauthorized, call(t, gate, "/api/", token[:len(token)-8]+"AAAAAAAA").status)

	browser := authztest.NewBrowser(t, issuer.client(gate), issuer.issuer())
	page := browser.Do(navigation(t, gate.gate()+"/page?q=1"))
	page = browser.Submit(page, "username", "alice", "password", password)
	page = browser.Submit(page, "decision", "allow")
	require.NotNil(t, page.Location, page.Text())
	page = browser.Do(navigation(t, page.Location.String()))
	require.NotNil(t, page.Location, page.Text())
	require.Equal(t, gate.gate()+"/page?q=1", page.Location.String())
	got := receivedAt(t, browser, page.Location.String())
	require.Equal(t, []string{"alice"}, got.Header["X-User"])
	claims := signedClaims(t, got.Header.Get("Authorization")[len("Bearer "):])
	require.Equal(t, issuer.issuer(), claims["iss"])
	require.Equal(t, "https://orders.example.com", claims["aud"])
}

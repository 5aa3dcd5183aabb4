package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
)

// running is the authorization server of the config that runs.
func running(t *testing.T) *authz.Server {
	t.Helper()
	app, err := caddy.ActiveContext().App("authz")
	require.NoError(t, err)
	server := app.(*App).issuers[defaultServer].server
	require.NotNil(t, server)
	return server
}

// shopToken is an access token of alice's on a device, and the refresh token beside it.
func (w *world) shopToken(client *http.Client, device string) (access, refresh string) {
	w.t.Helper()
	members, err := w.token("shop", "shop-secret-shop-secret-shop-secret", url.Values{
		"grant_type": {"authorization_code"}, "code": {w.code(client)}, "redirect_uri": {"http://localhost:1/callback"}, "revocation_id": {device},
	})
	require.NoError(w.t, err)
	return members["access_token"].(string), members["refresh_token"].(string)
}

// post sends a form to an endpoint as the client shop.
func (w *world) post(path string, form url.Values) (status int, header http.Header) {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodPost, w.issuer+path, strings.NewReader(form.Encode()))
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("shop", "shop-secret-shop-secret-shop-secret")
	resp, err := w.browser().Do(r)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	return resp.StatusCode, resp.Header
}

func TestE7_TheGateKnowsAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		revoke func(w *world, refresh string) error
		page   bool // the browser is signed out of the gate, too
		tablet bool
	}{
		"by device, at the endpoint": {revoke: func(w *world, refresh string) error {
			status, _ := w.post("/revoke", url.Values{"token": {refresh}, "device_id": {"phone"}})
			require.Equal(t, http.StatusOK, status)
			return nil
		}},
		"by user":   {func(*world, string) error { return running(t).RevokeUser(t.Context(), "alice") }, true, true},
		"by client": {func(*world, string) error { return running(t).RevokeClient(t.Context(), "shop") }, false, true},
		"the gate's own client": {func(*world, string) error {
			return running(t).RevokeClient(t.Context(), authz.GateClientID)
		}, true, false},
		"withdrawal": {func(*world, string) error { return running(t).Withdraw(t.Context(), "alice", "shop") }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start()
			client := w.openApp()
			phone, refresh := w.shopToken(client, "phone")
			tablet, _ := w.shopToken(client, "tablet")
			through := func(token string) bool {
				status, _, err := w.api(http.DefaultClient, token)
				require.NoError(t, err)
				return status == http.StatusOK
			}
			require.True(t, through(phone) && through(tablet))
			require.NoError(t, c.revoke(w, refresh))
			require.Equal(t, name == "the gate's own client", through(phone))
			require.Equal(t, !c.tablet, through(tablet))

			r, err := http.NewRequest(http.MethodGet, w.app+"/page", nil)
			require.NoError(t, err)
			status, _, _, err := answer(client, r) // not as a browser's tab: it is told instead of sent to sign in
			require.NoError(t, err)
			require.Equal(t, c.page, status == http.StatusUnauthorized, status)
		})
	}
}

func TestG15_TooManyRequestsAreTurnedAway(t *testing.T) {
	w := newWorld(t)
	w.block = "rate_limit {\n client 1/s\n}"
	w.start()
	eventually(t, "two within a second", func() bool {
		status, header := w.post("/introspect", url.Values{"token": {"x"}})
		return status == http.StatusTooManyRequests && header.Get("Retry-After") == "1"
	})
}

// A client that sends its next request early keeps net/http from seeing whether it is still there: only closing its
// connection, which Caddy has to hand on, ends a stream that has nothing to say.
func TestA69_ASilentStreamEndsThoughItsClientPipelines(t *testing.T) {
	w := newWorld(t).start()
	client := w.openApp()
	app, err := url.Parse(w.app)
	require.NoError(t, err)
	r, err := http.NewRequest(http.MethodGet, w.app+"/stream", nil)
	require.NoError(t, err)
	for _, cookie := range client.Jar.Cookies(app) {
		r.AddCookie(cookie)
	}
	conn, err := net.Dial("tcp", app.Host)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, r.Write(conn))
	_, err = conn.Write([]byte("GET /next HTTP/1.1\r\n"))
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	require.NoError(t, running(t).RevokeUser(t.Context(), "alice"))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
	_, err = io.Copy(io.Discard, response.Body)
	require.Error(t, err, "it ended in the middle")
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

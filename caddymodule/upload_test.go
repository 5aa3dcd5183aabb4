package caddymodule

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var proxied = regexp.MustCompile(`reverse_proxy \S+`)

// Over HTTP/2 the proxy waits for the rest of an upload before it gives up a request, and with it Caddy that is to stop.
func TestA69_AnUploadOverHTTP2IsCut(t *testing.T) {
	w := newWorld(t)
	w.options = "servers {\n\t\tprotocols h1 h2c\n\t}"
	w.site = proxied.ReplaceAllString(w.site, "$0 {\nmax_fails 1\nfail_duration 1m\n}")
	w.start()
	jar := w.openApp().Jar
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Jar: jar, Transport: &http.Transport{Protocols: &protocols}}
	body, sending := io.Pipe()
	defer func() { require.NoError(t, sending.Close()) }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.app+"/upload", body)
	require.NoError(t, err)
	r.Header.Set("Origin", w.app)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set(attemptHeader, "upload")
	failed := make(chan error, 1)
	go func() {
		response, err := client.Do(r)
		if err == nil {
			_ = response.Body.Close()
		}
		failed <- err
	}()
	_, err = sending.Write(bytes.Repeat([]byte("half"), 10_000))
	require.NoError(t, err)
	eventually(t, "the upload has come to the upstream", func() bool { return w.attempts.hasArrived("upload") })
	require.NoError(t, running(t).RevokeUser(t.Context(), "alice"))
	select {
	case err := <-failed:
		require.ErrorContains(t, err, "stream error")
	case <-time.After(time.Second):
		require.FailNow(t, "the client was not told")
	}
	token, err := w.robotToken()
	require.NoError(t, err)
	status, answer, err := w.api(w.browser(), token)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "the upstream counts as dead: %s", answer)
	require.NotContains(t, w.log(), `"level":"error"`)
}

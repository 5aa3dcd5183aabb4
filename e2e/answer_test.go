package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gatewright/gatewright/authz/authztest"
)

// answer is a response that has been read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends a request and reads the answer.
func send(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header, body}
}

// get opens a URL, with pairs of name and value as headers.
func get(t *testing.T, client *http.Client, target string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, target, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return send(t, client, req)
}

// post sends a form, of pairs of name and value, as a client.
func post(t *testing.T, c *caddy, path, id, secret string, pairs ...string) answer {
	t.Helper()
	form := url.Values{}
	authztest.Set(form, pairs...)
	req, err := http.NewRequest(http.MethodPost, c.issuer()+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.SetBasicAuth(id, secret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(t, c.client(), req)
}

// tokens reads a token response.
func (a answer) tokens(t *testing.T) (tokens oauth2.Token) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	require.NoError(t, json.Unmarshal(a.body, &tokens))
	return tokens
}

// received reads what the upstream got.
func (a answer) received(t *testing.T) (got received) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	require.NoError(t, json.Unmarshal(a.body, &got))
	return got
}

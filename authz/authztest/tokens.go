package authztest

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/stretchr/testify/require"
)

// Answer is a JSON answer of the server.
type Answer struct {
	Status int
	Header http.Header
	JSON   map[string]any
	Body   string
}

// Get returns a member as a string, "" when it is none.
func (a Answer) Get(name string) string {
	s, _ := a.JSON[name].(string)
	return s
}

// Post sends a form to an endpoint. A client ID other than "" authenticates by Basic with Secret.
func (f *Fixture) Post(path, clientID string, form url.Values) Answer {
	f.t.Helper()
	req, err := http.NewRequest(http.MethodPost, f.URL+path, strings.NewReader(form.Encode()))
	require.NoError(f.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if clientID != "" {
		req.SetBasicAuth(clientID, Secret)
	}
	return f.Do(req)
}

// Do sends a request and reads a JSON answer; an empty body is an empty object.
func (f *Fixture) Do(req *http.Request) Answer {
	f.t.Helper()
	resp, err := f.Client().Do(req)
	require.NoError(f.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	a := Answer{Status: resp.StatusCode, Header: resp.Header, JSON: map[string]any{}, Body: string(body)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		require.NoError(f.t, json.Unmarshal(body, &a.JSON))
	}
	return a
}

// Token asks the token endpoint; pairs are name and value of parameters.
func (f *Fixture) Token(clientID string, pairs ...string) Answer {
	f.t.Helper()
	form := url.Values{}
	Set(form, pairs...)
	return f.Post("/token", clientID, form)
}

// Redeem redeems a code of the shop, or of the client named by the pairs' client_id.
func (f *Fixture) Redeem(clientID, code string, pairs ...string) Answer {
	f.t.Helper()
	form := url.Values{
		"grant_type":   {"authorization_code"},
		"code":         {code},
		"redirect_uri": {"https://" + clientID + ".example.com/callback"},
	}
	Set(form, pairs...)
	return f.Post("/token", clientID, form)
}

// Bearer calls an endpoint with a token.
func (f *Fixture) Bearer(method, path, raw string) Answer {
	f.t.Helper()
	req, err := http.NewRequest(method, f.URL+path, nil)
	require.NoError(f.t, err)
	if raw != "" {
		req.Header.Set("Authorization", "Bearer "+raw)
	}
	return f.Do(req)
}

// Claims reads the payload of a signed token without verifying it.
func (f *Fixture) Claims(raw string) map[string]any {
	f.t.Helper()
	return f.part(raw, 1)
}

// Header reads the protected header of a signed token.
func (f *Fixture) Header(raw string) map[string]any {
	f.t.Helper()
	return f.part(raw, 0)
}

// JWEHeader reads the protected header of an encrypted token.
func (f *Fixture) JWEHeader(raw string) map[string]any {
	f.t.Helper()
	header, _, _ := strings.Cut(raw, ".")
	return f.members(header)
}

func (f *Fixture) part(raw string, i int) map[string]any {
	f.t.Helper()
	parts := strings.Split(raw, ".")
	require.Len(f.t, parts, 3, "not a signed token")
	return f.members(parts[i])
}

func (f *Fixture) members(part string) map[string]any {
	f.t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	require.NoError(f.t, err)
	members := map[string]any{}
	require.NoError(f.t, json.Unmarshal(text, &members))
	return members
}

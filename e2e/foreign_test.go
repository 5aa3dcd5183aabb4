package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Secrets of provider.mjs's clients.
const (
	providerAPISecret  = "api-secret-of-elsewhere-api-secret"
	providerGateSecret = "gate-secret-of-elsewhere-gate-secret"
)

// provider is an issuer that is not ours, run by Node.
type provider struct {
	*process
	t    *testing.T
	url  string
	port string
	gate string
}

// startProvider runs the provider for the gate of c.
func startProvider(t *testing.T, c *caddy) *provider {
	t.Helper()
	p := &provider{t: t, port: c.port["8445"], gate: c.gate()}
	p.url = "http://localhost:" + p.port
	p.again("a")
	return p
}

// again starts it with keys of its own; what it knew is gone.
func (p *provider) again(kid string) {
	p.t.Helper()
	input, err := json.Marshal(map[string]any{
		"port": json.Number(p.port), "kid": kid, "signedResources": []string{"https://api.example.com"},
		"clients": []map[string]any{
			{"client_id": "api", "client_secret": providerAPISecret, "grant_types": []string{"client_credentials"}, "redirect_uris": []string{}, "response_types": []string{}},
			{
				"client_id": "gate", "client_secret": providerGateSecret, "redirect_uris": []string{p.gate + "/.authz/callback"},
				"grant_types": []string{"authorization_code", "refresh_token"},
			},
		},
	})
	require.NoError(p.t, err)
	cmd := exec.CommandContext(p.t.Context(), "node", "provider.mjs")
	cmd.Env, cmd.Stdin = os.Environ(), bytes.NewReader(input)
	p.process = launch(p.t, cmd, func() bool {
		resp, err := http.Get(p.url + "/jwks")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}

// token gets an access token as the client api.
func (p *provider) token(resource string) string {
	p.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {resource}, "scope": {"read"}}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+"/token", strings.NewReader(form.Encode()))
	require.NoError(p.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("api", providerAPISecret)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, resp.Body.Close()) }()
	var answer struct {
		Token string `json:"access_token"`
	}
	require.NoError(p.t, json.NewDecoder(resp.Body).Decode(&answer))
	require.NotEmpty(p.t, answer.Token)
	return answer.Token
}

// behindForeign runs gates of the provider, and the provider.
func behindForeign(t *testing.T) (*caddy, *provider) {
	t.Helper()
	c := prepare(t, read(t, "testdata", "foreign.Caddyfile"), "API_SECRET="+providerAPISecret, "GATE_SECRET="+providerGateSecret)
	p := startProvider(t, c)
	c.env = append(c.env, "PROVIDER="+p.url)
	c.process = launch(t, c.command(t.Context(), "run"), c.answers)
	return c, p
}

// answers tells whether a Caddy without an authorization server serves.
func (c *caddy) answers() bool {
	if _, err := os.Stat(c.intermediateFile()); err != nil {
		return false
	}
	resp, err := c.client().Get(c.gate() + "/api/")
	return err == nil && resp.Body.Close() == nil
}

// call calls a gate with a token.
func (c *caddy) call(path, bearer string) (status int, body, challenge string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.gate()+path, nil)
	require.NoError(c.t, err)
	r.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := c.client().Do(r)
	require.NoError(c.t, err)
	defer func() { require.NoError(c.t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp.StatusCode, string(text), resp.Header.Get("WWW-Authenticate")
}

func TestW6_TokensOfAnotherProduct(t *testing.T) {
	c, p := behindForeign(t)
	signed, opaque := p.token("https://api.example.com"), p.token("urn:api:opaque")
	require.Equal(t, 2, strings.Count(signed, "."))
	for _, raw := range []string{signed, opaque, signed, opaque} {
		status, body, _ := c.call("/api/orders", raw)
		require.Equal(t, http.StatusOK, status, body)
		require.Contains(t, body, "user=api mail= client=api")
	}
	for name, raw := range map[string]string{
		"unknown": "not-a-token", "for another audience": p.token("urn:other:opaque"), "broken": signed[:len(signed)-6] + "AAAAAA",
	} {
		status, _, challenge := c.call("/api/orders", raw)
		require.Equal(t, http.StatusUnauthorized, status, name)
		require.Contains(t, challenge, `error="invalid_token"`, name)
	}

	// The issuer goes away: what it signed is still good, what it has to be asked about can't be decided.
	p.end(syscall.SIGTERM)
	status, _, _ := c.call("/api/orders", signed)
	require.Equal(t, http.StatusOK, status)
	require.Eventually(t, func() bool {
		status, _, _ := c.call("/api/orders", opaque)
		return status == http.StatusServiceUnavailable
	}, patience, 50*time.Millisecond, "its answer counts for a second")

	// It comes back with other keys.
	p.again("b")
	rotated := p.token("https://api.example.com")
	require.Eventually(t, func() bool {
		status, _, _ := c.call("/api/orders", rotated)
		return status == http.StatusOK
	}, patience, 100*time.Millisecond, "the new key is looked for")
}

func TestW5_W6_ABrowserSignsInAtAnotherProduct(t *testing.T) {
	c, p := behindForeign(t)
	c.node(t, "foreign.mjs", "walk", map[string]any{"provider": p.url}, nil)
	c.node(t, "foreign.mjs", "another", map[string]any{"provider": p.url}, nil)
	c.node(t, "foreign.mjs", "cancel", map[string]any{"provider": p.url}, nil)
}

func TestW4_ATokenOfTheGatesOwnFromAnotherProduct(t *testing.T) {
	c, p := behindForeign(t)
	injected := map[string]bool{}
	for range 3 {
		presented := p.token("https://api.example.com")
		status, body, _ := c.call("/robot/", presented)
		require.Equal(t, http.StatusOK, status, body)
		_, token, found := strings.Cut(body, "authorization=Bearer ")
		require.True(t, found, body)
		require.NotEqual(t, presented, token)
		injected[token] = true
	}
	require.Len(t, injected, 1, "one for everybody, kept as long as it is good")
}

// What README.md of examples/gateway has a person type and open.
func TestExample_Gateway(t *testing.T) {
	folder := filepath.Join("..", "examples", "gateway")
	c := prepare(t, read(t, folder, "Caddyfile"))
	for _, name := range []string{"warehouse.jwks.json", "warehouse.private.json", "partner.Caddyfile"} {
		require.NoError(t, os.WriteFile(filepath.Join(c.dir, name), []byte(c.ported(read(t, folder, name))), 0o600))
	}
	readme := c.ported(strings.ReplaceAll(read(t, folder, "README.md"), "~/.local/share", c.dir))
	typed := fenced(readme)["sh"]
	require.Len(t, typed, 4, "README.md has other commands than this test knows")
	binary, err := filepath.Abs(filepath.Join("..", ".build", "caddy"))
	require.NoError(t, err)
	partner := "http://localhost:" + c.port["8446"]
	launch(t, c.shell("exec "+strings.ReplaceAll(strings.TrimSpace(typed[1]), "../../caddy", binary)+" --adapter caddyfile"), func() bool {
		resp, err := http.Get(partner + "/health")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	c.run()
	require.Equal(t, "/api/orders\nuser: robot\nname: \nclient: robot\n", c.types(typed[2]))
	metadata := get(t, c.client(), c.gate()+"/.well-known/oauth-protected-resource/api")
	require.Equal(t, http.StatusOK, metadata.status, "RFC 9728")
	require.Contains(t, get(t, c.client(), c.gate()+"/api/orders").header.Get("WWW-Authenticate"), `resource_metadata="`+c.gate()+"/.well-known/oauth-protected-resource/api")
	require.Equal(t, "/partner/visit\nuser: \nname: \nclient: visitor\n", c.types(typed[2] + typed[3])[len("/api/orders\nuser: robot\nname: \nclient: robot\n"):])
	c.node(t, "foreign.mjs", "gateway", map[string]any{"partner": partner, "warehouse": "https://localhost:" + c.port["8445"]}, nil)
}

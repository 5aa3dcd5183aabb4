package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ports are the ones that our Caddyfiles use; tests put free ones in their place.
var ports = []string{"8443", "8444", "8445", "8446", "9000", "2019", "3389", "6274"}

// caddy is a Caddy with this plugin, run as an operator would, with a data folder of its own.
type caddy struct {
	*process
	t    testing.TB
	dir  string
	file string            // the Caddyfile's path
	port map[string]string // the port in the Caddyfile's source -> the one in use
	env  []string
}

// requireE2E leaves a test out where the programs that it drives are not to be expected.
func requireE2E(t testing.TB) {
	t.Helper()
	if os.Getenv("GATEWRIGHT_E2E") == "" {
		t.Skip("drives real programs: set GATEWRIGHT_E2E=1, or run ./xcaddy.sh test, which installs them")
	}
}

// prepare writes a Caddyfile with free ports in place of its own. env has variables for it.
func prepare(t testing.TB, source string, env ...string) *caddy {
	t.Helper()
	requireE2E(t)
	c := &caddy{t: t, dir: t.TempDir(), port: freePorts(t)}
	c.file = filepath.Join(c.dir, "Caddyfile")
	require.NoError(t, os.WriteFile(c.file, []byte(c.ported(source)), 0o600))
	c.cleaned()
	c.env = append(os.Environ(),
		"HOME="+c.dir, "XDG_DATA_HOME="+c.dir, "XDG_CONFIG_HOME="+c.dir, "CADDY_ADMIN=localhost:"+c.port["2019"])
	c.env = append(c.env, env...)
	return c
}

// cleaned has Caddy believe that its storage was cleaned a moment ago. As it starts it would remove the empty folder in
// which its first certificate is about to be, now and then, and try again in a minute.
func (c *caddy) cleaned() {
	storage := filepath.Join(c.dir, "caddy")
	require.NoError(c.t, os.MkdirAll(storage, 0o700))
	note := fmt.Sprintf(`{"tls":{"timestamp":%q}}`, time.Now().Format(time.RFC3339))
	require.NoError(c.t, os.WriteFile(filepath.Join(storage, "last_clean.json"), []byte(note), 0o600))
}

// ported is a text with the free ports in place of those that it names.
func (c *caddy) ported(text string) string {
	for from, to := range c.port {
		text = strings.ReplaceAll(text, ":"+from, ":"+to)
	}
	return text
}

// start prepares and runs a Caddyfile until the test ends.
func start(t testing.TB, source string, env ...string) *caddy {
	t.Helper()
	c := prepare(t, source, env...)
	c.run()
	return c
}

// run starts the process, and returns when its authorization server says that it is ready.
func (c *caddy) run() {
	c.t.Helper()
	c.process = launch(c.t, c.command(context.Background(), "run"), c.healthy)
}

// command is a command of Caddy's for this Caddyfile.
func (c *caddy) command(ctx context.Context, name string) *exec.Cmd {
	binary, err := filepath.Abs(filepath.Join("..", ".build", "caddy"))
	require.NoError(c.t, err)
	cmd := exec.CommandContext(ctx, binary, name, "--config", c.file, "--adapter", "caddyfile")
	cmd.Env, cmd.Dir = c.env, c.dir
	return cmd
}

// shell is what a person types, in the folder of the Caddyfile.
func (c *caddy) shell(commands string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), "bash", "-eu", "-o", "pipefail", "-c", commands)
	cmd.Env, cmd.Dir = c.env, c.dir
	return cmd
}

// types has the commands run to their end, and returns what they say.
func (c *caddy) types(commands string) string {
	c.t.Helper()
	cmd := c.shell(commands)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	output, err := cmd.Output()
	require.NoError(c.t, err, "%s\n%s%s", commands, output, &complaints)
	return string(output)
}

func (c *caddy) healthy() bool {
	if _, err := os.Stat(c.intermediateFile()); err != nil {
		return false // it comes after the root, which client needs
	}
	resp, err := c.client().Get(c.issuer() + "/health")
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

var issuerLine = regexp.MustCompile(`(?m)^\s*issuer (\S+)`)

// issuer is the URL of the authorization server, as the Caddyfile has it.
func (c *caddy) issuer() string {
	c.t.Helper()
	line := issuerLine.FindStringSubmatch(read(c.t, c.file))
	require.NotNil(c.t, line, "the Caddyfile has no issuer")
	return line[1]
}

// gate is the URL of the site with the gate.
func (c *caddy) gate() string { return "https://localhost:" + c.port["8444"] }

// rootFile and intermediateFile are the certificates of Caddy's own authority.
func (c *caddy) rootFile() string { return c.authority("root.crt") }

func (c *caddy) intermediateFile() string { return c.authority("intermediate.crt") }

func (c *caddy) authority(name string) string {
	return filepath.Join(c.dir, "caddy", "pki", "authorities", "local", name)
}

// client is an HTTP client that trusts Caddy's own authority, and those of others, and follows no redirects.
func (c *caddy) client(others ...*caddy) *http.Client {
	c.t.Helper()
	roots := x509.NewCertPool()
	for _, trusted := range append(others, c) {
		require.True(c.t, roots.AppendCertsFromPEM([]byte(read(c.t, trusted.rootFile()))))
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
		// Names below localhost are this machine to browsers, but not to every resolver.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// freePorts finds a free port for each of ports. They are below those that the system hands out by
// itself, so that no connection takes one before Caddy does.
func freePorts(t testing.TB) map[string]string {
	t.Helper()
	found := make(map[string]string, len(ports))
	if *update { // pictures show the ports that a reader has
		for _, name := range ports {
			found[name] = name
		}
		return found
	}
	port := 12000 + os.Getpid()%8000
	for _, name := range ports {
		for ; found[name] == ""; port++ {
			require.Less(t, port, 32768, "no port is free")
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				continue
			}
			defer func() { _ = listener.Close() }() // at the end, so that none is found twice
			found[name] = fmt.Sprint(port)
		}
	}
	return found
}

// example is the Caddyfile that `xcaddy.sh run` runs.
func example(t testing.TB) string { return read(t, "..", "Caddyfile.example") }

func read(t testing.TB, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(text)
}

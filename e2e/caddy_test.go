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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait; nothing here takes a tenth of it on a machine that does nothing else.
const patience = 60 * time.Second

// ports are the ones that our Caddyfiles use; tests put free ones in their place.
var ports = []string{"8443", "8444", "8445", "9000", "2019"}

// caddy is a Caddy with this plugin, run as an operator would, with a data folder of its own.
type caddy struct {
	t      testing.TB
	dir    string
	config string            // the Caddyfile's path
	port   map[string]string // the port in the Caddyfile's source -> the one in use
	env    []string
	exited chan struct{} // closed when the process has ended
	cmd    *exec.Cmd
	log    *bytes.Buffer // to be read only once the process has ended
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
	for from, to := range c.port {
		source = strings.ReplaceAll(source, ":"+from, ":"+to)
	}
	c.config = filepath.Join(c.dir, "Caddyfile")
	require.NoError(t, os.WriteFile(c.config, []byte(source), 0o600))
	c.env = append(os.Environ(), append(env,
		"HOME="+c.dir, "XDG_DATA_HOME="+c.dir, "XDG_CONFIG_HOME="+c.dir, "CADDY_ADMIN=localhost:"+c.port["2019"])...)
	return c
}

// start prepares and runs a Caddyfile until the test ends.
func start(t testing.TB, source string, env ...string) *caddy {
	t.Helper()
	c := prepare(t, source, env...)
	c.run()
	t.Cleanup(func() {
		c.end(os.Interrupt)
		if t.Failed() {
			t.Logf("caddy:\n%s", c.log)
		}
	})
	return c
}

// run starts the process and waits until its authorization server says that it is ready.
func (c *caddy) run() {
	c.t.Helper()
	c.log, c.exited = new(bytes.Buffer), make(chan struct{})
	c.cmd = c.command(context.Background(), "run")
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	require.NoError(c.t, c.cmd.Start())
	go func() {
		defer close(c.exited)
		_ = c.cmd.Wait() // the status is not ours to judge: tests kill it
	}()
	c.awaitHealth()
}

// command is a command of Caddy's, for this configuration.
func (c *caddy) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	binary, err := filepath.Abs(filepath.Join("..", ".build", "caddy"))
	require.NoError(c.t, err)
	args = append([]string{name, "--config", c.config, "--adapter", "caddyfile"}, args...)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir = c.env, c.dir
	return cmd
}

func (c *caddy) awaitHealth() {
	c.t.Helper()
	again, late := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		select {
		case <-c.exited:
			require.Fail(c.t, "caddy ended", c.log)
		case <-late:
			c.end(syscall.SIGKILL)
			require.Fail(c.t, "caddy was not ready in time", c.log)
		case <-again.C:
			if c.healthy() {
				return
			}
		}
	}
}

func (c *caddy) healthy() bool {
	roots := x509.NewCertPool()
	root, err := os.ReadFile(c.rootFile())
	if err != nil || !roots.AppendCertsFromPEM(root) {
		return false
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	resp, err := client.Get(c.issuer() + "/health")
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// end ends the process by a signal and waits until it is gone.
func (c *caddy) end(signal os.Signal) {
	_ = c.cmd.Process.Signal(signal) // it may have ended already
	<-c.exited
}

// issuer is the URL of the authorization server.
func (c *caddy) issuer() string { return "https://localhost:" + c.port["8443"] }

// gate is the URL of the site with the gate.
func (c *caddy) gate() string { return "https://localhost:" + c.port["8444"] }

// rootFile and intermediateFile are the certificates of Caddy's own authority.
func (c *caddy) rootFile() string { return c.authority("root.crt") }

func (c *caddy) intermediateFile() string { return c.authority("intermediate.crt") }

func (c *caddy) authority(name string) string {
	return filepath.Join(c.dir, "caddy", "pki", "authorities", "local", name)
}

// client is an HTTP client that trusts Caddy's own authority and follows no redirect.
func (c *caddy) client() *http.Client {
	c.t.Helper()
	roots := x509.NewCertPool()
	root, err := os.ReadFile(c.rootFile())
	require.NoError(c.t, err)
	require.True(c.t, roots.AppendCertsFromPEM(root))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
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

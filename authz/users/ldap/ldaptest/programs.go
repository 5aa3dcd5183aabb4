package ldaptest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Program finds a program, also where only root has its folder on the PATH. Without it the test ends.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil && os.Getenv("GATEWRIGHT_E2E") == "" {
		t.Skipf("needs %s: install it, or run ./xcaddy.sh test, which does", name)
	}
	require.NoError(t, err)
	return path
}

// Needs ends a test that takes long, or many programs, where GATEWRIGHT_E2E is not set, or without its programs.
func Needs(t testing.TB, programs ...string) {
	t.Helper()
	if os.Getenv("GATEWRIGHT_E2E") == "" {
		t.Skip("drives real programs: set GATEWRIGHT_E2E=1, or run ./xcaddy.sh test, which installs them")
	}
	for _, program := range programs {
		Program(t, program)
	}
}

// Run runs a program that must succeed, and returns what it says.
func Run(t testing.TB, program string, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), Program(t, program), arguments...).CombinedOutput()
	require.NoError(t, err, "%s: %s", program, out)
	return string(out)
}

// portsFound counts the ports that this process looked at; processes begin apart.
var portsFound atomic.Int64

// FreePort is an address on loopback where nobody listens now. Its port is below those from which systems take the
// near ends of outgoing connections and the ports of who asks for any, so that none of those lands on it in between.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+(int64(os.Getpid())*97+portsFound.Add(1))%12_000))
		if err == nil {
			require.NoError(t, l.Close())
			return l.Addr().String()
		}
	}
	require.Fail(t, "no port is free")
	return ""
}

// Repository is the path of a file of this repository, whichever package is tested.
func Repository(t testing.TB, path string) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, path)
		}
		require.NotEqual(t, filepath.Dir(dir), dir, "no go.mod above the test")
		dir = filepath.Dir(dir)
	}
}

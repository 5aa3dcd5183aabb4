package caddymodule

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// caddyCommand is this test binary as the program caddy.
func (w *world) caddyCommand(args ...string) *exec.Cmd {
	w.t.Helper()
	file := filepath.Join(w.dir, "Caddyfile")
	require.NoError(w.t, os.WriteFile(file, []byte(w.caddyfile()), 0o600))
	cmd := exec.Command(os.Args[0], append(args, "--config", file, "--adapter", "caddyfile")...)
	cmd.Env = append(os.Environ(), asCaddy+"=1", "XDG_DATA_HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir)
	return cmd
}

// run starts Caddy in a process of its own and waits until it serves.
func (w *world) run() *exec.Cmd {
	w.t.Helper()
	cmd := w.caddyCommand("run")
	require.NoError(w.t, cmd.Start())
	w.t.Cleanup(func() { _ = cmd.Process.Kill() })
	client := w.browser()
	eventually(w.t, "Caddy serves", func() bool {
		status, _, _, err := navigate(client, w.issuer+"/health")
		_, _, _, appErr := navigate(client, w.app+"/") // its sites begin to listen one after the other
		return err == nil && status == http.StatusOK && appErr == nil
	})
	return cmd
}

func TestO4_StateSurvivesKill(t *testing.T) {
	w := newWorld(t)
	first := w.run()
	client := w.openApp()
	code := w.code(client)
	token, err := w.robotToken()
	require.NoError(t, err)
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait(), "it was killed")

	w.run()
	status, _, body, err := navigate(client, w.app+"/page")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "user=alice", body, "the session")
	answered, err := w.redeem(code)
	require.NoError(t, err, "the code")
	require.NotEmpty(t, answered["access_token"])
	status, _, err = w.api(client, token)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "the keys")
}

func TestO4_ValidateBesideARunningServerWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.run()
	client := w.openApp()
	before := w.files()
	output, err := w.caddyCommand("validate").CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "Valid configuration")
	require.Equal(t, before, w.files())

	status, _, body, err := navigate(client, w.app+"/page")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "user=alice", body)
}

func TestO4_ValidateAloneMakesNothing(t *testing.T) {
	w := newWorld(t)
	output, err := w.caddyCommand("validate").CombinedOutput()
	require.NoError(t, err, string(output))
	for name := range w.files() {
		require.NotContains(t, name, "state.db")
		require.NotContains(t, name, "keys")
	}
}

// files are the contents of all that Caddy keeps: the store, the keys and what else lies beside them.
func (w *world) files() map[string][sha256.Size]byte {
	w.t.Helper()
	sums := make(map[string][sha256.Size]byte)
	err := filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".log") || entry.Name() == "Caddyfile" {
			return err
		}
		content, err := os.ReadFile(path)
		sums[path] = sha256.Sum256(content)
		return err
	})
	require.NoError(w.t, err)
	return sums
}

func TestExampleLoads(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("testdata", "adapt", "example.caddyfiletest"))
	require.NoError(t, err)
	example, _, found := strings.Cut(string(content), separator)
	require.True(t, found)
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	private := jose.JSONWebKey{Key: key, KeyID: "rs2-key", Use: "enc"}
	for name, jwk := range map[string]jose.JSONWebKey{"rs2.jwks.json": private.Public(), "rs2.private.json": private} {
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk}})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), set, 0o600))
	}
	file := filepath.Join(dir, "Caddyfile")
	require.NoError(t, os.WriteFile(file, []byte(example+"\n"), 0o600))
	cmd := exec.Command(os.Args[0], "validate", "--config", file)
	cmd.Env = append(os.Environ(), asCaddy+"=1", "DIR="+dir, "ALICE_HASH="+hash, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "Valid configuration")
}

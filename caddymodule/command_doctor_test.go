package caddymodule

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// clinic is a configuration with people in a directory, for the real `caddy authz doctor`.
type clinic struct {
	t      *testing.T
	dir    string
	people []string // lines of users ldap
	more   string   // of the authz block
}

func newClinic(t *testing.T, s *ldaptest.Slapd, people ...string) *clinic {
	t.Helper()
	return &clinic{t: t, dir: t.TempDir(), people: append([]string{
		"tls_ca " + s.Cert, "bind " + ldaptest.Account + " " + ldaptest.Password, "base ou=people," + ldaptest.Base,
		"grant_attribute", "timeout 2s",
	}, people...)}
}

func (c *clinic) command(args ...string) *exec.Cmd {
	c.t.Helper()
	file := filepath.Join(c.dir, "Caddyfile")
	require.NoError(c.t, os.WriteFile(file, []byte(`{
	admin off
	persist_config off
	storage file_system `+c.dir+`/caddy
	log {
		output file `+c.dir+`/caddy.log
	}
	authz {
		issuer https://login.example.com
		storage bolt `+c.dir+`/state.db
		users ldap {
			`+strings.Join(c.people, "\n\t\t\t")+`
		}
		`+c.more+`
	}
}
`), 0o600))
	cmd := exec.Command(os.Args[0], append(args, "--config", file)...)
	cmd.Env = append(os.Environ(), asCaddy+"=1", "XDG_DATA_HOME="+c.dir, "XDG_CONFIG_HOME="+c.dir)
	return cmd
}

// doctor is what the doctor says, in lines of single spaces, and its exit code. It never says a secret, and changes nothing.
func (c *clinic) doctor() (said string, code int) {
	c.t.Helper()
	cmd := c.command("authz", "doctor")
	before := (&world{t: c.t, dir: c.dir}).files()
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(c.t, err, &exit)
		code = exit.ExitCode()
	}
	require.Equal(c.t, before, (&world{t: c.t, dir: c.dir}).files())
	require.NotContains(c.t, string(output), ldaptest.Password)
	var lines []string
	for line := range strings.Lines(string(output)) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n") + "\n", code
}

func TestO3_DoctorFindsNothingWrong(t *testing.T) {
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	said, code := newClinic(t, s, "server "+s.TLS).doctor()
	require.Zero(t, code, said)
	require.True(t, strings.HasPrefix(said, "\nauthz default: https://login.example.com\n"), said)
	for _, line := range []string{
		"ok signing no keys yet: the first start makes them",
		"ok file not there yet: the first start makes it",
		"directory " + s.TLS,
		"ok connection encrypted",
		"ok service account " + ldaptest.Account,
		"ok people base and filter find people",
		"ok subject attribute entryUUID can be read",
		"ok password change can be seen",
		"ok schema nidsOAuthGrant is there",
		"ok write access the service account may write nidsOAuthGrant",
		"All is well.",
	} {
		require.Contains(t, said, "\n"+line+"\n")
	}
	require.NotContains(t, said, "->")
}

func TestO3_DoctorNamesWhatIsWrong(t *testing.T) {
	good := ldaptest.StartSlapd(t, ldaptest.Options{})
	plain := ldaptest.StartSlapd(t, ldaptest.Options{Plain: true})
	readonly := ldaptest.StartSlapd(t, ldaptest.Options{NoGrants: true})
	for name, test := range map[string]struct {
		server, trusts *ldaptest.Slapd
		people         []string
		fault, fix     string
	}{
		"no schema":    {plain, plain, nil, "FAIL schema", "-> ldapadd -Y EXTERNAL -H ldapi:/// -f examples/ldap/schema/openldap/gatewright.ldif"},
		"not writable": {readonly, readonly, nil, "FAIL write access", "-> ldapmodify -Y EXTERNAL -H ldapi:/// -f examples/ldap/schema/openldap/access.ldif"},
		"wrong CA":     {good, plain, nil, "FAIL connection", "-> tls_ca <file> with the CA of the server"},
		"one server of two is down": {
			good, good, []string{"server ldap://" + ldaptest.FreePort(t)}, "FAIL connection", "-> start the server",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t, test.trusts, append(test.people, "server "+test.server.TLS)...)
			said, code := c.doctor()
			require.Equal(t, 1, code, said)
			require.Contains(t, said, "\n"+test.fault)
			require.Contains(t, said, "\n"+test.fix)
			require.Contains(t, said, "\n1 fault, 0 warnings.\n")
			require.Equal(t, 1, strings.Count(said, "FAIL"), said)
		})
	}
}

func TestO3_DoctorRefusesWhatDoesNotLoad(t *testing.T) {
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	c := newClinic(t, s, "server "+s.TLS, "no_such_word")
	said, code := c.doctor()
	require.Equal(t, 1, code)
	require.Contains(t, said, "FAIL load")
	require.Contains(t, said, "no_such_word")
}

// S12: what was warned of when the configuration was loaded.
func TestS12_DoctorRepeatsTheWarning(t *testing.T) {
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	c := newClinic(t, s, "server "+s.TLS)
	c.more = "attribute_set a {\n mail mailbox\n}\nresource_server b {\n scope nosy {\n attribute mailbox\n}\n}"
	said, code := c.doctor()
	require.Zero(t, code, "a warning")
	require.Contains(t, said, "warn scope nosy gives attributes of a person without asking")
	require.Contains(t, said, "-> require_consent in scope nosy of resource_server b")
	require.Contains(t, said, "0 faults, 1 warning.")
}

// run starts the clinic's Caddy, and waits until it has its store.
func (c *clinic) run() *exec.Cmd {
	c.t.Helper()
	cmd := c.command("run")
	require.NoError(c.t, cmd.Start())
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(c.t, func() bool { return strings.Contains(c.log(), "serving initial configuration") }, 20*time.Second, 20*time.Millisecond)
	return cmd
}

func (c *clinic) log() string {
	content, _ := os.ReadFile(filepath.Join(c.dir, "caddy.log"))
	return string(content)
}

func TestO3_DoctorBesideARunningServer(t *testing.T) {
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	c := newClinic(t, s, "server "+s.TLS)
	server := c.run()
	said, code := c.doctor()
	require.Zero(t, code, said)
	require.Contains(t, said, "ok file open in a running server, so not looked into")
	require.Contains(t, said, "ok signing ES256, RS256")

	require.NoError(t, server.Process.Kill())
	require.Error(t, server.Wait(), "it was killed")
	said, code = c.doctor()
	require.Zero(t, code, said)
	require.Contains(t, said, "ok file can be read")

	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "state.db"), []byte("no store"), 0o644))
	require.NoError(t, os.Chmod(filepath.Join(c.dir, "state.db"), 0o644))
	require.NoError(t, filepath.WalkDir(filepath.Join(c.dir, "caddy", "authz"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Name() == "keys.json" {
			err = os.WriteFile(path, []byte("{}"), 0o600)
		}
		return err
	}))
	said, code = c.doctor()
	require.Equal(t, 1, code)
	require.Contains(t, said, "FAIL file ")
	require.Contains(t, said, "warn mode 0644")
	require.Contains(t, said, "FAIL signing ")
	require.Contains(t, said, "\n2 faults, 1 warning.\n")
}

// U6: a definite no is an error at start, unless revocation is off, and a directory that is away is none.
func TestU6_StartAsksWhetherGrantsCanBeWritten(t *testing.T) {
	for name, test := range map[string]struct {
		options ldaptest.Options
		step    string
	}{
		"no schema":    {ldaptest.Options{Plain: true}, "openldap/gatewright.ldif"},
		"not writable": {ldaptest.Options{NoGrants: true}, "openldap/access.ldif"},
	} {
		t.Run(name, func(t *testing.T) {
			s := ldaptest.StartSlapd(t, test.options)
			c := newClinic(t, s, "server "+s.TLS)
			var exit *exec.ExitError
			require.ErrorAs(t, c.command("run").Run(), &exit)
			require.Contains(t, c.log(), "consents and refresh families can't be written")
			require.Contains(t, c.log(), test.step)
			require.NotContains(t, c.log(), ldaptest.Password)
		})
	}
	t.Run("not writable, revocation off", func(t *testing.T) {
		s := ldaptest.StartSlapd(t, ldaptest.Options{NoGrants: true})
		c := newClinic(t, s, "server "+s.TLS)
		c.more = "revocation off"
		c.run()
		require.Contains(t, c.log(), "consents and refresh families can't be written")
	})
	t.Run("away", func(t *testing.T) {
		s := ldaptest.StartSlapd(t, ldaptest.Options{})
		s.Stop()
		c := newClinic(t, s, "server "+s.TLS)
		c.run()
		require.Contains(t, c.log(), "can't be asked now")
		s.Again(t)
		require.Eventually(t, func() bool { return strings.Contains(c.log(), "families can be written in the directory") }, 40*time.Second, 50*time.Millisecond)
	})
}

package ldap

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// ds389 is a 389 Directory Server of one test's own. Its installer takes every path from one file, and that
// file from $PREFIX: so nothing is written outside the test's folder.
type ds389 struct {
	url  string
	conn *ldap.Conn
}

// systemPaths are those that belong to an instance in that file.
var systemPaths = regexp.MustCompile(`= (/etc|/var|/run|/tmp|/dev/shm|/usr/lib/x86_64-linux-gnu/dirsrv/slapd-)`)

func start389(t *testing.T) *ds389 {
	t.Helper()
	ldaptest.Needs(t, "dscreate", "ns-slapd", "ldapmodify")
	dir := t.TempDir()
	defaults, err := os.ReadFile("/usr/share/dirsrv/inf/defaults.inf")
	require.NoError(t, err)
	account := "dirsrv" // root is not allowed to run the server
	if os.Geteuid() != 0 {
		me, err := user.Current()
		require.NoError(t, err)
		account = me.Username
	}
	settings := systemPaths.ReplaceAllString(string(defaults), "= "+dir+"$1")
	for setting, value := range map[string]string{"with_systemd": "0", "user": account, "group": account} {
		settings = regexp.MustCompile(`(?m)^`+setting+` = .*$`).ReplaceAllString(settings, setting+" = "+value)
	}
	write(t, filepath.Join(dir, "share/dirsrv/inf/defaults.inf"), settings)
	for _, folder := range []string{"etc/default", "etc/tmpfiles.d", "run/dirsrv", "run/lock/dirsrv", "tmp", "dev/shm", "var/log/dirsrv", "var/lib/dirsrv", "usr/lib/x86_64-linux-gnu/dirsrv"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	ldaptest.Run(t, "cp", "-r", "/etc/dirsrv", filepath.Join(dir, "etc"))
	ldaptest.Run(t, "cp", "../../../examples/ldap/schema/389ds/99gatewright.ldif", filepath.Join(dir, "etc/dirsrv/schema"))
	port, secure := ldaptest.FreePort(t), ldaptest.FreePort(t)
	write(t, filepath.Join(dir, "instance.inf"), strings.Join([]string{
		"[general]", "config_version = 2", "full_machine_name = localhost", "strict_host_checking = False", "systemd = False", "start = True",
		"[slapd]", "instance_name = t", "root_password = directory-manager", "self_sign_cert = False",
		"port = " + portOf(port), "secure_port = " + portOf(secure), "[backend-userroot]", "suffix = " + testBase, "",
	}, "\n"))
	if os.Geteuid() == 0 {
		ldaptest.Run(t, "chown", "-R", account+":"+account, dir)
		// The folder above the test's own one is as closed as the umask made it.
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	}
	create := exec.CommandContext(t.Context(), "dscreate", "from-file", filepath.Join(dir, "instance.inf"))
	create.Env = append(os.Environ(), "PREFIX="+dir)
	out, err := create.CombinedOutput()
	t.Cleanup(func() { end(t, filepath.Join(dir, "run/dirsrv/slapd-t.pid")) })
	require.NoError(t, err, "%s", out)

	s := &ds389{url: "ldap://127.0.0.1:" + portOf(port)}
	s.conn, err = ldap.DialURL(s.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.conn.Close() })
	require.NoError(t, s.conn.Bind("cn=Directory Manager", "directory-manager"))
	return s
}

func portOf(address string) string { return address[strings.LastIndex(address, ":")+1:] }

func write(t *testing.T, file, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
}

// end kills the server, which is nobody's child any more, and waits until it is gone.
func end(t *testing.T, pidFile string) {
	t.Helper()
	pid, err := os.ReadFile(pidFile)
	if os.IsNotExist(err) {
		return
	}
	require.NoError(t, err)
	id, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(id, syscall.SIGKILL))
	require.Eventually(t, func() bool {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(id) + "/stat")
		return err != nil || bytes.Contains(status, []byte(") Z "))
	}, 10*time.Second, 10*time.Millisecond)
}

func (s *ds389) load(t *testing.T) {
	t.Helper()
	for _, arguments := range [][]string{{"-a", "-f", "testdata/people389.ldif"}, {"-f", "../../../examples/ldap/schema/389ds/access.ldif"}} {
		ldaptest.Run(t, "ldapmodify", append([]string{"-x", "-H", s.url, "-D", "cn=Directory Manager", "-w", "directory-manager"}, arguments...)...)
	}
	for setting, value := range map[string]string{"passwordTrackUpdateTime": "on", "passwordLockout": "on", "passwordMaxFailure": "2", "passwordMustChange": "on", "passwordExp": "on"} {
		ldaptest.Replace(t, s.conn, "cn=config", setting, value)
	}
}

// One server for all: it takes seconds to make.
func TestU7_389DirectoryServer(t *testing.T) {
	s := start389(t)
	s.load(t)
	d := open(t, Config{
		Servers: []string{s.url}, BindDN: testAccount, Password: testPassword, Base: "ou=people," + testBase, Timeout: 10 * time.Second, GrantAttribute: grantAttribute,
	})
	require.NoError(t, d.Health(bounded(t)))
	t.Run("check", func(t *testing.T) {
		wrong := failed(d.Check(bounded(t)))
		require.Contains(t, wrong, "password change", "nobody has changed a password since it is tracked")
		require.Len(t, wrong, 1)
	})
	t.Run("sign in", func(t *testing.T) { s.signsIn(t, d) })
	t.Run("reasons", func(t *testing.T) { s.givesReasons(t, d) })
	t.Run("grants", func(t *testing.T) { s.keepsGrants(t, d) })
}

func (s *ds389) signsIn(t *testing.T, d *Directory) {
	id := ldaptest.Read(t, s.conn, alice, "nsUniqueId").GetAttributeValue("nsUniqueId")
	for _, name := range []string{"ALICE", "alice@example.org"} {
		u, err := signIn(t, d, name, "alice-pw-1")
		require.NoError(t, err)
		require.Equal(t, id, u.Subject)
		require.Equal(t, "alice", u.Username)
	}
	_, err := signIn(t, d, "alice", "wrong")
	require.ErrorIs(t, err, users.ErrCredentials)
	_, err = d.Lookup(bounded(t), id)
	require.NoError(t, err)
}

func (s *ds389) givesReasons(t *testing.T, d *Directory) {
	bob := "uid=bob,ou=people," + testBase
	u, err := signIn(t, d, "bob", "bob-pw-1")
	require.NoError(t, err)
	lookup := func() (*users.User, error) { return d.Lookup(bounded(t), u.Subject) }

	ldaptest.Replace(t, s.conn, bob, "nsAccountLock", "true")
	for _, password := range []string{"wrong", "bob-pw-1"} {
		_, err := signIn(t, d, "bob", password)
		require.Equal(t, users.ErrCredentials, err, "the server tells it before it looks at the password")
	}
	_, err = lookup()
	require.ErrorIs(t, err, users.ErrDisabled)
	ldaptest.Replace(t, s.conn, bob, "nsAccountLock")

	ldaptest.Replace(t, s.conn, bob, "passwordExpirationTime", "20200101000000Z")
	_, err = signIn(t, d, "bob", "wrong")
	require.Equal(t, users.ErrCredentials, err)
	_, err = signIn(t, d, "bob", "bob-pw-1")
	require.Equal(t, users.ErrPasswordExpired, err)

	ldaptest.Replace(t, s.conn, bob, "userPassword", "bob-pw-2")
	require.Eventually(t, func() bool { // the server answers first and notes the change then
		return ldaptest.Read(t, s.conn, bob, "passwordExpirationTime").GetAttributeValue("passwordExpirationTime") == "19700101000000Z"
	}, 10*time.Second, time.Millisecond)
	_, err = signIn(t, d, "bob", "bob-pw-2")
	require.Equal(t, users.ErrMustChange, err, "an administrator set it")
	fresh, err := lookup()
	require.NoError(t, err)
	require.NotEqual(t, u.PasswordStamp, fresh.PasswordStamp, "E3: a changed password")

	for range 3 {
		_, err = signIn(t, d, "bob", "wrong")
		require.Equal(t, users.ErrCredentials, err)
	}
	_, err = signIn(t, d, "bob", "bob-pw-2")
	require.Equal(t, users.ErrCredentials, err)
	_, err = lookup()
	require.ErrorIs(t, err, users.ErrLocked)
}

func (s *ds389) keepsGrants(t *testing.T, d *Directory) {
	id := ldaptest.Read(t, s.conn, alice, "nsUniqueId").GetAttributeValue("nsUniqueId")
	a, ctx := d.Attribute(grantAttribute), bounded(t)
	require.NoError(t, a.Probe(ctx, id))
	require.ErrorIs(t, d.Attribute("mail").Probe(ctx, id), ErrNoAccess)
	require.ErrorIs(t, d.Attribute("noSuchThing").Probe(ctx, id), ErrNoSchema)
	var writers sync.WaitGroup
	for range 10 { // several find the attribute and the object class missing at once
		writers.Go(func() { increment(t, a, id) })
	}
	writers.Wait()
	value, err := a.Read(ctx, id)
	require.NoError(t, err)
	require.Equal(t, "10", string(value))
	require.NoError(t, a.Swap(ctx, id, value, []byte{0, 0xff}))
	require.ErrorIs(t, a.Swap(ctx, id, value, []byte("x")), ErrConflict)
	require.NoError(t, a.Probe(ctx, ""))

	own, err := ldap.DialURL(s.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = own.Close() })
	require.NoError(t, own.Bind(alice, "alice-pw-1"))
	result, err := own.Search(ldap.NewSearchRequest(alice, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{grantAttribute}, nil))
	require.NoError(t, err)
	for _, entry := range result.Entries {
		require.Empty(t, entry.GetAttributeValues(grantAttribute), "even the person doesn't read it")
	}
}

package ldaptest

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	_ "embed"
)

// The domain of a Samba. People are below ADUsers; Add gives each the password "<name>.Secret.1".
const (
	ADBase     = "DC=ad,DC=example,DC=org"
	ADUsers    = "CN=Users," + ADBase
	ADAdmin    = "Administrator@ad.example.org"
	ADPassword = "Passw0rd.123" // the administrator's
)

//go:embed smb.conf
var smbConf []byte

// Samba is an Active Directory domain controller of one test's own. Its ports are fixed, so it listens on a
// socket alone: the address it is told to bind is no interface's.
type Samba struct {
	Dir  string
	URL  string     // ldapi://
	Conn *ldap.Conn // as the administrator
	conf string
}

// StartSamba provisions a domain, which takes seconds: share it between subtests.
func StartSamba(t testing.TB) *Samba {
	t.Helper()
	Needs(t, "samba", "samba-tool", "ldapmodify")
	dir := t.TempDir()
	Run(t, "samba-tool", "domain", "provision", "--realm=AD.EXAMPLE.ORG", "--domain=EXAMPLE", "--server-role=dc", "--dns-backend=NONE",
		"--adminpass="+ADPassword, "--host-name=dc1", "--host-ip=127.0.0.1", "--targetdir="+dir, "--option=interfaces=lo", "--option=bind interfaces only=yes")
	s := &Samba{Dir: dir, conf: filepath.Join(dir, "smb.conf"), URL: "ldapi://" + url.PathEscape(filepath.Join(dir, "private", "ldapi"))}
	for _, folder := range []string{"cache", "ncalrpc"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	require.NoError(t, os.WriteFile(s.conf, bytes.ReplaceAll(smbConf, []byte("DIR"), []byte(dir)), 0o600))
	s.start(t)
	t.Cleanup(func() { _ = s.Conn.Close() })
	require.NoError(t, s.Conn.Bind(ADAdmin, ADPassword))
	return s
}

func (s *Samba) start(t testing.TB) {
	t.Helper()
	process := exec.Command("samba", "-F", "--no-process-group", "--debug-stdout", "-M", "single", "-s", s.conf)
	var said bytes.Buffer
	process.Stdout, process.Stderr = &said, &said
	var err error
	process.Stdin, err = os.Open(os.DevNull)
	require.NoError(t, err)
	require.NoError(t, process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	require.Eventually(t, func() bool {
		s.Conn, err = ldap.DialURL(s.URL)
		return err == nil
	}, 30*time.Second, 20*time.Millisecond, "samba does not listen")
}

// Extend loads the schema that this repository ships, and lets the service account gatewright, which Add has
// made, write the attribute.
func (s *Samba) Extend(t testing.TB) {
	t.Helper()
	schema, err := os.ReadFile(Repository(t, "examples/ldap/schema/active-directory/gatewright.ldf"))
	require.NoError(t, err)
	modify := exec.CommandContext(t.Context(), "ldapmodify", "-x", "-H", s.URL, "-D", ADAdmin, "-w", ADPassword)
	modify.Stdin = strings.NewReader(strings.ReplaceAll(string(schema), "DC=X", ADBase))
	out, err := modify.CombinedOutput()
	require.NoError(t, err, "%s", out)
	account := Run(t, "samba-tool", "user", "show", "gatewright", "--attributes=objectSid", "-H", s.database(), "-s", s.conf)
	sid := regexp.MustCompile(`(?m)^objectSid: (S-[0-9-]+)$`).FindStringSubmatch(account)
	require.NotNil(t, sid, account)
	Run(t, "samba-tool", "dsacl", "set", "--objectdn="+ADUsers, "--action=allow", "-H", s.database(), "-s", s.conf,
		"--sddl=(OA;CI;RPWPCR;f948b348-aea7-4992-b309-5cdd563956ed;;"+sid[1]+")")
}

func (s *Samba) database() string { return filepath.Join(s.Dir, "private", "sam.ldb") }

// UnicodePwd is how Active Directory takes a password ([MS-ADTS] §3.1.1.3.1.5).
func UnicodePwd(password string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(`"` + password + `"`)) {
		b.WriteByte(byte(unit))
		b.WriteByte(byte(unit >> 8))
	}
	return b.String()
}

// Add makes a person.
func (s *Samba) Add(t testing.TB, name string) {
	t.Helper()
	require.NoError(t, s.Conn.Add(&ldap.AddRequest{DN: "CN=" + name + "," + ADUsers, Attributes: []ldap.Attribute{
		{Type: "objectClass", Vals: []string{"user"}},
		{Type: "sAMAccountName", Vals: []string{name}},
		{Type: "userPrincipalName", Vals: []string{name + "@ad.example.org"}},
		{Type: "mail", Vals: []string{name + "@mail.example.org"}},
		{Type: "unicodePwd", Vals: []string{UnicodePwd(name + ".Secret.1")}},
		{Type: "userAccountControl", Vals: []string{"512"}},
	}}))
}

// Group makes a group of one.
func (s *Samba) Group(t testing.TB, name, member string) {
	t.Helper()
	require.NoError(t, s.Conn.Add(&ldap.AddRequest{DN: "CN=" + name + "," + ADUsers, Attributes: []ldap.Attribute{
		{Type: "objectClass", Vals: []string{"group"}},
		{Type: "sAMAccountName", Vals: []string{name}},
		{Type: "member", Vals: []string{"CN=" + member + "," + ADUsers}},
	}}))
}

// Change replaces the values of an attribute, as the administrator.
func (s *Samba) Change(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	Replace(t, s.Conn, dn, attribute, values...)
}

// Lock guesses a person's password until the domain locks the account.
func (s *Samba) Lock(t testing.TB, name string) {
	t.Helper()
	s.Change(t, ADBase, "lockoutThreshold", "2")
	c, err := ldap.DialURL(s.URL)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	for range 3 {
		require.True(t, ldap.IsErrorWithCode(c.Bind(name+"@ad.example.org", "wrong"), ldap.LDAPResultInvalidCredentials))
	}
}

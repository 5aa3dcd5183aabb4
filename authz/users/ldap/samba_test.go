package ldap

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
)

const (
	adBase  = "DC=ad,DC=example,DC=org"
	adUsers = "CN=Users," + adBase
	adAdmin = "Administrator@ad.example.org"
	adWord  = "Passw0rd.123"
)

// samba is an Active Directory domain controller of one test's own. Its ports are fixed, so it listens on a
// socket alone: the address it is told to bind is no interface's.
type samba struct {
	dir, conf, url string
	conn           *ldap.Conn
}

// needs fails without a program where the whole suite runs, and skips elsewhere.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv("GATEWRIGHT_E2E") == "" {
		t.Skip("drives real programs: set GATEWRIGHT_E2E=1, or run ./xcaddy.sh test, which installs them")
	}
	for _, program := range programs {
		_, err := exec.LookPath(program)
		require.NoError(t, err)
	}
}

func startSamba(t *testing.T) *samba {
	t.Helper()
	needs(t, "samba", "samba-tool", "ldapmodify")
	dir := t.TempDir()
	run(t, "samba-tool", "domain", "provision", "--realm=AD.EXAMPLE.ORG", "--domain=EXAMPLE", "--server-role=dc", "--dns-backend=NONE",
		"--adminpass="+adWord, "--host-name=dc1", "--host-ip=127.0.0.1", "--targetdir="+dir, "--option=interfaces=lo", "--option=bind interfaces only=yes")
	s := &samba{dir: dir, conf: filepath.Join(dir, "smb.conf")}
	s.url = "ldapi://" + url.PathEscape(filepath.Join(dir, "private", "ldapi"))
	for _, folder := range []string{"cache", "ncalrpc"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	settings, err := os.ReadFile("testdata/smb.conf")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.conf, bytes.ReplaceAll(settings, []byte("DIR"), []byte(dir)), 0o600))

	process := exec.Command("samba", "-F", "--no-process-group", "--debug-stdout", "-M", "single", "-s", s.conf)
	var said bytes.Buffer
	process.Stdout, process.Stderr = &said, &said
	process.Stdin, err = os.Open(os.DevNull)
	require.NoError(t, err)
	require.NoError(t, process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	require.Eventually(t, func() bool {
		s.conn, err = ldap.DialURL(s.url)
		return err == nil
	}, 30*time.Second, 20*time.Millisecond, "samba does not listen")
	t.Cleanup(func() { _ = s.conn.Close() })
	require.NoError(t, s.conn.Bind(adAdmin, adWord))
	return s
}

func run(t *testing.T, program string, arguments ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, arguments...).CombinedOutput()
	require.NoError(t, err, "%s: %s", program, out)
}

// extend loads the schema that this repository ships, and lets the service account write the attribute.
func (s *samba) extend(t *testing.T) {
	t.Helper()
	schema, err := os.ReadFile("../../../examples/ldap/schema/active-directory/gatewright.ldf")
	require.NoError(t, err)
	modify := exec.CommandContext(t.Context(), "ldapmodify", "-x", "-H", s.url, "-D", adAdmin, "-w", adWord)
	modify.Stdin = strings.NewReader(strings.ReplaceAll(string(schema), "DC=X", adBase))
	out, err := modify.CombinedOutput()
	require.NoError(t, err, "%s", out)
	result := read(t, s.conn, "CN=gatewright,"+adUsers, "objectSid")
	run(t, "samba-tool", "dsacl", "set", "--objectdn="+adUsers, "--action=allow", "-H", filepath.Join(s.dir, "private", "sam.ldb"), "-s", s.conf,
		"--sddl=(OA;CI;RPWPCR;f948b348-aea7-4992-b309-5cdd563956ed;;"+toText("objectSid", result.GetRawAttributeValue("objectSid"))+")")
}

// adPassword is how Active Directory takes one ([MS-ADTS] §3.1.1.3.1.5).
func adPassword(password string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(`"` + password + `"`)) {
		b.WriteByte(byte(unit))
		b.WriteByte(byte(unit >> 8))
	}
	return b.String()
}

func (s *samba) add(t *testing.T, name string) {
	t.Helper()
	require.NoError(t, s.conn.Add(&ldap.AddRequest{DN: "CN=" + name + "," + adUsers, Attributes: []ldap.Attribute{
		{Type: "objectClass", Vals: []string{"user"}},
		{Type: "sAMAccountName", Vals: []string{name}},
		{Type: "userPrincipalName", Vals: []string{name + "@ad.example.org"}},
		{Type: "mail", Vals: []string{name + "@mail.example.org"}},
		{Type: "unicodePwd", Vals: []string{adPassword(name + ".Secret.1")}},
		{Type: "userAccountControl", Vals: []string{"512"}},
	}}))
}

func (s *samba) group(t *testing.T, name, member string) {
	t.Helper()
	require.NoError(t, s.conn.Add(&ldap.AddRequest{DN: "CN=" + name + "," + adUsers, Attributes: []ldap.Attribute{
		{Type: "objectClass", Vals: []string{"group"}},
		{Type: "sAMAccountName", Vals: []string{name}},
		{Type: "member", Vals: []string{"CN=" + member + "," + adUsers}},
	}}))
}

func (s *samba) change(t *testing.T, dn, attribute string, values ...string) {
	t.Helper()
	replace(t, s.conn, dn, attribute, values)
}

// One domain controller for all: it takes seconds to make.
func TestU7_ActiveDirectory(t *testing.T) {
	s := startSamba(t)
	for _, name := range []string{"gatewright", "alice", "bob", "jos\u00e9"} {
		s.add(t, name)
	}
	s.group(t, "engineers", "alice")
	s.group(t, "staff", "engineers")
	s.extend(t)
	d := open(t, Config{
		Servers: []string{s.url}, BindDN: "gatewright@ad.example.org", Password: "gatewright.Secret.1", Base: adUsers, Timeout: 10 * time.Second,
		GrantAttribute: grantAttribute, Roles: RolesConfig{GroupBase: adUsers, Nested: true},
	})
	require.NoError(t, d.Health(bounded(t)))
	t.Run("sign in", func(t *testing.T) { s.signsIn(t, d) })
	t.Run("reasons", func(t *testing.T) { s.givesReasons(t, d) })
	t.Run("lock", func(t *testing.T) { s.locks(t, d) })
	t.Run("grants", func(t *testing.T) { s.keepsGrants(t, d) })
	t.Run("check", func(t *testing.T) { require.Empty(t, failed(d.Check(bounded(t)))) })
}

func (s *samba) signsIn(t *testing.T, d *Directory) {
	id := guidText(read(t, s.conn, "CN=alice,"+adUsers, "objectGUID").GetRawAttributeValue("objectGUID"))
	for _, name := range []string{"alice", "ALICE@ad.example.org", "alice@mail.example.org"} {
		u, err := signIn(t, d, name, "alice.Secret.1")
		require.NoError(t, err)
		require.Equal(t, id, u.Subject)
		require.Equal(t, "alice", u.Username)
		require.Equal(t, []string{"engineers", "staff"}, u.Roles, "nested, by the server's own rule")
		require.Equal(t, []string{id}, u.Attributes["objectGUID"])
		require.True(t, strings.HasPrefix(u.Attribute("objectSid"), "S-1-5-21-"))
	}
	for _, password := range []string{"wrong", " "} {
		_, err := signIn(t, d, "alice", password)
		require.ErrorIs(t, err, users.ErrCredentials)
	}
	before, err := d.Lookup(bounded(t), id)
	require.NoError(t, err)
	s.change(t, "CN=alice,"+adUsers, "unicodePwd", adPassword("Another.Secret.2"))
	after, err := d.Lookup(bounded(t), id)
	require.NoError(t, err)
	require.NotEqual(t, before.PasswordStamp, after.PasswordStamp, "E3: a changed password")
	require.NoError(t, s.conn.ModifyDN(ldap.NewModifyDNRequest("CN=alice,"+adUsers, "CN=Alice Renamed", true, "")))
	_, err = d.Lookup(bounded(t), id)
	require.NoError(t, err, "a rename keeps the subject")

	_, err = signIn(t, d, "jose", "jos\u00e9.Secret.1")
	require.ErrorIs(t, err, users.ErrCredentials, "A72: whatever the directory takes for the same name")
	_, err = signIn(t, d, "JOSÉ", "jos\u00e9.Secret.1")
	require.NoError(t, err)
}

// The same account, refused for one reason after another: a wrong password never learns which.
func (s *samba) givesReasons(t *testing.T, d *Directory) {
	bob := "CN=bob," + adUsers
	u, err := signIn(t, d, "bob", "bob.Secret.1")
	require.NoError(t, err)
	for _, test := range []struct {
		attribute, bad, good string
		want, lookup         error
	}{
		{"userAccountControl", "514", "512", users.ErrDisabled, users.ErrDisabled},
		{"accountExpires", "133000000000000000", "0", users.ErrExpired, users.ErrExpired},
		{"pwdLastSet", "0", "-1", users.ErrMustChange, nil},
	} {
		s.change(t, bob, test.attribute, test.bad)
		_, err := signIn(t, d, "bob", "wrong")
		require.Equal(t, users.ErrCredentials, err, test.attribute)
		_, err = signIn(t, d, "bob", "bob.Secret.1")
		require.Equal(t, test.want, err, test.attribute)
		looked, err := d.Lookup(bounded(t), u.Subject)
		require.ErrorIs(t, err, test.lookup)
		if test.lookup == nil {
			require.NotEqual(t, u.PasswordStamp, looked.PasswordStamp)
		}
		s.change(t, bob, test.attribute, test.good)
	}
	_, err = signIn(t, d, "bob", "bob.Secret.1")
	require.NoError(t, err)
}

func (s *samba) locks(t *testing.T, d *Directory) {
	s.change(t, adBase, "lockoutThreshold", "2")
	u, err := signIn(t, d, "bob", "bob.Secret.1")
	require.NoError(t, err)
	for range 3 {
		_, err = signIn(t, d, "bob", "wrong")
		require.ErrorIs(t, err, users.ErrCredentials)
	}
	_, err = signIn(t, d, "bob", "bob.Secret.1")
	require.Equal(t, users.ErrCredentials, err, "775 comes with any password")
	_, err = d.Lookup(bounded(t), u.Subject)
	require.ErrorIs(t, err, users.ErrLocked)
	s.change(t, "CN=bob,"+adUsers, "lockoutTime", "0")
	_, err = d.Lookup(bounded(t), u.Subject)
	require.NoError(t, err)
	s.change(t, adBase, "lockoutThreshold", "0")
}

func (s *samba) keepsGrants(t *testing.T, d *Directory) {
	u, err := signIn(t, d, "bob", "bob.Secret.1")
	require.NoError(t, err)
	a, ctx := d.Attribute(grantAttribute), bounded(t)
	require.NoError(t, a.Probe(ctx, u.Subject))
	require.NoError(t, a.Swap(ctx, u.Subject, nil, []byte{0, 0xff}))
	require.ErrorIs(t, a.Swap(ctx, u.Subject, nil, []byte("x")), ErrConflict)
	require.NoError(t, a.Swap(ctx, u.Subject, []byte{0, 0xff}, []byte("two")))
	require.ErrorIs(t, a.Swap(ctx, u.Subject, []byte{0, 0xff}, []byte("x")), ErrConflict)
	require.NoError(t, a.Probe(ctx, u.Subject))
	value, err := a.Read(ctx, u.Subject)
	require.NoError(t, err)
	require.Equal(t, "two", string(value))
	require.ErrorIs(t, d.Attribute("noSuchThing").Probe(ctx, u.Subject), ErrNoSchema)
	require.ErrorIs(t, d.Attribute("mail").Probe(ctx, u.Subject), ErrNoAccess)

	// searchFlags 128: even the person doesn't read it.
	own, err := ldap.DialURL(s.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = own.Close() })
	require.NoError(t, own.Bind("bob@ad.example.org", "bob.Secret.1"))
	entry := read(t, own, "CN=bob,"+adUsers, "cn", grantAttribute)
	require.Equal(t, "bob", entry.GetAttributeValue("cn"))
	require.Empty(t, entry.GetAttributeValues(grantAttribute))
}

package ldaptest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	_ "embed"
)

// What people.ldif holds: the passwords are the names with "-pw", the service account's Password.
const (
	Base     = "dc=example,dc=org"
	Account  = "cn=gatewright,ou=services,dc=example,dc=org"
	Password = "service-pw"
	Alice    = "uid=alice,ou=people,dc=example,dc=org"
)

//go:embed people.ldif
var people []byte

// Options say what an OpenLDAP server is like; the zero value is one with people, the schema and a service account.
type Options struct {
	Provider  string // URL of the provider that this is a replica of
	NoGrants  bool   // the service account may not write the attribute
	Plain     bool   // without the schema
	Settings  string // more of the database's configuration
	Cert, Key string // files; "" for a certificate of its own, good for an hour
}

// Slapd is an OpenLDAP server of one test's own, on loopback ports that were free.
type Slapd struct {
	Options
	Dir        string
	Schema     string // the schema file that this repository ships
	URL, TLS   string // ldap:// and ldaps://
	process    *exec.Cmd
	exited     chan struct{}
	configured string
	program    string
}

// slapdSays is the configuration of a provider and, with Provider, of a replica that asks it every four
// seconds: until then it is behind, and says so by what it answers.
var slapdSays = template.Must(template.New("slapd.conf").Parse(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/dyngroup.schema
{{if not .Plain}}include {{.Schema}}{{end}}
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
moduleload ppolicy
moduleload back_monitor
TLSCertificateFile {{.Cert}}
TLSCertificateKeyFile {{.Key}}
database config
rootdn "cn=config"
rootpw config
database monitor
access to * by dn.exact="cn=admin,dc=example,dc=org" read
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw admin-pw
directory {{.Dir}}/db
maxsize 67108864
index objectClass,uid,mail,member eq
index entryCSN,entryUUID eq
access to attrs=userPassword by self write by anonymous auth by * none
{{if not .Plain}}access to attrs=nidsOAuthGrant by dn.exact="cn=gatewright,ou=services,dc=example,dc=org" {{if .NoGrants}}read{{else}}write{{end}} by * none
access to dn.subtree="ou=people,dc=example,dc=org" attrs=objectClass val.exact=nidsOAuthUser by dn.exact="cn=gatewright,ou=services,dc=example,dc=org" write by * break
{{end}}access to * by dn.exact="cn=gatewright,ou=services,dc=example,dc=org" read by self read by anonymous auth
{{if .Provider}}syncrepl rid=001 provider={{.Provider}} type=refreshOnly interval=00:00:00:04 retry="1 +" searchbase="dc=example,dc=org"
  bindmethod=simple binddn="cn=admin,dc=example,dc=org" credentials=admin-pw
updateref {{.Provider}}
{{else}}overlay syncprov
overlay ppolicy
ppolicy_default "cn=policy,dc=example,dc=org"
ppolicy_use_lockout
{{end}}{{.Settings}}`))

// StartSlapd starts a provider with people, or, with a Provider, a replica.
func StartSlapd(t testing.TB, o Options) *Slapd {
	t.Helper()
	s := &Slapd{Options: o, Dir: t.TempDir(), Schema: Repository(t, "examples/ldap/schema/openldap/gatewright.schema"), program: Program(t, "slapd")}
	require.NoError(t, os.Mkdir(filepath.Join(s.Dir, "db"), 0o700))
	if s.Cert == "" {
		s.Cert, s.Key = Certificate(t, time.Hour)
	}
	s.URL, s.TLS = "ldap://"+FreePort(t), "ldaps://"+FreePort(t)
	s.configured = filepath.Join(s.Dir, "slapd.conf")
	var conf bytes.Buffer
	require.NoError(t, slapdSays.Execute(&conf, s))
	require.NoError(t, os.WriteFile(s.configured, conf.Bytes(), 0o600))
	if s.Provider == "" {
		s.load(t)
	}
	t.Cleanup(func() { // whichever process it is by then
		if s.exited != nil {
			s.End(syscall.SIGKILL)
		}
	})
	s.start(t)
	return s
}

func (s *Slapd) load(t testing.TB) {
	t.Helper()
	content := people
	if s.Plain {
		content = bytes.ReplaceAll(content, []byte("objectClass: nidsOAuthUser\n"), nil)
	}
	file := filepath.Join(s.Dir, "people.ldif")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	Run(t, s.program, "-T", "add", "-q", "-f", s.configured, "-b", Base, "-l", file)
}

func (s *Slapd) start(t testing.TB) {
	t.Helper()
	// Full would end it by that signal.
	s.process = exec.Command("env", "--ignore-signal=XFSZ", s.program, "-d", "0", "-f", s.configured, "-h", s.URL+"/ "+s.TLS+"/")
	var said bytes.Buffer
	s.process.Stdout, s.process.Stderr = &said, &said
	require.NoError(t, s.process.Start())
	s.exited = make(chan struct{})
	exited := s.exited
	go func() {
		_ = s.process.Wait()
		close(exited)
	}()
	for _, url := range []string{s.URL, s.TLS} { // it listens at one before it does at the other
		_, address, _ := strings.Cut(url, "://")
		require.Eventually(t, func() bool { return listens(address) }, 30*time.Second, 5*time.Millisecond, "slapd does not listen: %s", &said)
	}
}

func listens(address string) bool {
	c, err := net.Dial("tcp", address)
	return err == nil && c.Close() == nil
}

// End sends a signal and waits for the process to be gone.
func (s *Slapd) End(signal syscall.Signal) {
	_ = s.process.Process.Signal(syscall.SIGCONT)
	_ = s.process.Process.Signal(signal)
	<-s.exited
}

// Stop ends the server.
func (s *Slapd) Stop() { s.End(syscall.SIGTERM) }

// Awake lets a hung server answer again.
func (s *Slapd) Awake() { _ = s.process.Process.Signal(syscall.SIGCONT) }

// Hang stops the server from answering. It returns once every thread has stopped: one that still runs could answer
// after the signal was sent.
func (s *Slapd) Hang(t testing.TB) {
	t.Helper()
	require.NoError(t, s.process.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, s.stopped, 10*time.Second, time.Millisecond, "slapd still runs")
}

// stopped reads the states of the threads, which follow the name in parentheses (proc_pid_stat(5)).
func (s *Slapd) stopped() bool {
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(s.process.Process.Pid) + "/task/*/stat")
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		_, state, _ := strings.Cut(string(stat), ") ")
		if err != nil || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return err == nil && len(threads) > 0
}

// Again starts the server anew with the same data.
func (s *Slapd) Again(t testing.TB) {
	t.Helper()
	s.start(t)
}

// Admin is a connection as the administrator.
func (s *Slapd) Admin(t testing.TB) *ldap.Conn {
	t.Helper()
	c, err := ldap.DialURL(s.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Bind("cn=admin,"+Base, "admin-pw"))
	return c
}

// Knows tells whether a replica has an entry by now.
func (s *Slapd) Knows(t testing.TB, dn string) bool {
	t.Helper()
	c := s.Admin(t)
	_, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{"1.1"}, nil))
	return err == nil
}

// Freeze makes a replica forget its provider: from now on it is behind.
func (s *Slapd) Freeze(t testing.TB) { s.Configure(t, "olcSyncrepl") }

// Configure replaces a setting of the running database, and returns what it was.
func (s *Slapd) Configure(t testing.TB, setting string, values ...string) (before []string) {
	t.Helper()
	const database = "olcDatabase={2}mdb,cn=config"
	c, err := ldap.DialURL(s.URL)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.Bind("cn=config", "config"))
	before = Read(t, c, database, setting).GetAttributeValues(setting)
	Replace(t, c, database, setting, values...)
	return before
}

// Full lets the server write no byte into any file, as on a disk that is full, until room is called.
func (s *Slapd) Full(t testing.TB) (room func()) {
	t.Helper()
	limit := func(bytes string) {
		Run(t, "prlimit", "--pid", strconv.Itoa(s.process.Process.Pid), "--fsize="+bytes+":unlimited")
	}
	limit("0")
	return func() { limit("unlimited") }
}

// Change replaces the values of an attribute, as the administrator.
func (s *Slapd) Change(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	Replace(t, s.Admin(t), dn, attribute, values...)
}

// EntryUUID reads a person's subject past the package under test.
func (s *Slapd) EntryUUID(t testing.TB, dn string) string {
	t.Helper()
	id := Read(t, s.Admin(t), dn, "entryUUID").GetAttributeValue("entryUUID")
	require.Len(t, id, 36, "entryUUID of %s", dn)
	return id
}

// Operations is how many of one kind, such as "Bind", the server was asked for; admin has bound before. To ask is a
// search.
func (s *Slapd) Operations(t testing.TB, admin *ldap.Conn, kind string) int {
	t.Helper()
	n, err := strconv.Atoi(Read(t, admin, "cn="+kind+",cn=Operations,cn=Monitor", "monitorOpInitiated").GetAttributeValue("monitorOpInitiated"))
	require.NoError(t, err)
	return n
}

// Replace replaces the values of an attribute.
func Replace(t testing.TB, c *ldap.Conn, dn, attribute string, values ...string) {
	t.Helper()
	request := ldap.NewModifyRequest(dn, nil)
	request.Replace(attribute, values)
	require.NoError(t, c.Modify(request))
}

// Read reads one entry.
func Read(t testing.TB, c *ldap.Conn, dn string, attributes ...string) *ldap.Entry {
	t.Helper()
	result, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", attributes, nil))
	require.NoError(t, err)
	require.Len(t, result.Entries, 1)
	return result.Entries[0]
}

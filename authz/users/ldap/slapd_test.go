package ldap

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
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
)

const (
	testBase     = "dc=example,dc=org"
	testAccount  = "cn=gatewright,ou=services,dc=example,dc=org"
	testPassword = "service-pw"
	alice        = "uid=alice,ou=people,dc=example,dc=org"
)

// slapd is an OpenLDAP server of one test's own, on loopback ports that were free.
type slapd struct {
	Dir        string
	Schema     string // the schema file that this repository ships
	URL, TLS   string // ldap:// and ldaps://
	Cert, Key  string
	Provider   string // URL of the provider, on a replica
	NoGrants   bool   // the service account may not write the attribute
	Plain      bool   // without the schema
	Settings   string // more of the database's configuration
	process    *exec.Cmd
	exited     chan struct{}
	configured string
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

// startSlapd starts a provider with the people of testdata/people.ldif, or, with a Provider, a replica.
func startSlapd(t testing.TB, s slapd) *slapd {
	t.Helper()
	program, err := exec.LookPath("slapd")
	if err != nil {
		program = "/usr/sbin/slapd"
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("GATEWRIGHT_E2E") != "" {
			require.NoError(t, err, "slapd is missing")
		}
		t.Skip("needs OpenLDAP: install slapd, or run ./xcaddy.sh test, which does")
	}
	s.Dir = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(s.Dir, "db"), 0o700))
	s.Schema, err = filepath.Abs("../../../examples/ldap/schema/openldap/gatewright.schema")
	require.NoError(t, err)
	if s.Cert == "" {
		s.Cert, s.Key = certificate(t, time.Hour)
	}
	s.URL, s.TLS = "ldap://"+freePort(t), "ldaps://"+freePort(t)
	s.configured = filepath.Join(s.Dir, "slapd.conf")
	var conf bytes.Buffer
	require.NoError(t, slapdSays.Execute(&conf, s))
	require.NoError(t, os.WriteFile(s.configured, conf.Bytes(), 0o600))
	if s.Provider == "" {
		s.load(t, program)
	}
	s.start(t, program)
	return &s
}

func (s *slapd) load(t testing.TB, program string) {
	t.Helper()
	content, err := os.ReadFile("testdata/people.ldif")
	require.NoError(t, err)
	if s.Plain {
		content = bytes.ReplaceAll(content, []byte("objectClass: nidsOAuthUser\n"), nil)
	}
	people := filepath.Join(s.Dir, "people.ldif")
	require.NoError(t, os.WriteFile(people, content, 0o600))
	out, err := exec.CommandContext(t.Context(), program, "-T", "add", "-q", "-f", s.configured, "-b", testBase, "-l", people).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func (s *slapd) start(t testing.TB, program string) {
	t.Helper()
	s.process = exec.Command(program, "-d", "0", "-f", s.configured, "-h", s.URL+"/ "+s.TLS+"/")
	var said bytes.Buffer
	s.process.Stdout, s.process.Stderr = &said, &said
	require.NoError(t, s.process.Start())
	s.exited = make(chan struct{})
	exited := s.exited
	go func() {
		_ = s.process.Wait()
		close(exited)
	}()
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "ldap://"))
		if err == nil {
			err = c.Close()
		}
		return err == nil
	}, 10*time.Second, 5*time.Millisecond, "slapd does not listen: %s", &said)
}

// end sends a signal and waits for the process to be gone.
func (s *slapd) end(signal syscall.Signal) {
	_ = s.process.Process.Signal(syscall.SIGCONT)
	_ = s.process.Process.Signal(signal)
	<-s.exited
}

// stop ends the server, again starts it anew with the same data, hang stops it from answering.
func (s *slapd) stop()  { s.end(syscall.SIGTERM) }
func (s *slapd) awake() { _ = s.process.Process.Signal(syscall.SIGCONT) }

// hang returns once every thread has stopped: one that still runs could answer after the signal was sent.
func (s *slapd) hang(t testing.TB) {
	t.Helper()
	require.NoError(t, s.process.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, s.stopped, 10*time.Second, time.Millisecond, "slapd still runs")
}

// stopped reads the states of the threads, which follow the name in parentheses (proc_pid_stat(5)).
func (s *slapd) stopped() bool {
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

func (s *slapd) again(t testing.TB) {
	t.Helper()
	s.start(t, s.process.Path)
}

// admin is a connection as the administrator.
func (s *slapd) admin(t testing.TB) *ldap.Conn {
	t.Helper()
	c, err := ldap.DialURL(s.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Bind("cn=admin,"+testBase, "admin-pw"))
	return c
}

// change replaces the values of an attribute, as the administrator.
func (s *slapd) change(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	replace(t, s.admin(t), dn, attribute, values)
}

func replace(t testing.TB, c *ldap.Conn, dn, attribute string, values []string) {
	t.Helper()
	request := ldap.NewModifyRequest(dn, nil)
	request.Replace(attribute, values)
	require.NoError(t, c.Modify(request))
}

func read(t testing.TB, c *ldap.Conn, dn string, attributes ...string) *ldap.Entry {
	t.Helper()
	result, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", attributes, nil))
	require.NoError(t, err)
	require.Len(t, result.Entries, 1)
	return result.Entries[0]
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// certificate makes one that signs itself for 127.0.0.1, valid for so long from now.
func certificate(t testing.TB, valid time.Duration) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "slapd"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(valid),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return certFile, keyFile
}

// config is what most tests take, over TLS.
func (s *slapd) config(t testing.TB) Config {
	t.Helper()
	ca, err := os.ReadFile(s.Cert)
	require.NoError(t, err)
	return Config{
		Servers: []string{s.TLS}, CA: ca, BindDN: testAccount, Password: testPassword,
		Base: "ou=people," + testBase, Timeout: 10 * time.Second, GrantAttribute: "nidsOAuthGrant",
	}
}

func open(t testing.TB, cfg Config) *Directory {
	t.Helper()
	d, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

// directory is a Directory over a server of its own.
func directory(t testing.TB, change func(*Config)) (*Directory, *slapd) {
	t.Helper()
	s := startSlapd(t, slapd{})
	cfg := s.config(t)
	if change != nil {
		change(&cfg)
	}
	return open(t, cfg), s
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// entryUUID reads a person's subject past the package under test.
func (s *slapd) entryUUID(t testing.TB, dn string) string {
	t.Helper()
	id := read(t, s.admin(t), dn, "entryUUID").GetAttributeValue("entryUUID")
	require.Len(t, id, 36, "entryUUID of %s", dn)
	return id
}

// binds is how many binds the server was asked for, by a connection that has bound before.
func (s *slapd) binds(t testing.TB, admin *ldap.Conn) int {
	t.Helper()
	result, err := admin.Search(ldap.NewSearchRequest("cn=Bind,cn=Operations,cn=Monitor", ldap.ScopeBaseObject,
		ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{"monitorOpInitiated"}, nil))
	require.NoError(t, err)
	require.Len(t, result.Entries, 1)
	n, err := strconv.Atoi(result.Entries[0].GetAttributeValue("monitorOpInitiated"))
	require.NoError(t, err)
	return n
}

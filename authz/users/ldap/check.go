package ldap

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/gatewright/gatewright/authz/users"
)

// Level is how bad a Finding is.
type Level int

// The levels.
const (
	Fine    Level = iota
	Warning       // it works, and somebody should know
	Fault         // something doesn't work
)

// Finding is one thing that Check looked at.
type Finding struct {
	Server string // URL
	What   string // "connection", "service account", …
	Level  Level
	Detail string // what was found, no secret in it
	Fix    string // the command or option that mends it, empty when all is fine
}

// Check tries every server, whether it is thought to be up or not, and tells what works and what doesn't.
// It changes nothing.
func (d *Directory) Check(ctx context.Context) []Finding {
	var all []Finding
	for _, s := range d.all() {
		r := &report{d: d, s: s}
		r.check(ctx)
		all = append(all, r.findings...)
	}
	return append(all, d.checkLag(ctx)...)
}

// report collects what is found on one server. A step that fails ends it where the next needs it.
type report struct {
	d        *Directory
	s        *server
	findings []Finding
}

// note tells of one thing, and whether it is as it should be.
func (r *report) note(what string, err error, detail, fix string) bool {
	if err != nil {
		r.add(what, Fault, err.Error(), fix)
	} else {
		r.add(what, Fine, detail, "")
	}
	return err == nil
}

func (r *report) add(what string, level Level, detail, fix string) {
	r.findings = append(r.findings, Finding{Server: r.s.endpoint.url, What: what, Level: level, Detail: detail, Fix: fix})
}

func (r *report) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 4*r.d.cfg.Timeout)
	defer cancel()
	c, err := r.dial(ctx)
	if err != nil {
		r.note("connection", err, "", connectionFix(r.s.endpoint, err))
		return
	}
	defer c.discard()
	r.connected()
	cfg := &r.d.cfg
	if cfg.BindDN != "" {
		_, err = c.bind(ctx, cfg.BindDN, cfg.Password)
		if !r.note("service account", err, cfg.BindDN, "mend bind in users ldap; to try it: ldapwhoami -x -H "+r.s.endpoint.url+" -D '"+cfg.BindDN+"' -W") {
			return
		}
	}
	l, err := readLayout(ctx, c, cfg)
	if !r.note("kind of directory", err, kindDetail(l), "let the service account read the root DSE; to try it: ldapsearch -x -H "+r.s.endpoint.url+" -s base -b ''") {
		return
	}
	r.s.layout.CompareAndSwap(nil, l)
	if r.checkPeople(ctx, c, l) && cfg.GrantAttribute != "" && r.writes() {
		r.checkGrants(ctx, c, l)
	}
}

func (r *report) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, r.d.cfg.Timeout)
	defer cancel()
	return r.s.endpoint.dial(ctx)
}

func (r *report) connected() {
	const what = "connection"
	switch e := r.s.endpoint; {
	case e.startTLS:
		r.add(what, Fine, "encrypted by StartTLS", "")
	case e.tls != nil:
		r.add(what, Fine, "encrypted", "")
	case e.clear():
		r.add(what, Warning, "not encrypted: passwords cross the network in the clear", "ldaps:// in server, or start_tls")
	default:
		r.add(what, Fine, "inside this machine", "")
	}
}

func (r *report) writes() bool {
	return slices.Contains(r.d.writers, r.s)
}

func kindDetail(l *layout) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s, subject %s, filter %s", l.kind, l.subject, l.filter.text)
}

func connectionFix(e endpoint, err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return "tls_ca <file> with the CA of the server: openssl s_client -showcerts -connect " + e.address
	case errors.As(err, &name):
		return "server <url> with a name of the certificate: " + strings.Join(name.Certificate.DNSNames, ", ")
	case errors.As(err, &invalid):
		return "renew the certificate of the server: openssl s_client -connect " + e.address
	case e.startTLS:
		return "let the server offer StartTLS, or use ldaps://"
	}
	return "start the server, or open the way to " + e.address
}

// checkPeople looks whether there is anybody, and whether what this package needs of a person can be read.
func (r *report) checkPeople(ctx context.Context, c *conn, l *layout) bool {
	base := r.d.cfg.Base
	see := "let the service account read, or mend base, filter, subject; to try it: ldapsearch -x -H " + r.s.endpoint.url + " -D '" + r.d.cfg.BindDN + "' -W -b '" + base + "'"
	entries, err := r.d.people(ctx, c, l.filter.anybody(), l.wanted)
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("%w: below %s nobody matches %s", users.ErrNotFound, base, l.filter.anybody())
	}
	if !r.note("people", err, "base and filter find people", see+" '"+l.filter.anybody()+"'") {
		return false
	}
	p, err := newPerson(entries[0], l, r.d)
	if !r.note("subject", err, "attribute "+l.subject+" can be read", see+" '"+l.filter.anybody()+"' "+l.subject) {
		return true
	}
	if p.passwordStamp() != "" {
		r.add("password change", Fine, "can be seen", "")
	} else {
		r.add("password change", Warning, "can't be seen, so it ends no session and no refresh token", stampFixes[l.kind])
	}
	if l.kind == ADLDS {
		r.checkDisabled(ctx, c, l)
	}
	return true
}

// stampFixes are how each kind comes to tell when a password changed.
var stampFixes = map[Kind]string{
	OpenLDAP:        "load the ppolicy overlay, and let the service account read pwdChangedTime",
	DS389:           "dsconf <instance> config replace passwordTrackUpdateTime=on, and let the service account read pwdUpdateTime",
	ActiveDirectory: "let the service account read pwdLastSet",
	ADLDS:           "let the service account read pwdLastSet",
	EDirectory:      "let the service account read pwdChangedTime",
	Other:           "let the service account read pwdChangedTime",
}

// checkDisabled tells of people whom AD LDS has disabled: it begins so with everybody who is added without a
// good password, which is easily taken for a wrong one.
func (r *report) checkDisabled(ctx context.Context, c *conn, l *layout) {
	const what = "disabled people"
	switch entries, err := r.d.people(ctx, c, "(&(msDS-UserAccountDisabled=TRUE)"+l.filter.anybody()+")", []string{"1.1"}); {
	case err != nil:
		r.note(what, err, "", "let the service account read msDS-UserAccountDisabled")
	case len(entries) == 0:
		r.add(what, Fine, "nobody is", "")
	default:
		r.add(what, Warning, "there are some, as new people begin: "+entries[0].DN,
			"set msDS-UserAccountDisabled to FALSE, as examples/ldap/schema/ad-lds/README.md shows")
	}
}

// fixes are how each kind gets the schema and the right to write, in this repository's examples/ldap/schema.
var fixes = map[Kind]struct{ schema, access string }{
	OpenLDAP: {
		"ldapadd -Y EXTERNAL -H ldapi:/// -f examples/ldap/schema/openldap/gatewright.ldif",
		"ldapmodify -Y EXTERNAL -H ldapi:/// -f examples/ldap/schema/openldap/access.ldif",
	},
	ActiveDirectory: {
		`ldifde -i -f examples\ldap\schema\active-directory\gatewright.ldf -c "DC=X" "#defaultNamingContext"`,
		`dsacls <base> /I:S /G "<account>:RPWPCA;nidsOAuthGrant;user"`,
	},
	ADLDS: {
		`ldifde -i -f examples\ldap\schema\ad-lds\gatewright.ldf -s <server>:<port> -c "CN=Schema,CN=Configuration,DC=X" "#schemaNamingContext"`,
		`dsacls \\<server>:<port>\<base> /I:S /G "<account>:RPWPCA;nidsOAuthGrant;user"`,
	},
	DS389: {
		"dsconf <instance> schema reload, with examples/ldap/schema/389ds/99gatewright.ldif in the instance's schema folder",
		"ldapmodify -f examples/ldap/schema/389ds/access.ldif",
	},
	EDirectory: {
		"ice -S LDIF -f examples/ldap/schema/edirectory/gatewright.ldif -D LDAP -s <server> -d <admin> -w <password>",
		"ldapmodify -f examples/ldap/schema/edirectory/access.ldif",
	},
}

func (r *report) checkGrants(ctx context.Context, c *conn, l *layout) {
	a := r.d.Attribute(r.d.cfg.GrantAttribute)
	known, err := a.inSchema(ctx, c, l)
	if err == nil && !known {
		err = fmt.Errorf("%w: %s", ErrNoSchema, a.name)
	}
	if !r.note("schema", err, a.name+" is there", fixes[l.kind].schema) {
		return
	}
	err = a.probe(ctx, c, l, "")
	if errors.Is(err, users.ErrNotFound) { // on eDirectory, where everybody has grants
		r.add("write access", Warning, "there is nobody to try it on", "")
		return
	}
	r.note("write access", err, "the service account may write "+a.name, fixes[l.kind].access)
}

// ProbeGrants asks the write server whether the service account may write GrantAttribute, and changes nothing.
// ErrNoSchema and ErrNoAccess are a definite no; they name the step that is missing. That there is nobody to try
// it on is none.
func (d *Directory) ProbeGrants(ctx context.Context) error {
	a := d.Attribute(d.cfg.GrantAttribute)
	return d.update(ctx, func(ctx context.Context, c *conn, l *layout) error {
		err := a.probe(ctx, c, l, "")
		switch {
		case errors.Is(err, ErrNoSchema):
			return fmt.Errorf("%w; to mend it: %s", err, fixes[l.kind].schema)
		case errors.Is(err, ErrNoAccess):
			return fmt.Errorf("%w; to mend it: %s", err, fixes[l.kind].access)
		case errors.Is(err, users.ErrNotFound):
			d.cfg.Logger.Warn("there is nobody in the directory on whom to try whether grants can be written")
			return nil
		}
		return err
	})
}

// checkLag compares the change that each OpenLDAP server saw last (contextCSN, RFC 4533) with that of the
// write server. Other directories don't tell.
func (d *Directory) checkLag(ctx context.Context) []Finding {
	last := make(map[*server]time.Time)
	for _, s := range d.all() {
		if s.kind() == OpenLDAP {
			last[s] = d.lastChange(ctx, s)
		}
	}
	writer, err := d.writer()
	if err != nil || last[writer].IsZero() {
		return nil
	}
	var findings []Finding
	for _, s := range d.servers {
		at, asked := last[s]
		if s == writer || !asked {
			continue
		}
		if _, cause := s.down(); cause == nil {
			findings = append(findings, d.lagOf(s, at, writer, last[writer]))
		}
	}
	return findings
}

// lagOf tells how far a replica is behind.
func (d *Directory) lagOf(replica *server, at time.Time, writer *server, newest time.Time) Finding {
	lag := max(newest.Sub(at), 0).Round(time.Millisecond)
	f := Finding{Server: replica.endpoint.url, What: "replica lag", Detail: lag.String() + " behind " + writer.endpoint.url}
	switch {
	case at.IsZero():
		f.Level = Fault
		f.Detail = "it has not finished its first copy, or the service account can't read contextCSN"
		f.Fix = "look after syncrepl on this server"
	case lag > d.cfg.ReplicaLag:
		f.Level = Fault
		f.Detail += ", more than replica_lag: " + d.cfg.ReplicaLag.String()
		f.Fix = "look after syncrepl on this server, or set replica_lag and check_after above the lag"
	}
	return f
}

// lastChange is the time in the newest contextCSN of a server, zero when it can't be read. It stands on the
// suffix of the database, which is the base or above it.
func (d *Directory) lastChange(ctx context.Context, s *server) (newest time.Time) {
	base, err := ldap.ParseDN(d.cfg.Base)
	if err != nil {
		return newest
	}
	for depth := 0; err == nil && newest.IsZero() && depth < len(base.RDNs); depth++ {
		suffix := ldap.DN{RDNs: base.RDNs[depth:]}
		err = s.run(ctx, s.searches, func(ctx context.Context, c *conn) error {
			result, err := c.search(ctx, ldap.NewSearchRequest(suffix.String(), ldap.ScopeBaseObject, ldap.NeverDerefAliases,
				1, 0, false, "(objectClass=*)", []string{"contextCSN"}, nil))
			if err == nil && len(result.Entries) == 1 {
				newest = newestCSN(result.Entries[0].GetEqualFoldAttributeValues("contextCSN"))
			}
			return err
		})
	}
	return newest
}

// newestCSN reads the times that change sequence numbers begin with.
func newestCSN(csns []string) (newest time.Time) {
	for _, csn := range csns {
		stamp, _, _ := strings.Cut(csn, "#")
		if t := generalizedTime(stamp); t.After(newest) {
			newest = t
		}
	}
	return newest
}

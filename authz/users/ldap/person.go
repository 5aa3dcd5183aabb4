package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/users"
)

// person is an entry that is somebody.
type person struct {
	standing
	subject  string
	username string
	filter   loginFilter
	kind     Kind
}

func newPerson(entry *ldap.Entry, l *layout, d *Directory) (*person, error) {
	p := &person{
		standing: standing{entry: entry, now: d.cfg.Now(), policy: l.policy},
		username: l.filter.username(entry), filter: l.filter, kind: l.kind,
	}
	if p.username == "" {
		return nil, fmt.Errorf("ldap: the service account can't read the name of a person that it found: %s", strings.Join(l.filter.attributes(), ", "))
	}
	subject, err := subjectText(l.subject, entry.GetEqualFoldRawAttributeValue(l.subject))
	if err != nil {
		return nil, fmt.Errorf("ldap: %w", err)
	}
	p.subject = subject
	return p, nil
}

// people is a search below the base. Its answer has at most two entries: the second already is one too many.
func (d *Directory) people(ctx context.Context, c *conn, filter string, attributes []string) ([]*ldap.Entry, error) {
	seconds := int(d.cfg.Timeout.Seconds()) + 1
	result, err := c.search(ctx, ldap.NewSearchRequest(d.cfg.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		2, seconds, false, filter, attributes, nil))
	if err != nil && !isCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return nil, fmt.Errorf("ldap: search below %q: %w", d.cfg.Base, err)
	}
	return result.Entries, nil
}

// find gives the one person who has this name, nil for none and for several.
func (d *Directory) find(ctx context.Context, name string) (*person, error) {
	var p *person
	err := d.read(ctx, func(ctx context.Context, c *conn, l *layout) error {
		p = nil
		entries, err := d.people(ctx, c, l.filter.login(name), l.wanted)
		if err != nil {
			return err
		}
		if len(entries) > 1 {
			d.cfg.Logger.Warn("a name belongs to several people, so to none: narrow the filter", zap.String("first", entries[0].DN))
		}
		if len(entries) != 1 || !l.filter.shows(entries[0], name) {
			return nil
		}
		p, err = newPerson(entries[0], l, d)
		return err
	})
	return p, err
}

// grantsLeft is the key under which Lookup leaves the value of GrantAttribute for ReadReplica.
type grantsLeft struct {
	directory *Directory
	subject   string
}

func (d *Directory) leaveGrants(ctx context.Context, p *person) {
	if d.cfg.GrantAttribute != "" {
		users.Leave(ctx, grantsLeft{d, p.subject}, d.Attribute(d.cfg.GrantAttribute).value(p.entry))
	}
}

// Lookup implements users.Store. A person who doesn't match the filter any more, whatever their name is
// by now, is users.ErrNotFound. The error of a directory that can't be asked is neither that nor
// users.ErrDisabled.
func (d *Directory) Lookup(ctx context.Context, subject string) (*users.User, error) {
	var u *users.User
	err := d.read(ctx, func(ctx context.Context, c *conn, l *layout) error {
		p, err := d.bySubject(ctx, c, l, subject)
		if err != nil {
			return err
		}
		if err := errors.Join(p.ended(), p.locked()); err != nil {
			return err
		}
		roles, err := d.findRoles(ctx, c, p)
		if err != nil {
			return err
		}
		d.rememberRoles(p.subject, roles)
		d.leaveGrants(ctx, p)
		u = d.user(p, roles)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (d *Directory) bySubject(ctx context.Context, c *conn, l *layout, subject string) (*person, error) {
	filter, ok := subjectFilter(l.subject, subject)
	if !ok {
		return nil, users.ErrNotFound
	}
	entries, err := d.people(ctx, c, "(&"+filter+l.filter.anybody()+")", l.wanted)
	switch {
	case err != nil:
		return nil, err
	case len(entries) == 0:
		return nil, users.ErrNotFound
	case len(entries) > 1:
		return nil, fmt.Errorf("ldap: attribute %s identifies nobody: two entries share a value", l.subject)
	}
	p, err := newPerson(entries[0], l, d)
	if err == nil && p.subject != subject {
		return nil, users.ErrNotFound // a rule that ignores case found another spelling
	}
	return p, err
}

// maxValue is how long a value of an attribute may be that nobody asked for by name: the photo of a
// person would travel with every token.
const maxValue = 8 << 10

// neverShown are attributes that no token or header may ever hold, even if the service account reads them.
var neverShown = []string{
	"userPassword", "authPassword", "unicodePwd", "sambaNTPassword", "sambaLMPassword",
	"krbPrincipalKey", "pwdHistory", "ms-Mcs-AdmPwd", "msLAPS-Password",
}

func (d *Directory) user(p *person, roles []string) *users.User {
	u := &users.User{
		Subject:       p.subject,
		Username:      p.username,
		Roles:         roles,
		Attributes:    make(map[string][]string, len(p.entry.Attributes)),
		PasswordStamp: p.passwordStamp(),
	}
	for _, a := range p.entry.Attributes {
		name, ok := d.shownAs(a.Name)
		if !ok {
			continue
		}
		for _, value := range a.ByteValues {
			if len(value) <= maxValue || len(d.cfg.Attributes) > 0 {
				u.Attributes[name] = append(u.Attributes[name], toText(a.Name, value))
			}
		}
	}
	return u
}

// shownAs spells an attribute as the configuration does.
func (d *Directory) shownAs(name string) (string, bool) {
	same := func(other string) bool { return strings.EqualFold(name, other) }
	if slices.ContainsFunc(neverShown, same) || same(d.cfg.GrantAttribute) {
		return "", false
	}
	if i := slices.IndexFunc(d.cfg.Attributes, same); i >= 0 {
		return d.cfg.Attributes[i], true
	}
	return name, len(d.cfg.Attributes) == 0
}

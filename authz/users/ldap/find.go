package ldap

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/users"
)

// Find implements users.Finder: whom the filter takes for a person, and who has the value. How values
// compare is the attribute's own rule; one that the entry doesn't show is not believed.
func (d *Directory) Find(ctx context.Context, attribute, value string) (*users.User, error) {
	if attribute == "" {
		whose, err := d.Identify(ctx, value)
		if err != nil {
			return nil, err
		}
		return d.Lookup(ctx, whose.Subject)
	}
	if !plausible(value) {
		return nil, users.ErrNotFound
	}
	if !isAttribute(attribute) {
		return nil, fmt.Errorf("ldap: %q is no attribute", attribute)
	}
	subject := ""
	err := d.read(ctx, func(ctx context.Context, c *conn, l *layout) error {
		filter := "(&(" + attribute + "=" + ldap.EscapeFilter(value) + ")" + l.filter.anybody() + ")"
		entries, err := d.people(ctx, c, filter, append(slices.Clone(l.wanted), attribute))
		if err != nil {
			return err
		}
		if len(entries) > 1 {
			d.cfg.Logger.Warn("a value belongs to several people, so to none", zap.String("attribute", attribute), zap.String("first", entries[0].DN))
		}
		if len(entries) != 1 || !holds(entries[0], attribute, value) {
			return users.ErrNotFound
		}
		p, err := newPerson(entries[0], l, d)
		if err == nil {
			subject = p.subject
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return d.Lookup(ctx, subject)
}

// Identify implements users.Store: of whom the filter takes for a person, locked or not.
func (d *Directory) Identify(ctx context.Context, username string) (*users.Identity, error) {
	if !plausible(username) {
		return nil, users.ErrNotFound
	}
	p, err := d.find(ctx, username)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, users.ErrNotFound
	}
	return &users.Identity{Subject: p.subject, Names: p.filter.namesOf(p.entry)}, nil
}

func holds(entry *ldap.Entry, attribute, value string) bool {
	return slices.ContainsFunc(entry.GetEqualFoldAttributeValues(attribute), func(has string) bool { return fold(has) == fold(value) })
}

var _ users.Finder = (*Directory)(nil)

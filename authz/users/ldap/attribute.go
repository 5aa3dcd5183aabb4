package ldap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-ldap/ldap/v3"

	"github.com/gatewright/gatewright/authz/users"
)

// What an Attribute answers besides users.ErrNotFound and users.ErrUnavailable.
var (
	// ErrConflict: the value is not the expected one any more. Read again.
	ErrConflict = errors.New("ldap: attribute was changed meanwhile")
	// ErrCannotCompare: the server can't compare values of the attribute. eDirectory never is asked to: the
	// attribute is a stream there, of which a wrong value might be deleted as well as the right one. A lock
	// elsewhere and Replace do instead of Swap.
	ErrCannotCompare = errors.New("ldap: server cannot compare values of the attribute")
	// ErrNoAccess: the service account may not write the attribute.
	ErrNoAccess = fmt.Errorf("%w: ldap: service account may not write the attribute", users.ErrNotWritable)
	// ErrNoSchema: the schema doesn't let the entry have the attribute.
	ErrNoSchema = fmt.Errorf("%w: ldap: schema does not have the attribute", users.ErrNotWritable)
)

// Attribute is one single-valued attribute of people's entries that belongs to this server: it is read
// for update and written on the write server. It is safe for concurrent use.
type Attribute struct {
	d       *Directory
	name    string
	compare atomic.Pointer[comparison]
}

// comparison is whether the server of a layout compares values.
type comparison struct {
	layout *layout
	able   bool
}

// Attribute lends the attribute of this name, which New has not checked to be there: see Probe.
func (d *Directory) Attribute(name string) *Attribute { return &Attribute{d: d, name: name} }

// Read returns the value from the write server, nil when there is none. It returns users.ErrNotFound for a
// subject that nobody has.
func (a *Attribute) Read(ctx context.Context, subject string) ([]byte, error) {
	return a.readBy(ctx, subject, a.d.update)
}

// ReadReplica is Read from the first server for reading that answers: what it returns may be old. A Lookup of the
// same person under the same users.Together has read it already.
func (a *Attribute) ReadReplica(ctx context.Context, subject string) ([]byte, error) {
	if strings.EqualFold(a.name, a.d.cfg.GrantAttribute) {
		if value, ok := users.Take(ctx, grantsLeft{a.d, subject}); ok {
			return value.([]byte), nil
		}
	}
	return a.readBy(ctx, subject, a.d.read)
}

type within func(context.Context, func(context.Context, *conn, *layout) error) error

func (a *Attribute) readBy(ctx context.Context, subject string, server within) (value []byte, err error) {
	err = server(ctx, func(ctx context.Context, c *conn, l *layout) error {
		entry, err := a.entry(ctx, c, l, subject)
		if err != nil {
			return err
		}
		value = a.value(entry)
		return nil
	})
	return value, err
}

// entry finds a person, disabled or not, with the attribute and the object classes.
func (a *Attribute) entry(ctx context.Context, c *conn, l *layout, subject string) (*ldap.Entry, error) {
	filter, ok := subjectFilter(l.subject, subject)
	if !ok {
		return nil, users.ErrNotFound
	}
	entries, err := a.d.people(ctx, c, filter, []string{a.name, "objectClass"})
	switch {
	case err != nil:
		return nil, err
	case len(entries) == 0:
		return nil, users.ErrNotFound
	case len(entries) > 1:
		return nil, fmt.Errorf("ldap: attribute %s identifies nobody: two entries share a value", l.subject)
	}
	return entries[0], nil
}

func (a *Attribute) value(entry *ldap.Entry) []byte {
	if value := entry.GetEqualFoldRawAttributeValue(a.name); len(value) > 0 {
		return value
	}
	return nil
}

// Swap changes the value from old to next in one atomic step on the write server; nil for no value. It
// returns ErrConflict when the value is not old, and then changes nothing.
func (a *Attribute) Swap(ctx context.Context, subject string, old, next []byte) error {
	tries := 0
	return a.d.update(ctx, func(ctx context.Context, c *conn, l *layout) error {
		tries++
		entry, err := a.entry(ctx, c, l, subject)
		if err != nil {
			return err
		}
		if current := a.value(entry); !bytes.Equal(current, old) {
			if tries > 1 && bytes.Equal(current, next) {
				return nil // the first try was made, and its answer lost with the connection
			}
			return ErrConflict
		}
		if l.kind == EDirectory {
			return ErrCannotCompare
		}
		return a.modify(ctx, c, entry, next, func(request *ldap.ModifyRequest) {
			if len(old) > 0 {
				request.Delete(a.name, []string{string(old)})
			}
			if len(next) > 0 {
				request.Add(a.name, []string{string(next)})
			}
		})
	})
}

// Comparable tells whether the write server compares values of the attribute, so that Swap works. eDirectory
// doesn't, nor does a server whose schema gives the attribute no rule of equality (RFC 4512 §4.1.2).
func (a *Attribute) Comparable(ctx context.Context) (able bool, err error) {
	err = a.d.update(ctx, func(ctx context.Context, c *conn, l *layout) error {
		known := a.compare.Load()
		if known == nil || known.layout != l {
			able, err := a.compares(ctx, c, l)
			if err != nil {
				return err
			}
			known = &comparison{l, able}
			a.compare.Store(known)
		}
		able = known.able
		return nil
	})
	return able, err
}

func (a *Attribute) compares(ctx context.Context, c *conn, l *layout) (bool, error) {
	switch l.kind {
	case EDirectory:
		return false, nil
	case ActiveDirectory, ADLDS:
		return true, nil
	}
	definition, err := a.definition(ctx, c, l)
	return definition == "" || strings.Contains(definition, " EQUALITY ") || strings.Contains(definition, " SUP "), err
}

// Replace writes next whatever the value was, nil for none. It is for servers that answer Swap with
// ErrCannotCompare, under a lock that all writers take.
func (a *Attribute) Replace(ctx context.Context, subject string, next []byte) error {
	return a.d.update(ctx, func(ctx context.Context, c *conn, l *layout) error {
		entry, err := a.entry(ctx, c, l, subject)
		if err != nil {
			return err
		}
		return a.modify(ctx, c, entry, next, func(request *ldap.ModifyRequest) {
			var values []string
			if len(next) > 0 {
				values = []string{string(next)}
			}
			request.Replace(a.name, values)
		})
	})
}

// modify sends the changes, and once more with the auxiliary object class when the entry needs it.
func (a *Attribute) modify(ctx context.Context, c *conn, entry *ldap.Entry, next []byte, changes func(*ldap.ModifyRequest)) error {
	request := ldap.NewModifyRequest(entry.DN, nil)
	changes(request)
	if len(request.Changes) == 0 {
		return nil
	}
	err := c.modify(ctx, request)
	if isCode(err, ldap.LDAPResultObjectClassViolation) && len(next) > 0 && !hasClass(entry, a.d.cfg.GrantClass) {
		request = ldap.NewModifyRequest(entry.DN, nil)
		request.Add("objectClass", []string{a.d.cfg.GrantClass})
		changes(request)
		err = c.modify(ctx, request)
		if isCode(err, ldap.LDAPResultInvalidAttributeSyntax, ldap.LDAPResultObjectClassViolation) {
			return fmt.Errorf("%w: object class %s: %w", ErrNoSchema, a.d.cfg.GrantClass, err)
		}
	}
	return a.meaning(err, entry)
}

func hasClass(entry *ldap.Entry, class string) bool {
	return slices.ContainsFunc(entry.GetEqualFoldAttributeValues("objectClass"), func(c string) bool { return strings.EqualFold(c, class) })
}

// meaning reads the answer to a modify. A second value of a single-valued attribute is constraintViolation
// to OpenLDAP, attributeOrValueExists to Active Directory and objectClassViolation to 389 Directory Server.
func (a *Attribute) meaning(err error, entry *ldap.Entry) error {
	switch {
	case err == nil:
		return nil
	case isCode(err, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultAttributeOrValueExists):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case isCode(err, ldap.LDAPResultConstraintViolation) && a.value(entry) == nil,
		isCode(err, ldap.LDAPResultObjectClassViolation) && a.value(entry) == nil && hasClass(entry, a.d.cfg.GrantClass):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case isCode(err, ldap.LDAPResultInappropriateMatching):
		return fmt.Errorf("%w: %w", ErrCannotCompare, err)
	case isCode(err, ldap.LDAPResultInsufficientAccessRights):
		return fmt.Errorf("%w: %w", ErrNoAccess, err)
	case isCode(err, ldap.LDAPResultUndefinedAttributeType, ldap.LDAPResultObjectClassViolation):
		return fmt.Errorf("%w: %w", ErrNoSchema, err)
	case isCode(err, ldap.LDAPResultNoSuchObject):
		return fmt.Errorf("%w: %w", ErrConflict, err) // renamed between search and modify
	}
	return fmt.Errorf("ldap: modify: %w", err)
}

package ldap

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/gatewright/gatewright/authz/users"
)

// Probe finds out on the write server whether the service account may write the attribute of this
// person, of anybody when subject is empty, and changes nothing: it deletes a random value, which isn't
// there. nil means that it may. ErrNoAccess and ErrNoSchema are a definite no, users.ErrNotFound means that
// there is nobody to try it on, and ErrCannotCompare that this person's value would be at risk, on eDirectory.
func (a *Attribute) Probe(ctx context.Context, subject string) error {
	return a.d.update(ctx, func(ctx context.Context, c *conn, l *layout) error { return a.probe(ctx, c, l, subject) })
}

func (a *Attribute) probe(ctx context.Context, c *conn, l *layout, subject string) error {
	// Active Directory says noSuchAttribute of an attribute it doesn't know, too.
	known, err := a.inSchema(ctx, c, l)
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("%w: %s", ErrNoSchema, a.name)
	}
	entry, err := a.anyEntry(ctx, c, l, subject)
	if err != nil {
		return err
	}
	if l.kind == EDirectory && a.value(entry) != nil {
		return ErrCannotCompare
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	value := hex.EncodeToString(random[:])
	request := ldap.NewModifyRequest(entry.DN, nil)
	request.Delete(a.name, []string{value})
	switch err := a.meaning(c.modify(ctx, request), entry); {
	case errors.Is(err, ErrConflict), errors.Is(err, ErrCannotCompare):
		return nil
	case err == nil:
		return fmt.Errorf("ldap: deleting a value of %s that is not there succeeded: the answer tells nothing", a.name)
	default:
		return err
	}
}

func (a *Attribute) anyEntry(ctx context.Context, c *conn, l *layout, subject string) (*ldap.Entry, error) {
	if subject != "" {
		return a.entry(ctx, c, l, subject)
	}
	filter := l.filter.anybody()
	if l.kind == EDirectory {
		filter = "(&" + filter + "(!(" + a.name + "=*)))"
	}
	entries, err := a.d.people(ctx, c, filter, []string{a.name, "objectClass"})
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, users.ErrNotFound
	}
	return entries[0], nil
}

// inSchema reads whether the server has an attribute type of this name. A schema that can't be read
// counts as one that has it: the probe itself will tell.
func (a *Attribute) inSchema(ctx context.Context, c *conn, l *layout) (bool, error) {
	if l.subschema == "" {
		return true, nil
	}
	if l.kind == ActiveDirectory || l.kind == ADLDS {
		result, err := c.search(ctx, ldap.NewSearchRequest(l.subschema, ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 1, 0, false,
			"(lDAPDisplayName="+ldap.EscapeFilter(a.name)+")", []string{"1.1"}, nil))
		if err != nil {
			return false, fmt.Errorf("ldap: schema: %w", err)
		}
		return len(result.Entries) > 0, nil
	}
	types, err := attributeTypes(ctx, c, l)
	if err != nil || len(types) == 0 {
		return err == nil, err
	}
	return a.described(types) != "", nil
}

// definition is the description of the attribute's type, "" where the schema shows none.
func (a *Attribute) definition(ctx context.Context, c *conn, l *layout) (string, error) {
	if l.subschema == "" {
		return "", nil
	}
	types, err := attributeTypes(ctx, c, l)
	return a.described(types), err
}

// attributeTypes reads the descriptions of all attribute types; none where the schema can't be read.
func attributeTypes(ctx context.Context, c *conn, l *layout) ([]string, error) {
	result, err := c.search(ctx, ldap.NewSearchRequest(l.subschema, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false,
		"(objectClass=subschema)", []string{"attributeTypes"}, nil))
	if err != nil {
		return nil, fmt.Errorf("ldap: schema: %w", err)
	}
	if len(result.Entries) == 0 {
		return nil, nil
	}
	return result.Entries[0].GetEqualFoldAttributeValues("attributeTypes"), nil
}

func (a *Attribute) described(types []string) string {
	for _, definition := range types {
		if names(definition, a.name) {
			return definition
		}
	}
	return ""
}

// namesForm finds the one name, or the list of them, in a description of an attribute type (RFC 4512 §4.1.2).
var namesForm = regexp.MustCompile(`\sNAME\s+\(?\s*((?:'[^']*'\s*)+)`)

func names(definition, name string) bool {
	m := namesForm.FindStringSubmatch(definition)
	return m != nil && strings.Contains(strings.ToLower(m[1]), "'"+strings.ToLower(name)+"'")
}

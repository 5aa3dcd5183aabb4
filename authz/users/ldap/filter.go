package ldap

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// placeholder is where the name goes that somebody typed.
const placeholder = "{username}"

// attributeForm is an attribute description (RFC 4512 §2.5) with a name or a numeric OID.
var attributeForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*(;[A-Za-z0-9-]+)*$`)

func isAttribute(name string) bool { return attributeForm.MatchString(name) }

// nameForm is an equality, by a matching rule or not, whose value holds the placeholder.
var nameForm = regexp.MustCompile(`\(([A-Za-z0-9][A-Za-z0-9.;-]*)(:[A-Za-z0-9.:-]*:)?=([^()*\\]*)\{username\}([^()*\\]*)\)`)

// loginFilter is a filter (RFC 4515) with the places where a name goes.
type loginFilter struct {
	text  string
	names []nameAssertion
}

// nameAssertion says that an attribute is the typed name, with a text before and after.
type nameAssertion struct {
	attribute     string
	before, after string
}

func parseLoginFilter(text string) (loginFilter, error) {
	f := loginFilter{text: text}
	for _, m := range nameForm.FindAllStringSubmatch(text, -1) {
		if strings.EqualFold(m[1], "anr") {
			return f, errors.New("filter: anr finds people by the beginnings of their names")
		}
		f.names = append(f.names, nameAssertion{attribute: m[1], before: m[3], after: m[4]})
	}
	switch {
	case !strings.Contains(text, placeholder):
		return f, fmt.Errorf("filter: (attribute=%s) is needed in it", placeholder)
	case len(f.names) != strings.Count(text, placeholder):
		return f, fmt.Errorf("filter: %s may only stand once in the value of an equality, without wildcards or escapes", placeholder)
	}
	for _, filled := range []string{f.login("x"), f.anybody()} {
		if _, err := ldap.CompileFilter(filled); err != nil {
			return f, fmt.Errorf("filter: %w", err)
		}
	}
	return f, nil
}

// login is the filter for one typed name.
func (f loginFilter) login(name string) string {
	return strings.ReplaceAll(f.text, placeholder, ldap.EscapeFilter(name))
}

// anybody is the filter for people of any name: what else it asks for still holds.
func (f loginFilter) anybody() string {
	return nameForm.ReplaceAllString(f.text, "($1=*)")
}

// username is the person's name in the directory's own spelling: of several always the same one, from the
// attribute that the filter names first, so that nobody gets another name by the one they typed.
func (f loginFilter) username(entry *ldap.Entry) string {
	for _, a := range f.names {
		if values := entry.GetEqualFoldAttributeValues(a.attribute); len(values) > 0 {
			return a.name(slices.Min(values))
		}
	}
	return ""
}

// namesOf are all names that lead to the entry.
func (f loginFilter) namesOf(entry *ldap.Entry) []string {
	var names []string
	for _, a := range f.names {
		for _, value := range entry.GetEqualFoldAttributeValues(a.attribute) {
			names = append(names, a.name(value))
		}
	}
	return names
}

// name is what of a value stands where the placeholder does.
func (a nameAssertion) name(value string) string {
	end := len(value) - len(a.after)
	if end < len(a.before) || !strings.EqualFold(value[:len(a.before)], a.before) || !strings.EqualFold(value[end:], a.after) {
		return value
	}
	return value[len(a.before):end]
}

// shows tells whether the entry has the typed name in one of the places where the filter looks.
func (f loginFilter) shows(entry *ldap.Entry, name string) bool {
	for _, a := range f.names {
		wanted := fold(a.before + name + a.after)
		for _, value := range entry.GetEqualFoldAttributeValues(a.attribute) {
			if fold(value) == wanted {
				return true
			}
		}
	}
	return false
}

// attributes are those that hold names.
func (f loginFilter) attributes() []string {
	names := make([]string, len(f.names))
	for i, a := range f.names {
		names[i] = a.attribute
	}
	return names
}

package ldap

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/zap"
)

// maxDynamic bounds the groups that are tried on one person, each a search.
const maxDynamic = 100

// dynamicGroups adds the groups whose memberURL finds the person, and returns the DNs that are new.
func (d *Directory) dynamicGroups(ctx context.Context, c *conn, p *person, found groups) ([]string, error) {
	result, err := c.search(ctx, ldap.NewSearchRequest(d.cfg.Roles.GroupBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		maxDynamic, 0, false, "(memberURL=*)", []string{"memberURL"}, nil))
	if isCode(err, ldap.LDAPResultSizeLimitExceeded) {
		d.cfg.Logger.Warn("too many dynamic groups: some were left out", zap.Int("limit", maxDynamic))
	} else if err != nil {
		return nil, fmt.Errorf("ldap: search of dynamic groups below %q: %w", d.cfg.Roles.GroupBase, err)
	}
	var added []string
	for _, entry := range result.Entries {
		for _, raw := range entry.GetEqualFoldAttributeValues("memberURL") {
			in, err := d.inURL(ctx, c, raw, p.entry.DN)
			if err != nil {
				return nil, err
			}
			if in && found.add(entry.DN) {
				added = append(added, entry.DN)
			}
		}
	}
	return added, nil
}

// inURL tells whether a search that a URL describes finds the entry of a person.
func (d *Directory) inURL(ctx context.Context, c *conn, raw, person string) (bool, error) {
	m, ok := parseMemberURL(raw)
	if !ok || !m.reaches(person) {
		return false, nil
	}
	result, err := c.search(ctx, ldap.NewSearchRequest(person, ldap.ScopeBaseObject, ldap.NeverDerefAliases,
		1, 0, false, m.filter, []string{"1.1"}, nil))
	if isCode(err, ldap.LDAPResultNoSuchObject) {
		return false, nil // gone since the search that found it
	}
	if err != nil {
		return false, fmt.Errorf("ldap: dynamic group %q: %w", raw, err)
	}
	return len(result.Entries) == 1, nil
}

// memberURL is what counts of an LDAP URL (RFC 4516 §2).
type memberURL struct {
	base   *ldap.DN
	scope  string
	filter string
}

// parseMemberURL reads ldap:///base?attributes?scope?filter, whatever the host: the group is asked about
// on the server that has it. ok is false for what describes no search.
func parseMemberURL(raw string) (m memberURL, ok bool) {
	scheme, rest, _ := strings.Cut(raw, "://")
	_, rest, found := strings.Cut(rest, "/")
	if !found || !strings.EqualFold(scheme, "ldap") && !strings.EqualFold(scheme, "ldaps") {
		return m, false
	}
	parts := append(strings.Split(rest, "?"), "", "", "")
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil {
			return m, false
		}
		parts[i] = plain
	}
	base, err := ldap.ParseDN(parts[0])
	m = memberURL{base: base, scope: strings.ToLower(parts[2]), filter: parts[3]}
	if m.filter == "" {
		m.filter = "(objectClass=*)"
	}
	if err != nil || len(base.RDNs) == 0 {
		return m, false
	}
	_, err = ldap.CompileFilter(m.filter)
	return m, err == nil
}

// reaches tells whether an entry is within base and scope; the scope is base when none is named.
func (m memberURL) reaches(entry string) bool {
	dn, err := ldap.ParseDN(entry)
	if err != nil {
		return false
	}
	below := m.base.AncestorOfFold(dn)
	switch m.scope {
	case "sub":
		return below || m.base.EqualFold(dn)
	case "one":
		return below && len(dn.RDNs) == len(m.base.RDNs)+1
	default:
		return m.base.EqualFold(dn)
	}
}

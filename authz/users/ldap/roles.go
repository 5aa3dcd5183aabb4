package ldap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/zap"
)

// What finds the groups of a person or a group.
const (
	groupsOfPerson = "(|(member={dn})(uniqueMember={dn})(memberUid={username}))"
	groupsOfGroup  = "(|(member={dn})(uniqueMember={dn}))"
	// groupsInChain lets Active Directory walk nested groups (LDAP_MATCHING_RULE_IN_CHAIN, [MS-ADTS] §3.1.1.3.4.4.3).
	groupsInChain = "(member:1.2.840.113556.1.4.1941:={dn})"
)

// Bounds of the walk through nested groups. Groups beyond them are left out: fewer roles, never more.
const (
	maxNesting    = 10
	maxGroups     = 1000
	groupsAtATime = 50
)

// complete fills defaults and spells the map's names as they are looked up.
func (r *RolesConfig) complete(base string) error {
	spelled := make(map[string][]string, len(r.Map))
	for name, roles := range r.Map {
		key := groupKey(name)
		spelled[key] = append(spelled[key], roles...)
	}
	r.Map = spelled
	if r.GroupFilter == "" {
		r.GroupFilter = groupsOfPerson
	}
	if _, err := ldap.CompileFilter(fillGroupFilter(r.GroupFilter, "cn=x", "x")); err != nil {
		return fmt.Errorf("group filter: %w", err)
	}
	if !strings.Contains(r.GroupFilter, "{dn}") && !strings.Contains(r.GroupFilter, placeholder) {
		return fmt.Errorf("group filter: {dn} or %s is needed in it", placeholder)
	}
	if r.GroupBase == "" && (r.Dynamic || r.Nested && r.Attribute == "") {
		r.GroupBase = base
	}
	return nil
}

func fillGroupFilter(filter, dn, username string) string {
	return strings.NewReplacer("{dn}", ldap.EscapeFilter(dn), placeholder, ldap.EscapeFilter(username)).Replace(filter)
}

// groupKey is one spelling for a DN or another name.
func groupKey(name string) string {
	if dn, err := ldap.ParseDN(name); err == nil && len(dn.RDNs) > 0 {
		return strings.ToLower(dn.String())
	}
	return fold(name)
}

// groups are the names and DNs that give roles, by groupKey, in their own spelling.
type groups map[string]string

// add tells whether the name is new.
func (g groups) add(name string) bool {
	key := groupKey(name)
	if _, ok := g[key]; ok || len(g) >= maxGroups {
		return false
	}
	g[key] = name
	return true
}

// findRoles asks the directory; with no source of roles it asks nothing.
func (d *Directory) findRoles(ctx context.Context, c *conn, p *person) ([]string, error) {
	r := d.cfg.Roles
	found := make(groups)
	var direct []string
	if r.Attribute != "" {
		for _, value := range p.entry.GetEqualFoldAttributeValues(r.Attribute) {
			if r.counts(value) && found.add(value) {
				direct = append(direct, value)
			}
		}
	}
	if r.GroupBase != "" || r.Nested {
		if err := d.searchGroups(ctx, c, p, direct, found); err != nil {
			return nil, err
		}
	}
	return r.rolesOf(found), nil
}

// counts tells whether a value of Attribute is a role or a group below GroupBase.
func (r *RolesConfig) counts(value string) bool {
	dn, err := ldap.ParseDN(value)
	if err != nil || r.GroupBase == "" {
		return true
	}
	base, err := ldap.ParseDN(r.GroupBase)
	return err == nil && (base.EqualFold(dn) || base.AncestorOfFold(dn))
}

// searchGroups adds the groups below the base that hold the person, and where groups nest, those that hold
// these and the direct ones.
func (d *Directory) searchGroups(ctx context.Context, c *conn, p *person, direct []string, found groups) error {
	r := d.cfg.Roles
	filter := r.GroupFilter
	chain := r.Nested && (p.kind == ActiveDirectory || p.kind == ADLDS) && filter == groupsOfPerson
	if chain {
		filter = groupsInChain
	}
	frontier := direct
	if r.GroupBase != "" || chain {
		more, err := d.groupSearch(ctx, c, fillGroupFilter(filter, p.entry.DN, p.username), found)
		if err != nil {
			return err
		}
		frontier = append(frontier, more...)
	}
	if chain {
		frontier = nil // the server has walked from there
	}
	if r.Dynamic {
		more, err := d.dynamicGroups(ctx, c, p, found)
		if err != nil {
			return err
		}
		frontier = append(frontier, more...)
	}
	return d.walkNested(ctx, c, p, frontier, found)
}

// walkNested adds the groups that the groups of the frontier are in, and those that these are in.
func (d *Directory) walkNested(ctx context.Context, c *conn, p *person, frontier []string, found groups) error {
	for depth := 0; d.cfg.Roles.Nested && len(frontier) > 0; depth++ {
		if depth == maxNesting || len(found) >= maxGroups {
			d.cfg.Logger.Warn("groups nest too deep, or are too many: some were left out", zap.String("person", p.entry.DN))
			return nil
		}
		var next []string
		for some := range slices.Chunk(frontier, groupsAtATime) {
			var either strings.Builder
			for _, dn := range some {
				either.WriteString(fillGroupFilter(groupsOfGroup, dn, ""))
			}
			more, err := d.groupSearch(ctx, c, "(|"+either.String()+")", found)
			if err != nil {
				return err
			}
			next = append(next, more...)
		}
		frontier = next
	}
	return nil
}

// groupSearch adds what it finds and returns the DNs that are new.
func (d *Directory) groupSearch(ctx context.Context, c *conn, filter string, found groups) ([]string, error) {
	base := d.cfg.Roles.GroupBase
	if base == "" {
		base = d.cfg.Base
	}
	seconds := int(d.cfg.Timeout.Seconds()) + 1
	result, err := c.search(ctx, ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		0, seconds, false, filter, []string{"1.1"}, nil)) // no attributes (RFC 4511 §4.5.1.8)
	if err != nil {
		return nil, fmt.Errorf("ldap: search of groups below %q: %w", base, err)
	}
	var added []string
	for _, entry := range result.Entries {
		if found.add(entry.DN) {
			added = append(added, entry.DN)
		}
	}
	return added, nil
}

// rolesOf maps what was found, sorted and each role once.
func (r *RolesConfig) rolesOf(found groups) []string {
	var roles []string
	for key, name := range found {
		short := name
		if dn, err := ldap.ParseDN(name); err == nil && len(dn.RDNs) > 0 {
			short = dn.RDNs[0].Attributes[0].Value
		}
		if len(r.Map) == 0 {
			roles = append(roles, short)
			continue
		}
		roles = append(roles, r.Map[key]...)
		if shortKey := fold(short); shortKey != key {
			roles = append(roles, r.Map[shortKey]...)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

type cachedRoles struct {
	roles []string
	until time.Time
}

func (d *Directory) rememberRoles(subject string, roles []string) {
	if d.cfg.Cache > 0 {
		d.roles.put(subject, cachedRoles{roles: roles, until: d.cfg.Now().Add(d.cfg.Cache)})
	}
}

// knownRoles takes roles from the cache; those that cost no search are always fresh.
func (d *Directory) knownRoles(ctx context.Context, p *person) ([]string, error) {
	if r := d.cfg.Roles; r.GroupBase == "" && !r.Nested {
		return d.findRoles(ctx, nil, p)
	}
	if known, ok := d.roles.get(p.subject); ok && d.cfg.Now().Before(known.until) {
		return slices.Clone(known.roles), nil
	}
	var roles []string
	err := d.read(ctx, func(ctx context.Context, c *conn, _ *layout) (err error) {
		roles, err = d.findRoles(ctx, c, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	d.rememberRoles(p.subject, roles)
	return slices.Clone(roles), nil
}

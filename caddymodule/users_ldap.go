package caddymodule

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap"
)

// LDAPUsers is people in a directory.
type LDAPUsers struct {
	// The servers, as ldap://, ldaps:// or ldapi:// URLs; tried in order.
	Servers []string `json:"server,omitempty"`
	// Where grants are read for update and written, one at a time; default: the servers.
	WriteServers []string `json:"write_server,omitempty"`
	// Encrypts ldap:// connections before anything is sent.
	StartTLS bool `json:"start_tls,omitempty"`
	// PEM files that server certificates are checked against; default: what the system trusts.
	TLSCA []string `json:"tls_ca,omitempty"`
	// The service account's name.
	BindDN string `json:"bind_dn,omitempty"`
	// The service account's password.
	BindPassword string `json:"bind_password,omitempty"`
	// The entry below which people are.
	Base string `json:"base,omitempty"`
	// Finds a person by {username}; default: by what kind of directory it is.
	Filter string `json:"filter,omitempty"`
	// The attribute that identifies a person for good; default: by what kind of directory it is.
	Subject string `json:"subject,omitempty"`
	// The attributes to read of a person; default: all, without values above 8 KiB.
	Attributes []string `json:"attribute,omitempty"`
	// Where roles come from.
	Roles *LDAPRoles `json:"roles,omitempty"`
	// The attribute of a person's own entry that holds the grants; default: they are in the storage.
	GrantAttribute string `json:"grant_attribute,omitempty"`
	// The auxiliary object class that lets an entry have that attribute; default: nidsOAuthUser.
	GrantClass string `json:"grant_class,omitempty"`
	// How long a change takes to reach every server at most: so long the grants of somebody are read where they
	// were written (default: 1m), and so long a write server must be down before the next takes over (10s).
	ReplicaLag caddy.Duration `json:"replica_lag,omitempty"`
	// How many connections of each sort a server gets; default: 16.
	Pool int `json:"pool,omitempty"`
	// How long a server may take to answer; default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// How long a sign-in may use the roles that it found before; default: 1m.
	Cache caddy.Duration `json:"cache,omitempty"`

	directory *ldap.Directory
}

// LDAPRoles says where the roles of a person come from; all sources add up.
type LDAPRoles struct {
	// The person's attribute with roles, or with the names of groups.
	Attribute string `json:"attribute,omitempty"`
	// The entry below which groups are.
	GroupBase string `json:"group_base,omitempty"`
	// Finds the groups of {dn} or {username}; default: by member, uniqueMember and memberUid.
	GroupFilter string `json:"group_filter,omitempty"`
	// Counts the groups that a group is in.
	Nested bool `json:"nested,omitempty"`
	// Counts groups that name their members by a search (memberURL).
	Dynamic bool `json:"dynamic,omitempty"`
	// Group, by its DN or name, to roles; where it is empty a group's name is the role.
	Map map[string][]string `json:"map,omitempty"`
}

// defaultGrantAttribute is the attribute of the schemas in examples/ldap/schema (G2).
const defaultGrantAttribute = "nidsOAuthGrant"

// CaddyModule returns the Caddy module information.
func (*LDAPUsers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authz.users.ldap", New: func() caddy.Module { return new(LDAPUsers) }}
}

// Provision reads the CA files and asks no server.
func (l *LDAPUsers) Provision(ctx caddy.Context) (err error) {
	if err := expand("users", l); err != nil {
		return err
	}
	cfg := ldap.Config{
		Servers: l.Servers, WriteServers: l.WriteServers, StartTLS: l.StartTLS,
		BindDN: l.BindDN, Password: l.BindPassword, Base: l.Base, Filter: l.Filter, Subject: l.Subject,
		Attributes: l.Attributes, GrantAttribute: l.GrantAttribute, GrantClass: l.GrantClass,
		Pool: l.Pool, ReplicaLag: time.Duration(l.ReplicaLag),
		Timeout: time.Duration(l.Timeout), Cache: time.Duration(l.Cache), Logger: ctx.Logger(),
	}
	for _, file := range l.TLSCA {
		authorities, err := readCertificates(file)
		if err != nil {
			return fmt.Errorf("tls_ca: %w", err)
		}
		for _, authority := range authorities {
			cfg.CA = append(cfg.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})...)
		}
	}
	if r := l.Roles; r != nil {
		cfg.Roles = ldap.RolesConfig{Attribute: r.Attribute, GroupBase: r.GroupBase, GroupFilter: r.GroupFilter, Nested: r.Nested, Dynamic: r.Dynamic, Map: r.Map}
	}
	l.directory, err = ldap.New(cfg)
	return err
}

// Users implements UserStore.
func (l *LDAPUsers) Users() users.Store { return l.directory }

// Start begins to watch the servers, until Close.
func (l *LDAPUsers) Start() { l.directory.Start(context.Background()) }

// Close ends the connections.
func (l *LDAPUsers) Close() { l.directory.Close() }

// Examine implements Examined.
func (l *LDAPUsers) Examine(ctx context.Context) []Finding {
	levels := map[ldap.Level]Level{ldap.Fine: Fine, ldap.Warning: Warning, ldap.Fault: Fault}
	var findings []Finding
	for _, f := range l.directory.Check(ctx) {
		findings = append(findings, Finding{
			Part: "directory " + f.Server, What: f.What, Level: levels[f.Level], Detail: f.Detail, Fix: f.Fix,
		})
	}
	return findings
}

// ProbeGrants implements GrantStore.
func (l *LDAPUsers) ProbeGrants(ctx context.Context) error {
	err := l.directory.ProbeGrants(ctx)
	if errors.Is(err, ldap.ErrNoAccess) || errors.Is(err, ldap.ErrNoSchema) {
		return fmt.Errorf("%w: %w", ErrGrantsRefused, err)
	}
	return err
}

// Grants implements GrantStore: the person's own entry, where the configuration names an attribute.
func (l *LDAPUsers) Grants(cfg grants.DirectoryConfig) (grants.Grants, error) {
	cfg.Attribute = l.directory.Attribute(l.GrantAttribute)
	cfg.Conflict = ldap.ErrConflict
	cfg.ReplicaLag = time.Duration(l.ReplicaLag)
	return grants.NewDirectory(cfg)
}

// HoldsGrants implements GrantStore.
func (l *LDAPUsers) HoldsGrants() bool { return l.GrantAttribute != "" }

// parseLDAP parses people in a directory. Syntax:
//
//	users ldap {
//		server <url...>
//		write_server <url...>
//		start_tls
//		tls_ca <file...>
//		bind <dn> <password>
//		base <dn>
//		filter <filter>
//		subject <attribute>
//		attribute <name...>
//		roles {
//			attribute <name>
//			group_base <dn>
//			group_filter <filter>
//			nested
//			dynamic
//			map <group dn or cn> <role...>
//		}
//		grant_attribute [<name> [<class>]]
//		replica_lag <duration>
//		pool <n>
//		timeout <duration>
//		cache <duration>
//	}
func parseLDAP(d *caddyfile.Dispenser) (*LDAPUsers, error) {
	l := new(LDAPUsers)
	err := words{
		"server":       list(&l.Servers),
		"write_server": list(&l.WriteServers),
		"start_tls":    present(&l.StartTLS),
		"tls_ca":       list(&l.TLSCA),
		"bind":         l.parseBind,
		"base":         text(&l.Base),
		"filter":       text(&l.Filter),
		"subject":      text(&l.Subject),
		"attribute":    list(&l.Attributes),
		"roles":        l.parseRoles,
		"grant_attribute": func(d *caddyfile.Dispenser) error {
			l.GrantAttribute = defaultGrantAttribute
			if d.NextArg() {
				l.GrantAttribute = d.Val()
			}
			if d.NextArg() {
				l.GrantClass = d.Val()
			}
			return lineEnds(d)
		},
		"pool": func(d *caddyfile.Dispenser) (err error) {
			if !d.NextArg() {
				return d.Err("pool needs a number")
			}
			l.Pool, err = parseCount(d)
			return errors.Join(err, lineEnds(d))
		},
		"replica_lag": span(&l.ReplicaLag),
		"timeout":     span(&l.Timeout),
		"cache":       span(&l.Cache),
	}.only(d)
	return l, err
}

func (l *LDAPUsers) parseBind(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("bind needs a DN and a password")
	}
	l.BindDN, l.BindPassword = args[0], args[1]
	return nil
}

func (l *LDAPUsers) parseRoles(d *caddyfile.Dispenser) error {
	roles := made(&l.Roles)
	return words{
		"attribute":    text(&roles.Attribute),
		"group_base":   text(&roles.GroupBase),
		"group_filter": text(&roles.GroupFilter),
		"nested":       present(&roles.Nested),
		"dynamic":      present(&roles.Dynamic),
		"map": func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) < 2 {
				return d.Err("map needs a group and a role")
			}
			if roles.Map == nil {
				roles.Map = make(map[string][]string)
			}
			roles.Map[args[0]] = append(roles.Map[args[0]], args[1:]...)
			return nil
		},
	}.only(d)
}

// Interface guards.
var (
	_ caddy.Provisioner = (*LDAPUsers)(nil)
	_ UserStore         = (*LDAPUsers)(nil)
	_ GrantStore        = (*LDAPUsers)(nil)
	_ Examined          = (*LDAPUsers)(nil)
	_ Runner            = (*LDAPUsers)(nil)
)

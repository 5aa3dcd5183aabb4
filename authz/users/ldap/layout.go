package ldap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Kind is what kind of directory a server is.
type Kind string

// The kinds that the root DSE tells apart.
const (
	OpenLDAP        Kind = "OpenLDAP"
	ActiveDirectory Kind = "Active Directory" // and Samba as one
	ADLDS           Kind = "AD LDS"
	DS389           Kind = "389 Directory Server"
	EDirectory      Kind = "eDirectory"
	Other           Kind = "LDAP"
)

// Capabilities of Active Directory and of AD LDS ([MS-ADTS] §3.1.1.3.4.3).
const (
	capabilityAD    = "1.2.840.113556.1.4.800"
	capabilityADLDS = "1.2.840.113556.1.4.1851"
)

// layout is how people are kept on a server, by the configuration and by what kind it is.
type layout struct {
	kind    Kind
	subject string
	filter  loginFilter
	wanted  []string // attributes to ask of a person
	// policy tells whether the server has a password policy in which a password that nobody has changed
	// yet shows no time of it (draft-behera-ldap-password-policy-10).
	policy bool
	// subschema is the entry that tells the schema (RFC 4512 §4.4), on Active Directory the naming
	// context that is it.
	subschema string
}

func rootDSE(attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", attributes, nil)
}

func readLayout(ctx context.Context, c *conn, cfg *Config) (*layout, error) {
	result, err := c.search(ctx, rootDSE("objectClass", "structuralObjectClass", "vendorName", "vendorVersion",
		"supportedCapabilities", "supportedControl", "subschemaSubentry", "schemaNamingContext"))
	if err != nil {
		return nil, fmt.Errorf("root DSE: %w", err)
	}
	if len(result.Entries) != 1 {
		return nil, fmt.Errorf("root DSE: %d entries", len(result.Entries))
	}
	return newLayout(result.Entries[0], cfg)
}

func newLayout(root *ldap.Entry, cfg *Config) (*layout, error) {
	l := &layout{kind: kindOf(root), subject: cfg.Subject, subschema: root.GetEqualFoldAttributeValue("schemaNamingContext")}
	if l.subschema == "" {
		l.subschema = root.GetEqualFoldAttributeValue("subschemaSubentry")
	}
	l.policy = l.kind == OpenLDAP && slices.Contains(root.GetEqualFoldAttributeValues("supportedControl"), ldap.ControlTypeBeheraPasswordPolicy)
	subject, filter := l.kind.defaults()
	if l.subject == "" {
		l.subject = subject
	}
	if cfg.Filter != "" {
		filter = cfg.Filter
	}
	var err error
	if l.filter, err = parseLoginFilter(filter); err != nil {
		return nil, err
	}
	l.wanted = cfg.wanted(l)
	return l, nil
}

func kindOf(root *ldap.Entry) Kind {
	capabilities := root.GetEqualFoldAttributeValues("supportedCapabilities")
	vendor := strings.ToLower(root.GetEqualFoldAttributeValue("vendorName") + " " + root.GetEqualFoldAttributeValue("vendorVersion"))
	classes := append(root.GetEqualFoldAttributeValues("objectClass"), root.GetEqualFoldAttributeValues("structuralObjectClass")...)
	switch {
	case slices.Contains(capabilities, capabilityADLDS):
		return ADLDS
	case slices.Contains(capabilities, capabilityAD):
		return ActiveDirectory
	case slices.Contains(classes, "OpenLDAProotDSE"):
		return OpenLDAP
	case strings.Contains(vendor, "edirectory"):
		return EDirectory
	case strings.Contains(vendor, "389"):
		return DS389
	}
	return Other
}

// defaults are the attribute that identifies a person for good, and where names are looked for.
func (k Kind) defaults() (subject, filter string) {
	switch k {
	case ActiveDirectory:
		return "objectGUID", "(&(objectCategory=person)(objectClass=user)(|(sAMAccountName={username})(userPrincipalName={username})(mail={username})))"
	case ADLDS:
		return "objectGUID", "(&(objectClass=user)(|(userPrincipalName={username})(cn={username})(mail={username})))"
	case DS389:
		return "nsUniqueId", "(&(objectClass=person)(|(uid={username})(mail={username})))"
	case EDirectory:
		return "GUID", "(&(objectClass=person)(|(cn={username})(uid={username})(mail={username})))"
	case OpenLDAP:
		return "entryUUID", "(&(objectClass=person)(|(uid={username})(mail={username})))"
	default:
		return "entryUUID", "(&(objectClass=person)(|(uid={username})(mail={username})(sAMAccountName={username})))"
	}
}

// wanted are the attributes to ask of a person.
func (cfg *Config) wanted(l *layout) []string {
	names := slices.Clone(cfg.Attributes)
	if len(names) == 0 {
		names = append(names, "*")
	}
	names = append(names, l.subject)
	names = append(names, l.filter.attributes()...)
	names = append(names, l.kind.standing()...)
	for _, optional := range []string{cfg.Roles.Attribute, cfg.GrantAttribute} {
		if optional != "" {
			names = append(names, optional)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

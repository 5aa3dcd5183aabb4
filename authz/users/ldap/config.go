package ldap

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/zap"
)

// What a Config means where it says nothing.
const (
	DefaultPool       = 16
	DefaultTimeout    = 5 * time.Second
	DefaultCache      = time.Minute
	DefaultReplicaLag = 10 * time.Second
	// DefaultGrantClass is the auxiliary object class of the schemas in examples/ldap/schema.
	DefaultGrantClass = "nidsOAuthUser"
)

// Config says where people are and how they are read.
type Config struct {
	// Servers as ldap://, ldaps:// or ldapi:// URLs (RFC 4516, no more than host and port), tried in order.
	Servers []string
	// WriteServers are where attributes are read for update and written, one at a time; none means Servers.
	WriteServers []string
	// ReplicaLag is how long a change takes to reach every server at most: a write server must have been down
	// for longer before the next takes over, or that one may lack what was written last. 0 means
	// DefaultReplicaLag.
	ReplicaLag time.Duration
	// StartTLS encrypts ldap:// connections before anything is sent (RFC 4511 §4.14).
	StartTLS bool
	// CA is what server certificates are checked against, in PEM; none means the system's.
	CA []byte
	// BindDN and Password are the service account; both empty search anonymously.
	BindDN, Password string
	// Base is the entry below which people are.
	Base string
	// Filter finds a person by {username} (RFC 4515); empty means by what kind of directory it is. People
	// who don't match it, whatever their name, are nobody here.
	Filter string
	// Subject is the attribute that identifies a person for good; empty means by kind of directory:
	// entryUUID, objectGUID, nsUniqueId or GUID.
	Subject string
	// Attributes to read of a person; none means all user attributes, without those above 8 KiB.
	Attributes []string
	// Roles says where roles come from.
	Roles RolesConfig
	// GrantAttribute is what Check tries to write, what is read together with a person, and what is never
	// among a person's attributes; empty where the directory holds no grants.
	GrantAttribute string
	// GrantClass is the auxiliary object class that an entry needs to hold what Attribute writes, added
	// when an entry lacks it. Empty means DefaultGrantClass.
	GrantClass string
	// Pool is how many connections of each sort a server gets at most. 0 means DefaultPool.
	Pool int
	// Timeout bounds each exchange with a server, waiting for a connection included. 0 means DefaultTimeout.
	Timeout time.Duration
	// Cache is how long Authenticate may use the roles it found before; Lookup never does. 0 means
	// DefaultCache, less than 0 no cache.
	Cache time.Duration
	// Logger gets faults of servers and of the configuration, never what people typed; nil is silent.
	Logger *zap.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// RolesConfig says where the roles of a person come from; all its sources add up. The zero value gives
// nobody any.
type RolesConfig struct {
	// Attribute of the person that holds roles or the DNs of groups, as memberOf does.
	Attribute string
	// GroupBase is the entry below which groups are searched. Groups elsewhere, named by Attribute, don't count.
	GroupBase string
	// GroupFilter finds the groups of {dn} or {username} (RFC 4515). Empty means member, uniqueMember and
	// memberUid.
	GroupFilter string
	// Nested counts the groups that a group is in, too; without GroupBase they are searched below Base.
	Nested bool
	// Dynamic counts groups below GroupBase that name their members by memberURL (groupOfURLs), too. It
	// costs a search for each of them; a directory that shows them as member itself needs no Dynamic.
	Dynamic bool
	// Map gives the roles of a group, named by DN or by the value of its first RDN. Where it is empty, the
	// latter is the role itself; else groups it doesn't name give none.
	Map map[string][]string
}

// complete fills defaults and says what can't work.
func (cfg *Config) complete() error {
	setDefault(&cfg.Pool, DefaultPool)
	setDefault(&cfg.Timeout, DefaultTimeout)
	setDefault(&cfg.Cache, DefaultCache)
	setDefault(&cfg.ReplicaLag, DefaultReplicaLag)
	setDefault(&cfg.GrantClass, DefaultGrantClass)
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if len(cfg.WriteServers) == 0 {
		cfg.WriteServers = cfg.Servers
	}
	switch {
	case len(cfg.Servers) == 0:
		return errors.New("a server is needed")
	case cfg.Pool < 0 || cfg.Timeout < 0 || cfg.ReplicaLag < 0:
		return errors.New("pool, timeout and replica lag must not be negative")
	case (cfg.BindDN == "") != (cfg.Password == ""):
		return errors.New("a bind DN and its password go together: a bind without a password is an anonymous one")
	case cfg.Base == "":
		return errors.New("a base is needed, below which people are")
	}
	return errors.Join(checkDN("base", cfg.Base), checkDN("group base", cfg.Roles.GroupBase), cfg.checkAttributes())
}

func checkDN(what, dn string) error {
	if _, err := ldap.ParseDN(dn); err != nil {
		return fmt.Errorf("%s %q: %w", what, dn, err)
	}
	return nil
}

func (cfg *Config) checkAttributes() error {
	names := append(slices.Clone(cfg.Attributes), cfg.GrantClass)
	for _, optional := range []string{cfg.Subject, cfg.Roles.Attribute, cfg.GrantAttribute} {
		if optional != "" {
			names = append(names, optional)
		}
	}
	for _, name := range names {
		if !isAttribute(name) {
			return fmt.Errorf("%q is not the name of an attribute", name)
		}
	}
	return nil
}

// roots are the certificates to trust, nil for the system's.
func (cfg *Config) roots() (*x509.CertPool, error) {
	if len(cfg.CA) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(cfg.CA) {
		return nil, errors.New("tls_ca holds no certificate in PEM, or none that can be read")
	}
	return pool, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

package grants

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/store"
)

// Attribute is one single-valued binary attribute of people's entries, lent by the directory. No value is
// nil. A subject that nobody has is users.ErrNotFound.
type Attribute interface {
	// Read returns the value from the server that writes go to.
	Read(ctx context.Context, subject string) ([]byte, error)
	// ReadReplica returns the value from any server; it may be an old one.
	ReadReplica(ctx context.Context, subject string) ([]byte, error)
	// Swap changes the value from old to next in one atomic step; nil is no value. When the value is not
	// old it changes nothing and returns the error that DirectoryConfig calls Conflict.
	Swap(ctx context.Context, subject string, old, next []byte) error
}

// Replacer is an Attribute that may be of a directory that can't compare values, as eDirectory can't those of a
// stream: Swap fails there, and a lock guards Replace instead.
type Replacer interface {
	// Comparable tells whether the server that writes go to compares values, so that Swap works.
	Comparable(ctx context.Context) (bool, error)
	// Replace sets the value, whatever it was; nil removes it.
	Replace(ctx context.Context, subject string, next []byte) error
}

// Sealer authenticates what is written into the directory, with a key of its own: a MAC of at least 128
// bits over parts, of which the bounds count, in characters that XML need not escape.
type Sealer interface {
	MAC(parts ...string) string
	// CheckMAC compares in constant time.
	CheckMAC(mac string, parts ...string) bool
}

// ErrConflict is what Attribute.Swap returns unless DirectoryConfig says otherwise.
var ErrConflict = errors.New("grants: value was changed meanwhile")

// ErrBusy says that an entry was changed by others again and again, or locked by them, for longer than a
// caller may wait.
var ErrBusy = errors.New("grants: entry is changed too often")

// DefaultReplicaLag is what DirectoryConfig.ReplicaLag means when it is 0.
const DefaultReplicaLag = time.Minute

// patience is how long an Update may take, the directory's answers included.
const patience = 10 * time.Second

// lastUseGrain is how seldom the last use of a family reaches the directory.
const lastUseGrain = time.Hour

// DirectoryConfig says where grants are kept in a directory. Attribute, Issuer, Sealer and Store are needed.
type DirectoryConfig struct {
	Attribute Attribute
	// Conflict is what Attribute.Swap returns, wrapped or not, when the value is not the expected one. Nil
	// means ErrConflict.
	Conflict error
	// Locks is a part of a store that all writers share, other issuers included; it is used where Attribute is
	// a Replacer that can't compare. Nil means Store.
	Locks store.Store

	// Issuer is the issuer identifier (RFC 8414 §2).
	Issuer string
	// Sealer has a key of its own, which must never be lost: without it there are no grants.
	Sealer Sealer
	// Store is the issuer's own part of a store. It remembers what ended until it would have expired.
	Store store.Store
	// ReplicaLag is how long a change takes to reach every replica at most. For that long after a write a
	// user's grants are read from the write server. 0 means DefaultReplicaLag.
	ReplicaLag time.Duration

	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger gets faults, never a value. Nil is silent.
	Logger *zap.Logger
	// Audit is told of contents that are not as this server left them. Nil is silent.
	Audit func(ctx context.Context, e AuditEvent)
}

// What an AuditEvent is named.
const (
	AuditForeign  = "grants_foreign"  // ErrForeign: the request fails and nothing is overwritten
	AuditTampered = "grants_tampered" // a client element with a bad seal: it grants nothing
)

// AuditEvent is something found in the attribute of a person that this server did not write there.
type AuditEvent struct {
	Name    string
	Subject string
	Client  string // as the element says, "" with AuditForeign
}

// directory keeps records in an attribute of each user's entry.
type directory struct {
	cfg    DirectoryConfig
	ended  store.Records[ended]
	leases store.Records[lease]
	queue  queue
}

// NewDirectory returns Grants kept in the directory, as the package describes it. Beside the errors of
// Grants its methods return ErrForeign, ErrBusy, and those of Attribute and Store.
func NewDirectory(cfg DirectoryConfig) (Grants, error) {
	switch {
	case cfg.Attribute == nil, cfg.Issuer == "", cfg.Sealer == nil, cfg.Store == nil:
		return nil, errors.New("grants: attribute, issuer, sealer and store are needed")
	case cfg.ReplicaLag < 0:
		return nil, errors.New("grants: replica lag must not be negative")
	}
	if err := checkText("issuer", cfg.Issuer); err != nil {
		return nil, err
	}
	if cfg.Conflict == nil {
		cfg.Conflict = ErrConflict
	}
	if cfg.Locks == nil {
		cfg.Locks = cfg.Store
	}
	if cfg.ReplicaLag == 0 {
		cfg.ReplicaLag = DefaultReplicaLag
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Audit == nil {
		cfg.Audit = func(context.Context, AuditEvent) {}
	}
	return &directory{
		cfg:    cfg,
		ended:  store.NewRecords[ended](cfg.Store, "grants-ended"),
		leases: store.NewRecords[lease](cfg.Locks, "grants-lock"),
		queue:  queue{lines: make(map[string]*line)},
	}, nil
}

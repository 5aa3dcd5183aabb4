package revocation

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/authz/store"
)

// Kind says what an entry of the feed names.
type Kind string

// Family, Session and Token end outright, by Revoke. User and Client are cut off at
// a time, by RevokeBefore, Grant and Device by RevokeOf; they may be served again
// afterwards.
const (
	Family  Kind = "family"  // a grant family: all that came from one authorization
	Session Kind = "session" // one login of a user at the authorization server
	Token   Kind = "token"   // one access token, by its jti
	User    Kind = "user"
	Client  Kind = "client"
	Grant   Kind = "grant"  // all that one user granted to one client
	Device  Kind = "device" // one device of one user
)

// ErrSubject says that a revocation names nothing: an empty id, or a kind that
// the method does not take.
var ErrSubject = errors.New("revocation: no such subject")

// pageLen is how many entries Load reads at a time.
const pageLen = 500

// Subject is what a token says of itself; a field that it lacks is empty.
type Subject struct {
	Family, Session, Token, User, Client, Device string
	// IssuedAt is the token's iat (RFC 7519 §4.1.6). The zero time is before
	// every other.
	IssuedAt time.Time
}

// Feed is the set of what is revoked. Make one with [New], then Load it before
// serving. All methods are safe for concurrent use.
type Feed struct {
	records store.Records[record]
	now     func() time.Time
	epoch   atomic.Uint64

	mu                                                          sync.RWMutex
	families, sessions, tokens, users, clients, grants, devices table

	watchersMu  sync.Mutex
	watchers    map[uint64]func()
	lastWatcher uint64
}

// table holds the marks of one kind.
type table map[key]mark

// key is what a mark is about; user is "" but of a Grant and a Device.
type key struct{ user, id string }

// mark is one revocation in memory.
type mark struct {
	before int64 // tokens issued in this second of Unix time or earlier are dead
	until  int64 // Unix milliseconds from which no such token lives; 0 is never
}

// New returns an empty feed that keeps its entries in s, and drops them by now;
// nil means time.Now.
func New(s store.Store, now func() time.Time) *Feed {
	if now == nil {
		now = time.Now
	}
	return &Feed{
		records:  store.NewRecords[record](s, "revocation"),
		now:      now,
		families: table{}, sessions: table{}, tokens: table{}, users: table{}, clients: table{},
		grants: table{}, devices: table{},
		watchers: make(map[uint64]func()),
	}
}

// Load adds the entries that the store keeps to those in memory. An entry it
// cannot read is an error: a feed that might miss a revocation must not serve.
func (f *Feed) Load(ctx context.Context) error {
	cursor := ""
	for {
		records, next, err := f.records.List(ctx, cursor, pageLen)
		if err != nil {
			return fmt.Errorf("revocation: load: %w", err)
		}
		for _, r := range records {
			if f.table(r.Kind) == nil {
				return fmt.Errorf("revocation: load: kind %q: %w", r.Kind, ErrSubject)
			}
		}
		if len(records) > 0 {
			f.apply(records...)
		}
		if next == "" {
			return nil
		}
		cursor = next
	}
}

// Revoke ends a Family, Session or Token. until is when the last token of it has
// expired, leeway of those who check included; the zero time keeps the entry
// for ever. ErrSubject says that id is empty or kind another. Any other error
// means that the store did not take the revocation: it holds in this process,
// but not beyond its end.
func (f *Feed) Revoke(ctx context.Context, kind Kind, id string, until time.Time) error {
	if id == "" || (kind != Family && kind != Session && kind != Token) {
		return fmt.Errorf("%w: revoke %q", ErrSubject, kind)
	}
	return f.add(ctx, record{Kind: kind, ID: []byte(id), Before: math.MaxInt64, Until: store.Millis(until)})
}

// RevokeBefore ends the tokens of a User or Client that were issued before
// notBefore. A token's iat has whole seconds and may have been rounded down, so
// one of the same second as notBefore is dead too, even if it came after: better
// one login too many than a token that outlives its revocation. An earlier
// notBefore than one already known changes nothing. until and errors are those of
// Revoke.
func (f *Feed) RevokeBefore(ctx context.Context, kind Kind, id string, notBefore, until time.Time) error {
	if id == "" || (kind != User && kind != Client) {
		return fmt.Errorf("%w: revoke before a time %q", ErrSubject, kind)
	}
	return f.add(ctx, record{Kind: kind, ID: []byte(id), Before: notBefore.Unix(), Until: store.Millis(until)})
}

// RevokeOf is RevokeBefore of what belongs to one user: a Grant, of which id is the
// client, or a Device.
func (f *Feed) RevokeOf(ctx context.Context, user string, kind Kind, id string, notBefore, until time.Time) error {
	if user == "" || id == "" || (kind != Grant && kind != Device) {
		return fmt.Errorf("%w: revoke of a user %q", ErrSubject, kind)
	}
	return f.add(ctx, record{Kind: kind, User: []byte(user), ID: []byte(id), Before: notBefore.Unix(), Until: store.Millis(until)})
}

// add persists a revocation, applies it in any case, and tells the subscribers.
func (f *Feed) add(ctx context.Context, r record) error {
	err := f.persist(ctx, r)
	f.apply(&r)
	if err != nil {
		return fmt.Errorf("revocation: keep %s: %w", r.Kind, err)
	}
	return nil
}

// apply merges entries into memory, then moves the epoch and tells the
// subscribers: who reads the new epoch finds the entries.
func (f *Feed) apply(records ...*record) {
	f.mu.Lock()
	for _, r := range records {
		t, about := f.table(r.Kind), key{string(r.User), string(r.ID)}
		m := mark{before: r.Before, until: r.Until}
		if old, ok := t[about]; ok {
			m = mark{before: max(old.before, m.before), until: later(old.until, m.until)}
		}
		t[about] = m
	}
	f.epoch.Add(1)
	f.mu.Unlock()
	f.notify()
}

// Revoked reports whether the token that says this of itself is revoked. It
// makes no call and allocates nothing.
func (f *Feed) Revoked(s Subject) bool {
	issued := s.IssuedAt.Unix()
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.families.has("", s.Family, issued) ||
		f.sessions.has("", s.Session, issued) ||
		f.tokens.has("", s.Token, issued) ||
		f.users.has("", s.User, issued) ||
		f.clients.has("", s.Client, issued) ||
		f.grants.has(s.User, s.Client, issued) ||
		f.devices.has(s.User, s.Device, issued)
}

// Epoch changes with every revocation. A cache that remembers an answer of
// Revoked keeps the epoch it read before it asked; while Epoch is still that,
// the answer stands.
func (f *Feed) Epoch() uint64 { return f.epoch.Load() }

// Purge drops the entries from memory whose tokens have all expired. The store
// drops its own.
func (f *Feed) Purge() {
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range []table{f.families, f.sessions, f.tokens, f.users, f.clients, f.grants, f.devices} {
		for about, m := range t {
			if !store.Live(m.until, now) {
				delete(t, about)
			}
		}
	}
}

// table returns the entries of one kind, nil for an unknown one.
func (f *Feed) table(kind Kind) table {
	switch kind {
	case Family:
		return f.families
	case Session:
		return f.sessions
	case Token:
		return f.tokens
	case User:
		return f.users
	case Client:
		return f.clients
	case Grant:
		return f.grants
	case Device:
		return f.devices
	}
	return nil
}

// has reports whether a token of what this names, issued in this second, is dead.
func (t table) has(user, id string, issued int64) bool {
	if id == "" || len(t) == 0 {
		return false
	}
	m, ok := t[key{user, id}]
	return ok && issued <= m.before
}

// later returns the later of two expiries in milliseconds, of which 0 is never.
func later(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

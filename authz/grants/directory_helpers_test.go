package grants_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

const issuer = "https://id.example"

// entries of people with one single-valued attribute, on a write server and a replica.
type people struct {
	mu      sync.Mutex
	master  map[string][]byte
	replica map[string][]byte
	lagging bool // the replica stays as it is

	fault      error           // what every operation answers
	nobody     map[string]bool // subjects without an entry
	lose       int             // how many swaps are made and answered with a conflict all the same
	conflict   error           // the answer to a swap of another value
	alwaysBusy bool            // every swap meets a conflict
	afterRead  func()          // called behind each read for update

	reads, replicaReads, writes, conflicts int
}

func newPeople() *people {
	return &people{
		master: map[string][]byte{}, replica: map[string][]byte{}, nobody: map[string]bool{},
		conflict: grants.ErrConflict,
	}
}

func (p *people) read(from map[string][]byte, subject string, count *int) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*count++
	if p.nobody[subject] {
		return nil, users.ErrNotFound
	}
	return slices.Clone(from[subject]), p.fault
}

func (p *people) Read(_ context.Context, subject string) ([]byte, error) {
	value, err := p.read(p.master, subject, &p.reads)
	if p.afterRead != nil {
		p.afterRead()
	}
	return value, err
}

func (p *people) ReadReplica(_ context.Context, subject string) ([]byte, error) {
	return p.read(p.replica, subject, &p.replicaReads)
}

func (p *people) Swap(_ context.Context, subject string, old, next []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault != nil {
		return p.fault
	}
	if p.alwaysBusy || !bytes.Equal(p.master[subject], old) {
		p.conflicts++
		return p.conflict
	}
	p.set(subject, next)
	if p.lose > 0 {
		p.lose--
		return p.conflict
	}
	return nil
}

func (p *people) set(subject string, value []byte) {
	p.writes++
	if p.master[subject] = slices.Clone(value); len(value) == 0 {
		delete(p.master, subject)
	}
	if !p.lagging {
		p.replica[subject] = p.master[subject]
	}
}

// put is somebody else's write, which reaches every server.
func (p *people) put(subject string, value []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.master[subject], p.replica[subject] = slices.Clone(value), slices.Clone(value)
}

func (p *people) value(subject string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.master[subject])
}

// streams are people of a directory that can't compare.
type streams struct{ *people }

func (s streams) Swap(context.Context, string, []byte, []byte) error {
	panic("cannot compare")
}

func (s streams) Comparable(context.Context) (bool, error) { return false, s.fault }

func (s streams) Replace(_ context.Context, subject string, next []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == nil {
		s.set(subject, next)
	}
	return s.fault
}

// seal is a Sealer.
type seal string

func (s seal) MAC(parts ...string) string {
	mac := hmac.New(sha256.New, []byte(s))
	for _, part := range parts {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(part)))
		mac.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s seal) CheckMAC(mac string, parts ...string) bool {
	return hmac.Equal([]byte(mac), []byte(s.MAC(parts...)))
}

// world is a directory, a store, a clock, and what was audited.
type world struct {
	people *people
	store  store.Store
	clock  *clock
	events []grants.AuditEvent
}

func newWorld() *world {
	w := &world{people: newPeople(), clock: &clock{}}
	w.clock.set(t0)
	w.store = store.NewMemory(w.clock.now)
	return w
}

func (w *world) config() grants.DirectoryConfig {
	return grants.DirectoryConfig{
		Attribute: w.people, Issuer: issuer, Sealer: seal("a key"), Store: w.store, Now: w.clock.now,
		Audit: func(_ context.Context, e grants.AuditEvent) { w.events = append(w.events, e) },
	}
}

// node is a server of its own over the same directory and store.
func (w *world) node(t *testing.T, set ...func(*grants.DirectoryConfig)) grants.Grants {
	t.Helper()
	cfg := w.config()
	for _, change := range set {
		change(&cfg)
	}
	g, err := grants.NewDirectory(cfg)
	require.NoError(t, err)
	return g
}

func (w *world) forward(d time.Duration) { w.clock.set(w.clock.now().Add(d)) }

func load(t *testing.T, g grants.Grants, user string) *grants.Record {
	t.Helper()
	r, err := g.Load(t.Context(), user)
	require.NoError(t, err)
	return r
}

func update(t *testing.T, g grants.Grants, user string, fn func(*grants.Record)) {
	t.Helper()
	require.NoError(t, g.Update(t.Context(), user, func(r *grants.Record) error {
		fn(r)
		return nil
	}))
}

// agree is the change most tests make: consent to mail for a client.
func agree(client string) func(*grants.Record) {
	return func(r *grants.Record) { r.Consent(client, []string{"mail"}, t0) }
}

// full has something of everything that a record carries.
func full() *grants.Record {
	return &grants.Record{Clients: map[string]*grants.Client{
		"app": {
			Consents: map[string]time.Time{"mail": t0.UTC(), "files": t0.Add(time.Nanosecond)},
			Families: []grants.Family{
				{
					ID: "f1", Issued: t0, Expires: t0.Add(time.Hour), LastUsed: t0.Add(time.Minute),
					Scope: []string{"mail", "files"}, ResourceServer: "api", Device: "phone",
				},
				{ID: "f2", Issued: t0.Add(time.Second)},
			},
			NotBefore: t0.Add(-time.Hour), KeepNotBefore: t0.Add(2 * time.Hour),
		},
		"<&\"'>\t\n": {Families: []grants.Family{{ID: "\r ]]>é\U0001F600", Issued: t0, Device: " a  b "}}},
		"gone":       {NotBefore: t0, KeepNotBefore: t0.Add(time.Hour)},
	}}
}

func setFull(r *grants.Record) { r.Clients = full().Clients }

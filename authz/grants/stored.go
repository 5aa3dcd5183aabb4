package grants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatewright/gatewright/authz/store"
)

// stored keeps records in a store, each under the hash of its user.
type stored struct {
	records store.Records[Record]
	now     func() time.Time
}

// NewStored returns Grants kept in s, which is the part of a store that belongs
// to one issuer; now nil means time.Now. A record with nothing left in it is
// deleted, and one that will run empty by itself expires in the store.
func NewStored(s store.Store, now func() time.Time) Grants {
	if now == nil {
		now = time.Now
	}
	return &stored{records: store.NewRecords[Record](s, "grants"), now: now}
}

// Load implements Grants.
func (g *stored) Load(ctx context.Context, user string) (*Record, error) {
	r, err := g.records.Get(ctx, user)
	if errors.Is(err, store.ErrNotFound) {
		r, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("grants: load: %w", err)
	}
	return g.current(r), nil
}

// Update implements Grants.
func (g *stored) Update(ctx context.Context, user string, fn func(*Record) error) error {
	err := g.records.Update(ctx, user, func(old *Record) (*Record, time.Time, error) {
		r := g.current(old)
		if err := fn(r); err != nil {
			return nil, time.Time{}, err
		}
		r.Prune(g.now())
		if r.Empty() {
			return nil, time.Time{}, nil
		}
		size, err := r.Size()
		if err != nil {
			return nil, time.Time{}, err
		}
		if size > MaxSize {
			return nil, time.Time{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
		}
		return r, r.Expires(), nil
	})
	if err != nil {
		return fmt.Errorf("grants: update: %w", err)
	}
	return nil
}

// current is what callers get of a kept record, nil for none: without what has
// expired, and with a map that can be written to.
func (g *stored) current(r *Record) *Record {
	if r == nil {
		r = &Record{}
	}
	if r.Clients == nil {
		r.Clients = make(map[string]*Client)
	}
	r.Prune(g.now())
	return r
}

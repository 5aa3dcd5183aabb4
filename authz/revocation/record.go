package revocation

import (
	"context"
	"fmt"
	"time"

	"github.com/gatewright/gatewright/authz/store"
)

// record is one revocation as the store keeps it. It lies under the hash of
// what it is about, because an id may be longer than a key.
type record struct {
	Kind Kind `json:"kind"`
	// User is whose Grant or Device it is. It and ID are bytes because JSON would
	// mangle an id that is no UTF-8.
	User []byte `json:"user,omitempty"`
	ID   []byte `json:"id"`
	// Before is the last dead second of Unix time; the greatest one for what
	// ended outright.
	Before int64 `json:"before"`
	// Until is when the entry goes, as store.Millis gives it.
	Until int64 `json:"until"`
}

// persist merges r into what the store keeps of the same subject, so that
// neither of two revocations, in whatever order they arrive, weakens the other.
func (f *Feed) persist(ctx context.Context, r record) error {
	id := fmt.Sprintf("%s:%d:%s%s", r.Kind, len(r.User), r.User, r.ID)
	return f.records.Update(ctx, id, func(old *record) (*record, time.Time, error) {
		next := r
		if old != nil {
			next.Before, next.Until = max(old.Before, r.Before), later(old.Until, r.Until)
		}
		return &next, store.Expiry(next.Until), nil
	})
}

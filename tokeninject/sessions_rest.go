package tokeninject

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatewright/gatewright/authz/token"
)

// errElsewhere is a renewal that another node is at.
var errElsewhere = errors.New("another node is renewing the session")

// leaseFor is longer than one renewal may take, refreshWait and renewedWait.
const leaseFor = 2 * refreshWait

// keep puts what the issuer says into the record. The Stamp may hold tokens of a foreign issuer. It is sealed under
// the handle, of which the store knows the hash only: whoever reads the store can do nothing with it.
func (r *sessionRecord) keep(handle string, session *Session) {
	r.Session, r.Sealed = *session, ""
	if session.Stamp != "" {
		r.Session.Stamp, r.Sealed = "", stampSealer(handle).Seal([]byte(session.Stamp), nil)
	}
}

// open is keep's other half.
func (r *sessionRecord) open(handle string) error {
	if r.Sealed == "" {
		return nil
	}
	stamp, err := stampSealer(handle).Open(r.Sealed, nil)
	if err != nil {
		return fmt.Errorf("the session's stamp: %w", err)
	}
	r.Session.Stamp = string(stamp)
	return nil
}

func stampSealer(handle string) *token.Sealer {
	return token.NewSealer([]byte(handle), "gate-session-stamp")
}

// lease gives this node the right to renew a session, for what its Stamp holds can be used once only: a second node
// that tried would end the session. What another node has got meanwhile is taken over instead, and nothing leased: it
// may need no renewal.
func (s *Sessions) lease(ctx context.Context, handle string, live *liveSession, now time.Time) (leased bool, err error) {
	var newer *sessionRecord
	var busy bool
	err = s.update(ctx, handle, live, func(next *sessionRecord) {
		newer, busy = nil, false
		if next.Renewals != live.renewals.Load() {
			found := *next
			newer = &found
		} else if busy = next.Renewer != s.node && now.Before(next.LeaseEnds); !busy {
			next.Renewer, next.LeaseEnds = s.node, now.Add(leaseFor)
		}
	})
	switch {
	case err != nil:
		return false, err
	case busy:
		return false, errElsewhere
	case newer == nil:
		return true, nil
	}
	if err = newer.open(handle); err == nil {
		live.take(newer)
	}
	return false, err
}

// renewed stores a session with a new Stamp, and gives the lease back.
func (s *Sessions) renewed(ctx context.Context, handle string, live *liveSession, session *Session) error {
	var renewals int64
	err := s.update(ctx, handle, live, func(next *sessionRecord) {
		next.keep(handle, session)
		next.Refreshed, next.LeaseEnds = time.UnixMilli(live.refreshed.Load()), time.Time{}
		next.Renewals++
		renewals = next.Renewals
	})
	if err == nil {
		live.renewals.Store(renewals)
	}
	return err
}

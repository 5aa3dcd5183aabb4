package authz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
)

// sessionFamilies are the refresh-token families that began in a session, so that logout can end them
// (G10). They are kept only where it does.
type sessionFamilies struct {
	Subject string              `json:"sub"`
	Expires time.Time           `json:"expires"`
	Clients map[string][]string `json:"clients"` // the newest of each: no more live
}

func (s *Server) noteFamilyOfSession(ctx context.Context, first *refreshToken) error {
	err := s.run.begun.Update(ctx, first.SID, func(old *sessionFamilies) (*sessionFamilies, time.Time, error) {
		next := old
		if next == nil {
			next = &sessionFamilies{Subject: first.Subject, Clients: make(map[string][]string)}
		}
		ids := append(next.Clients[first.ClientID], first.GrantID)
		next.Clients[first.ClientID] = ids[max(0, len(ids)-grants.MaxFamilies):]
		if first.Expires.After(next.Expires) {
			next.Expires = first.Expires
		}
		return next, next.Expires, nil
	})
	if err != nil {
		return fmt.Errorf("families of a session: %w", err)
	}
	return nil
}

// endFamiliesOfSession goes to the feed before the grants: these can be out of reach, and whoever signed out
// can't do it again.
func (s *Server) endFamiliesOfSession(ctx context.Context, sid string) error {
	begun, err := s.run.begun.Get(ctx, sid)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("families of a session: %w", err)
	}
	ids := slices.Concat(slices.Collect(maps.Values(begun.Clients))...)
	until := s.now().Add(s.longestLifetime())
	var errs []error
	for _, id := range ids {
		errs = append(errs, s.run.feed.Revoke(ctx, revocation.Family, id, until))
	}
	errs = append(errs, s.endGrants(ctx, begun.Subject, func(rec *grants.Record) []grants.Family {
		for _, id := range ids {
			rec.RemoveFamily(id)
		}
		return nil // the feed knows them
	}), s.run.begun.Delete(ctx, sid))
	return errors.Join(errs...)
}

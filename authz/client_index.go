package authz

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

// clientIndex names registered clients that have something in common. An entry is written before the registration
// that it is for, so none is missing. What is in there too much means nothing, after a change that was refused or
// broken off, or since the client expired: who reads it asks the client itself, and sweeps what led to none.
type clientIndex string

// ownedBy has the clients of a person.
func ownedBy(owner string) clientIndex { return clientIndex("client-of/" + oauth.Fingerprint(owner)) }

// listing has the clients that list an origin.
func listing(origin string) clientIndex { return clientIndex("cors-of/" + oauth.Fingerprint(origin)) }

// indexedClient is the entry of a client.
type indexedClient struct {
	ID   string `json:"client_id"`
	Mark string `json:"mark"` // of the registration that it was made for
	// Entered is when that was about to be written.
	Entered time.Time `json:"entered"`
}

func (s *Server) index(name clientIndex) store.Records[indexedClient] {
	return store.NewRecords[indexedClient](s.run.store, string(name))
}

// indexes are those in which a registration is found.
func (rec *registration) indexes() []clientIndex {
	var all []clientIndex
	if rec.Owner != "" {
		all = append(all, ownedBy(rec.Owner))
	}
	for _, origin := range rec.Metadata.CORS {
		all = append(all, listing(origin))
	}
	return all
}

// enter has a registration found, before it is written.
func (s *Server) enter(ctx context.Context, rec *registration) error {
	rec.Mark = oauth.NewID()
	for _, name := range rec.indexes() {
		if err := s.index(name).Put(ctx, rec.ID, &indexedClient{rec.ID, rec.Mark, s.now()}, time.Time{}); err != nil {
			return errClientStore.Because(err)
		}
	}
	return nil
}

// leave takes a client out of the indexes in which it is not found any more, after a registration was replaced by
// another; by none where it was deleted.
func (s *Server) leave(ctx context.Context, before, after *registration) error {
	kept := after.indexes()
	for _, name := range before.indexes() {
		if slices.Contains(kept, name) {
			continue
		}
		if err := s.drop(ctx, name, before.ID, before.Mark); err != nil {
			return errClientStore.Because(err)
		}
	}
	return nil
}

// settling is longer than a request takes to write a registration after its entries, and than clocks differ.
const settling = 10 * time.Minute

// sweep drops an entry that led a reader to no client. It stays while its registration may be on its way, and where
// that is there, but not for the configuration of now.
func (s *Server) sweep(ctx context.Context, name clientIndex, entry *indexedClient) {
	if s.now().Sub(entry.Entered) < settling {
		return
	}
	rec, err := s.run.clients.Get(ctx, entry.ID)
	switch {
	case err == nil && slices.Contains(rec.indexes(), name):
		return
	case err == nil, errors.Is(err, store.ErrNotFound):
		err = s.drop(ctx, name, entry.ID, entry.Mark)
	}
	if err != nil && ctx.Err() == nil { // the next reader sweeps
		s.cfg.Logger.Warn("an entry of a client that is gone could not be dropped", zap.String("client_id", entry.ID), zap.Error(err))
	}
}

// errNewerMark keeps an entry.
var errNewerMark = errors.New("the entry is another registration's")

// drop takes out an entry. One with another mark stays: the client was changed again meanwhile, or another got its ID.
func (s *Server) drop(ctx context.Context, name clientIndex, id, mark string) error {
	err := s.index(name).Update(ctx, id, func(old *indexedClient) (*indexedClient, time.Time, error) {
		if old != nil && old.Mark != mark {
			return nil, time.Time{}, errNewerMark
		}
		return nil, time.Time{}, nil
	})
	if errors.Is(err, errNewerMark) {
		return nil
	}
	return err
}

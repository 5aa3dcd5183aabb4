package authz

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

// clientIndex names registered clients that have something in common. What is in there too much, after a change that
// was broken off, means nothing: who reads it asks the client itself.
type clientIndex string

// ownedBy has the clients of a person.
func ownedBy(owner string) clientIndex { return clientIndex("client-of/" + oauth.Fingerprint(owner)) }

// listing has the clients that list an origin.
func listing(origin string) clientIndex { return clientIndex("cors-of/" + oauth.Fingerprint(origin)) }

// indexedClient is the entry of a client.
type indexedClient struct {
	ID   string `json:"client_id"`
	Mark string `json:"mark"` // of the registration that it was made for
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
	return s.point(ctx, rec)
}

// point writes the entries of a registration. They go when it does.
func (s *Server) point(ctx context.Context, rec *registration) error {
	for _, name := range rec.indexes() {
		if err := s.index(name).Put(ctx, rec.ID, &indexedClient{rec.ID, rec.Mark}, rec.Expires); err != nil {
			return errClientStore.Because(err)
		}
	}
	return nil
}

// errNewerMark keeps an entry.
var errNewerMark = errors.New("the entry is another registration's")

// leave takes a client out of the indexes in which it is not found any more, after a registration was replaced by
// another; by none where it was deleted. An entry with another mark stays: the client was changed again meanwhile, or
// another got its ID.
func (s *Server) leave(ctx context.Context, before, after *registration) error {
	kept := after.indexes()
	for _, name := range before.indexes() {
		if slices.Contains(kept, name) {
			continue
		}
		err := s.index(name).Update(ctx, before.ID, func(old *indexedClient) (*indexedClient, time.Time, error) {
			if old != nil && old.Mark != before.Mark {
				return nil, time.Time{}, errNewerMark
			}
			return nil, time.Time{}, nil
		})
		if err != nil && !errors.Is(err, errNewerMark) {
			return errClientStore.Because(err)
		}
	}
	return nil
}

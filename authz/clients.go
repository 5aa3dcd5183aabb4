package authz

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

// findClient returns the client of an ID, nil when there is none: one of the configuration, which wins,
// else a registered one (C14). It is asked anew for each request, since clients come and go; an error
// says that nobody knows now, and has the code temporarily_unavailable.
func (s *Server) findClient(ctx context.Context, id string) (*client, error) {
	if id == GateClientID {
		return s.gate, nil
	}
	if c := s.clients[id]; c != nil {
		return c, nil
	}
	if !validClientID(id) {
		return nil, nil
	}
	rec, err := s.run.clients.Get(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, errClientStore.Because(err)
	}
	return s.compiled.get(rec, s.compileRegistered, s.cfg.Logger), nil
}

// activeClient is findClient for clients that may be used.
func (s *Server) activeClient(ctx context.Context, id string) (*client, error) {
	c, err := s.findClient(ctx, id)
	if err != nil || c == nil || c.Disabled {
		return nil, err
	}
	return c, nil
}

var errClientStore = oauth.Errorf(oauth.TemporarilyUnavailable, "clients could not be read")

// registration is a registered client as the store keeps it. Whatever is a secret is a hash, or sealed.
type registration struct {
	ID       string         `json:"client_id"`
	Metadata clientMetadata `json:"metadata"`
	// Version is another one after each change.
	Version string    `json:"version"`
	Issued  time.Time `json:"issued"`
	// Mark is that of its entries in the indexes of clients.
	Mark string `json:"mark"`
	// By is who registered it, and Owner the subject of that person, "" for nobody: it registered itself.
	By    registrantKind `json:"by"`
	Owner string         `json:"owner,omitempty"`

	SecretHash   string `json:"secret_hash,omitempty"`
	SealedSecret string `json:"sealed_secret,omitempty"` // for whoever may read it again
	// FormerHash is the secret before, which is taken until FormerUntil (C15).
	FormerHash   string    `json:"former_hash,omitempty"`
	FormerSealed string    `json:"former_sealed,omitempty"`
	FormerUntil  time.Time `json:"former_until,omitzero"`
	// TokenHash is of the registration access token (RFC 7592 §3).
	TokenHash string `json:"token_hash"`
	// Expires is when a client that registered itself goes unless somebody uses it by then; zero: it stays.
	Expires time.Time `json:"expires,omitzero"`
	// Used tells that one that registered itself may have tokens.
	Used bool `json:"used,omitempty"`
}

// self tells a client that registered itself.
func (rec *registration) self() bool { return rec.By == registrantSelf }

// unverified tells one that nobody has checked since (A36).
func (rec *registration) unverified() bool { return rec.self() && !rec.Metadata.Verified }

// setEnd gives a client an end that registered itself and that nobody vouches for, or for no more (A53).
func (rec *registration) setEnd(now time.Time) {
	switch {
	case !rec.unverified():
		rec.Expires = time.Time{}
	case rec.Expires.IsZero() && rec.Used:
		rec.Expires = now.Add(disusedLife)
	case rec.Expires.IsZero():
		rec.Expires = now.Add(unusedLife)
	}
}

// compileRegistered makes a registration a client by the rules of the configuration's own.
func (s *Server) compileRegistered(rec *registration) (*client, error) {
	reg := rec.Metadata.client()
	reg.ID, reg.SecretHash = rec.ID, rec.SecretHash
	var former string
	if reg.SignsBySecret() {
		var errs [2]error
		reg.Secret, errs[0] = s.openClientSecret(rec.ID, rec.SealedSecret)
		former, errs[1] = s.openClientSecret(rec.ID, rec.FormerSealed)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
	}
	c, err := s.compileClientFrom(&s.cfg, reg, s.registrationFetchers(rec))
	if err != nil {
		return nil, err
	}
	c.formerSecret = former
	c.formerHash, c.formerUntil = rec.FormerHash, rec.FormerUntil
	c.self, c.unverified = rec.self(), rec.unverified()
	c.since, c.until, c.used = rec.Issued, rec.Expires, rec.Used
	return c, nil
}

// maxCompiled bounds how many registered clients are kept compiled.
const maxCompiled = 1 << 10

// compiledClients keeps registered clients compiled, with the key sets they fetched. Every request reads
// the registration itself, so a change is seen at once, on any node. It is safe for concurrent use.
type compiledClients struct {
	mu sync.Mutex
	by map[string]compiledClient
}

type compiledClient struct {
	version string
	client  *client // nil: it does not fit the configuration
}

// get compiles a registration, unless that was done. What the configuration has no place for any more,
// a scope that is gone, makes it no client.
func (k *compiledClients) get(rec *registration, compile func(*registration) (*client, error), log *zap.Logger) *client {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known, ok := k.by[rec.ID]; ok && known.version == rec.Version {
		return known.client
	}
	c, err := compile(rec)
	if err != nil {
		log.Warn("a registered client does not fit the configuration", zap.String("client_id", rec.ID), zap.Error(err))
		c = nil
	}
	for id := range k.by {
		if len(k.by) < maxCompiled {
			break
		}
		delete(k.by, id)
	}
	if k.by == nil {
		k.by = make(map[string]compiledClient)
	}
	k.by[rec.ID] = compiledClient{rec.Version, c}
	return c
}

// disableShadowed disables registered clients whose ID the configuration has taken since (C14), lest
// they come back with the rights of another when it is taken out again.
func (s *Server) disableShadowed(ctx context.Context) error {
	for id := range s.clients {
		rec, err := s.run.clients.Get(ctx, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && rec.Metadata.Disabled {
			continue
		}
		if err == nil {
			err = s.changeClient(ctx, id, func(rec *registration) error {
				rec.Metadata.Disabled = true
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("registered client %s: %w", id, err)
		}
		s.cfg.Observe(ctx, Event{Name: "client_disabled", Issuer: s.cfg.Issuer, ClientID: id})
	}
	return nil
}

// changeClient changes a registration in one atomic step; store.ErrNotFound when it is gone.
func (s *Server) changeClient(ctx context.Context, id string, change func(*registration) error) error {
	version := oauth.NewID()
	return s.run.clients.Update(ctx, id, func(old *registration) (*registration, time.Time, error) {
		if old == nil {
			return nil, time.Time{}, store.ErrNotFound
		}
		if err := change(old); err != nil {
			return nil, time.Time{}, err
		}
		old.Version = version
		return old, old.Expires, nil
	})
}

// How long a client that registered itself stays after its last use, which is noted so often.
const (
	disusedLife = 365 * 24 * time.Hour
	noteUse     = 24 * time.Hour
)

// keepClient has a client that registered itself stay while it is used (A53). It is asked before the client
// gets anything: what was deleted meanwhile gets nothing, and what gets something is not deleted as unused.
func (s *Server) keepClient(ctx context.Context, c *client) error {
	now := s.now()
	noted := c.used && (c.until.IsZero() || c.until.Sub(now) > disusedLife-noteUse)
	if !c.self || noted {
		return nil
	}
	err := s.changeClient(ctx, c.ID, func(rec *registration) error {
		rec.Used = true
		if !rec.Expires.IsZero() { // else an administrator keeps it
			rec.Expires = now.Add(disusedLife)
		}
		return nil
	})
	if err != nil {
		return errClientStore.Because(fmt.Errorf("keep client %s: %w", c.ID, err))
	}
	return nil
}

// keepSpender is keepClient at the token endpoint, where a grant is spent by then: that must not be lost for what the
// next use notes as well.
func (s *Server) keepSpender(ctx context.Context, c *client) error {
	err := s.keepClient(ctx, c)
	if err == nil || !c.used || errors.Is(err, store.ErrNotFound) {
		return err
	}
	s.cfg.Logger.Warn("the use of a client could not be noted", zap.String("client_id", c.ID), zap.Error(err))
	return nil
}

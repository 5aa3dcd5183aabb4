package authz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/users"
)

// This file is what ends tokens other than by the token itself (E7, S10): for the endpoint, commands and
// portals. Each method goes to the feed first, so that refresh, introspection and gates agree at once, then
// to the person's grants. An error means that the revocation holds in this process, but may not outlive it:
// call again. Times of issue have whole seconds, so what is issued later in the same second is ended, too.

// RevokeUser ends all that a person is signed in to and gave to clients: sessions here and at gates, codes,
// refresh and access tokens. What the person agreed to stays.
func (s *Server) RevokeUser(ctx context.Context, subject string) error {
	now, until := s.now(), s.now().Add(s.longestLifetime())
	if err := s.run.feed.RevokeBefore(ctx, revocation.User, subject, now, until); err != nil {
		return fmt.Errorf("revoke user: %w", err)
	}
	err := s.endFamilies(ctx, subject, func(rec *grants.Record) []grants.Family { return rec.EndAll(now, until) })
	s.cfg.Observe(ctx, Event{Name: "user_revoked", Issuer: s.cfg.Issuer, Subject: subject})
	return err
}

// RevokeClient ends all codes and tokens of a client, whoever they are for.
func (s *Server) RevokeClient(ctx context.Context, clientID string) error {
	if err := s.run.feed.RevokeBefore(ctx, revocation.Client, clientID, s.now(), s.now().Add(s.longestLifetime())); err != nil {
		return fmt.Errorf("revoke client: %w", err)
	}
	s.cfg.Observe(ctx, Event{Name: "client_revoked", Issuer: s.cfg.Issuer, ClientID: clientID})
	return nil
}

// RevokeDevice ends the refresh-token families that a client got for a device of a person, with their access
// tokens, and what keeps the person signed in there. Where the client is "", the families are those of every
// client.
func (s *Server) RevokeDevice(ctx context.Context, subject, clientID, device string) error {
	if err := s.run.feed.RevokeOf(ctx, subject, revocation.Device, device, s.now(), s.now().Add(s.longestLifetime())); err != nil {
		return fmt.Errorf("revoke device: %w", err)
	}
	err := s.endFamilies(ctx, subject, func(rec *grants.Record) []grants.Family { return rec.EndDevice(clientID, device) })
	s.cfg.Observe(ctx, Event{Name: "device_revoked", Issuer: s.cfg.Issuer, Subject: subject, ClientID: clientID})
	return err
}

// Withdraw takes back all that a person granted to a client (S10): its tokens end, and the person is asked
// again next time.
func (s *Server) Withdraw(ctx context.Context, subject, clientID string) error {
	now, until := s.now(), s.now().Add(s.longestLifetime())
	if err := s.run.feed.RevokeOf(ctx, subject, revocation.Grant, clientID, now, until); err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
	err := s.endGrants(ctx, subject, func(rec *grants.Record) []grants.Family { return rec.Withdraw(clientID, now, until) })
	s.cfg.Observe(ctx, Event{Name: "consent_withdrawn", Issuer: s.cfg.Issuer, Subject: subject, ClientID: clientID})
	return err
}

// endFamilies is endGrants where a change is about families only: with revocation off there are none.
func (s *Server) endFamilies(ctx context.Context, subject string, change func(*grants.Record) []grants.Family) error {
	if s.cfg.Revocation.Off {
		return nil
	}
	return s.endGrants(ctx, subject, change)
}

// endGrants changes the grants of a person, and revokes the families that the change ends. Who is gone has
// no grants any more.
func (s *Server) endGrants(ctx context.Context, subject string, change func(*grants.Record) []grants.Family) error {
	var ended []grants.Family
	err := s.run.grants.Update(ctx, subject, func(rec *grants.Record) error {
		ended = change(rec)
		return nil
	})
	if err != nil && !errors.Is(err, users.ErrNotFound) {
		return errGrantsUnwritten.Because(err)
	}
	return s.revokeFamilies(ctx, ended)
}

// errGrantsUnwritten tells a client to try again (RFC 7009 §2.2.1).
var errGrantsUnwritten = oauth.Errorf(oauth.TemporarilyUnavailable, "grants could not be written")

// revokeFamilies tells the feed of families that are not in the grants any more. All of them end here, even
// when the store does not take one.
func (s *Server) revokeFamilies(ctx context.Context, ended []grants.Family) error {
	var errs []error
	for _, f := range ended {
		until := time.Time{}
		if !f.Expires.IsZero() {
			until = f.Expires.Add(leeway)
		}
		errs = append(errs, s.run.feed.Revoke(ctx, revocation.Family, f.ID, until))
	}
	return errors.Join(errs...)
}

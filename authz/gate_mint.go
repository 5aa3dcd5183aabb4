package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// GateMint asks for a token to inject: for Session, or on behalf of Caller, the access token that a
// request came with.
type GateMint struct {
	Session        *GateSession
	Caller         *token.AccessToken
	ResourceServer string
	Scope          []string
	Gate           string // named in act where there is a Caller; "": the token is Caller's own in another form
	// Phantom asks for Caller's own token as the upstream can read it (W8): of the same scopes, whatever
	// the client may have by now, and signed only where it would be encrypted to this server.
	Phantom bool
}

// Mint makes an access token to inject (W4). The person is looked up again each time. Scopes that
// were never granted are insufficient_scope.
func (s *Server) Mint(ctx context.Context, m GateMint) (raw string, expires time.Time, err error) {
	a := &Authorization{ // never binary: it is for a backend to read
		scope: m.Scope, resource: s.resourceNamed(m.ResourceServer), named: true, format: FormatJWT,
	}
	if a.resource == nil {
		return "", expires, oauth.Errorf(oauth.InvalidTarget, "no such resource server")
	}
	var granted []string
	if m.Session != nil {
		granted = m.Session.Scope
		err = s.mintFor(ctx, a, m.Session)
	} else {
		granted = m.Caller.Scope
		err = s.mintOnBehalf(ctx, a, m)
	}
	if err != nil {
		return "", expires, err
	}
	if m.Phantom {
		a.scope = granted
		if a.resource.Encryption == EncryptionServerKey {
			readable := *a.resource
			readable.Encryption = EncryptionNone
			a.resource = &readable
		}
	}
	for _, name := range m.Scope {
		if !slices.Contains(granted, name) || !slices.Contains(a.client.Scopes, name) {
			return "", expires, oauth.Errorf(oauth.InsufficientScope, "the scope %s was not granted", name)
		}
	}
	raw, expires, err = s.mintAccessToken(ctx, a, s.now())
	if err != nil {
		return "", expires, fmt.Errorf("token for %s: %w", m.ResourceServer, err)
	}
	s.cfg.Observe(ctx, Event{Name: "token_injected", Issuer: s.cfg.Issuer, ClientID: a.client.ID, Subject: a.subject()})
	return raw, expires, nil
}

func (s *Server) mintFor(ctx context.Context, a *Authorization, session *GateSession) error {
	c, user, err := s.sessionParties(ctx, session)
	if err != nil {
		return err
	}
	a.client, a.user = c, user
	a.grantID, a.sid, a.bound = session.GrantID, session.SessionID, true
	a.authContext = authContext{session.AuthTime, session.ACR, session.AMR}
	return nil
}

// mintOnBehalf keeps the caller's client_id and names the gate in act (RFC 8693 §4.1).
func (s *Server) mintOnBehalf(ctx context.Context, a *Authorization, m GateMint) error {
	caller := m.Caller
	if s.run.feed.Revoked(s.revocationSubject(caller)) {
		return ErrEnded
	}
	var err error
	if a.client, err = s.findClient(ctx, caller.ClientID); err != nil {
		return err
	}
	if a.client == nil || a.client.Disabled && !m.Phantom { // what is issued stays valid (C3)
		return fmt.Errorf("%w: %w", ErrEnded, errUnknownClient)
	}
	if !forItself(caller) {
		user, err := s.grantUser(ctx, a.client, s.Account(caller.Subject), "")
		if errors.Is(err, oauth.InvalidGrant) {
			return fmt.Errorf("%w: %w", ErrEnded, err)
		}
		if err != nil {
			return err
		}
		a.user = user
	}
	a.grantID, a.sid, a.bound = caller.GrantID, caller.SessionID, true
	a.authContext = authContext{caller.AuthTime, caller.ACR, caller.AMR}
	a.until = caller.ExpiresAt
	a.actors = caller.Actors
	if m.Gate != "" {
		a.actors = append([]string{m.Gate}, caller.Actors...)
	}
	return nil
}

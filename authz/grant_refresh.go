package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/users"
)

// refreshGrace is how long the generation before the last is taken, so that a lost answer or two tabs
// log nobody out (E3).
const refreshGrace = 10 * time.Second

// familyState is what changes with every refresh (U4); a family that was never refreshed has none.
type familyState struct {
	Generation int       `json:"generation"`
	Rotated    time.Time `json:"rotated,omitzero"`
	Used       time.Time `json:"used"`
}

// beginFamily records a new family of refresh tokens with the user's grants.
func (s *Server) beginFamily(ctx context.Context, a *Authorization, now time.Time) error {
	l := a.client.Lifetimes
	a.refresh = &refreshToken{
		GrantID:  a.grantID,
		ClientID: a.client.ID,
		Subject:  a.user.Subject,
		Stamp:    a.user.PasswordStamp,
		SID:      a.sid,
		Scope:    a.scope,
		AuthTime: a.authTime,
		Issued:   now,
		Expires:  now.Add(l.RefreshToken),
	}
	if a.named {
		a.refresh.Resource = a.resource.Name
	}
	var dropped []grants.Family
	err := s.run.grants.Update(ctx, a.user.Subject, func(rec *grants.Record) error {
		dropped = rec.AddFamily(a.client.ID, grants.Family{
			ID:             a.grantID,
			Issued:         now,
			Expires:        a.refresh.Expires,
			Scope:          a.scope,
			ResourceServer: a.refresh.Resource,
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("grants: %w", err)
	}
	for _, f := range dropped { // more than ten live families: the oldest ends (U3)
		if err := s.run.feed.Revoke(ctx, revocation.Family, f.ID, f.Expires); err != nil {
			return fmt.Errorf("dropped family: %w", err)
		}
	}
	return nil
}

// endFamily revokes a family and every access token of it, here and at the gates at once.
func (s *Server) endFamily(ctx context.Context, subject, grantID string) error {
	until := s.now().Add(s.longestLifetime())
	if err := s.run.feed.Revoke(ctx, revocation.Family, grantID, until); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	err := s.run.grants.Update(ctx, subject, func(rec *grants.Record) error {
		rec.RemoveFamily(grantID)
		return nil
	})
	if err != nil {
		return fmt.Errorf("grants: %w", err)
	}
	return nil
}

// longestLifetime is how long a revocation has to be remembered: until the last token it concerns
// has expired.
func (s *Server) longestLifetime() time.Duration {
	longest := max(s.cfg.Lifetimes.AccessToken, s.cfg.Lifetimes.RefreshToken, s.cfg.Lifetimes.Session)
	for _, c := range s.clients {
		longest = max(longest, c.Lifetimes.AccessToken, c.Lifetimes.RefreshToken)
	}
	return longest
}

// refreshGrant is the refresh token grant (RFC 6749 §6, RFC 9700 §4.14).
type refreshGrant struct{ s *Server }

func (refreshGrant) Type() string { return GrantRefreshToken }

func (g refreshGrant) Authorize(ctx context.Context, r *TokenRequest) (*Authorization, error) {
	if !r.Params.Has("refresh_token") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "refresh_token is missing")
	}
	t, err := g.s.openRefresh(ctx, r.Params.Get("refresh_token"))
	if err != nil {
		return nil, errRefresh.Because(err)
	}
	if t.ClientID != r.client.ID {
		return nil, errRefresh.Because(errOtherClient)
	}
	scope, err := narrowed(t.Scope, r.scope)
	if err != nil {
		return nil, err
	}
	user, err := g.s.grantUser(ctx, r.client, t.Subject, t.Stamp)
	if err != nil {
		return nil, err
	}
	next, err := g.s.useRefresh(ctx, r.client, t, r.now)
	if err != nil {
		return nil, err
	}
	return g.authorization(r, t, next, user, scope)
}

func (g refreshGrant) authorization(r *TokenRequest, t, next *refreshToken, user *users.User, scope []string) (*Authorization, error) {
	named := r.named
	if named == nil && t.Resource != "" {
		if named = g.s.resourceNamed(t.Resource); named == nil {
			return nil, oauth.Errorf(oauth.InvalidTarget, "the resource server is gone")
		}
	}
	scope = r.client.grantable(scope) // the client may have lost some since
	target, err := g.s.chooseResource(named, r.client, scope)
	if err != nil {
		return nil, err
	}
	return &Authorization{
		client:   r.client,
		user:     user,
		scope:    scope,
		resource: target,
		named:    named != nil,
		grantID:  t.GrantID,
		sid:      t.SID,
		authTime: t.AuthTime,
		refresh:  next,
		until:    t.Expires,
	}, nil
}

var (
	errRefresh     = oauth.Errorf(oauth.InvalidGrant, "the refresh token is invalid, expired or revoked")
	errOtherClient = errors.New("token of another client")
	errFamilyGone  = errors.New("family has ended")
	errIdle        = errors.New("unused for too long")
)

// useRefresh checks that the family lives and counts its generations (E3). It returns the token to
// hand out, nil when the client goes on with the one it has.
func (s *Server) useRefresh(ctx context.Context, c *client, t *refreshToken, now time.Time) (*refreshToken, error) {
	if !now.Before(t.Expires) {
		return nil, errRefresh
	}
	if s.run.feed.Revoked(revocation.Subject{Family: t.GrantID, User: t.Subject, Client: t.ClientID, IssuedAt: t.Issued}) {
		return nil, errRefresh.Because(errRevoked)
	}
	record, err := s.run.grants.Load(ctx, t.Subject)
	if err != nil {
		return nil, fmt.Errorf("grants: %w", err)
	}
	if record.Family(t.ClientID, t.GrantID) == nil {
		return nil, errRefresh.Because(errFamilyGone)
	}
	generation, err := s.countUse(ctx, c, t, now)
	if errors.Is(err, errReplay) {
		if err := s.endFamily(ctx, t.Subject, t.GrantID); err != nil {
			return nil, fmt.Errorf("refresh replay: %w", err)
		}
		return nil, errRefresh.Because(errReplay)
	}
	if err != nil {
		return nil, err
	}
	if generation == t.Generation {
		return nil, nil
	}
	next := *t
	next.Generation = generation
	return &next, nil
}

// countUse writes down the use of a generation and returns the one to go on with: atomic, so that of
// two refreshes at once one makes the next generation and the other gets the same (A38).
func (s *Server) countUse(ctx context.Context, c *client, t *refreshToken, now time.Time) (generation int, err error) {
	err = s.run.families.Update(ctx, t.GrantID, func(old *familyState) (*familyState, time.Time, error) {
		state := familyState{Used: t.Issued}
		if old != nil {
			state = *old
		}
		if now.Sub(state.Used) > c.Lifetimes.RefreshIdle {
			return nil, time.Time{}, errRefresh.Because(errIdle)
		}
		switch {
		case t.Generation == state.Generation:
			if c.RotateRefreshToken {
				state.Generation++
				state.Rotated = now
			}
		case t.Generation == state.Generation-1 && now.Sub(state.Rotated) <= refreshGrace:
			// The successor exists and is unused, else the generation would be higher: the same again.
		default:
			return nil, time.Time{}, errReplay
		}
		generation = state.Generation
		state.Used = now
		return &state, t.Expires, nil
	})
	return generation, err
}

// narrowed applies RFC 6749 §6: a refresh may ask for less, never for more.
func narrowed(granted, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return granted, nil
	}
	for _, name := range asked {
		if !slices.Contains(granted, name) {
			return nil, oauth.Errorf(oauth.InvalidScope, "scope exceeds what was granted")
		}
	}
	return asked, nil
}

// grantUser looks the person of a grant up afresh, past any cache (E3, A40): who is disabled, gone,
// without the role or with another password gets nothing.
func (s *Server) grantUser(ctx context.Context, c *client, subject, stamp string) (*users.User, error) {
	refused := oauth.Errorf(oauth.InvalidGrant, "the person may not use this client any more")
	user, err := s.lookUp(ctx, subject, stamp)
	switch {
	case err != nil && gone(err):
		return nil, refused.Because(err)
	case err != nil:
		return nil, oauth.Errorf(oauth.TemporarilyUnavailable, "the user store is unavailable").Because(err)
	case !c.admits(user):
		return nil, refused
	}
	return user, nil
}

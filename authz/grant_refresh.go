package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/users"
)

// familyState is what changes with every refresh (U4); a family that was never refreshed has none.
type familyState struct {
	Generation int       `json:"generation"`
	Rotated    time.Time `json:"rotated,omitzero"`
	Used       time.Time `json:"used"`
	Noted      time.Time `json:"noted,omitzero"` // the use that the grants were last told of
}

// beginFamily begins a family of refresh tokens, where the client gets them, and binds the other
// tokens to its lifetime.
func (s *Server) beginFamily(a *Authorization, now time.Time) {
	if !s.mayRefresh(a.client) {
		return
	}
	first := &refreshToken{
		GrantID:  a.grantID,
		ClientID: a.client.ID,
		Subject:  a.user.Subject,
		Stamp:    a.user.PasswordStamp,
		SID:      a.sid,
		Scope:    a.scope,
		Claims:   a.claims,
		AuthTime: a.authTime,
		ACR:      a.acr,
		AMR:      a.amr,
		Issued:   now,
		Expires:  bounded(now.Add(a.client.Lifetimes.RefreshToken), a.until),
	}
	if a.named {
		first.Resource = a.resource.Name
	}
	a.until = first.Expires
	a.commit = func(ctx context.Context) (*refreshToken, error) { return first, s.recordFamily(ctx, first, a.device) }
	if s.cfg.Revocation.Off {
		a.commit = func(context.Context) (*refreshToken, error) { return first, nil }
	}
}

// recordFamily writes a new family down with the person's grants.
func (s *Server) recordFamily(ctx context.Context, first *refreshToken, device string) error {
	if s.cfg.LogoutRevokes && first.SID != "" {
		if err := s.noteFamilyOfSession(ctx, first); err != nil {
			return err
		}
	}
	var dropped []grants.Family
	err := s.run.grants.Update(ctx, first.Subject, func(rec *grants.Record) error {
		dropped = rec.AddFamily(first.ClientID, grants.Family{
			ID:             first.GrantID,
			Issued:         first.Issued,
			Expires:        first.Expires,
			Scope:          first.Scope,
			ResourceServer: first.Resource,
			Device:         device,
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("grants: %w", err)
	}
	for range dropped { // more than ten live families: the oldest ends (U3)
		s.cfg.Observe(ctx, Event{Name: "oldest_grant_ended", Issuer: s.cfg.Issuer, ClientID: first.ClientID, Subject: first.Subject})
	}
	return s.revokeFamilies(ctx, dropped)
}

// endFamily revokes a family and every access token of it, here and at the gates at once.
func (s *Server) endFamily(ctx context.Context, subject, grantID string) error {
	until := s.now().Add(s.longestLifetime())
	if err := s.run.feed.Revoke(ctx, revocation.Family, grantID, until); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return s.endFamilies(ctx, subject, func(rec *grants.Record) []grants.Family {
		rec.RemoveFamily(grantID)
		return nil // the feed knows it
	})
}

// longestLifetime is how long a revocation has to be remembered: until the last token it may concern
// has expired at the last gate, also one that was issued under an earlier configuration.
func (s *Server) longestLifetime() time.Duration { return s.run.longest + leeway }

// configuredLifetime is the longest lifetime of anything this configuration issues.
func (s *Server) configuredLifetime() time.Duration {
	var longest time.Duration
	for _, l := range append([]Lifetimes{s.cfg.Lifetimes}, s.clientLifetimes()...) {
		longest = max(longest, l.Code, l.AccessToken, l.IDToken, l.RefreshToken, l.Session)
	}
	return longest
}

func (s *Server) clientLifetimes() []Lifetimes {
	all := make([]Lifetimes, 0, len(s.clients))
	for _, c := range s.clients {
		all = append(all, c.Lifetimes)
	}
	return all
}

// refreshGrant is the refresh token grant (RFC 6749 §6, RFC 9700 §4.14).
type refreshGrant struct{ s *Server }

func (refreshGrant) Type() string { return GrantRefreshToken }

func (g refreshGrant) Authorize(ctx context.Context, r *TokenRequest) (*Authorization, error) {
	if !r.Params.Has("refresh_token") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "refresh_token is missing")
	}
	t, err := g.s.openRefresh(ctx, r.Params.Get("refresh_token"))
	switch {
	case err != nil:
		return nil, err
	case t.ClientID != r.client.ID:
		return nil, errRefresh.Because(errOtherClient)
	}
	scope, err := narrowed(t.Scope, r.scope)
	if err != nil {
		return nil, err
	}
	ctx = users.Together(ctx) // a directory has both in one entry
	user, err := g.s.grantUser(ctx, r.client, t.Subject, t.Stamp)
	if err != nil {
		return nil, err
	}
	if err := g.s.checkFamily(ctx, r.client, t, r.now); err != nil {
		return nil, err
	}
	a, err := g.s.authorization(r, user, scope, t.Resource)
	if err != nil {
		return nil, err
	}
	a.grantID, a.sid, a.authContext, a.claims, a.until = t.GrantID, t.SID, authContext{t.AuthTime, t.ACR, t.AMR}, t.Claims, t.Expires
	if !g.s.cfg.Revocation.Off {
		a.commit = func(ctx context.Context) (*refreshToken, error) { return g.s.rotate(ctx, r.client, t, r.now) }
	}
	return a, nil
}

var (
	errRefresh     = oauth.Errorf(oauth.InvalidGrant, "the refresh token is invalid, expired or revoked")
	errOtherClient = errors.New("token of another client")
	errFamilyGone  = errors.New("family has ended")
	errIdle        = errors.New("unused for too long")
)

// checkFamily tells whether the family of a refresh token lives.
func (s *Server) checkFamily(ctx context.Context, c *client, t *refreshToken, now time.Time) error {
	if !now.Before(t.Expires) {
		return errRefresh
	}
	about := revocation.Subject{Family: t.GrantID, User: t.Subject, Client: t.ClientID, IssuedAt: t.Issued}
	if s.cfg.LogoutRevokes {
		about.Session = t.SID // of a family that began while its session ended
	}
	if s.run.feed.Revoked(about) {
		return errRefresh.Because(errRevoked)
	}
	switch {
	case s.cfg.Revocation.Off && c.public():
		return errRefresh.Because(errSecretMissing) // from when revocation was on
	case s.cfg.Revocation.Off, now.Before(t.Issued.Add(s.cfg.Revocation.CheckAfter)):
		return nil
	}
	record, err := s.run.grants.Load(ctx, t.Subject)
	if err != nil {
		return oauth.Errorf(oauth.TemporarilyUnavailable, "grants could not be read").Because(err)
	}
	if record.Family(t.ClientID, t.GrantID) == nil || record.Withdrawn(t.ClientID, t.Issued) {
		return errRefresh.Because(errFamilyGone)
	}
	return nil
}

// rotate writes down the use of a refresh token: atomic, so that of two refreshes at once one makes
// the next generation and the other gets the same (A38). It returns the token to hand out, nil when
// the client goes on with the one it has. A replay ends the family (A37).
func (s *Server) rotate(ctx context.Context, c *client, t *refreshToken, now time.Time) (*refreshToken, error) {
	var next familyState
	err := s.run.families.Update(ctx, t.GrantID, func(old *familyState) (_ *familyState, _ time.Time, err error) {
		if next, err = s.nextState(c, t, old, now); err != nil {
			return nil, time.Time{}, err
		}
		state := next
		return &state, t.Expires, nil
	})
	if errors.Is(err, errReplay) {
		if err := s.endFamily(ctx, t.Subject, t.GrantID); err != nil {
			return nil, fmt.Errorf("refresh replay: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	if next.Noted.Equal(now) {
		s.noteUse(ctx, t, now)
	}
	if next.Generation == t.Generation {
		return nil, nil
	}
	successor := *t
	successor.Generation = next.Generation
	return &successor, nil
}

// nextState is E3: what becomes of a family when one of its tokens is used. It changes nothing, so
// that introspection can ask it too.
func (s *Server) nextState(c *client, t *refreshToken, old *familyState, now time.Time) (familyState, error) {
	state := familyState{Used: t.Issued}
	if old != nil {
		state = *old
	}
	if now.Sub(state.Used) > c.Lifetimes.RefreshIdle {
		return state, errRefresh.Because(errIdle)
	}
	switch {
	case t.Generation == state.Generation:
		if c.RotateRefreshToken {
			state.Generation++
			state.Rotated = now
		}
	case t.Generation == state.Generation-1 && now.Sub(state.Rotated) <= s.cfg.Lifetimes.RefreshGrace:
		// The successor exists and is unused, else the generation would be higher: the same again.
	default:
		return state, errRefresh.Because(errReplay)
	}
	state.Used = now
	if now.Sub(t.Issued) >= noteUseEvery && now.Sub(state.Noted) >= noteUseEvery {
		state.Noted = now
	}
	return state, nil
}

// noteUseEvery is how seldom the grants learn that a family is used: there it is for people to read, and in a
// directory each write goes to every replica (U4).
const noteUseEvery = time.Hour

// noteUse tells the grants that a family is used. The refresh doesn't depend on it.
func (s *Server) noteUse(ctx context.Context, t *refreshToken, now time.Time) {
	err := s.run.grants.Update(ctx, t.Subject, func(rec *grants.Record) error {
		if f := rec.Family(t.ClientID, t.GrantID); f != nil {
			f.LastUsed = now
		}
		return nil
	})
	if err != nil {
		s.cfg.Logger.Warn("the last use of a grant could not be written", zap.String("client", t.ClientID), zap.Error(err))
	}
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
	case errors.Is(err, errPasswordChanged):
		return nil, oauth.Errorf(oauth.InvalidGrant, "the person has to sign in again").Because(err)
	case err != nil && gone(err):
		return nil, refused.Because(err)
	case err != nil:
		return nil, errUserStore.Because(err)
	case !c.admits(user):
		return nil, refused
	}
	return user, nil
}

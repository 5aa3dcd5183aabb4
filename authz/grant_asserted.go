package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// asserted is what somebody else says of a person, who is not here to be asked (RFC 7521 §4.1).
type asserted struct {
	issuer, id string // which tell assertions apart
	attribute  string // that the name is a value of; "": it is the login name
	name       string
	signedIn   time.Time // zero: not said
	expires    time.Time
}

// Why an assertion gives no tokens.
var (
	errAssertion       = oauth.Errorf(oauth.InvalidGrant, "the assertion is not valid here")
	errAssertionUsed   = errors.New("the assertion was used before")
	errAssertedNobody  = errors.New("the assertion names nobody who is known here, or several")
	errAssertedRefused = errors.New("the client does not admit the person of the assertion")
)

// authorizeAsserted gives a client what the person of an assertion has agreed to before: there is no page
// to agree on. Nothing that comes of it outlives the assertion.
func (s *Server) authorizeAsserted(ctx context.Context, r *TokenRequest, said asserted) (*Authorization, error) {
	user, err := s.cfg.Users.(users.Finder).Find(ctx, said.attribute, said.name)
	switch {
	case errors.Is(err, users.ErrNotFound), errors.Is(err, users.ErrDisabled):
		return nil, errAssertion.Because(errors.Join(errAssertedNobody, err))
	case err != nil:
		return nil, errUserStore.Because(err)
	case !r.client.admits(user):
		return nil, errAssertion.Because(errAssertedRefused)
	case user.Subject == r.client.ID: // the token would look like the client's own
		return nil, errAssertion.Because(errSubjectClash)
	}
	scope, err := s.agreedBefore(ctx, r.client, user.Subject, r.scope)
	if err != nil {
		return nil, err
	}
	a, err := s.authorization(r, user, scope, "")
	if err != nil {
		return nil, err
	}
	a.grantID, a.authTime, a.until = oauth.NewID(), said.signedIn, said.expires
	s.beginFamily(a, r.now)
	begin := a.commit
	a.commit = func(ctx context.Context) (*refreshToken, error) {
		if err := s.takeAssertion(ctx, said); err != nil || begin == nil {
			return nil, err
		}
		return begin(ctx)
	}
	return a, nil
}

// takeAssertion makes an assertion good for one answer. It comes late: who is told to try again has nothing else
// to try with.
func (s *Server) takeAssertion(ctx context.Context, said asserted) error {
	key := "assertion\n" + said.issuer + "\n" + said.id
	err := s.run.decided.Update(ctx, key, func(old *struct{}) (*struct{}, time.Time, error) {
		if old != nil {
			return nil, time.Time{}, errAssertionUsed
		}
		return &struct{}{}, said.expires.Add(time.Hour), nil // longer than clocks may differ
	})
	switch {
	case errors.Is(err, errAssertionUsed):
		return errAssertion.Because(err)
	case err != nil:
		return fmt.Errorf("assertion: %w", err)
	}
	return nil
}

// agreedBefore leaves out the scopes that need a consent which the person has not given.
func (s *Server) agreedBefore(ctx context.Context, c *client, subject string, scope []string) ([]string, error) {
	scope = c.grantable(scope)
	candidates := s.consentable(scope)
	if c.asksFirst() {
		candidates = scope
	}
	if c.asksNever() || len(candidates) == 0 {
		return scope, nil
	}
	record, err := s.run.grants.Load(ctx, subject)
	if err != nil {
		return nil, grantsFailed("consents could not be read", err)
	}
	missing := record.Consented(c.ID, candidates, c.since)
	return slices.DeleteFunc(scope, func(name string) bool { return slices.Contains(missing, name) }), nil
}

package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

// factorRecord is what somebody has enrolled to prove who they are besides a password. It is kept
// under the subject and never expires.
type factorRecord struct {
	Secret string `json:"secret,omitempty"` // of TOTP, sealed to the subject
	// Step is the last time step of which a code was taken: a code works once (RFC 6238 §5.2).
	Step int64 `json:"step,omitempty"`
	// Recovery are MACs of the recovery codes that are left.
	Recovery []string `json:"recovery,omitempty"`
	// Passkeys are public keys, and Handle is the name by which authenticators know the person.
	Passkeys []webauthn.Credential `json:"passkeys,omitempty"`
	Handle   []byte                `json:"handle,omitempty"`
}

// factors reads what somebody has enrolled, which may be nothing.
func (s *Server) factors(ctx context.Context, subject string) (*factorRecord, error) {
	rec, err := s.run.factors.Get(ctx, subject)
	if errors.Is(err, store.ErrNotFound) {
		return new(factorRecord), nil
	}
	if err != nil {
		return nil, fmt.Errorf("second factor: %w", err)
	}
	return rec, nil
}

// updateFactors changes what somebody has enrolled; change is pure and may run several times.
func (s *Server) updateFactors(ctx context.Context, subject string, change func(*factorRecord) error) error {
	err := s.run.factors.Update(ctx, subject, func(old *factorRecord) (*factorRecord, time.Time, error) {
		var next factorRecord
		if old != nil {
			next = *old
		}
		return &next, time.Time{}, change(&next)
	})
	if err != nil {
		return fmt.Errorf("second factor: %w", err)
	}
	return nil
}

// ResetSecondFactor forgets what somebody has enrolled: authenticator app, recovery codes and
// passkeys, and then the wrong guesses at it. They enrol anew when a contract asks for it. A secret in the
// configuration stays. All that they are signed in to ends, as by RevokeUser: it may be somebody else's who has
// the factor. Without an error it returns once the person can sign in again, within a second, or when ctx ends.
// users.ErrNotFound when nobody has that login name.
func (s *Server) ResetSecondFactor(ctx context.Context, username string) error {
	whose, err := s.cfg.Users.Identify(ctx, username)
	if err != nil {
		return err
	}
	subject := whose.Subject
	if err := s.run.factors.Delete(ctx, subject); err != nil {
		return fmt.Errorf("second factor: %w", err)
	}
	s.cfg.Observe(ctx, Event{Name: "second_factor_reset", Issuer: s.cfg.Issuer, Subject: subject})
	// The factor is gone: that guesses at it stay is no reason to leave anybody signed in.
	if err := errors.Join(s.run.guesses.forget(ctx, guessedFactor(subject)), s.RevokeUser(ctx, subject)); err != nil {
		return err
	}
	nextSecond(ctx, s.now())
	return nil
}

// nextSecond waits until a second of the clock is over: what is issued in the one in which something was revoked is
// ended with that.
func nextSecond(ctx context.Context, now time.Time) {
	over := time.NewTimer(now.Truncate(time.Second).Add(time.Second).Sub(now))
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
	}
}

// guessFactor checks a factor other than a password, guesses limited per account and address (U9). Where it is
// for the factor to say who it is, u is nil.
func (s *Server) guessFactor(ctx context.Context, ip string, u *users.User, check func() error) (wait time.Duration, err error) {
	var account guessKey
	if u != nil {
		account = guessedFactor(u.Subject)
	}
	guess, wait, err := s.run.guesses.attempt(ctx, s.cfg.Lockout, account, guessedFrom(ip))
	if err != nil {
		return wait, err
	}
	err = check()
	return 0, s.endAttempt(ctx, guess, errors.Is(err, errNotProven), err)
}

// mayEnrol tells whether somebody may enrol a factor now: only right after they said who they are, since
// the session of a browser that was left alone must not be enough, and only with the other factor that
// they have, since who stole a password must not get around that one. If not, the answer is the page for
// what is missing.
func (s *Server) mayEnrol(w http.ResponseWriter, r *http.Request, st *step) bool {
	wanted := s.contractFor(st.client, &st.ix.Request)
	if !st.ix.Evidence.identified() {
		st.method, st.user = wanted.first(st.ix), nil
		s.methods[st.method].show(w, r, st)
		return false
	}
	other, err := s.otherFactor(r.Context(), st)
	if err != nil {
		s.redirectError(w, r, &st.ix.Request, oauth.Errorf(oauth.TemporarilyUnavailable, "second factors could not be read").Because(err))
		return false
	}
	if p, proven := st.proofs()[other]; other == "" || proven && p.counts(wanted, st.ix, s.now()) {
		return true
	}
	st.method = other
	s.methods[other].show(w, r, st)
	return false
}

// otherFactor is the method of a factor that the person of a step has beside the step's own; "" for none.
func (s *Server) otherFactor(ctx context.Context, st *step) (string, error) {
	if st.method != MethodTOTP {
		_, _, err := s.totpSecret(ctx, st.user.Subject)
		if !errors.Is(err, errNotEnrolled) {
			return MethodTOTP, err
		}
	}
	rec, err := s.factors(ctx, st.user.Subject)
	if err == nil && st.method != MethodWebAuthn && len(rec.Passkeys) > 0 {
		return MethodWebAuthn, nil
	}
	return "", err
}

// factorFailed is what the page of a second factor says after an error, and with which status.
func (s *Server) factorFailed(w http.ResponseWriter, r *http.Request, st *step, wait time.Duration, err error) (key messageKey, status int) {
	event := Event{ClientID: st.ix.Request.ClientID, Subject: st.user.Subject, Address: s.clientIP(r), Method: st.method}
	s.observe(r, event.failed(err, st.user.Username))
	switch {
	case errors.Is(err, errNotProven):
		return msgWrongCode, http.StatusOK
	case errors.Is(err, errLocked):
		setRetryAfter(w, wait)
		return pageCauses.message(err, msgLocked), http.StatusTooManyRequests
	default:
		s.log(r, "second factor failed", oauth.Errorf(oauth.TemporarilyUnavailable, "").Because(err))
		return msgTemporarilyUnavailable, http.StatusServiceUnavailable
	}
}

// enrolled tells the audit of a new factor.
func (s *Server) enrolled(r *http.Request, st *step) {
	s.observe(r, Event{
		Name: "second_factor_enrolled", ClientID: st.ix.Request.ClientID, Subject: st.user.Subject, Address: s.clientIP(r), Method: st.method,
	})
}

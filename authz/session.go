package authz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

// touchInterval bounds how often the use of a session is written down.
const touchInterval = time.Minute

// sessionRecord is a person signed in with one browser. It is kept under the hash of the cookie.
type sessionRecord struct {
	SID      string    `json:"sid"` // names the session to others; it is not its secret (C8)
	Subject  string    `json:"sub"`
	Username string    `json:"username"`
	AuthTime time.Time `json:"auth_time"` // of the oldest proof
	Created  time.Time `json:"created"`
	Used     time.Time `json:"used"`
	Stamp    string    `json:"stamp,omitempty"` // of the password (users.User.PasswordStamp)
	// Device is what the client of the last sign-in called the device; "" for nothing.
	Device string `json:"device,omitempty"`
	// Proofs are what the person succeeded with, by method: which contracts that makes is for the
	// configuration to say.
	Proofs map[string]proof `json:"proofs"`
}

// session is a record with its secret.
type session struct {
	sessionRecord
	secret string
}

// provenFor tells whether the person did something for this very request.
func (rec *sessionRecord) provenFor(ix *interaction) bool {
	for _, p := range rec.Proofs {
		if p.Via == ix.ID {
			return true
		}
	}
	return false
}

// currentSession returns the browser's live session, nil when there is none. A store that can't be
// read counts as no session: the person signs in again.
func (s *Server) currentSession(r *http.Request) *session {
	secret := s.cookie(r, cookieSession)
	if secret == "" {
		return nil
	}
	rec, err := s.run.sessions.Get(r.Context(), secret)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			s.log(r, "session could not be read", oauth.From(err))
		}
		return nil
	}
	now := s.now()
	if now.Sub(rec.Used) > s.cfg.Lifetimes.SessionIdle || now.Sub(rec.Created) > s.cfg.Lifetimes.Session {
		return nil
	}
	if s.sessionRevoked(rec) {
		return nil
	}
	session := &session{sessionRecord: *rec, secret: secret}
	if now.Sub(rec.Used) > min(touchInterval, s.cfg.Lifetimes.SessionIdle/4) {
		if err := s.touchSession(r.Context(), session, now); err != nil {
			s.log(r, "session could not be written", oauth.From(err))
			return nil
		}
	}
	return session
}

// sessionRevoked tells whether a session, its person or the device has been revoked.
func (s *Server) sessionRevoked(rec *sessionRecord) bool {
	return s.run.feed.Revoked(revocation.Subject{Session: rec.SID, User: rec.Subject, Device: rec.Device, IssuedAt: rec.AuthTime})
}

// touchSession writes a use down. A session that was replaced meanwhile is not brought back.
func (s *Server) touchSession(ctx context.Context, session *session, now time.Time) error {
	session.Used = now
	return s.run.sessions.Update(ctx, session.secret, func(old *sessionRecord) (*sessionRecord, time.Time, error) {
		if old == nil {
			return nil, time.Time{}, store.ErrNotFound
		}
		next := *old
		next.Used = now
		return &next, next.Created.Add(s.cfg.Lifetimes.Session), nil
	})
}

func (s *Server) saveSession(ctx context.Context, session *session) error {
	expires := session.Created.Add(s.cfg.Lifetimes.Session)
	if err := s.run.sessions.Put(ctx, session.secret, &session.sessionRecord, expires); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// beginSession signs a person in with what they have proven. The secret is always new (fixation); the
// person's own session goes on under its name, somebody else's in the same browser ends. Whoever only
// added a second factor gets no longer a session by it.
func (s *Server) beginSession(w http.ResponseWriter, r *http.Request, st *step) (*session, error) {
	now, u, proofs := s.now(), st.user, st.proofs()
	next := &session{secret: oauth.NewSecret(), sessionRecord: sessionRecord{
		SID:      oauth.NewID(),
		Subject:  u.Subject,
		Username: u.Username,
		AuthTime: oldest(proofs),
		Created:  now,
		Used:     now,
		Stamp:    u.PasswordStamp,
		Device:   st.ix.Request.Device,
		Proofs:   proofs,
	}}
	if old := st.session; old != nil {
		if old.Subject == u.Subject {
			next.SID, next.Device = old.SID, cmp.Or(next.Device, old.Device)
			if !st.ix.Evidence.identified() {
				next.Created = old.Created
			}
		} else if err := s.endSession(r.Context(), old.SID); err != nil {
			return nil, err
		}
		if err := s.run.sessions.Delete(r.Context(), old.secret); err != nil {
			return nil, fmt.Errorf("session: %w", err)
		}
	}
	if err := s.saveSession(r.Context(), next); err != nil {
		return nil, err
	}
	s.setCookie(w, cookieSession, next.secret)
	return next, nil
}

// endSession ends a session everywhere: here, at every gate, and every token that names it; if so
// configured, with its families (G10).
func (s *Server) endSession(ctx context.Context, sid string) error {
	if err := s.run.feed.Revoke(ctx, revocation.Session, sid, s.now().Add(s.longestLifetime())); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	if !s.cfg.LogoutRevokes {
		return nil
	}
	return s.endFamiliesOfSession(ctx, sid)
}

// sessionUser reads the person of a session afresh. ErrNotFound and ErrDisabled end it, and so does a
// changed password.
func (s *Server) sessionUser(ctx context.Context, session *session) (*users.User, error) {
	return s.lookUp(ctx, session.Subject, session.Stamp)
}

// errUserStore: whether somebody may go on can't be told now.
var errUserStore = oauth.Errorf(oauth.TemporarilyUnavailable, "the user store is unavailable")

// errPasswordChanged ends what was given before a password changed (E3).
var errPasswordChanged = errors.New("the password has changed since")

// lookUp reads a person past any cache. A stamp that differs from the one remembered is
// errPasswordChanged; no stamp on either side says nothing.
func (s *Server) lookUp(ctx context.Context, subject, stamp string) (*users.User, error) {
	u, err := s.cfg.Users.Lookup(ctx, subject)
	if err != nil {
		return nil, err
	}
	if stamp != "" && u.PasswordStamp != "" && stamp != u.PasswordStamp {
		return nil, errPasswordChanged
	}
	return u, nil
}

// gone tells whether an error of lookUp means that the person has nothing here any more, as opposed
// to a directory that can't be asked.
func gone(err error) bool {
	return errors.Is(err, users.ErrNotFound) || errors.Is(err, users.ErrDisabled) || errors.Is(err, errPasswordChanged)
}

// lostUser answers where a session's person can't be had: who is gone signs in again.
func (s *Server) lostUser(w http.ResponseWriter, r *http.Request, ix *interaction, err error) {
	if !gone(err) {
		s.redirectError(w, r, &ix.Request, errUserStore.Because(err))
		return
	}
	s.clearCookie(w, cookieSession)
	if err := s.forgetPersistent(w, r); err != nil {
		s.redirectError(w, r, &ix.Request, err)
		return
	}
	if ix.Request.prompts("none") {
		s.redirectError(w, r, &ix.Request, oauth.Errorf(oauth.LoginRequired, "the person is not signed in"))
		return
	}
	s.toPage(w, r, pathLogin, ix)
}

package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

// A person stays signed in on a device by the persistent cookie (C5), under the hash of which the session
// that it was set with is kept, for as long as a refresh token of the server's lives since the oldest proof.

// keepSignedIn sets the persistent cookie after a sign-in that names a device. Which clients take it is
// another question. One of somebody else goes.
func (s *Server) keepSignedIn(w http.ResponseWriter, r *http.Request, device string, session *session) error {
	old := s.persistent(r)
	if device == "" && (old == nil || old.Subject == session.Subject) {
		return nil
	}
	if err := s.forgetPersistent(w, r); err != nil || device == "" {
		return err
	}
	secret, expires := oauth.NewSecret(), s.persistentUntil(&session.sessionRecord)
	if err := s.run.kept.Put(r.Context(), secret, &session.sessionRecord, expires); err != nil {
		return fmt.Errorf("persistent cookie: %w", err)
	}
	http.SetCookie(w, s.newCookie(cookiePersistent, secret, int(expires.Sub(s.now())/time.Second)))
	return nil
}

func (s *Server) persistentUntil(rec *sessionRecord) time.Time {
	return rec.AuthTime.Add(s.cfg.Lifetimes.RefreshToken)
}

// persistent is who stays signed in in a browser, nil for nobody. It ends with its session, where that is
// signed out, with its device, and with all that its person has.
func (s *Server) persistent(r *http.Request) *sessionRecord {
	secret := s.cookie(r, cookiePersistent)
	if secret == "" {
		return nil
	}
	rec, err := s.run.kept.Get(r.Context(), secret)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			s.log(r, "persistent cookie could not be read", oauth.From(err))
		}
		return nil
	}
	if s.sessionRevoked(rec) || !s.now().Before(s.persistentUntil(rec)) {
		return nil
	}
	return rec
}

// resume makes a session of the persistent cookie, for a client that takes it and names the same device
// beside its client_id; nil: credentials are asked. The person's proofs stay as old as they are, and count
// for such requests only.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, req *authorizationRequest) (*session, error) {
	if !req.Persistent || req.prompts("login") || req.prompts("select_account") {
		return nil, nil
	}
	p := s.persistent(r)
	if p == nil || p.Device != req.Device {
		return nil, nil
	}
	now := s.now()
	next := &session{secret: oauth.NewSecret(), sessionRecord: *p}
	next.Created, next.Used = now, now
	next.Proofs = make(map[string]proof, len(p.Proofs))
	for method, given := range p.Proofs {
		given.Kept = p.Device
		next.Proofs[method] = given
	}
	if err := s.saveSession(r.Context(), next); err != nil {
		return nil, err
	}
	s.setCookie(w, cookieSession, next.secret)
	s.observe(r, Event{Name: "login_resumed", ClientID: req.ClientID, Subject: next.Subject, Address: s.clientIP(r)})
	return next, nil
}

// signedIn is who can be signed out: of the session, else whoever stays signed in without one.
func (s *Server) signedIn(r *http.Request) *session {
	if current := s.currentSession(r); current != nil {
		return current
	}
	if p := s.persistent(r); p != nil {
		return &session{sessionRecord: *p}
	}
	return nil
}

// forgetSession removes a session from the browser that has it, and what would bring it back: without its
// own cookie the pages that it has open or in its history are worth nothing.
func (s *Server) forgetSession(w http.ResponseWriter, r *http.Request, session *session) error {
	if session.secret != "" {
		if err := s.run.sessions.Delete(r.Context(), session.secret); err != nil {
			return err
		}
	}
	s.clearCookie(w, cookieSession)
	for _, cookie := range r.Cookies() {
		if kind, ok := strings.CutPrefix(cookie.Name, s.cookieName("")); ok && strings.HasPrefix(kind, cookieBrowser) {
			s.clearCookie(w, kind) // that of a tab, too
		}
	}
	return s.forgetPersistent(w, r)
}

func (s *Server) forgetPersistent(w http.ResponseWriter, r *http.Request) error {
	secret := s.cookie(r, cookiePersistent)
	if secret == "" {
		return nil
	}
	if err := s.run.kept.Delete(context.WithoutCancel(r.Context()), secret); err != nil {
		return fmt.Errorf("persistent cookie: %w", err)
	}
	s.clearCookie(w, cookiePersistent)
	return nil
}

package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// proceedToConsent asks the person where something needs asking (S4, C18), else issues the code.
func (s *Server) proceedToConsent(w http.ResponseWriter, r *http.Request, ix *interaction, c *client, session *session, user *users.User) {
	req := &ix.Request
	ask, err := s.scopesToAsk(r.Context(), c, req, user.Subject)
	switch {
	case err != nil:
		s.redirectError(w, r, req, grantsFailed("consents could not be read", err))
	case len(ask) == 0:
		s.complete(w, r, ix, c, session, user, req.Scope)
	case req.prompts("none"):
		s.redirectError(w, r, req, oauth.Errorf(oauth.ConsentRequired, "the person has to agree first"))
	default:
		ix.Shown, ix.Session = ask, session.SID
		s.toPage(w, r, pathConsent, ix)
	}
}

// scopesToAsk are the scopes the consent page shows, none when no page is needed: those that need
// consent and were not agreed to before, all of them on prompt=consent, every scope where the client
// asks at the first access, and every scope every time where it could be another than it seems.
func (s *Server) scopesToAsk(ctx context.Context, c *client, req *authorizationRequest, subject string) ([]string, error) {
	if c.asksNever() {
		return nil, nil
	}
	wanted := req.wanted()
	candidates := s.consentable(wanted)
	always := !req.Gate && c.asksAlways(req.RedirectURI)
	if always || c.asksFirst() {
		candidates = wanted
		if len(candidates) == 0 {
			candidates = []string{ScopeOpenID} // who it is, at least
		}
	}
	// Where no page may be shown, what was agreed to before counts, unless the client could be any other.
	remembered := !always || req.prompts("none") && !c.impersonable(req.RedirectURI)
	if !remembered || req.prompts("consent") || len(candidates) == 0 {
		return candidates, nil
	}
	record, err := s.run.grants.Load(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("grants: %w", err)
	}
	return record.Consented(c.ID, candidates, c.since), nil
}

// grantsFailed tells what passes by itself from what stays until an administrator has mended it: grants that
// are not ours, or that may not be written.
func grantsFailed(what string, err error) error {
	code := oauth.TemporarilyUnavailable
	for _, lasting := range []error{grants.ErrForeign, grants.ErrTooLarge, users.ErrNotWritable} {
		if errors.Is(err, lasting) {
			code = oauth.ServerError
		}
	}
	return oauth.Errorf(code, "%s", what).Because(err)
}

// wanted are the scopes of a request, and those that give the single claims it asks for.
func (req *authorizationRequest) wanted() []string {
	all := slices.Clone(req.Scope)
	for _, name := range req.Claims.scopes() {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// consent is the page that asks a person what a client may have.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.decide(w, r)
		return
	}
	ix, err := s.openInteraction(r, pathConsent, r.URL.Query().Get("interaction"))
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	session := s.pageSession(w, r, ix)
	if session == nil {
		return
	}
	c, err := s.stillKnown(r.Context(), &ix.Request)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{uiLocales: ix.Request.UILocales})
		return
	}
	view := consentView{
		Client:      s.clientView(c, &ix.Request),
		Action:      s.base + pathConsent,
		Interaction: s.seal(pathConsent, ix),
		CSRF:        s.csrf(pathConsent, ix),
		Username:    session.Username,
	}
	for _, name := range ix.Shown {
		if sc := s.scopes[name]; sc != nil {
			view.Scopes = append(view.Scopes, consentScope{Name: name, Description: sc.Description, Optional: sc.Optional, Checked: true})
		}
	}
	s.pages.render(w, r, http.StatusOK, view, s.pageOptions(c, &ix.Request))
}

// pageSession is the session a page was made for; without it the person signs in again and nil is
// returned, the answer written.
func (s *Server) pageSession(w http.ResponseWriter, r *http.Request, ix *interaction) *session {
	session := s.currentSession(r)
	if session == nil || session.SID != ix.Session {
		s.toPage(w, r, pathLogin, ix)
		return nil
	}
	return session
}

// decide takes the posted consent form.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	form, ix, err := s.openForm(r, pathConsent)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	session := s.pageSession(w, r, ix)
	if session == nil {
		return
	}
	decision := form.Get("decision")
	if decision != "allow" && decision != "deny" {
		s.errorPage(w, r, oauth.Errorf(oauth.InvalidRequest, "neither allowed nor denied"), errorPageOptions{})
		return
	}
	if err := s.onlyOnce(r.Context(), ix); err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	c, err := s.stillKnown(r.Context(), &ix.Request)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{uiLocales: ix.Request.UILocales})
		return
	}
	if decision == "deny" {
		s.observe(r, Event{Name: "consent_denied", ClientID: c.ID, Subject: session.Subject, Code: oauth.AccessDenied})
		s.redirectError(w, r, &ix.Request, oauth.Errorf(oauth.AccessDenied, "the person declined"))
		return
	}
	s.agree(w, r, ix, c, session, form.Values("scope"))
}

// agree writes a consent down and completes the authorization with what was agreed to.
func (s *Server) agree(w http.ResponseWriter, r *http.Request, ix *interaction, c *client, session *session, checked []string) {
	user, err := s.sessionUser(r.Context(), session)
	if err != nil {
		s.lostUser(w, r, ix, err)
		return
	}
	if !c.admits(user) {
		s.notAdmitted(w, r, c, &ix.Request)
		return
	}
	agreed, declined := s.agreedScopes(ix, checked)
	err = s.run.grants.Update(r.Context(), session.Subject, func(rec *grants.Record) error {
		rec.Consent(c.ID, agreed, s.now())
		return nil
	})
	if err != nil {
		s.redirectError(w, r, &ix.Request, grantsFailed("the consent could not be written", err))
		return
	}
	s.observe(r, Event{Name: "consent", ClientID: c.ID, Subject: session.Subject})
	ix.Request.Claims = ix.Request.Claims.without(declined)
	granted := slices.DeleteFunc(slices.Clone(ix.Request.Scope), func(name string) bool { return declined[name] })
	s.complete(w, r, ix, c, session, user, granted)
}

// agreedScopes are the shown scopes the person agreed to, all but the optional ones left unchecked
// (S5).
func (s *Server) agreedScopes(ix *interaction, checked []string) (agreed []string, declined map[string]bool) {
	declined = make(map[string]bool)
	for _, name := range ix.Shown {
		if sc := s.scopes[name]; sc != nil && sc.Optional && !slices.Contains(checked, name) {
			declined[name] = true
			continue
		}
		agreed = append(agreed, name)
	}
	return agreed, declined
}

// onlyOnce makes a consent form good for one answer (A28).
func (s *Server) onlyOnce(ctx context.Context, ix *interaction) error {
	if err := s.once(ctx, ix.ID, ix.Started); err != nil {
		return fmt.Errorf("consent form: %w", err)
	}
	return nil
}

// once fails for everybody but the first who asks about something of an interaction.
func (s *Server) once(ctx context.Context, what string, started time.Time) error {
	return s.run.decided.Update(ctx, what, func(old *struct{}) (*struct{}, time.Time, error) {
		if old != nil {
			return nil, time.Time{}, pageError(errDecided)
		}
		return &struct{}{}, started.Add(interactionLifetime), nil
	})
}

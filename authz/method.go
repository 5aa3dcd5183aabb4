package authz

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

// method is one step of a contract, in a browser.
type method interface {
	// identifies tells whether the method finds out who somebody is, and so may come first.
	identifies() bool
	// show answers with the page of the step.
	show(w http.ResponseWriter, r *http.Request, st *step)
	// take reads what the page sent, and answers: by succeed, or with a page again.
	take(w http.ResponseWriter, r *http.Request, st *step, form oauth.Params)
}

// directMethod works without a browser as well (G14). user is nil for the first method of a contract,
// which finds out who it is; the others are asked only about somebody known. An error that is
// errNotProven is the person's fault.
type directMethod interface {
	direct(ctx context.Context, r *TokenRequest, user *users.User) (*users.User, []string, error)
}

// knownMethods are the methods that contracts may name.
func (s *Server) knownMethods() (map[string]method, error) {
	methods := map[string]method{
		MethodPassword: passwordMethod{s},
		MethodTOTP:     totpMethod{s},
		MethodWebAuthn: passkeyMethod{s},
	}
	return methods, s.addGuests(methods)
}

// errNotProven: what somebody sent proves nothing.
var errNotProven = errors.New("a method of the contract failed")

// step is a method that a request waits for.
type step struct {
	ix      *interaction
	client  *client
	method  string
	session *session    // of the browser; nil: none
	other   bool        // the session is of somebody whom the request is not about
	user    *users.User // who it has to be; nil: that is for the method to find out
}

// evidence is what a person has proven for a request, but not all that its contract wants: no session
// begins before that, and only one. ID is what it is used up by.
type evidence struct {
	ID      string           `json:"id"`
	Subject string           `json:"sub"`
	Stamp   string           `json:"stamp,omitempty"`
	Proofs  map[string]proof `json:"proofs"`
	// Another: the person, who has answered with a passkey, wants to set up one more.
	Another bool `json:"another,omitempty"`
}

// newStep finds out where a request stands; nil: the answer is written.
func (s *Server) newStep(w http.ResponseWriter, r *http.Request, ix *interaction) *step {
	c, err := s.stillKnown(r.Context(), &ix.Request)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{uiLocales: ix.Request.UILocales})
		return nil
	}
	if ix.Evidence, err = s.stillGood(r.Context(), ix); err != nil {
		s.redirectError(w, r, &ix.Request, err)
		return nil
	}
	st := &step{ix: ix, client: c, session: s.currentSession(r)}
	st.other = st.session != nil && !s.isAbout(c, &ix.Request, st.session) && !st.session.provenFor(ix)
	return st
}

// stillGood is the evidence of a request, nil where it is used up, or was revoked with all that its person
// has: the page that it is sealed in may come out of a history.
func (s *Server) stillGood(ctx context.Context, ix *interaction) (*evidence, error) {
	e := ix.Evidence
	if e == nil || s.run.feed.Revoked(revocation.Subject{User: e.Subject, Device: ix.Request.Device, IssuedAt: oldest(e.Proofs)}) {
		return nil, nil
	}
	_, err := s.run.decided.Get(ctx, e.use())
	switch {
	case err == nil:
		return nil, nil
	case !errors.Is(err, store.ErrNotFound):
		return nil, oauth.Errorf(oauth.TemporarilyUnavailable, "what was proven could not be read").Because(err)
	}
	return e, nil
}

// use names that evidence was used, for once.
func (e *evidence) use() string { return "evidence " + e.ID }

// identified tells whether somebody has said anew who they are.
func (e *evidence) identified() bool {
	if e == nil {
		return false
	}
	for _, p := range e.Proofs {
		if p.Identifies {
			return true
		}
	}
	return false
}

// subject is who the next step is about: the person of this request, else of the session; "" for
// nobody.
func (st *step) subject() (subject, stamp string) {
	switch {
	case st.ix.Evidence != nil:
		return st.ix.Evidence.Subject, st.ix.Evidence.Stamp
	case st.session != nil && !st.other:
		return st.session.Subject, st.session.Stamp
	}
	return "", ""
}

// proofs are all that count for the person: those of the session, if it is theirs, and of this request.
func (st *step) proofs() map[string]proof {
	all := make(map[string]proof)
	if subject, _ := st.subject(); st.session != nil && st.session.Subject == subject {
		maps.Copy(all, st.session.Proofs)
	}
	if st.ix.Evidence != nil {
		maps.Copy(all, st.ix.Evidence.Proofs)
	}
	return all
}

// login is the page of whatever method a request waits for.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.takeStep(w, r)
		return
	}
	ix, err := s.openInteraction(r, pathLogin, r.URL.Query().Get("interaction"))
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	ix.Adding = false // what was offered is not what is asked for now
	if st := s.newStep(w, r, ix); st != nil {
		s.nextStep(w, r, st, func() { s.methods[st.method].show(w, r, st) })
	}
}

// nextStep finds the method that comes next and asks for it; where the person has done all that is
// wanted, it goes on with the request. Whoever comes back to the page after that may sign in anew.
func (s *Server) nextStep(w http.ResponseWriter, r *http.Request, st *step, ask func()) {
	wanted := s.contractFor(st.client, &st.ix.Request)
	if wanted == nil {
		s.redirectError(w, r, &st.ix.Request, errUnmet)
		return
	}
	proofs := st.proofs()
	switch {
	case st.ix.Evidence != nil && s.satisfied(wanted, proofs, st.ix) != nil:
		s.finishSteps(w, r, st)
		return
	case s.signedInElsewhere(st, wanted):
		s.proceed(w, r, st.ix, st.session)
		return
	}
	first := wanted.first(st.ix)
	st.method = append(wanted.missing(proofs, st.ix, s.now()), first)[0]
	if st.ix.Recover && !st.ix.Evidence.identified() {
		st.method = first // who uses a recovery code may set up a passkey, see mayEnrol
	}
	if st.method == first || s.knownPerson(w, r, st) {
		ask()
	}
}

// signedInElsewhere tells whether the page of a request that waits is looked at again after the person did in another
// tab all that it waits for.
func (s *Server) signedInElsewhere(st *step, wanted *contract) bool {
	if st.session == nil || st.other || st.ix.Evidence != nil || st.ix.Recover || st.session.provenFor(st.ix) {
		return false
	}
	for _, p := range st.session.Proofs {
		if p.At.After(st.ix.Started) {
			return s.satisfied(wanted, st.session.Proofs, st.ix) != nil
		}
	}
	return false
}

// knownPerson looks up who a step is about; false: the answer is written.
func (s *Server) knownPerson(w http.ResponseWriter, r *http.Request, st *step) bool {
	subject, stamp := st.subject()
	user, err := s.lookUp(r.Context(), subject, stamp)
	if err != nil {
		st.ix.Evidence = nil
		s.lostUser(w, r, st.ix, err)
		return false
	}
	st.user = user
	return true
}

// errUnmet: acr is an essential claim, and nothing here has one of its values.
var errUnmet = oauth.Errorf(oauth.UnmetAuthenticationRequirements, "no contract has a value that acr was asked to have")

// takeStep takes a posted page of the login.
func (s *Server) takeStep(w http.ResponseWriter, r *http.Request) {
	form, ix, err := s.openForm(r, pathLogin)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	if ix.Step == "" { // recovery codes were shown, and nothing asked
		if session := s.pageSession(w, r, ix); session != nil {
			s.proceed(w, r, ix, session)
		}
		return
	}
	st := s.postedStep(w, r, ix)
	switch {
	case st == nil:
	case form.Has("recover"): // "on", or back to the passkey
		ix.Recover = form.Get("recover") == "on"
		s.toPage(w, r, pathLogin, ix)
	default:
		s.methods[st.method].take(w, r, st, form)
	}
}

// postedStep is the step that something was sent for; nil: it is waited for no more, and the answer is
// written.
func (s *Server) postedStep(w http.ResponseWriter, r *http.Request, ix *interaction) *step {
	st := s.newStep(w, r, ix)
	if st == nil {
		return nil
	}
	wanted := s.contractFor(st.client, &ix.Request)
	subject, _ := st.subject()
	known := wanted != nil && (ix.Adding || ix.Step != wanted.first(ix))
	switch {
	case wanted == nil || s.methods[ix.Step] == nil, known && subject == "":
		s.toPage(w, r, pathLogin, ix) // the session has ended, or the configuration changed: what is missing now
		return nil
	case known && s.signedInElsewhere(st, wanted):
		s.proceed(w, r, ix, st.session)
		return nil
	case known && !s.knownPerson(w, r, st):
		return nil
	}
	st.method = ix.Step
	return st
}

// succeed notes a proof and goes on to the next step.
func (s *Server) succeed(w http.ResponseWriter, r *http.Request, st *step, user *users.User, given proof) {
	s.note(st, user, given)
	st.user = user
	s.goOn(w, r, st)
}

func (s *Server) goOn(w http.ResponseWriter, r *http.Request, st *step) {
	if e := st.ix.Evidence; e != nil && e.Another {
		passkeyMethod{s}.wished(w, r, st)
		return
	}
	s.nextStep(w, r, st, func() { s.toPage(w, r, pathLogin, st.ix) })
}

// note keeps a proof with the request.
func (s *Server) note(st *step, user *users.User, given proof) {
	ix := st.ix
	if ix.Evidence == nil || ix.Evidence.Subject != user.Subject {
		ix.Evidence = &evidence{ID: oauth.NewID(), Subject: user.Subject, Stamp: user.PasswordStamp, Proofs: make(map[string]proof)}
	}
	given.At, given.Via = s.now(), ix.ID
	ix.Evidence.Proofs[st.method] = given
	ix.Step, ix.Enrol, ix.Ceremony = "", "", nil
}

// finishSteps makes a session of what was proven, and goes on with the request.
func (s *Server) finishSteps(w http.ResponseWriter, r *http.Request, st *step) {
	if session := s.signIn(w, r, st); session != nil {
		s.proceed(w, r, st.ix, session)
	}
}

// signIn uses up what was proven for a session; nil: the answer is written.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, st *step) *session {
	if !s.knownPerson(w, r, st) {
		return nil
	}
	err := s.once(r.Context(), st.ix.Evidence.use(), st.ix.Started)
	if errors.Is(err, errDecided) {
		st.ix.Evidence = nil
		s.toPage(w, r, pathLogin, st.ix)
		return nil
	}
	var session *session
	if err == nil {
		session, err = s.beginSession(w, r, st)
	}
	if err == nil {
		err = s.keepSignedIn(w, r, st.ix.Request.Device, session)
	}
	if err != nil {
		s.redirectError(w, r, &st.ix.Request, err)
		return nil
	}
	st.ix.Evidence = nil
	s.observe(r, Event{Name: "login", ClientID: st.ix.Request.ClientID, Subject: session.Subject, Address: s.clientIP(r)})
	return session
}

// signInBefore is for a page that is shown after the last method: the session begins before, since a page that
// proves everything would sign in whoever finds it. false: the answer is written.
func (s *Server) signInBefore(w http.ResponseWriter, r *http.Request, st *step) bool {
	if st.ix.Evidence == nil {
		return true // it has begun
	}
	st.ix.Session = ""
	if s.satisfied(s.contractFor(st.client, &st.ix.Request), st.proofs(), st.ix) == nil {
		return true
	}
	session := s.signIn(w, r, st)
	if session == nil {
		return false
	}
	st.ix.Session = session.SID
	return true
}

// oldest is the time of the first of several proofs.
func oldest(proofs map[string]proof) (at time.Time) {
	for _, p := range proofs {
		if at.IsZero() || p.At.Before(at) {
			at = p.At
		}
	}
	return at
}

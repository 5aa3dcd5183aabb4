package authz

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/gatewright/gatewright/authz/oauth"
)

// wished offers another passkey to somebody who asked for it with the one they have, once they have proven all
// that enrolling takes.
func (m passkeyMethod) wished(w http.ResponseWriter, r *http.Request, st *step) {
	st.method = MethodWebAuthn
	if m.s.mayEnrol(w, r, st) {
		st.ix.Evidence.Another = false
		m.offer(w, r, st, anotherView{})
	}
}

// offer asks somebody who may enrol (mayEnrol) whether to set up another passkey, lest they be locked out when
// they lose the one they have. New recovery codes are shown here, once.
func (m passkeyMethod) offer(w http.ResponseWriter, r *http.Request, st *step, view anotherView) {
	s := m.s
	if !s.signInBefore(w, r, st) {
		return
	}
	rec, err := s.factors(r.Context(), st.user.Subject)
	if err == nil && len(rec.Passkeys) == 0 { // they were reset meanwhile, and what was proven is worth nothing
		st.ix.Evidence = nil
		s.toPage(w, r, pathLogin, st.ix)
		return
	}
	if err == nil {
		var options any
		options, st.ix.Ceremony, err = s.passkeys.BeginRegistration(passkeyOwner{rec.Handle, st.user.Username, rec.Passkeys},
			webauthn.WithExclusions(webauthn.Credentials(rec.Passkeys).CredentialDescriptors()))
		if err == nil {
			view.Options, err = json.Marshal(options)
		}
	}
	if err != nil {
		s.redirectError(w, r, &st.ix.Request, oauth.Errorf(oauth.TemporarilyUnavailable, "passkeys could not be read").Because(err))
		return
	}
	st.ix.Adding, st.method = true, MethodWebAuthn
	view.loginForm, view.Script, view.Lost = s.loginForm(st), s.scriptURL(), st.ix.Recover
	s.pages.render(w, r, http.StatusOK, view, s.pageOptions(st.client, &st.ix.Request))
}

// takeAnother keeps another passkey, where the person wants one, and goes on.
func (m passkeyMethod) takeAnother(w http.ResponseWriter, r *http.Request, st *step, form oauth.Params) {
	s, ix := m.s, st.ix
	var session *session
	if ix.Session != "" {
		if session = s.pageSession(w, r, ix); session == nil {
			return
		}
	}
	codes, err := m.addAnother(r, st, form)
	switch {
	case errors.Is(err, errDecided): // it went on before
	case err != nil:
		m.notAdded(w, r, st, err)
		return
	case codes != nil:
		ix.Recover = false
		m.offer(w, r, st, anotherView{Codes: codes})
		return
	}
	ix.Adding, ix.Recover, ix.Ceremony = false, false, nil
	if session != nil {
		s.proceed(w, r, ix, session)
		return
	}
	s.goOn(w, r, st)
}

// addAnother keeps what the page made, if anything. Whatever it sends uses the page up, so that nobody who comes
// by later adds a passkey with it.
func (m passkeyMethod) addAnother(r *http.Request, st *step, form oauth.Params) (codes []string, err error) {
	if err := m.s.answered(r.Context(), st.ix); err != nil || form.Has("skip") {
		return nil, err
	}
	_, codes, err = m.s.enrolPasskey(r.Context(), st, []byte(form.Get("credential")), st.ix.Recover && form.Has("forget"))
	if err == nil {
		m.s.enrolled(r, st)
	}
	return codes, err
}

func (m passkeyMethod) notAdded(w http.ResponseWriter, r *http.Request, st *step, err error) {
	m.s.log(r, "passkey refused", oauth.Errorf(oauth.AccessDenied, "").Because(err))
	view := anotherView{Error: msgTemporarilyUnavailable}
	if errors.Is(err, errNotProven) {
		view.Error = msgNoPasskey
	}
	m.offer(w, r, st, view)
}

// takeRecovery takes a recovery code in the place of a passkey that is not at hand, and has its owner set up
// another one. They have said before who they are.
func (m passkeyMethod) takeRecovery(w http.ResponseWriter, r *http.Request, st *step, form oauth.Params) {
	s := m.s
	if !st.ix.Evidence.identified() { // what they said was used up meanwhile
		s.toPage(w, r, pathLogin, st.ix)
		return
	}
	wait, err := s.guessFactor(r.Context(), s.clientIP(r), st.user, func() error {
		return s.checkRecoveryCode(r.Context(), st.user.Subject, form.Get("otp"))
	})
	if err != nil {
		key, status := s.factorFailed(w, r, st, wait, err)
		if key == msgWrongCode {
			key = msgWrongRecovery
		}
		s.codePage(w, r, status, st, codeView{Error: key, RetryAfter: wait})
		return
	}
	given := proof{AMR: []string{amrOneTime}, Identifies: true}
	if st.ix.Evidence.Proofs[MethodPassword].Identifies {
		given.AMR = []string{amrPassword, amrOneTime, amrSeveral}
	}
	s.note(st, st.user, given)
	m.offer(w, r, st, anotherView{})
}

package authz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

// passkeyMethod is a passkey or security key (Web Authentication Level 2). As the first method of a
// contract it finds out who somebody is and wants them verified by their device, as a later one it is
// about somebody known.
type passkeyMethod struct{ s *Server }

func (passkeyMethod) identifies() bool { return true }

// newRelyingParty is the server as passkeys know it: by its host name, whatever the port.
func newRelyingParty(host, origin, name string) (*webauthn.WebAuthn, error) {
	return webauthn.New(&webauthn.Config{
		RPID:                  host,
		RPDisplayName:         name,
		RPOrigins:             []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey:      protocol.ResidentKeyRequirementPreferred,
			UserVerification: protocol.VerificationPreferred,
		},
	})
}

// passkeyOwner is a person as the library knows them.
type passkeyOwner struct {
	handle []byte
	name   string
	keys   []webauthn.Credential
}

func (o passkeyOwner) WebAuthnID() []byte                         { return o.handle }
func (o passkeyOwner) WebAuthnName() string                       { return o.name }
func (o passkeyOwner) WebAuthnDisplayName() string                { return o.name }
func (o passkeyOwner) WebAuthnCredentials() []webauthn.Credential { return o.keys }

func (m passkeyMethod) show(w http.ResponseWriter, r *http.Request, st *step) {
	if st.ix.Recover {
		m.s.codePage(w, r, http.StatusOK, st, codeView{})
		return
	}
	m.page(w, r, st, "", 0)
}

// page asks for a passkey or, where somebody known has none, has them make one.
func (m passkeyMethod) page(w http.ResponseWriter, r *http.Request, st *step, problem messageKey, wait time.Duration) {
	s := m.s
	view := passkeyView{Error: problem, RetryAfter: wait, Script: s.scriptURL()}
	options, ceremony, err := m.begin(r.Context(), st)
	if errors.Is(err, errNotEnrolled) {
		if !s.mayEnrol(w, r, st) {
			return
		}
		view.Enrol = true
		options, ceremony, err = s.passkeys.BeginRegistration(passkeyOwner{handle: []byte(oauth.NewSecret()), name: st.user.Username})
	}
	if err == nil {
		view.Options, err = json.Marshal(options)
	}
	if err != nil {
		s.redirectError(w, r, &st.ix.Request, oauth.Errorf(oauth.TemporarilyUnavailable, "passkeys could not be read").Because(err))
		return
	}
	st.ix.Ceremony = ceremony
	view.loginForm = s.loginForm(st)
	status := http.StatusOK
	if problem == msgLocked || problem == msgFactorLocked {
		status = http.StatusTooManyRequests
	}
	s.pages.render(w, r, status, view, s.pageOptions(st.client, &st.ix.Request))
}

// begin makes a challenge: for anybody whose device verifies them, or for somebody known. errNotEnrolled
// where they have no passkey.
func (m passkeyMethod) begin(ctx context.Context, st *step) (options any, ceremony *webauthn.SessionData, err error) {
	if st.user == nil {
		return m.s.passkeys.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	}
	rec, err := m.s.factors(ctx, st.user.Subject)
	if err == nil && len(rec.Passkeys) == 0 {
		err = errNotEnrolled
	}
	if err != nil {
		return nil, nil, err
	}
	return m.s.passkeys.BeginLogin(passkeyOwner{rec.Handle, st.user.Username, rec.Passkeys})
}

func (m passkeyMethod) take(w http.ResponseWriter, r *http.Request, st *step, form oauth.Params) {
	switch {
	case st.ix.Adding:
		m.takeAnother(w, r, st, form)
	case st.ix.Recover:
		m.takeRecovery(w, r, st, form)
	case st.ix.Ceremony == nil:
		m.page(w, r, st, msgNoPasskey, 0)
	case st.user != nil && len(st.ix.Ceremony.AllowedCredentialIDs) == 0:
		m.takeFirst(w, r, st, form)
	default:
		m.takeAnswer(w, r, st, form)
	}
}

// takeFirst keeps the first passkey of somebody.
func (m passkeyMethod) takeFirst(w http.ResponseWriter, r *http.Request, st *step, form oauth.Params) {
	s := m.s
	if !s.mayEnrol(w, r, st) {
		return
	}
	given, codes, err := s.enrolPasskey(r.Context(), st, []byte(form.Get("credential")), false)
	if err != nil {
		m.failed(w, r, st, 0, err)
		return
	}
	s.enrolled(r, st)
	s.note(st, st.user, given)
	m.offer(w, r, st, anotherView{Codes: codes})
}

// takeAnswer takes the answer of a passkey that is there.
func (m passkeyMethod) takeAnswer(w http.ResponseWriter, r *http.Request, st *step, form oauth.Params) {
	s, answer := m.s, []byte(form.Get("credential"))
	user := st.user
	var given proof
	var wait time.Duration
	var err error
	if user == nil {
		user, given, err = s.findByPasskey(r.Context(), st.ix, answer)
	} else {
		wait, err = s.guessFactor(r.Context(), s.clientIP(r), user, func() (err error) {
			given, err = s.checkPasskey(r.Context(), user, st.ix, answer)
			return err
		})
	}
	if err != nil {
		m.failed(w, r, st, wait, err)
		return
	}
	s.note(st, user, given)
	st.user, st.ix.Evidence.Another = user, form.Has("another")
	s.goOn(w, r, st)
}

func (m passkeyMethod) failed(w http.ResponseWriter, r *http.Request, st *step, wait time.Duration, err error) {
	s := m.s
	event := Event{ClientID: st.ix.Request.ClientID, Address: s.clientIP(r), Method: st.method}
	if st.user != nil {
		event.Subject = st.user.Subject
	}
	s.observe(r, event.failed(err, ""))
	s.log(r, "passkey refused", oauth.Errorf(oauth.AccessDenied, "").Because(err))
	switch {
	case errors.Is(err, errNotProven), errors.Is(err, errDecided):
		m.page(w, r, st, msgNoPasskey, 0)
	case errors.Is(err, errLocked):
		setRetryAfter(w, wait)
		m.page(w, r, st, pageCauses.message(err, msgLocked), wait)
	default:
		m.page(w, r, st, msgTemporarilyUnavailable, 0)
	}
}

// findByPasskey finds out who it is that answered: their device verified them, too.
func (s *Server) findByPasskey(ctx context.Context, ix *interaction, answer []byte) (*users.User, proof, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, proof{}, notProven(err)
	}
	subject, err := s.run.handles.Get(ctx, string(parsed.Response.UserHandle))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, proof{}, notProven(err)
	case err != nil:
		return nil, proof{}, fmt.Errorf("passkey: %w", err)
	}
	rec, err := s.factors(ctx, *subject)
	if err != nil {
		return nil, proof{}, err
	}
	key, err := s.passkeys.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
		return passkeyOwner{handle: rec.Handle, keys: rec.Passkeys}, nil
	}, *ix.Ceremony, parsed)
	if err != nil {
		return nil, proof{}, notProven(err)
	}
	if err := s.keepPasskey(ctx, *subject, ix, key); err != nil {
		return nil, proof{}, err
	}
	user, err := s.lookUp(ctx, *subject, "")
	if err != nil && gone(err) {
		err = notProven(err)
	}
	return user, passkeyProof(key, parsed.Response.AuthenticatorData.Flags), err
}

// checkPasskey takes an answer of somebody known.
func (s *Server) checkPasskey(ctx context.Context, u *users.User, ix *interaction, answer []byte) (proof, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return proof{}, notProven(err)
	}
	rec, err := s.factors(ctx, u.Subject)
	if err != nil {
		return proof{}, err
	}
	key, err := s.passkeys.ValidateLogin(passkeyOwner{rec.Handle, u.Username, rec.Passkeys}, *ix.Ceremony, parsed)
	if err != nil {
		return proof{}, notProven(err)
	}
	return passkeyProof(key, parsed.Response.AuthenticatorData.Flags), s.keepPasskey(ctx, u.Subject, ix, key)
}

var errCloned = errors.New("the counter of the security key went back: there may be a copy of it")

// answered uses up the challenge of a page: it is good for one answer. Only what proves something writes
// that down, not whatever a stranger sends.
func (s *Server) answered(ctx context.Context, ix *interaction) error {
	return s.once(ctx, "passkey "+ix.Ceremony.Challenge, ix.Started)
}

// keepPasskey writes down what a use changed: counter and flags. A key that was taken away meanwhile, or
// whose counter went back, proves nothing (Web Authentication §7.2 step 22).
func (s *Server) keepPasskey(ctx context.Context, subject string, ix *interaction, used *webauthn.Credential) error {
	if used.Authenticator.CloneWarning {
		return notProven(errCloned)
	}
	if err := s.answered(ctx, ix); err != nil {
		return err
	}
	return s.updateFactors(ctx, subject, func(rec *factorRecord) error {
		i := slices.IndexFunc(rec.Passkeys, func(k webauthn.Credential) bool { return bytes.Equal(k.ID, used.ID) })
		if i < 0 {
			return errNotProven
		}
		kept := rec.Passkeys[i].Authenticator // another use may have come first
		if kept.UpdateCounter(used.Authenticator.SignCount); kept.CloneWarning {
			return notProven(errCloned)
		}
		rec.Passkeys = slices.Clone(rec.Passkeys)
		rec.Passkeys[i] = *used
		return nil
	})
}

// maxPasskeys bounds how many somebody has; the oldest goes.
const maxPasskeys = 10

// enrolPasskey keeps a new passkey: the first one or, while one is being added, another. forget has it take the
// place of all others. Whoever has no recovery codes gets some, to be shown now and never again.
func (s *Server) enrolPasskey(ctx context.Context, st *step, answer []byte, forget bool) (given proof, codes []string, err error) {
	ceremony, u := st.ix.Ceremony, st.user
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return proof{}, nil, notProven(err)
	}
	key, err := s.passkeys.CreateCredential(passkeyOwner{handle: ceremony.UserID, name: u.Username}, *ceremony, parsed)
	if err != nil {
		return proof{}, nil, notProven(err)
	}
	if !st.ix.Adding { // else it was answered before
		if err := s.answered(ctx, st.ix); err != nil {
			return proof{}, nil, err
		}
	}
	if err := s.run.handles.Put(ctx, string(ceremony.UserID), &u.Subject, time.Time{}); err != nil {
		return proof{}, nil, fmt.Errorf("passkey: %w", err)
	}
	codes, macs := s.newRecoveryCodes(u.Subject)
	issued := false
	err = s.updateFactors(ctx, u.Subject, func(rec *factorRecord) error {
		if st.ix.Adding && !bytes.Equal(rec.Handle, ceremony.UserID) || !st.ix.Adding && len(rec.Passkeys) > 0 {
			return notProven(errEnrolled)
		}
		rec.keep(key, ceremony.UserID, forget)
		if issued = len(rec.Recovery) == 0; issued {
			rec.Recovery = macs
		}
		return nil
	})
	if !issued {
		codes = nil
	}
	return passkeyProof(key, parsed.Response.AttestationObject.AuthData.Flags), codes, err
}

// keep adds a passkey. The same one again takes its own place.
func (rec *factorRecord) keep(key *webauthn.Credential, handle []byte, forget bool) {
	others := slices.DeleteFunc(slices.Clone(rec.Passkeys), func(k webauthn.Credential) bool { return forget || bytes.Equal(k.ID, key.ID) })
	others = others[max(0, len(others)+1-maxPasskeys):]
	rec.Handle, rec.Passkeys = handle, append(others, *key)
}

// notProven is errNotProven with a cause for the log.
func notProven(cause error) error { return fmt.Errorf("%w: %w", errNotProven, cause) }

// passkeyProof says what a use of a passkey is worth. A key that can be copied to another device is a software
// one; one whose device verified the person is a factor of two kinds by itself (RFC 8176 §2). Whether it did
// is of this use: the key's own flag only tells that it has once.
func passkeyProof(key *webauthn.Credential, used protocol.AuthenticatorFlags) proof {
	given := proof{AMR: []string{"hwk", "user"}, Identifies: used.HasUserVerified()}
	if key.Flags.BackupEligible {
		given.AMR[0] = "swk"
	}
	if used.HasUserVerified() {
		given.AMR = append(given.AMR, amrSeveral)
	}
	return given
}

// scriptURL is where passkeyScript is.
func (s *Server) scriptURL() string { return s.origin + s.base + pathPasskeyScript }

// passkeyScript serves the one script of the pages: no ceremony goes without one.
func (s *Server) passkeyScript(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(passkeyScript)
}

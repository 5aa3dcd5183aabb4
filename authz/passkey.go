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
	m.page(w, r, st, "", 0)
}

// page asks for a passkey or, where somebody known has none, has them make one.
func (m passkeyMethod) page(w http.ResponseWriter, r *http.Request, st *step, problem messageKey, wait time.Duration) {
	s := m.s
	view := passkeyView{Error: problem, RetryAfter: wait, Script: s.base + pathPasskeyScript}
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
	if problem == msgLocked {
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
	s, ceremony := m.s, st.ix.Ceremony
	if ceremony == nil {
		m.page(w, r, st, msgNoPasskey, 0)
		return
	}
	answer := []byte(form.Get("credential"))
	var user *users.User
	var given proof
	var wait time.Duration
	var err error
	switch {
	case st.user == nil:
		user, given, err = s.findByPasskey(r.Context(), st.ix, answer)
	case len(ceremony.AllowedCredentialIDs) == 0: // it is to be made
		if !s.mayEnrol(w, r, st) {
			return
		}
		user = st.user
		if given, err = s.enrolPasskey(r.Context(), st.user, st.ix, answer); err == nil {
			s.enrolled(r, st)
		}
	default:
		user = st.user
		wait, err = s.guessFactor(r.Context(), s.clientIP(r), user, func() (err error) {
			given, err = s.checkPasskey(r.Context(), user, st.ix, answer)
			return err
		})
	}
	if err != nil {
		m.failed(w, r, st, wait, err)
		return
	}
	s.succeed(w, r, st, user, given)
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
		m.page(w, r, st, msgLocked, wait)
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

// enrolPasskey keeps a new passkey of somebody who has none.
func (s *Server) enrolPasskey(ctx context.Context, u *users.User, ix *interaction, answer []byte) (proof, error) {
	ceremony := ix.Ceremony
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return proof{}, notProven(err)
	}
	key, err := s.passkeys.CreateCredential(passkeyOwner{handle: ceremony.UserID, name: u.Username}, *ceremony, parsed)
	if err != nil {
		return proof{}, notProven(err)
	}
	if err := s.answered(ctx, ix); err != nil {
		return proof{}, err
	}
	if err := s.run.handles.Put(ctx, string(ceremony.UserID), &u.Subject, time.Time{}); err != nil {
		return proof{}, fmt.Errorf("passkey: %w", err)
	}
	return passkeyProof(key, parsed.Response.AttestationObject.AuthData.Flags), s.updateFactors(ctx, u.Subject, func(rec *factorRecord) error {
		if len(rec.Passkeys) > 0 {
			return notProven(errEnrolled)
		}
		rec.Handle, rec.Passkeys = ceremony.UserID, []webauthn.Credential{*key}
		return nil
	})
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

// passkeyScript serves the one script of the pages: no ceremony goes without one.
func (s *Server) passkeyScript(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(passkeyScript)
}

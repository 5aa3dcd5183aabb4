package authz

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pquerna/otp/hotp"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// Sizes of TOTP as every authenticator app has them (RFC 6238 §4, RFC 4226 §4), with SHA-1.
const (
	totpPeriod     = 30 // seconds
	totpDigits     = 6
	totpSkew       = 1  // time steps that clocks may be apart (RFC 6238 §5.2)
	totpSecretSize = 20 // bytes (RFC 4226 §4 R6)
)

// totpMethod is a code of an authenticator app (RFC 6238), or a recovery code.
type totpMethod struct{ s *Server }

func (totpMethod) identifies() bool { return false }

// show asks for a code or, where the person has no app yet, has them set one up.
func (m totpMethod) show(w http.ResponseWriter, r *http.Request, st *step) {
	s := m.s
	_, _, err := s.totpSecret(r.Context(), st.user.Subject)
	switch {
	case errors.Is(err, errNotEnrolled):
		if s.mayEnrol(w, r, st) {
			s.enrolPage(w, r, st, "")
		}
	case err != nil:
		s.redirectError(w, r, &st.ix.Request, oauth.Errorf(oauth.TemporarilyUnavailable, "second factors could not be read").Because(err))
	default:
		s.codePage(w, r, http.StatusOK, st, codeView{})
	}
}

func (s *Server) codePage(w http.ResponseWriter, r *http.Request, status int, st *step, v codeView) {
	v.loginForm, v.Username, v.Recover = s.loginForm(st), st.user.Username, st.method == MethodWebAuthn
	s.pages.render(w, r, status, v, s.pageOptions(st.client, &st.ix.Request))
}

func (m totpMethod) take(w http.ResponseWriter, r *http.Request, st *step, form oauth.Params) {
	s := m.s
	if st.ix.Enrol != "" {
		s.confirmEnrolment(w, r, st, form.Get("otp"))
		return
	}
	wait, err := s.guessFactor(r.Context(), s.clientIP(r), st.user, func() error {
		return s.checkCode(r.Context(), st.user.Subject, form.Get("otp"))
	})
	if err != nil {
		key, status := s.factorFailed(w, r, st, wait, err)
		s.codePage(w, r, status, st, codeView{Error: key, RetryAfter: wait})
		return
	}
	s.succeed(w, r, st, st.user, proof{AMR: []string{amrOneTime}})
}

// direct implements directMethod: the code is in otp. Nobody enrols here.
func (m totpMethod) direct(ctx context.Context, r *TokenRequest, user *users.User) (*users.User, []string, error) {
	s := m.s
	if !r.Params.Has("otp") {
		return nil, nil, errNotProven
	}
	_, err := s.guessFactor(ctx, r.guesser(), user, func() error { return s.checkCode(ctx, user.Subject, r.Params.Get("otp")) })
	if err != nil {
		event := Event{Grant: GrantPassword, ClientID: r.client.ID, Subject: user.Subject, Address: r.address, Method: MethodTOTP}
		s.observeDirect(ctx, event.failed(err, user.Username))
	}
	return user, []string{amrOneTime}, err
}

// errNotEnrolled: the person has no such factor.
var errNotEnrolled = fmt.Errorf("nothing is enrolled: %w", errNotProven)

// totpSecret is the secret of somebody's app: the one that their entry has goes before one that they
// enrolled.
func (s *Server) totpSecret(ctx context.Context, subject string) (secret string, rec *factorRecord, err error) {
	if rec, err = s.factors(ctx, subject); err != nil {
		return "", nil, err
	}
	if holder, ok := s.cfg.Users.(users.TOTPHolder); ok {
		secret, err = holder.TOTPSecret(ctx, subject)
		if secret != "" || err != nil {
			return secret, rec, err
		}
	}
	if rec.Secret == "" {
		return "", rec, errNotEnrolled
	}
	plain, err := s.run.factorSeal.Open(rec.Secret, []byte(subject))
	if err != nil {
		return "", nil, fmt.Errorf("second factor: %w", err)
	}
	return string(plain), rec, nil
}

// checkCode takes a code of the app or a recovery code, each once. errNotProven for any other.
func (s *Server) checkCode(ctx context.Context, subject, typed string) error {
	code := typedCode(typed)
	secret, _, err := s.totpSecret(ctx, subject)
	if err != nil {
		return err
	}
	at, matches, err := matchCode(secret, code, s.now())
	if err != nil {
		return err
	}
	recovery := s.recoveryMAC(subject, code)
	recovered := false
	err = s.updateFactors(ctx, subject, func(rec *factorRecord) error {
		if matches && at > rec.Step {
			rec.Step, recovered = at, false
			return nil
		}
		if recovered = rec.spend(recovery); !recovered {
			return errNotProven
		}
		return nil
	})
	if recovered && err == nil {
		s.recovered(ctx, subject)
	}
	return err
}

// matchCode finds the time step that a code is of.
func matchCode(secret, code string, now time.Time) (at int64, matches bool, err error) {
	present := now.Unix() / totpPeriod
	for step := present - totpSkew; step <= present+totpSkew; step++ {
		want, err := hotp.GenerateCode(secret, uint64(max(0, step))) // #nosec G115 -- not negative
		if err != nil {
			return 0, false, fmt.Errorf("TOTP secret: %w", err)
		}
		if len(code) == totpDigits && oauth.SameSecret(code, want) {
			at, matches = step, true
		}
	}
	return at, matches, nil
}

func newTOTPSecret() string {
	secret := make([]byte, totpSecretSize)
	_, _ = rand.Read(secret) // never fails
	return base32.StdEncoding.EncodeToString(secret)
}

package authz

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// maxCredential bounds name and password, in bytes.
const maxCredential = 1024

// passwordMethod is a name and a password.
type passwordMethod struct{ s *Server }

func (passwordMethod) identifies() bool { return true }

func (m passwordMethod) show(w http.ResponseWriter, r *http.Request, st *step) {
	m.s.loginPage(w, r, http.StatusOK, st, loginView{Username: st.ix.Request.LoginHint})
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request, status int, st *step, v loginView) {
	v.loginForm, v.Recover, v.Enrol = s.loginForm(st), st.ix.Recover, s.enrolComes(st)
	s.pages.render(w, r, status, v, s.pageOptions(st.client, &st.ix.Request))
}

// enrolComes tells whether a method is asked for that has been given already: only who says again who they are may set
// up the factor that is missing.
func (s *Server) enrolComes(st *step) bool {
	wanted := s.contractFor(st.client, &st.ix.Request)
	if wanted == nil || st.ix.Recover {
		return false
	}
	missing := wanted.missing(st.proofs(), st.ix, s.now())
	return len(missing) > 0 && !slices.Contains(missing, st.method)
}

// loginForm is what the form of every step has in common.
func (s *Server) loginForm(st *step) loginForm {
	st.ix.Step = st.method
	return loginForm{
		Client:      s.clientView(st.client, &st.ix.Request),
		Action:      s.base + pathLogin,
		Interaction: s.seal(pathLogin, st.ix),
		CSRF:        s.csrf(pathLogin, st.ix),
	}
}

// take signs in with the posted form.
func (m passwordMethod) take(w http.ResponseWriter, r *http.Request, st *step, form oauth.Params) {
	s := m.s
	credentials := users.Credentials{Username: form.Get("username"), Password: form.Get("password")}
	user, wait, err := s.authenticate(r.Context(), s.clientIP(r), credentials)
	if err != nil {
		event := Event{ClientID: st.ix.Request.ClientID, Address: s.clientIP(r)}
		s.observe(r, event.failed(err, credentials.Username))
		s.loginFailed(w, r, st, credentials.Username, wait, err)
		return
	}
	s.succeed(w, r, st, user, proof{AMR: []string{amrPassword}, Identifies: true})
}

// failed says in the audit what a login came to: many of them from one address, or for one account,
// are an attack.
func (e Event) failed(err error, username string) Event {
	e.Name, e.Code, e.Account = "login_failed", oauth.AccessDenied, oauth.Clip(username)
	if errors.Is(err, errLocked) {
		e.Name = "login_paused"
	}
	return e
}

// errLocked is the pause after too many guesses (U9).
var errLocked = errors.New("too many wrong guesses")

// authenticate checks a password, guesses limited per account and address (U9). They count under the name that
// was typed and, as soon as the store of users knows whose that is, under its owner, before the password is
// looked at: so people's other names buy no guesses.
func (s *Server) authenticate(ctx context.Context, ip string, c users.Credentials) (u *users.User, wait time.Duration, err error) {
	if c.Username == "" || c.Password == "" || len(c.Username) > maxCredential || len(c.Password) > maxCredential {
		return nil, 0, users.ErrCredentials
	}
	guess, wait, err := s.run.guesses.attempt(ctx, s.cfg.Lockout, s.guessedName(c.Username), guessedFrom(ip))
	if err != nil {
		return nil, wait, err
	}
	guess.keys = append(guess.keys, nobody)
	u, err = s.cfg.Users.Authenticate(ctx, c, func(subject string) error { return guess.admit(ctx, subject) })
	return u, 0, s.endAttempt(ctx, guess, errors.Is(err, users.ErrCredentials), err)
}

// admit counts a guess under whoever has the name. If they are paused for guesses by another of their names, this
// one is as wrong as nobody's would be, whatever the password is: that it is paused before it was guessed at would
// tell that it is theirs (A75).
func (a *attempt) admit(ctx context.Context, subject string) error {
	_, err := a.count(ctx, guessedPassword(subject))
	switch {
	case errors.Is(err, errLocked):
		return fmt.Errorf("%w: %w", users.ErrCredentials, err)
	case err == nil:
		a.keys = slices.DeleteFunc(a.keys, func(k guessKey) bool { return k == nobody })
	}
	return err
}

func (s *Server) loginFailed(w http.ResponseWriter, r *http.Request, st *step, username string, wait time.Duration, err error) {
	view, status := loginView{Username: username}, http.StatusOK
	switch {
	case errors.Is(err, users.ErrCredentials):
		view.Error = msgWrongCredentials
	case errors.Is(err, errLocked):
		view.Error, view.RetryAfter = msgLocked, wait
		status = http.StatusTooManyRequests
		setRetryAfter(w, wait)
	case errors.Is(err, users.ErrDisabled):
		view.Error = disabledCauses.message(err, msgAccountDisabled)
	default:
		s.log(r, "login failed", oauth.Errorf(oauth.TemporarilyUnavailable, "").Because(err))
		view.Error, status = msgDirectoryUnavailable, http.StatusServiceUnavailable
	}
	s.loginPage(w, r, status, st, view)
}

// disabledCauses put into words why somebody who knew the password may not sign in.
var disabledCauses = causes{
	{users.ErrLocked, msgAccountLocked},
	{users.ErrExpired, msgAccountExpired},
	{users.ErrPasswordExpired, msgPasswordExpired},
	{users.ErrMustChange, msgMustChange},
	{users.ErrNotNow, msgNotNow},
}

// clientIP is the address that guesses are counted under.
func (s *Server) clientIP(r *http.Request) string {
	if s.cfg.ClientIP != nil {
		return s.cfg.ClientIP(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// clientView is what pages show of the client of a request; nil: one that is gone.
func (s *Server) clientView(c *client, req *authorizationRequest) clientView {
	host := ""
	if u, err := url.Parse(req.RedirectURI); err == nil {
		host = u.Host
	}
	if c == nil {
		return clientView{Name: req.ClientID, Host: host}
	}
	v := clientView{Name: c.Name, Host: host, Logo: c.Logo, Policy: c.Policy, Terms: c.Terms, Contacts: c.Contacts, Unverified: c.unverified}
	if req.Gate && c == s.gate {
		v.Name = host
	}
	return v
}

// pageOptions lets a form's redirect reach the client (form-action) and its logo load.
func (s *Server) pageOptions(c *client, req *authorizationRequest) pageOptions {
	opts := pageOptions{UILocales: req.UILocales}
	if req.RedirectURI != oauth.OOB {
		opts.FormAction = []string{req.RedirectURI}
	}
	if c != nil && c.Logo != "" && !c.unverified {
		opts.ImageOrigin = c.Logo
	}
	return opts
}

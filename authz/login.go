package authz

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// maxCredential bounds name and password, in bytes.
const maxCredential = 1024

// login is the page that asks for name and password.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.signIn(w, r)
		return
	}
	ix, err := s.openInteraction(r, pathLogin, r.URL.Query().Get("interaction"))
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	s.loginPage(w, r, http.StatusOK, ix, loginView{Username: ix.Request.LoginHint})
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request, status int, ix *interaction, v loginView) {
	v.Client = s.clientView(&ix.Request)
	v.Action = s.base + pathLogin
	v.Interaction = s.seal(pathLogin, ix)
	v.CSRF = s.csrf(pathLogin, ix)
	s.pages.render(w, r, status, v, s.pageOptions(&ix.Request))
}

// signIn takes the posted login form.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	form, ix, err := s.openForm(r, pathLogin)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	credentials := users.Credentials{Username: form.Get("username"), Password: form.Get("password")}
	user, wait, err := s.authenticate(r.Context(), s.clientIP(r), credentials)
	event := Event{Name: "login", ClientID: ix.Request.ClientID, Address: s.clientIP(r)}
	if err != nil {
		s.observe(r, event.failed(err, credentials.Username))
		s.loginFailed(w, r, ix, credentials.Username, wait, err)
		return
	}
	session, err := s.beginSession(w, r, user, ix.ID)
	if err != nil {
		s.redirectError(w, r, &ix.Request, err)
		return
	}
	event.Subject = user.Subject
	s.observe(r, event)
	s.proceed(w, r, ix, session)
}

// failed says in the audit what a login came to: many of them from one address, or for one account,
// are an attack.
func (e Event) failed(err error, username string) Event {
	e.Name, e.Code, e.Account = "login_failed", oauth.AccessDenied, clip(username)
	if errors.Is(err, errLocked) {
		e.Name = "login_paused"
	}
	return e
}

// clip keeps what a stranger typed from filling the log.
func clip(s string) string {
	if len(s) > maxClip {
		return strings.ToValidUTF8(s[:maxClip], "") + "…"
	}
	return s
}

const maxClip = 64 // bytes

// errLocked is the pause after too many guesses (U9).
var errLocked = errors.New("too many wrong guesses")

// authenticate checks a password, guesses limited per account and address (U9).
func (s *Server) authenticate(ctx context.Context, ip string, c users.Credentials) (u *users.User, wait time.Duration, err error) {
	if c.Username == "" || c.Password == "" || len(c.Username) > maxCredential || len(c.Password) > maxCredential {
		return nil, 0, users.ErrCredentials
	}
	guess, wait, err := s.run.guesses.attempt(ctx, s.cfg.Lockout, s.guessedPassword(c.Username), guessedFrom(ip))
	if err != nil {
		return nil, wait, err
	}
	u, err = s.cfg.Users.Authenticate(ctx, c)
	return u, 0, s.endAttempt(ctx, guess, errors.Is(err, users.ErrCredentials), err)
}

func (s *Server) loginFailed(w http.ResponseWriter, r *http.Request, ix *interaction, username string, wait time.Duration, err error) {
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
	s.loginPage(w, r, status, ix, view)
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

// clientView is what pages show of the client of a request.
func (s *Server) clientView(req *authorizationRequest) clientView {
	host := ""
	if u, err := url.Parse(req.RedirectURI); err == nil {
		host = u.Host
	}
	c := s.activeClient(req.ClientID)
	if c == nil {
		return clientView{Name: req.ClientID, Host: host}
	}
	v := clientView{Name: c.Name, Host: host, Logo: c.Logo, Policy: c.Policy, Terms: c.Terms, Contacts: c.Contacts}
	if req.Gate && c == s.gate {
		v.Name = host
	}
	return v
}

// pageOptions lets a form's redirect reach the client (form-action) and its logo load.
func (s *Server) pageOptions(req *authorizationRequest) pageOptions {
	opts := pageOptions{UILocales: req.UILocales}
	if req.RedirectURI != oauth.OOB {
		opts.FormAction = []string{req.RedirectURI}
	}
	if c := s.activeClient(req.ClientID); c != nil && c.Logo != "" {
		opts.ImageOrigin = c.Logo
	}
	return opts
}

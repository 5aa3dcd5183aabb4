package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// Method is an authentication method that a contract names and somebody else wrote (G14): a step of a
// login in a browser.
type Method interface {
	// Identifies tells whether the method finds out who somebody is, so that it may be a contract's first.
	Identifies() bool
	// Ask answers a browser with a page of the method's own, or sends it elsewhere. What is to be checked
	// comes back to step.URL, in a query or a form, together with "state", which is step.State. The answer
	// must not be cached or framed; both is said already.
	Ask(w http.ResponseWriter, r *http.Request, step MethodStep)
	// Verify checks what came back; r.Form is parsed. ErrMethodRefused, or an error that wraps it, is the
	// person's fault, any other one is not.
	Verify(r *http.Request, step MethodStep) (*MethodProof, error)
}

// DirectMethod is a Method that works without a browser too, for the password grant (RFC 6749 §4.3).
type DirectMethod interface {
	Method
	// VerifyDirect checks the parameters of a token request. user is nil for a contract's first method.
	VerifyDirect(ctx context.Context, user *users.User, params oauth.Params) (*MethodProof, error)
}

// MethodStep is what a Method may know of the login that waits for it.
type MethodStep struct {
	URL   string // where the proof comes to, by GET or POST
	State string // sealed, and of this browser alone
	// User is who it must be; nil: the method finds out.
	User      *users.User
	ClientID  string
	UILocales string
	// Refused says that what came before this proved nothing.
	Refused bool
}

// MethodProof is what a Method found.
type MethodProof struct {
	// Subject is who it is, by the store of users. Where MethodStep has a User it may be "", which proves less:
	// such a proof can't be the first of another contract. Somebody else's is refused.
	Subject string
	AMR     []string // RFC 8176
}

// ErrMethodRefused says that a person has proven nothing.
var ErrMethodRefused = errNotProven

// guestMethod is a Method as a step of a contract.
type guestMethod struct {
	s    *Server
	name string
	Method
}

// directGuest is one that works without a browser.
type directGuest struct {
	guestMethod
	DirectMethod
}

func (s *Server) guest(name string, m Method) method {
	guest := guestMethod{s, name, m}
	if d, ok := m.(DirectMethod); ok {
		return directGuest{guest, d}
	}
	return guest
}

func (g guestMethod) identifies() bool { return g.Identifies() }

func (g guestMethod) show(w http.ResponseWriter, r *http.Request, st *step) { g.ask(w, r, st, false) }

// take is for what our own pages send, and a guest has none.
func (g guestMethod) take(w http.ResponseWriter, r *http.Request, st *step, _ oauth.Params) {
	g.ask(w, r, st, false)
}

func (g guestMethod) ask(w http.ResponseWriter, r *http.Request, st *step, refused bool) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	step := g.step(st)
	step.Refused = refused
	g.Ask(w, r, step)
}

func (g guestMethod) path() string { return pathLogin + "/" + g.name }

// guestRoute is a method with an endpoint of its own.
type guestRoute interface {
	route() (path string, handle http.HandlerFunc)
}

func (g guestMethod) route() (path string, handle http.HandlerFunc) { return g.path(), g.back }

func (g guestMethod) step(st *step) MethodStep {
	return MethodStep{
		URL: g.s.cfg.Issuer + g.path(), State: g.s.seal(g.path(), st.ix), User: st.user,
		ClientID: st.client.ID, UILocales: st.ix.Request.UILocales,
	}
}

// back takes what comes back to a guest's own URL. The state proves that it is the browser's own login;
// a form that another site posts brings no cookie.
func (g guestMethod) back(w http.ResponseWriter, r *http.Request) {
	s := g.s
	r.Body = http.MaxBytesReader(w, r.Body, oauth.MaxForm)
	if err := r.ParseForm(); err != nil {
		s.errorPage(w, r, pageError(fmt.Errorf("%w: %w", errInteraction, err)), errorPageOptions{})
		return
	}
	ix, err := s.openInteraction(r, g.path(), r.Form.Get("state"))
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	ix.Step = g.name
	if st := s.postedStep(w, r, ix); st != nil {
		g.verify(w, r, st)
	}
}

func (g guestMethod) verify(w http.ResponseWriter, r *http.Request, st *step) {
	s, user := g.s, st.user
	var given *MethodProof
	wait, err := s.guessFactor(r.Context(), s.clientIP(r), user, func() (err error) {
		if given, err = g.Verify(r, g.step(st)); err == nil {
			user, err = g.proven(r.Context(), st.user, given)
		}
		return err
	})
	if err == nil {
		s.succeed(w, r, st, user, proof{AMR: given.AMR, Identifies: g.Identifies() && given.Subject != ""})
		return
	}
	event := Event{ClientID: st.ix.Request.ClientID, Address: s.clientIP(r), Method: g.name}
	if user != nil {
		event.Subject = user.Subject
	}
	s.observe(r, event.failed(err, ""))
	if errors.Is(err, errNotProven) {
		g.ask(w, r, st, true)
		return
	}
	if wait > 0 {
		setRetryAfter(w, wait)
	}
	s.errorPage(w, r, oauth.Errorf(oauth.TemporarilyUnavailable, "").Because(err), errorPageOptions{uiLocales: st.ix.Request.UILocales})
}

// errAnother: a method has found out about somebody else than it was asked about.
var errAnother = errors.New("the method proved who somebody else is")

// proven is the person that a method has proven to be there: whom it was asked about, if anybody.
func (g guestMethod) proven(ctx context.Context, asked *users.User, given *MethodProof) (*users.User, error) {
	switch {
	case asked == nil:
		user, err := g.s.lookUp(ctx, given.Subject, "")
		if err != nil && gone(err) {
			err = notProven(err)
		}
		return user, err
	case given.Subject != "" && given.Subject != asked.Subject:
		return asked, notProven(errAnother)
	}
	return asked, nil
}

// direct implements directMethod.
func (g directGuest) direct(ctx context.Context, r *TokenRequest, user *users.User) (*users.User, []string, error) {
	s := g.s
	var given *MethodProof
	found := user
	_, err := s.guessFactor(ctx, r.guesser(), user, func() (err error) {
		if given, err = g.VerifyDirect(ctx, user, r.Params); err == nil {
			found, err = g.proven(ctx, user, given)
		}
		return err
	})
	if err != nil {
		event := Event{Grant: GrantPassword, ClientID: r.client.ID, Address: r.address, Method: g.name}
		if user != nil {
			event.Subject = user.Subject
		}
		s.observeDirect(ctx, event.failed(err, ""))
		return nil, nil, err
	}
	return found, given.AMR, nil
}

// addGuests adds what Config.Methods has.
func (s *Server) addGuests(methods map[string]method) error {
	var errs []error
	for name, m := range s.cfg.Methods {
		switch {
		case methods[name] != nil:
			errs = append(errs, wrong("method", name, errors.New("is built in")))
		case !validClientID(name):
			errs = append(errs, wrong("method", name, errors.New("a name has letters, digits, and ._@- only")))
		default:
			methods[name] = s.guest(name, m)
		}
	}
	return errors.Join(errs...)
}

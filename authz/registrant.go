package authz

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

// Registration says who may register clients (RFC 7591 §3).
type Registration string

// Modes of Registration.
const (
	RegistrationOff Registration = "off" // the default; clients that are registered already go on
	// RegistrationProtected asks for a token of a developer or administrator.
	RegistrationProtected Registration = "protected"
	// RegistrationOpen lets clients register themselves as well.
	RegistrationOpen Registration = "open"
)

func (m Registration) check() error {
	if !slices.Contains([]Registration{RegistrationOff, RegistrationProtected, RegistrationOpen}, m) {
		return errors.New("is one of off, protected, open")
	}
	return nil
}

// Scopes of the registration endpoint. A person is always asked before a client gets them.
const (
	ScopeRegistrationRead = "registration.read"
	ScopeRegistrationFull = "registration.full"
)

func isRegistrationScope(name string) bool {
	return name == ScopeRegistrationRead || name == ScopeRegistrationFull
}

// registrantKind is on whose word a client is registered or changed.
type registrantKind string

const (
	registrantSelf      registrantKind = "self"      // nobody's but its own
	registrantDeveloper registrantKind = "developer" // who has own clients (C2)
	registrantAdmin     registrantKind = "admin"     // who has all
)

// registrant is who asks something of the registration endpoint.
type registrant struct {
	kind    registrantKind
	subject string // of the person; "" for a client itself
	raw     string // the registration access token, of a client itself
	full    bool   // more than reading
}

// registrant finds out who asks. rec is the client it is about, nil when it is about none, or about one
// that is not there.
func (s *Server) registrant(r *http.Request, rec *registration) (*registrant, error) {
	raw, err := bearerToken(r)
	if err != nil {
		return nil, err
	}
	about := r.PathValue("id")
	switch {
	case raw == "" && about == "" && r.Method == http.MethodPost && s.cfg.Registration == RegistrationOpen:
		return &registrant{kind: registrantSelf, full: true}, nil
	case raw == "":
		return nil, errNoToken
	case rec != nil && oauth.SameSecret(oauth.Fingerprint(raw), rec.TokenHash):
		return s.clientRegistrant(r.Context(), rec, raw)
	}
	return s.personRegistrant(r, raw)
}

// clientRegistrant takes a registration access token. Whoever holds it may do what was done on its owner's
// word, save what only administrators may, for as long as the owner may do that (C2).
func (s *Server) clientRegistrant(ctx context.Context, rec *registration, raw string) (*registrant, error) {
	if rec.self() {
		return &registrant{kind: registrantSelf, raw: raw, full: true}, nil
	}
	_, err := s.person(ctx, rec.Owner)
	switch {
	case errors.Is(err, errNotPermitted):
		return nil, errInvalidToken.Because(err)
	case err != nil:
		return nil, err
	}
	return &registrant{kind: registrantDeveloper, raw: raw, full: true}, nil
}

// personRegistrant takes a token with the scope, of a person with the role (C2).
func (s *Server) personRegistrant(r *http.Request, raw string) (*registrant, error) {
	t, err := s.inspect(r.Context(), raw)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(t.Audience, s.cfg.Issuer) { // it was meant for somebody else, who may have sent it (A7)
		return nil, errInvalidToken.Because(errAudience)
	}
	full := slices.Contains(t.Scope, ScopeRegistrationFull)
	enough := full || r.Method == http.MethodGet && slices.Contains(t.Scope, ScopeRegistrationRead)
	if !enough {
		return nil, oauth.Errorf(oauth.InsufficientScope, "the token lacks the scope registration.full")
	}
	if forItself(t) {
		return nil, errNotPermitted
	}
	who, err := s.person(r.Context(), s.Account(t.Subject))
	if err != nil {
		return nil, err
	}
	who.full = full
	return who, nil
}

// person is the registrant that somebody's roles make of them now (C2).
func (s *Server) person(ctx context.Context, subject string) (*registrant, error) {
	user, err := s.cfg.Users.Lookup(ctx, subject)
	switch {
	case err != nil && gone(err):
		return nil, errInvalidToken.Because(err)
	case err != nil:
		return nil, errUserStore.Because(err)
	case slices.Contains(user.Roles, s.cfg.AdminRole):
		return &registrant{kind: registrantAdmin, subject: user.Subject}, nil
	case slices.Contains(user.Roles, s.cfg.DeveloperRole):
		return &registrant{kind: registrantDeveloper, subject: user.Subject}, nil
	}
	return nil, errNotPermitted
}

var errAudience = errors.New("the token is for another resource server")

var errNotPermitted = oauth.Errorf(oauth.AccessDenied, "only administrators, and developers for their own clients, may do this")

// managed finds the client of a request and who asks, and checks that the one may manage the other. Only
// administrators learn whether there is such a client.
func (s *Server) managed(r *http.Request) (*registration, *registrant, error) {
	rec, err := s.run.clients.Get(r.Context(), r.PathValue("id"))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, nil, errClientStore.Because(err)
	}
	who, err := s.registrant(r, rec)
	switch {
	case err != nil:
		return nil, nil, err
	case rec == nil && who.kind == registrantAdmin:
		return nil, nil, noRegistration()
	case rec == nil:
		return nil, nil, errNotPermitted
	case who.raw != "" && rec.Metadata.Disabled && r.Method != http.MethodGet:
		return nil, nil, errNotPermitted // else it would not be disabled for long
	case who.raw == "" && who.kind != registrantAdmin && rec.Owner != who.subject:
		return nil, nil, errNotPermitted
	}
	if who.kind == registrantSelf && (r.Method == http.MethodPut || r.Method == http.MethodPost) {
		err = s.admitSelf(r)
	}
	return rec, who, err
}

// restrict takes out of new metadata what whoever asks has no say in, and keeps what was said before. What
// an administrator said of a client lasts as long as it stays what the administrator saw.
func (who *registrant) restrict(m, before *clientMetadata) {
	if who.kind == registrantAdmin {
		return
	}
	if who.kind == registrantSelf {
		m.clientExtensions = before.clientExtensions
	}
	if who.raw != "" {
		m.Disabled = before.Disabled
	}
	m.Verified = before.Verified
	if m.asksNobody() || before.asksNobody() {
		m.PromptUser = before.PromptUser // only administrators speak for everybody (C18)
	}
	if !m.looksLike(before) {
		m.Verified = false
		if m.asksNobody() {
			m.PromptUser = nil
		}
	}
}

func (m *clientMetadata) asksNobody() bool { return m.PromptUser != nil && !*m.PromptUser }

// looksLike tells whether people see the same client, and whether it gets the same at the same place.
func (m *clientMetadata) looksLike(other *clientMetadata) bool {
	return m.ClientName == other.ClientName && m.LogoURI == other.LogoURI && m.PolicyURI == other.PolicyURI && m.TermsURI == other.TermsURI &&
		slices.Equal(m.Contacts, other.Contacts) && slices.Equal(m.RedirectURIs, other.RedirectURIs) &&
		m.Scope == other.Scope && m.TokenEndpointAuthMethod == other.TokenEndpointAuthMethod
}

package authz

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

// This file is the client registration endpoint (RFC 7591, OpenID Connect Dynamic Client Registration)
// and the management of registered clients (RFC 7592), which administrators and developers share (C1, C2).

// clientInformation is the answer about a client (RFC 7591 §3.2.1, RFC 7592 §3).
type clientInformation struct {
	ClientID      string         `json:"client_id"`
	IssuedAt      int64          `json:"client_id_issued_at"`
	Secret        string         `json:"client_secret,omitempty"`
	SecretExpires *int64         `json:"client_secret_expires_at,omitempty"` // 0: never
	Token         string         `json:"registration_access_token,omitempty"`
	URI           string         `json:"registration_client_uri"`
	CreatedBy     registrantKind `json:"created_by"`
	clientMetadata
}

// register is the endpoint without a client's ID: it registers, or lists.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.answerRegistration(w, r, http.StatusCreated, s.registerClient)
		return
	}
	s.answerRegistration(w, r, http.StatusOK, s.listClients)
}

// registeredClient is the endpoint of one client (RFC 7592 §2).
func (s *Server) registeredClient(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPut:
		s.answerRegistration(w, r, http.StatusOK, s.updateClient)
	case http.MethodDelete:
		s.answerRegistration(w, r, http.StatusNoContent, s.deleteClient)
	default:
		s.answerRegistration(w, r, http.StatusOK, s.readClient)
	}
}

// clientSecret makes a new secret (C15).
func (s *Server) clientSecret(w http.ResponseWriter, r *http.Request) {
	s.answerRegistration(w, r, http.StatusOK, s.renewSecret)
}

func (s *Server) answerRegistration(w http.ResponseWriter, r *http.Request, status int, do func(*http.Request) (any, error)) {
	answer, err := do(r)
	switch {
	case err != nil:
		s.refuseRegistration(w, r, err)
	case status == http.StatusNoContent:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
	default:
		writeJSON(w, status, answer)
	}
}

// refuseRegistration answers with an error of RFC 7591 §3.2.2, or about the token (RFC 6750 §3).
func (s *Server) refuseRegistration(w http.ResponseWriter, r *http.Request, err error) {
	e := oauth.From(err)
	s.observe(r, Event{Name: "registration_refused", ClientID: oauth.Clip(r.PathValue("id")), Code: e.Code, Address: s.clientIP(r)})
	switch {
	case errors.Is(err, errNoRegistration):
		s.log(r, "registration refused", e)
		writeErrorStatus(w, http.StatusNotFound, e)
	case errors.Is(err, errNoToken), e.Code == oauth.InvalidToken, e.Code == oauth.InsufficientScope:
		s.bearerError(w, r, e, ScopeRegistrationFull)
	default:
		s.log(r, "registration refused", e)
		writeErrorStatus(w, statusOf(w, e), e)
	}
}

// errNoRegistration tells an administrator that there is no such client.
var errNoRegistration = errors.New("no such registered client")

func noRegistration() error {
	return oauth.Errorf(oauth.InvalidRequest, "there is no such registered client").Because(errNoRegistration)
}

func (s *Server) registerClient(r *http.Request) (any, error) {
	who, err := s.registrant(r, nil)
	if err != nil {
		return nil, err
	}
	if who.kind == registrantSelf {
		if err := s.admitSelf(r); err != nil {
			return nil, err
		}
	}
	request, err := readRegistration(r)
	if err != nil {
		return nil, err
	}
	now := s.now().UTC().Truncate(time.Second)
	rec := &registration{ID: oauth.NewID(), Version: oauth.NewID(), Issued: now, By: who.kind, Owner: who.subject}
	if who.kind == registrantAdmin && request.ClientID != "" {
		rec.ID = request.ClientID
	}
	raw := oauth.NewSecret()
	rec.TokenHash = oauth.Fingerprint(raw)
	secret, err := s.adopt(r.Context(), rec, &request.clientMetadata, who)
	if err != nil {
		return nil, err
	}
	if err := s.addClient(r.Context(), rec); err != nil {
		return nil, err
	}
	s.observe(r, Event{Name: "client_registered", ClientID: rec.ID, Subject: who.subject, Address: s.clientIP(r)})
	return s.information(rec, secret, raw), nil
}

// adopt gives a registration its new metadata, as far as whoever asks may say so, and a secret if it needs
// one and has none. Nothing is written.
func (s *Server) adopt(ctx context.Context, rec *registration, m *clientMetadata, who *registrant) (secret string, err error) {
	who.restrict(m, &rec.Metadata)
	m.fill(s, rec.self())
	rec.Metadata = *m
	rec.setEnd(s.now())
	switch {
	case !m.needsSecret():
		rec.SecretHash, rec.SealedSecret = "", ""
		rec.FormerHash, rec.FormerSealed, rec.FormerUntil = "", "", time.Time{}
	case rec.SecretHash == "":
		secret = s.newClientSecret(rec)
	default:
		secret, err = s.openClientSecret(rec.ID, rec.SealedSecret)
	}
	if err != nil {
		return "", err
	}
	c, err := s.checkRegistration(ctx, rec)
	if err != nil {
		return "", err
	}
	rec.Metadata.Scope = oauth.FormatScope(c.Scopes) // with those that they imply (C17)
	return secret, nil
}

// addClient writes a new registration, first where its owner and its web pages find it. An ID is one client's
// at a time (C14); what people agreed to with the one before is not for this one (A52).
func (s *Server) addClient(ctx context.Context, rec *registration) error {
	taken := oauth.Errorf(oauth.InvalidClientMetadata, "the client_id is taken")
	switch _, err := s.run.clients.Get(ctx, rec.ID); {
	case s.clients[rec.ID] != nil, err == nil: // before the entries of who has it are written over
		return taken
	case !errors.Is(err, store.ErrNotFound):
		return errClientStore.Because(err)
	}
	if err := s.enter(ctx, rec); err != nil {
		return err
	}
	err := s.run.clients.Update(ctx, rec.ID, func(old *registration) (*registration, time.Time, error) {
		if old != nil {
			return nil, time.Time{}, taken
		}
		return rec, rec.Expires, nil
	})
	if err != nil && !errors.Is(err, taken) {
		return errClientStore.Because(err)
	}
	return err
}

func (s *Server) readClient(r *http.Request) (any, error) {
	rec, who, err := s.managed(r)
	if err != nil {
		return nil, err
	}
	secret := ""
	if who.full {
		if secret, err = s.openClientSecret(rec.ID, rec.SealedSecret); err != nil {
			return nil, err
		}
	}
	return s.information(rec, secret, who.raw), nil
}

// updateClient replaces the metadata of a client (RFC 7592 §2.2).
func (s *Server) updateClient(r *http.Request) (any, error) {
	rec, who, err := s.managed(r)
	if err != nil {
		return nil, err
	}
	request, err := readRegistration(r)
	if err != nil {
		return nil, err
	}
	if request.ClientID != rec.ID { // what was meant for one client must not change another
		return nil, invalidMetadata(errors.New("client_id is missing, or another client's (RFC 7592 §2.2)"))
	}
	if request.ClientSecret != "" && !oauth.SameSecret(oauth.Fingerprint(request.ClientSecret), rec.SecretHash) {
		return nil, invalidMetadata(errors.New("client_secret can't be changed"))
	}
	before := *rec
	secret, err := s.adopt(r.Context(), rec, &request.clientMetadata, who)
	if err == nil {
		err = s.enter(r.Context(), rec)
	}
	if err != nil {
		return nil, err
	}
	if err := s.replaceClient(r.Context(), rec); err != nil {
		return nil, err
	}
	if err := s.leave(r.Context(), &before, rec); err != nil {
		return nil, err
	}
	s.observe(r, Event{Name: "client_updated", ClientID: rec.ID, Subject: who.subject, Address: s.clientIP(r)})
	return s.information(rec, secret, who.raw), nil
}

// replaceClient writes a changed registration, unless another change has come first.
func (s *Server) replaceClient(ctx context.Context, rec *registration) error {
	seen := rec.Version
	err := s.changeClient(ctx, rec.ID, func(stored *registration) error {
		if stored.Version != seen {
			return errChanged
		}
		*stored = *rec
		return nil
	})
	if err != nil {
		return changeFailed(err)
	}
	return nil
}

// errChanged: two changes at once, of which one has to look at the other first.
var errChanged = errors.New("the client was changed meanwhile")

func changeFailed(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noRegistration()
	case errors.Is(err, errChanged):
		return oauth.Errorf(oauth.TemporarilyUnavailable, "the client was changed meanwhile: try again").Because(err)
	}
	return errClientStore.Because(err)
}

// deleteClient ends a client and all that it was given (RFC 7592 §2.3).
func (s *Server) deleteClient(r *http.Request) (any, error) {
	rec, who, err := s.managed(r)
	if err != nil {
		return nil, err
	}
	unused := !rec.Expires.IsZero() && !rec.Used
	if s.clients[rec.ID] == nil && !unused { // else it has no tokens, or they are those of the configuration's
		if err := s.RevokeClient(r.Context(), rec.ID); err != nil {
			return nil, errClientStore.Because(err)
		}
	}
	err = s.run.clients.Update(r.Context(), rec.ID, func(stored *registration) (*registration, time.Time, error) {
		if stored != nil && stored.Version != rec.Version { // it may have got tokens meanwhile
			return nil, time.Time{}, errChanged
		}
		return nil, time.Time{}, nil
	})
	if err != nil {
		return nil, changeFailed(err)
	}
	if err := s.leave(r.Context(), rec, &registration{}); err != nil {
		return nil, err
	}
	s.observe(r, Event{Name: "client_deleted", ClientID: rec.ID, Subject: who.subject, Address: s.clientIP(r)})
	return nil, nil
}

func (s *Server) information(rec *registration, secret, raw string) *clientInformation {
	info := &clientInformation{
		ClientID:       rec.ID,
		IssuedAt:       rec.Issued.Unix(),
		Secret:         secret,
		Token:          raw,
		URI:            s.cfg.Issuer + pathRegister + "/" + rec.ID,
		CreatedBy:      rec.By,
		clientMetadata: rec.Metadata,
	}
	// Told as RFC 7591 §2 has it, though where nothing was said either way to send the secret is taken:
	// libraries have another default.
	info.TokenEndpointAuthMethod = cmp.Or(info.TokenEndpointAuthMethod, AuthBasic)
	if rec.SecretHash != "" {
		info.SecretExpires = new(int64)
	}
	return info
}

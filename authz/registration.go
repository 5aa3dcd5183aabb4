package authz

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/token"
)

// This file is the client registration endpoint (RFC 7591, OpenID Connect Dynamic Client Registration)
// and the management of registered clients (RFC 7592), which administrators and developers share (C1, C2).

const (
	// maxRegistration is the most a registration may measure, in bytes (A53).
	maxRegistration = 32 << 10
	// maxSelfMetadata is the most that what a client says which registers itself may measure in the store, in
	// bytes.
	maxSelfMetadata = 4 << 10
	// unusedLife is how long a client that registered itself waits for its first user.
	unusedLife = 24 * time.Hour
	// secretOverlap is how long the former secret is taken where a request says nothing.
	secretOverlap = 24 * time.Hour
	// maxSecretOverlap is the most it can be asked for.
	maxSecretOverlap = 30 * 24 * time.Hour
	// listPage is how many clients one page of the list has.
	listPage = 100
	// maxCursor is the most that the cursor of the list may measure, in bytes.
	maxCursor = 256
)

// How many clients may register themselves, or change themselves: a burst, then one every so often, from
// one address and in all (A53). The fastest flood makes 87,000 clients until the first expire; each takes
// up to 5 KB, so they keep below 500 MB.
const (
	selfBurst    = 100
	selfBurstAll = 300
)

var (
	selfEvery    = rate.Every(3 * time.Second)
	selfEveryAll = rate.Every(time.Second)
)

// registrationRequest is what a registration may hold beside the metadata.
type registrationRequest struct {
	clientMetadata
	ClientID          string `json:"client_id"`
	ClientSecret      string `json:"client_secret"`
	SoftwareStatement string `json:"software_statement"`
}

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
	s.observe(r, Event{Name: "registration_refused", ClientID: clip(r.PathValue("id")), Code: e.Code, Address: s.clientIP(r)})
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
	if rec.self() {
		rec.Expires = now.Add(unusedLife)
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
	if m.Verified {
		rec.Expires = time.Time{} // an administrator keeps it
	}
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

// newClientSecret makes a secret; one that signs is long enough for every algorithm (RFC 7518 §3.2).
func (s *Server) newClientSecret(rec *registration) string {
	secret := oauth.NewSecret()
	if rec.Metadata.TokenEndpointAuthMethod == AuthSecretJWT {
		secret += oauth.NewSecret()
	}
	rec.SecretHash = oauth.Fingerprint(secret)
	rec.SealedSecret = s.run.secrets.Seal([]byte(secret), []byte(rec.ID))
	return secret
}

// openClientSecret returns the secret that was sealed for a client, "" for none.
func (s *Server) openClientSecret(id, sealed string) (string, error) {
	if sealed == "" {
		return "", nil
	}
	secret, err := s.run.secrets.Open(sealed, []byte(id))
	if err != nil {
		return "", fmt.Errorf("secret of client %s: %w", id, err)
	}
	return string(secret), nil
}

// addClient writes a new registration, first where its owner and its web pages find it. An ID is one client's
// at a time (C14); what people agreed to with the one before is not for this one (A52).
func (s *Server) addClient(ctx context.Context, rec *registration) error {
	taken := oauth.Errorf(oauth.InvalidClientMetadata, "the client_id is taken")
	if s.clients[rec.ID] != nil {
		return taken
	}
	if rec.Owner != "" {
		if err := s.ownedClients(rec.Owner).Put(ctx, rec.ID, &ownedClient{rec.ID}, time.Time{}); err != nil {
			return errClientStore.Because(err)
		}
	}
	if err := s.listOrigins(ctx, rec.ID, rec.Metadata.CORS); err != nil {
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
	if request.ClientID != "" && request.ClientID != rec.ID ||
		request.ClientSecret != "" && !oauth.SameSecret(oauth.Fingerprint(request.ClientSecret), rec.SecretHash) {
		return nil, oauth.Errorf(oauth.InvalidClientMetadata, "client_id and client_secret can't be changed")
	}
	seen, origins := rec.Version, rec.Metadata.CORS
	secret, err := s.adopt(r.Context(), rec, &request.clientMetadata, who)
	if err == nil {
		err = s.listOrigins(r.Context(), rec.ID, rec.Metadata.CORS)
	}
	if err != nil {
		return nil, err
	}
	err = s.changeClient(r.Context(), rec.ID, func(stored *registration) error {
		if stored.Version != seen {
			return errChanged
		}
		*stored = *rec
		return nil
	})
	if err != nil {
		return nil, changeFailed(err)
	}
	if err := s.unlistOrigins(r.Context(), rec.ID, origins, rec.Metadata.CORS); err != nil {
		return nil, err
	}
	s.observe(r, Event{Name: "client_updated", ClientID: rec.ID, Subject: who.subject, Address: s.clientIP(r)})
	return s.information(rec, secret, who.raw), nil
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
	if rec.Owner != "" {
		if err := s.ownedClients(rec.Owner).Delete(r.Context(), rec.ID); err != nil {
			return nil, errClientStore.Because(err)
		}
	}
	if err := s.unlistOrigins(r.Context(), rec.ID, rec.Metadata.CORS, nil); err != nil {
		return nil, err
	}
	s.observe(r, Event{Name: "client_deleted", ClientID: rec.ID, Subject: who.subject, Address: s.clientIP(r)})
	return nil, nil
}

// renewSecret replaces a client's secret. The one before is taken for "overlap" seconds more, a day where
// nothing is said (C15).
func (s *Server) renewSecret(r *http.Request) (any, error) {
	rec, who, err := s.managed(r)
	if err != nil {
		return nil, err
	}
	overlap, err := readOverlap(r)
	if err != nil {
		return nil, err
	}
	if rec.SecretHash == "" {
		return nil, invalidMetadata(errors.New("the client has no secret"))
	}
	var secret string
	seen := rec.Version
	rec.FormerHash, rec.FormerSealed, rec.FormerUntil = rec.SecretHash, rec.SealedSecret, s.now().Add(overlap)
	secret = s.newClientSecret(rec)
	err = s.changeClient(r.Context(), rec.ID, func(stored *registration) error {
		if stored.Version != seen {
			return errChanged
		}
		*stored = *rec
		return nil
	})
	if err != nil {
		return nil, changeFailed(err)
	}
	s.observe(r, Event{Name: "client_secret_renewed", ClientID: rec.ID, Subject: who.subject, Address: s.clientIP(r)})
	return s.information(rec, secret, who.raw), nil
}

// clientList is a page of clients; next, if there, is the parameter "from" of the next one.
type clientList struct {
	Clients []*clientInformation `json:"clients"`
	Next    string               `json:"next,omitempty"`
}

// listClients lists all clients to administrators, and their own to developers; without secrets.
func (s *Server) listClients(r *http.Request) (any, error) {
	who, err := s.registrant(r, nil)
	if err != nil {
		return nil, err
	}
	params, err := oauth.ParseQuery(r)
	if err != nil {
		return nil, err
	}
	if len(params.Get("from")) > maxCursor {
		return nil, oauth.Errorf(oauth.InvalidRequest, "from is none that this server gave")
	}
	var records []*registration
	list := clientList{Clients: []*clientInformation{}}
	if who.kind == registrantAdmin {
		records, list.Next, err = s.run.clients.List(r.Context(), params.Get("from"), listPage)
	} else {
		records, list.Next, err = s.ownedBy(r.Context(), who.subject, params.Get("from"))
	}
	if err != nil {
		return nil, errClientStore.Because(err)
	}
	for _, rec := range records {
		list.Clients = append(list.Clients, s.information(rec, "", ""))
	}
	return list, nil
}

// ownedClient is where its owner finds a client.
type ownedClient struct {
	ID string `json:"client_id"`
}

func (s *Server) ownedClients(owner string) store.Records[ownedClient] {
	return store.NewRecords[ownedClient](s.run.store, "client-of/"+oauth.Fingerprint(owner))
}

func (s *Server) ownedBy(ctx context.Context, owner, from string) (records []*registration, next string, err error) {
	owned, next, err := s.ownedClients(owner).List(ctx, from, listPage)
	if err != nil {
		return nil, "", err
	}
	for _, o := range owned {
		rec, err := s.run.clients.Get(ctx, o.ID)
		switch {
		case err == nil && rec.Owner == owner:
			records = append(records, rec)
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return nil, "", err
		}
	}
	return records, next, nil
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

// admitSelf counts a client that registers or changes itself.
func (s *Server) admitSelf(r *http.Request) error {
	now := s.now()
	wait := s.run.rates.registrations.takeAt(oauth.Network(s.clientIP(r)), selfEvery, selfBurst, now)
	if wait == 0 {
		wait = s.run.rates.registrations.takeAt("", selfEveryAll, selfBurstAll, now)
	}
	if wait > 0 {
		return tooManyRequests(wait)
	}
	return nil
}

// readRegistration reads a JSON object strictly. Members that nobody knows are ignored (RFC 7591 §2).
func readRegistration(r *http.Request) (*registrationRequest, error) {
	request := new(registrationRequest)
	if err := readObject(r, request); err != nil {
		return nil, err
	}
	return request, checkStatement(request.SoftwareStatement)
}

func readObject(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != typeJSON {
		return oauth.Errorf(oauth.InvalidRequest, "the content type must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRegistration+1))
	if err != nil {
		return oauth.Errorf(oauth.InvalidRequest, "the body could not be read").Because(err)
	}
	if len(body) > maxRegistration {
		return oauth.Errorf(oauth.InvalidClientMetadata, "the body is larger than %d bytes", maxRegistration)
	}
	members, err := token.Claims(body)
	if err != nil {
		return oauth.Errorf(oauth.InvalidClientMetadata, "the body is no JSON object, or a member is there twice").Because(err)
	}
	for name := range members { // encoding/json would take any spelling for a member: ſcope is scope to it
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			delete(members, name)
		}
	}
	exact, err := json.Marshal(members)
	if err == nil {
		err = json.Unmarshal(exact, into)
	}
	if err != nil {
		return oauth.Errorf(oauth.InvalidClientMetadata, "a member has the wrong type").Because(err)
	}
	return nil
}

func readOverlap(r *http.Request) (time.Duration, error) {
	if r.ContentLength == 0 {
		return secretOverlap, nil
	}
	request := struct {
		Overlap *int64 `json:"overlap"`
	}{}
	if err := readObject(r, &request); err != nil {
		return 0, err
	}
	switch {
	case request.Overlap == nil:
		return secretOverlap, nil
	case *request.Overlap < 0 || *request.Overlap > int64(maxSecretOverlap/time.Second):
		return 0, invalidMetadata(fmt.Errorf("overlap has 0 to %d seconds", maxSecretOverlap/time.Second))
	}
	return time.Duration(*request.Overlap) * time.Second, nil
}

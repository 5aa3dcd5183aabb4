package authz

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/gatewright/gatewright/authz/fetch"
	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/saml"
	"github.com/gatewright/gatewright/authz/token"
)

// readyWait bounds how long a request waits for a server that is starting.
const readyWait = 10 * time.Second

// Server is one authorization server. It is safe for concurrent use.
type Server struct {
	cfg             Config
	base            string // path of the issuer, without a slash at the end
	origin          string // scheme and host of the issuer
	tag             string // goes into cookie names: cookies ignore ports, issuers don't
	resources       []*resource
	defaultResource *resource
	scopes          map[string]*scope
	claims          map[string][]claimSource
	clients         map[string]*client
	methods         map[string]method
	passkeys        *webauthn.WebAuthn // nil: the issuer's host has no name
	contracts       []*contract
	defaultContract *contract
	gate            *client           // the built-in client of gates
	grants          []Grant           // enabled ones
	saml            *saml.Verifier    // nil: no SAML issuer is trusted
	samlAttribute   map[string]string // by entity ID: what a NameID is a value of
	jwtIssuers      map[string]*jwtIssuer
	routes          map[string]route
	pages           *pages
	fetch           *fetch.Fetcher // what the operator's URLs name
	// Of clients: of the configuration, registered on somebody's word, and of strangers.
	configuredFetch, registeredFetch, strangersFetch fetchers
	compiled                                         compiledClients
	metadata                                         []byte
	keyPlan                                          token.Plan

	ready chan struct{} // closed by Start
	run   *running      // set before ready is closed
}

// running is what Start adds to a Server: secrets and state.
type running struct {
	*State
	grants       grants.Grants // State's, or the configuration's own
	longest      time.Duration // lifetime of anything issued under this or an earlier configuration
	keyring      *keyring
	stop         func() // ends the keyring's maintenance, and waits for that
	interactions *token.Sealer
	refresh      *token.Sealer
	access       *token.Sealer // binary access tokens
	private      *token.Sealer
	secrets      *token.Sealer // of registered clients
	factorSeal   *token.Sealer
	owner        *token.Sealer // reopens what was encrypted to a resource server (R11)
	pairwise     *token.Pairwise
	encryption   *encryptionKeys // what clients encrypt to
}

// route is one endpoint with the methods it takes.
type route struct {
	methods []string
	handle  http.HandlerFunc
	cors    corsPolicy
}

// New checks the configuration and prepares everything that needs no I/O. The error names every
// problem found.
func New(cfg Config) (*Server, error) {
	cfg.fillDefaults()
	issuer, err := checkIssuer(cfg.Issuer)
	if err != nil {
		return nil, wrong("issuer", cfg.Issuer, err)
	}
	sum := sha256.Sum256([]byte(cfg.Issuer))
	s := &Server{
		cfg:    cfg,
		base:   issuer.Path,
		origin: issuer.Scheme + "://" + issuer.Host,
		tag:    hex.EncodeToString(sum[:4]),
		ready:  make(chan struct{}),
	}
	guarded, err := fetch.New(cfg.Fetch)
	if err != nil {
		return nil, wrong("fetch", "", err)
	}
	s.fetch = guarded.Trusting()
	s.configuredFetch, s.registeredFetch, s.strangersFetch = newFetchers(s.fetch), newFetchers(guarded), newFetchers(guarded.Apart())
	if err := errors.Join(cfg.check(), wrong("compat", "", cfg.checkCompat(issuer))); err != nil {
		return nil, err // clients inherit all of this
	}
	// An error is for a contract that wants passkeys to complain of.
	s.passkeys, _ = newRelyingParty(issuer.Hostname(), s.origin, cmp.Or(cfg.Brand.Name, issuer.Host))
	if err := s.compile(&cfg); err != nil {
		return nil, err
	}
	if s.pages, err = newPages(cfg.Brand, issuer.Host); err != nil {
		return nil, wrong("brand", "", err)
	}
	if s.keyPlan, err = s.planKeys(); err != nil {
		return nil, err
	}
	if err := errors.Join(s.compileSAML(&cfg), s.compileJWTIssuers(&cfg)); err != nil {
		return nil, err
	}
	s.grants = s.enabledGrants()
	s.routes = s.routeTable()
	if err := s.addProtectedResources(s.routes); err != nil {
		return nil, err
	}
	s.metadata, err = s.buildMetadata()
	return s, err
}

func (s *Server) compile(cfg *Config) error {
	var errs []error
	var err error
	if s.resources, err = compileResources(cfg, s.fetch); err != nil {
		errs = append(errs, err)
	}
	for _, r := range s.resources {
		if r.Default {
			s.defaultResource = r
		}
	}
	if s.scopes, err = compileScopes(s.resources, cfg.Registration != RegistrationOff); err != nil {
		errs = append(errs, err)
	}
	if s.claims, err = s.compileClaims(); err != nil {
		errs = append(errs, err)
	}
	if s.methods, err = s.knownMethods(); err != nil {
		errs = append(errs, err)
	}
	if err = s.compileContracts(cfg); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return errors.Join(errs...) // clients refer to all of these
	}
	s.clients = make(map[string]*client, len(cfg.Clients))
	for _, reg := range cfg.Clients {
		c, err := s.compileClient(cfg, reg)
		if err == nil && s.clients[reg.ID] != nil {
			err = errors.New("the ID is taken")
		}
		if err != nil {
			errs = append(errs, wrong("client", reg.ID, err))
			continue
		}
		s.clients[reg.ID] = c
	}
	s.gate = s.gateClient()
	return errors.Join(errs...)
}

// Issuer is the URL that names the server in its tokens.
func (s *Server) Issuer() string { return s.cfg.Issuer }

// Start loads or makes the keys and begins to serve over state, which outlives the Server. Until Stop
// it keeps the keys up to date.
func (s *Server) Start(ctx context.Context, state *State) error {
	ring := &keyring{store: s.cfg.Keys, plan: s.keyPlan, now: s.now, log: s.cfg.Logger}
	if err := ring.apply(ctx, ring.plan.Adopt); err != nil {
		return fmt.Errorf("keys of %s: %w", s.cfg.Issuer, err)
	}
	encryption, err := loadEncryptionKeys(ctx, s.cfg.Keys)
	if err != nil {
		return fmt.Errorf("encryption keys of %s: %w", s.cfg.Issuer, err)
	}
	longest, err := state.keepLongest(ctx, s.configuredLifetime())
	if err != nil {
		return err
	}
	keys := ring.keys()
	s.run = &running{
		State:        state,
		longest:      longest,
		grants:       state.grants,
		keyring:      ring,
		stop:         background(ring.maintain),
		interactions: keys.Sealer("interaction"),
		refresh:      keys.Sealer("refresh token"),
		access:       keys.Sealer("binary access token"),
		private:      keys.Sealer("private part"),
		secrets:      keys.Sealer("client secret"),
		factorSeal:   keys.Sealer("second factor"),
		owner:        keys.Sealer("access token owner"),
		pairwise:     keys.Pairwise(),
		encryption:   encryption,
	}
	if s.cfg.NewGrants != nil {
		if s.run.grants, err = s.cfg.NewGrants(s.grantsConfig(state, keys)); err != nil {
			s.run.stop()
			return fmt.Errorf("grants: %w", err)
		}
	}
	if err := s.disableShadowed(ctx); err != nil {
		s.run.stop()
		return err
	}
	close(s.ready)
	return nil
}

// grantsConfig is what grants that are kept elsewhere need to know. Their seal has a key of its own,
// which is never rotated away (U3).
func (s *Server) grantsConfig(state *State, keys *token.Keys) grants.DirectoryConfig {
	return grants.DirectoryConfig{
		Issuer: s.cfg.Issuer,
		Sealer: keys.Sealer("grants"),
		Store:  state.store,
		Now:    s.now,
		Logger: s.cfg.Logger,
		Audit: func(ctx context.Context, e grants.AuditEvent) {
			s.cfg.Observe(ctx, Event{Name: e.Name, Issuer: s.cfg.Issuer, Subject: e.Subject, ClientID: e.Client})
		},
	}
}

// background runs a job until stop is called, which waits for it to end.
func background(job func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		job(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// Stop ends what Start began besides serving, and waits for it. Requests are still answered, with the
// keys of that time. It may be called again, and without a Start.
func (s *Server) Stop() {
	select {
	case <-s.ready:
		s.run.stop()
	default:
	}
}

// Ready returns once the server serves, or an error when ctx ends or the bounded wait is over first.
func (s *Server) Ready(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the authorization server is not ready: %w", ctx.Err())
	}
}

func (s *Server) now() time.Time { return s.cfg.Now() }

func (s *Server) observe(r *http.Request, e Event) {
	e.Issuer = s.cfg.Issuer
	s.cfg.Observe(r.Context(), e)
}

package authz

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
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
	gate            *client // the built-in client of gates
	grants          []Grant // enabled ones
	routes          map[string]route
	pages           *pages
	metadata        []byte
	keyPlan         token.Plan

	ready chan struct{} // closed by Start
	run   *running      // set before ready is closed
}

// running is what Start adds to a Server: secrets and state.
type running struct {
	*State
	longest      time.Duration // lifetime of anything issued under this or an earlier configuration
	keyring      *keyring
	stop         func() // ends the keyring's maintenance, and waits for that
	interactions *token.Sealer
	refresh      *token.Sealer
	access       *token.Sealer // binary access tokens
	private      *token.Sealer
	owner        *token.Sealer // reopens what was encrypted to a resource server (R11)
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
		return nil, fmt.Errorf("issuer %q: %w", cfg.Issuer, err)
	}
	sum := sha256.Sum256([]byte(cfg.Issuer))
	s := &Server{
		cfg:    cfg,
		base:   issuer.Path,
		origin: issuer.Scheme + "://" + issuer.Host,
		tag:    hex.EncodeToString(sum[:4]),
		ready:  make(chan struct{}),
	}
	if err := errors.Join(cfg.check(), cfg.checkCompat(issuer), s.compile(&cfg)); err != nil {
		return nil, err
	}
	if s.pages, err = newPages(cfg.Brand, issuer.Host); err != nil {
		return nil, fmt.Errorf("brand: %w", err)
	}
	if s.keyPlan, err = s.planKeys(); err != nil {
		return nil, err
	}
	s.grants = s.enabledGrants()
	s.routes = s.routeTable()
	s.metadata, err = s.buildMetadata()
	return s, err
}

func (s *Server) compile(cfg *Config) error {
	var errs []error
	var err error
	if s.resources, err = compileResources(cfg); err != nil {
		errs = append(errs, err)
	}
	for _, r := range s.resources {
		if r.Default {
			s.defaultResource = r
		}
	}
	if s.scopes, err = compileScopes(s.resources); err != nil {
		errs = append(errs, err)
	}
	if s.claims, err = s.compileClaims(); err != nil {
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
			errs = append(errs, fmt.Errorf("client %s: %w", reg.ID, err))
			continue
		}
		s.clients[reg.ID] = c
	}
	s.gate = s.gateClient()
	return errors.Join(errs...)
}

func (c *Config) fillDefaults() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HTTP == nil {
		c.HTTP = plainClient()
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Observe == nil {
		c.Observe = func(context.Context, Event) {}
	}
	if len(c.Signing.Algorithms) == 0 {
		c.Signing.Algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
	}
	for _, key := range c.Signing.Keys {
		if !slices.Contains(c.Signing.Algorithms, key.Algorithm()) {
			c.Signing.Algorithms = append(slices.Clip(c.Signing.Algorithms), key.Algorithm())
		}
	}
	if c.Signing.IDToken == "" {
		c.Signing.IDToken = preferred(c.Signing.Algorithms, jose.RS256)
	}
	if c.Signing.AccessToken == "" {
		c.Signing.AccessToken = preferred(c.Signing.Algorithms, jose.ES256)
	}
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{GrantAuthorizationCode, GrantRefreshToken, GrantClientCredentials}
	}
	if c.TokenFormat == "" {
		c.TokenFormat = FormatJWT
	}
	if len(c.TokenTypes) == 0 {
		c.TokenTypes = []TokenType{CodeType, IDTokenType, AccessTokenType, RefreshTokenType}
	}
	c.Lifetimes.fill(Lifetimes{
		Code:         time.Minute,
		AccessToken:  10 * time.Minute,
		IDToken:      10 * time.Minute,
		RefreshToken: 30 * 24 * time.Hour,
		RefreshIdle:  7 * 24 * time.Hour,
		Session:      12 * time.Hour,
		SessionIdle:  time.Hour,
		RefreshGrace: 10 * time.Second,
	})
	c.Lockout.fill()
}

// preferred is the wanted algorithm where there is a key for it, else the first.
func preferred(have []jose.SignatureAlgorithm, want jose.SignatureAlgorithm) jose.SignatureAlgorithm {
	if slices.Contains(have, want) {
		return want
	}
	return have[0]
}

func (c *Config) check() error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Users == nil {
		complain("users: a store of users is needed")
	}
	if c.Keys == nil {
		complain("keys: a place to keep keys is needed")
	}
	if err := c.Signing.check(); err != nil {
		complain("signing: %w", err)
	}
	for _, g := range c.GrantTypes {
		if !slices.Contains(knownGrantTypes, g) {
			complain("grant_type %q is unknown", g)
		}
	}
	if err := checkFormat(c.TokenFormat); err != nil {
		errs = append(errs, err)
	}
	if err := c.Lifetimes.check(); err != nil {
		complain("lifetime: %w", err)
	}
	if err := checkTokenTypes(c.TokenTypes); err != nil {
		errs = append(errs, err)
	}
	if err := checkOrigins(c.CORS, true); err != nil {
		complain("cors: %w", err)
	}
	if c.CORSCredentials && slices.Contains(c.CORS, "*") {
		complain("cors_credentials and cors * exclude each other (G4)")
	}
	return errors.Join(errs...)
}

// maxCodeLifetime is the longest an authorization code may live (RFC 6749 §4.1.2).
const maxCodeLifetime = 10 * time.Minute

func (l Lifetimes) check() error {
	for _, d := range []time.Duration{l.Code, l.AccessToken, l.IDToken, l.RefreshToken, l.RefreshIdle, l.Session, l.SessionIdle} {
		if d < time.Second {
			return errors.New("must be at least a second")
		}
	}
	if l.Code > maxCodeLifetime {
		return errors.New("code: at most 10 minutes (RFC 6749 §4.1.2)")
	}
	if l.AccessToken > token.MaxLifetime {
		return fmt.Errorf("access_token: at most %s", token.MaxLifetime)
	}
	return nil
}

// checkIssuer applies RFC 8414 §2 and P2.
func checkIssuer(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return nil, errors.New("must be a URL with a host")
	case u.Scheme != "https" && (u.Scheme != "http" || !oauth.IsLoopback(u.Hostname())):
		return nil, errors.New("must be https; http is for loopback hosts only")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || strings.Contains(raw, "#"):
		return nil, errors.New("must have no query, fragment or user name")
	case strings.HasSuffix(u.Path, "/"):
		return nil, errors.New("must not end in a slash")
	case u.EscapedPath() != u.Path || u.String() != raw || u.Host != strings.ToLower(u.Host) || u.JoinPath().Path != u.Path && u.Path != "",
		u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return nil, errors.New("must be written in its plain form: lower case, no default port, no escapes or dots in the path")
	}
	return u, nil
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
	longest, err := state.keepLongest(ctx, s.configuredLifetime())
	if err != nil {
		return err
	}
	keys := ring.keys()
	s.run = &running{
		State:        state,
		longest:      longest,
		keyring:      ring,
		stop:         background(ring.maintain),
		interactions: keys.Sealer("interaction"),
		refresh:      keys.Sealer("refresh token"),
		access:       keys.Sealer("binary access token"),
		private:      keys.Sealer("private part"),
		owner:        keys.Sealer("access token owner"),
	}
	close(s.ready)
	return nil
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

package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/tokeninject"
)

// TokenInject is the handler token_inject: it lets through who may pass, tells the upstream who that
// is, and sends everybody else to sign in or away. Strings take Caddy's placeholders, such as
// {env.X}; the values under inject take those of the request and of the gate as well.
type TokenInject struct {
	// Whose tokens are taken; browsers sign in at the first. Default: the only authorization server, or the
	// one without a name.
	Issuers []GateIssuer `json:"issuer,omitempty"`
	// How the one foreign issuer is asked about tokens that can't be verified here.
	Introspect *Introspection `json:"introspect,omitempty"`
	// Whose tokens are taken. A gate with neither this nor an audience takes no bearer tokens.
	ResourceServer string `json:"resource_server,omitempty"`
	// The audiences of tokens that are taken; default: that of the resource server.
	Audiences []string `json:"audience,omitempty"`
	// A file with the resource server's private keys (a JWKS), for tokens encrypted to it.
	DecryptKey string `json:"decrypt_key,omitempty"`
	// How browsers sign in; without it they can't.
	Session *GateSession `json:"session,omitempty"`
	// Lets requests without any credential pass.
	Optional bool `json:"optional,omitempty"`
	// What must hold, all of it.
	Require []Requirement `json:"require,omitempty"`
	// Rules for more than that, asked after it.
	Policy *GatePolicy `json:"policy,omitempty"`
	// What an injected value that is not there does: skip (default), empty or deny.
	Missing string `json:"missing,omitempty"`
	// How long what is known of a person's attributes is taken for current; default: 1m.
	Refresh caddy.Duration `json:"refresh,omitempty"`
	// What the upstream gets to see.
	Inject *Injection `json:"inject,omitempty"`
	// Lets the client's own token go on to the upstream.
	PassToken bool `json:"pass_token,omitempty"`
	// Gives the upstream a signed JWT for the client's own token, where that is opaque or encrypted.
	Phantom bool `json:"phantom,omitempty"`
	// Where the directive stands, for messages; the Caddyfile adapter fills it in.
	Place string `json:"place,omitempty"`

	issuer   *issuer   // where browsers sign in
	issuers  []*issuer // what has to be there for a request: that one, and others of this process
	enforcer *tokeninject.Enforcer
	log      *zap.Logger

	// Complete once the config has started.
	hosts    *hosts
	server   *caddyhttp.Server // of a route that leads here; nil: none does
	logout   bool              // and so does the path that signs out
	signsOut bool              // on each of its hosts that path leads here, or to a gate that has the same sessions

	reached atomic.Pointer[map[string]bool] // identifiers whose metadata can be fetched; set when the config starts
}

// CaddyModule returns the Caddy module information.
func (*TokenInject) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.token_inject", New: func() caddy.Module { return new(TokenInject) }}
}

// Provision finds the issuer and checks everything, without opening anything.
func (h *TokenInject) Provision(ctx caddy.Context) error {
	h.log = ctx.Logger()
	if err := h.provision(ctx); err != nil {
		if app := new(appError); errors.As(err, &app) {
			return err
		}
		if h.Place != "" {
			return fmt.Errorf("token_inject at %s: %w", h.Place, err)
		}
		return fmt.Errorf("token_inject: %w", err)
	}
	return nil
}

func (h *TokenInject) provision(ctx caddy.Context) (err error) {
	if err = expand("token_inject", h); err != nil {
		return err
	}
	app, err := h.app(ctx)
	if err != nil {
		return err
	}
	cfg, err := h.domain()
	if err != nil {
		return err
	}
	if err = h.findIssuers(app, &cfg); err != nil {
		return err
	}
	if h.Session != nil {
		if h.hosts, err = newHosts(h.Session.Hosts); err != nil {
			return err
		}
		app.gates = append(app.gates, h)
	}
	h.addHost(&cfg)
	cfg.SessionCookies = app.sessionCookies
	keepConnections(ctx)
	trustRightmost(ctx)
	if err := h.checkIssuer(cfg); err != nil {
		return err
	}
	if h.enforcer, err = tokeninject.New(cfg); err != nil {
		return err
	}
	if h.namesakes() {
		h.log.Warn("the upstream is told of people of several issuers, and not of which: somebody may have the same name or id at another; inject {authz.issuer} as well, or ask for issuer in a policy",
			zap.String("token_inject", h.Place))
	}
	if len(h.enforcer.Resources()) > 0 {
		app.described = append(app.described, h)
	}
	// Not in Cleanup, which Caddy runs while requests are still on their way to this gate.
	h.issuer.finally(h.enforcer.Close)
	return nil
}

// addHost adds what the gate needs of the process that it runs in.
func (h *TokenInject) addHost(cfg *tokeninject.Config) {
	cfg.Name = h.name()
	cfg.Store = &h.issuer.gates.store
	cfg.Sessions = h.issuer.gates.sessions
	cfg.Seen = seen
	cfg.OverTLS = overTLS
	cfg.Reached = func(resource string) bool {
		reached := h.reached.Load()
		return reached != nil && (*reached)[resource]
	}
	cfg.Logger = h.log
	if h.issuer.server != nil {
		brand := h.issuer.server.Brand()
		cfg.Brand = tokeninject.Brand{Name: brand.Name, Color: brand.Color}
	}
	if h.Session != nil {
		cfg.KnownHost = h.hosts.knows
		cfg.SeesLogout = func() bool { return h.signsOut }
	}
}

// checkResources refuses a gate for a resource server that is not there (R9), such as one that was
// removed while a gate still needs it.
func (h *TokenInject) checkResources(cfg tokeninject.Config) error {
	wanted := []string{cfg.ResourceServer}
	if cfg.Token != nil && cfg.Token.Issuer == nil {
		if cfg.Token.ResourceServer == "" {
			return errors.New("inject token: no resource_server")
		}
		wanted = append(wanted, cfg.Token.ResourceServer)
	}
	for _, resourceServer := range wanted {
		if resourceServer == "" {
			continue
		}
		_, err := cfg.Issuer.Audience(resourceServer)
		if errors.Is(err, tokeninject.ErrUnknownResource) {
			return fmt.Errorf("authz server %q has no resource_server %q", h.issuer.name, resourceServer)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkNames refuses scopes and a client that nobody defines: no token would ever fit.
func (h *TokenInject) checkNames(cfg tokeninject.Config) error {
	server := h.issuer.server
	if len(cfg.Others) == 0 { // another issuer has scopes of its own
		if err := server.CheckGate("", "", h.requiredScopes()); err != nil {
			return fmt.Errorf("require or policy: %w", err)
		}
		if err := server.CheckContracts(slices.Concat(cfg.Contracts, h.Policy.contracts())); err != nil {
			return fmt.Errorf("require or policy: %w", err)
		}
		h.warnOfStrangers()
	}
	var client, secret string
	var scopes []string
	if cfg.Session != nil {
		client, secret, scopes = cfg.Session.ClientID, cfg.Session.ClientSecret, cfg.Session.Scope
	}
	if cfg.Token != nil && cfg.Token.Issuer == nil {
		scopes = slices.Concat(scopes, cfg.Token.Scope)
	}
	if err := server.CheckGate(client, secret, scopes); err != nil {
		return fmt.Errorf("session or inject token: %w", err)
	}
	return nil
}

// warnOfStrangers points out clients in the policy that the config doesn't have: a rule for one that is misspelt
// never fits. It may have registered itself, so that this is no error.
func (h *TokenInject) warnOfStrangers() {
	for _, id := range h.Policy.clients() {
		if !h.issuer.server.HasClient(id) {
			h.log.Warn("the policy names a client that this config does not have; unless it has registered itself, its rule fits nobody",
				zap.String("token_inject", h.Place), zap.String("client", id))
		}
	}
}

func (h *TokenInject) requiredScopes() []string {
	var scopes []string
	for _, r := range h.Require {
		scopes = append(scopes, r.Scopes...)
	}
	return append(scopes, h.Policy.scopes()...)
}

// name is how tokens minted for a caller name this gate.
func (h *TokenInject) name() string {
	if h.ResourceServer != "" {
		return h.ResourceServer
	}
	return "token_inject"
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *TokenInject) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	v := varsOf(r)
	if !secure(r, v) {
		return refuseInsecure(h.log, w, r)
	}
	if err := h.useIssuers(r.Context()); err != nil {
		return refuseUnready(w, r, err)
	}
	defer h.giveBack(h.issuers)
	verdict := h.enforcer.Check(w, r, v.passed().front())
	if !verdict.Pass {
		return h.refuse(w, r, verdict.Refusal)
	}
	defer verdict.Done()
	v.expose(verdict)
	err := next.ServeHTTP(verdict.Writer, verdict.Request)
	if verdict.Abort() {
		panic(http.ErrAbortHandler)
	}
	return err
}

// useIssuers begins a request at every issuer that it needs; after an error it needs none.
func (h *TokenInject) useIssuers(ctx context.Context) error {
	for i, is := range h.issuers {
		if err := is.use(ctx); err != nil {
			h.giveBack(h.issuers[:i])
			return err
		}
	}
	return nil
}

func (h *TokenInject) giveBack(issuers []*issuer) {
	for _, is := range issuers {
		is.lease.give()
	}
}

// refuse answers a refusal, or lets the operator's handle_errors do it. Without a refusal the gate has
// answered already: by a redirect to login, or a page of its own.
func (h *TokenInject) refuse(w http.ResponseWriter, r *http.Request, refusal *tokeninject.Refusal) error {
	if refusal == nil {
		return nil
	}
	if !handlesErrors(r) {
		h.enforcer.Deny(w, r, refusal)
		return nil
	}
	maps.Copy(w.Header(), refusal.Header)
	w.Header().Set("Cache-Control", "no-store")
	return caddyhttp.Error(refusal.Status, refusal.Err)
}

// seen is how the client addressed a request, for the gate.
func seen(r *http.Request) tokeninject.Seen {
	return tokeninject.Seen{URL: original(r), ClientIP: clientIP(r)}
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*TokenInject)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenInject)(nil)
)

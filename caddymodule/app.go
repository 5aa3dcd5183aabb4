package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/tokeninject/foreign"
)

// defaultServer is the name of an authorization server that was given none.
const defaultServer = "default"

// App is the Caddy app "authz": the authorization servers of a config, by name. Sites refer to them
// with the handlers authz_server and token_inject.
type App struct {
	// The authorization servers; one without a name of its own is called "default".
	Servers map[string]*ServerConfig `json:"servers,omitempty"`

	ctx     caddy.Context
	log     *zap.Logger
	issuers map[string]*issuer
	foreign map[string]*issuer         // by URL: those of other processes at which our gates sign people in
	clients map[string]*foreign.Issuer // by their whole configuration, so that gates share what is fetched
	gates   []*TokenInject             // those with a session
	// releases give back what the foreign issuers have of the pool.
	releases []func() error
	// described are the gates that have metadata of a resource, and places the handlers that serve it.
	described []*TokenInject
	places    []documents
	started   bool
	previous  *App   // which ran until this one started
	serial    uint64 // later configs have higher ones
}

// configs counts the configs that were provisioned.
var configs atomic.Uint64

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authz", New: func() caddy.Module { return new(App) }}
}

// Provision checks everything that can be checked without opening a store, writing a key or asking
// the network: it also runs under `caddy validate`, beside a server that has the store open.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log, a.serial = ctx, ctx.Logger(), configs.Add(1)
	a.issuers = make(map[string]*issuer, len(a.Servers))
	a.foreign, a.clients = make(map[string]*issuer), make(map[string]*foreign.Issuer)
	urls := make(map[string]string, len(a.Servers))
	for _, name := range slices.Sorted(maps.Keys(a.Servers)) {
		is, err := a.provision(name)
		if err != nil {
			return fmt.Errorf("authz server %q: %w", name, err)
		}
		a.issuers[name] = is
		url := is.url
		if other, taken := urls[url]; taken {
			return fmt.Errorf("authz server %q: the issuer %s is the one of %q already", name, url, other)
		}
		urls[url] = name
	}
	return nil
}

func (a *App) provision(name string) (*issuer, error) {
	config := a.Servers[name]
	if config == nil {
		return nil, errors.New("it has no configuration")
	}
	if err := expand("apps.authz.servers."+name, config); err != nil {
		return nil, err
	}
	storage, err := a.storage(config)
	if err != nil {
		return nil, err
	}
	cfg, err := config.domain()
	if err != nil {
		return nil, config.locate(err)
	}
	people, err := a.users(config)
	if err != nil {
		return nil, err
	}
	if cfg.Methods, err = a.methods(config); err != nil {
		return nil, err
	}
	is, err := newIssuer(name, cfg.Issuer, storage, a.log)
	if err != nil {
		return nil, err
	}
	is.config = a.serial
	if err := a.serve(is, config, cfg, people); err != nil {
		is.lease.give()
		return nil, config.locate(err)
	}
	return is, nil
}

// serve gives the issuer its server, and what that needs of the place where people are kept.
func (a *App) serve(is *issuer, config *ServerConfig, cfg authz.Config, people UserStore) (err error) {
	cfg.Users = people.Users()
	if keeper, ok := people.(GrantStore); ok && keeper.HoldsGrants() {
		cfg.NewGrants = func(c grants.DirectoryConfig) (grants.Grants, error) {
			c.Locks = &is.locks
			return keeper.Grants(c)
		}
		is.probe = &grantsProbe{keeper: keeper, required: !cfg.Revocation.Off, log: a.log.With(zap.String("issuer", cfg.Issuer))}
	}
	cfg.Keys = newKeyStore(a.ctx.Storage(), cfg.Issuer)
	cfg.Logger = a.log.With(zap.String("issuer", cfg.Issuer))
	cfg.Observe = audit(a.log.Named("audit"))
	cfg.ClientIP = clientIP
	if is.server, err = authz.New(cfg); err != nil {
		return err
	}
	is.runner, _ = people.(Runner)
	for _, part := range []any{is.storage, people} {
		if part, ok := part.(Examined); ok {
			is.parts = append(is.parts, part)
		}
	}
	is.warnings = warnings(cfg)
	for _, f := range is.warnings {
		a.log.Warn(f.What+" "+f.Detail, zap.String("issuer", cfg.Issuer), zap.String("to_mend_it", f.Fix))
	}
	return nil
}

func (a *App) storage(config *ServerConfig) (Storage, error) {
	if len(config.StorageRaw) == 0 {
		storage := new(BoltStorage)
		return storage, storage.Provision(a.ctx)
	}
	module, err := a.ctx.LoadModule(config, "StorageRaw")
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	storage, ok := module.(Storage)
	if !ok {
		return nil, fmt.Errorf("storage: %T is no Storage", module)
	}
	return storage, nil
}

func (a *App) methods(config *ServerConfig) (map[string]authz.Method, error) {
	if len(config.MethodsRaw) == 0 {
		return nil, nil
	}
	loaded, err := a.ctx.LoadModule(config, "MethodsRaw")
	if err != nil {
		return nil, fmt.Errorf("methods: %w", err)
	}
	methods := make(map[string]authz.Method)
	for name, module := range loaded.(map[string]any) {
		method, ok := module.(authz.Method)
		if !ok {
			return nil, fmt.Errorf("methods: %T is no authz.Method", module)
		}
		methods[name] = method
	}
	return methods, nil
}

func (a *App) users(config *ServerConfig) (UserStore, error) {
	if len(config.UsersRaw) == 0 {
		nobody := new(LocalUsers)
		return nobody, nobody.Provision(a.ctx)
	}
	module, err := a.ctx.LoadModule(config, "UsersRaw")
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	people, ok := module.(UserStore)
	if !ok {
		return nil, fmt.Errorf("users: %T is no UserStore", module)
	}
	return people, nil
}

// startTimeout bounds how long a config may take to open its stores and read its keys.
const startTimeout = 30 * time.Second

// Start opens stores, or takes a share in those that the running config has open, and lets the
// handlers go, which wait for it since Caddy starts apps in no fixed order.
func (a *App) Start() error {
	a.started = true
	ctx, cancel := context.WithTimeout(a.ctx, startTimeout)
	defer cancel()
	if err := a.placeGates(); err != nil {
		return err
	}
	for _, issuers := range []map[string]*issuer{a.issuers, a.foreign} {
		for _, name := range slices.Sorted(maps.Keys(issuers)) {
			if err := issuers[name].start(ctx); err != nil {
				return fmt.Errorf("authz server %q: %w", name, err)
			}
		}
	}
	warnUngated(a.ctx, a.log)
	a.previous = live.Swap(a)
	return nil
}

// Stop does nothing: requests are still in flight, and what they use is theirs until they end.
func (a *App) Stop() error { return nil }

// lateRequests is how long a config that served may still get requests after its cleanup. Caddy
// does not wait for its old HTTP server, and that server answers connections which it had accepted;
// net/http closes those that stay silent after five seconds.
const lateRequests = 10 * time.Second

// Cleanup gives the config's share in stores back, as soon as the last request has ended. It also
// runs after a Provision or Start that failed, when there may be nothing to give back.
func (a *App) Cleanup() error {
	if !live.CompareAndSwap(a, a.previous) { // it runs again where this one failed to
		live.Load().forget(a)
	}
	for _, release := range a.releases {
		if err := release(); err != nil {
			a.log.Error("giving back what is shared failed", zap.Error(err))
		}
	}
	for _, is := range slices.Concat(slices.Collect(maps.Values(a.issuers)), slices.Collect(maps.Values(a.foreign))) {
		is.replaced.Store(true)
		if a.started && !caddy.Exiting() {
			time.AfterFunc(lateRequests, is.lease.give)
			continue
		}
		is.lease.give()
	}
	return nil
}

// forget lets go of the previous config once that has ended.
func (a *App) forget(ended *App) {
	if a != nil && a.previous == ended {
		a.previous = nil
	}
}

// errReplaced is what became of an issuer that a reload took away, or gave another state.
var errReplaced = fmt.Errorf("%w: the config that runs has no such authorization server", oauth.TemporarilyUnavailable)

// current is what stands for an issuer of an earlier config in this one, which runs. a is nil where the config that runs
// has no such app. An issuer of a config that is about to run stands for itself.
func (a *App) current(of *issuer) (*issuer, error) {
	if !of.replaced.Load() && (a == nil || of.config >= a.serial) {
		return of, nil
	}
	if a != nil {
		for _, is := range a.issuers {
			if is.stateKey() == of.stateKey() {
				return is, nil
			}
		}
	}
	return nil, errReplaced
}

// issuer finds an authorization server by name or issuer URL; "" is the only one, or the one
// without a name.
func (a *App) issuer(name string) (*issuer, error) {
	if is, ok := a.issuers[name]; ok {
		return is, nil
	}
	if name == "" {
		if is, ok := a.issuers[defaultServer]; ok {
			return is, nil
		}
		if len(a.issuers) == 1 {
			for _, is := range a.issuers {
				return is, nil
			}
		}
		return nil, fmt.Errorf("say which authz server, of: %s", a.names())
	}
	for _, is := range a.issuers {
		if is.url == name {
			return is, nil
		}
	}
	return nil, fmt.Errorf("there is no authz server %q, only: %s", name, a.names())
}

func (a *App) names() string {
	return strings.Join(slices.Sorted(maps.Keys(a.issuers)), ", ")
}

// appOf finds the app for a handler, whichever of the two is provisioned first.
func appOf(ctx caddy.Context) (*App, error) {
	app, err := ctx.AppIfConfigured("authz")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, errors.New("there is no authorization server: the global option authz is missing")
	}
	if err != nil {
		return nil, &appError{err}
	}
	return app.(*App), nil
}

// appError is a fault of the app's own configuration: a handler that happens to be provisioned first
// has nothing to do with it.
type appError struct{ error }

func (e *appError) Unwrap() error { return e.error }

// Interface guards.
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)

package caddymodule

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/tokeninject"
	"github.com/gatewright/gatewright/tokeninject/foreign"
)

// Ways in which a gate gets a token of a foreign issuer.
const (
	grantClientCredentials = "client_credentials"
	grantTokenExchange     = "token_exchange"
)

// defaultCallback is where logins of a foreign issuer come back to.
const defaultCallback = "/.authz/callback"

// GateIssuer is an issuer whose tokens a gate takes: an authorization server of this config, or any other
// that can be discovered by its URL.
type GateIssuer struct {
	// Its name in this config, or its issuer URL.
	Name string `json:"name"`
	// Files with the certificate authorities that its server is trusted by; default: the system's.
	CA []string `json:"tls_ca,omitempty"`
	// The claim with a person's roles; default: roles.
	Roles string `json:"roles,omitempty"`
	// How it is asked about tokens that can't be verified here (RFC 7662).
	Introspect *Introspection `json:"introspect,omitempty"`
}

// Introspection is how a foreign issuer is asked about access tokens (RFC 7662).
type Introspection struct {
	// The endpoint; default: as the issuer's metadata says.
	URL string `json:"url,omitempty"`
	// Who asks.
	Client string `json:"client,omitempty"`
	// The client's secret.
	Secret string `json:"secret,omitempty"`
	// How long an answer counts, and a revocation may go unseen; default: 1m.
	Cache caddy.Duration `json:"cache,omitempty"`
	// Takes answers that do not say for whom a token is. Only for an issuer that serves no other API: its
	// tokens would be taken here as well.
	InsecureAnyAudience bool `json:"insecure_any_audience,omitempty"`
}

// app finds the app that keeps the issuers. A gate of foreign issuers needs no authorization server here.
func (h *TokenInject) app(ctx caddy.Context) (*App, error) {
	if len(h.Issuers) == 0 || !slices.ContainsFunc(h.Issuers, func(i GateIssuer) bool { return isURL(i.Name) }) {
		return appOf(ctx)
	}
	app, err := ctx.App("authz")
	if err != nil {
		return nil, &appError{err}
	}
	return app.(*App), nil
}

func isURL(name string) bool { return strings.Contains(name, "://") }

// findIssuers gives the gate its issuers, in the order of the configuration.
func (h *TokenInject) findIssuers(app *App, cfg *tokeninject.Config) error {
	named := h.Issuers
	if len(named) == 0 {
		named = []GateIssuer{{}}
	}
	if err := h.placeIntrospect(app, named); err != nil {
		return err
	}
	urls := map[string]string{}
	for n, i := range named {
		is, made, err := app.gateIssuer(i, h.Session, cfg.Audiences, n == 0)
		switch {
		case err != nil:
			return err
		case n == 0:
			h.issuer, cfg.Issuer = is, made
		default:
			cfg.Others = append(cfg.Others, made)
		}
		if is != nil {
			h.issuers = append(h.issuers, is)
		}
		urls[i.Name] = made.URL()
	}
	nameIssuers(cfg.Policy, urls)
	switch foreign := h.issuer.server == nil; {
	case cfg.Session == nil:
	case !foreign && cfg.Session.Callback != "":
		return errors.New("session: callback is for foreign issuers, a login of this config's own comes back to the page itself")
	case foreign && cfg.Session.Callback == "":
		cfg.Session.Callback = defaultCallback
	}
	return h.findMint(app, cfg)
}

// nameIssuers puts URLs in the place of names in the rules, as the gate knows its issuers.
func nameIssuers(policy *tokeninject.Policy, urls map[string]string) {
	if policy == nil {
		return
	}
	for _, rule := range policy.Rules {
		for n, condition := range rule.Conditions {
			if condition.Kind != tokeninject.IfIssuer {
				continue
			}
			known := slices.Clone(condition.Values)
			for i, name := range known {
				known[i] = cmp.Or(urls[name], name)
			}
			rule.Conditions[n].Values = known
		}
	}
}

// namesakes tells whether the upstream can't know whose person it is told of: an issuer's alice is somebody else
// than another's.
func (h *TokenInject) namesakes() bool {
	if len(h.Issuers) < 2 || h.Inject == nil || h.Policy.asksIssuer() {
		return false
	}
	names := func(t Template, keys ...string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return strings.Contains(string(t), "{"+key+"}") })
	}
	person := false
	for _, t := range h.Inject.templates() {
		if names(t, issuerPlaceholder, claimPrefix+"iss", userPrefix+"iss") {
			return false
		}
		person = person || names(t, userIDPlaceholder, usernamePlaceholder, claimPrefix+"sub", userPrefix+"sub")
	}
	return person
}

// placeIntrospect gives the gate's own introspect line to the one issuer that it can be for.
func (h *TokenInject) placeIntrospect(app *App, named []GateIssuer) error {
	if h.Introspect == nil {
		return nil
	}
	at := -1
	for n, i := range named {
		if !app.isForeign(i.Name) {
			continue
		}
		if at >= 0 {
			return errors.New("introspect: write it into the block of the issuer that is to be asked, there is more than one")
		}
		at = n
	}
	if at < 0 || named[at].Introspect != nil {
		return errors.New("introspect is for one foreign issuer, and written once")
	}
	named[at].Introspect = h.Introspect
	return nil
}

func (a *App) isForeign(name string) bool {
	if !isURL(name) {
		return false
	}
	_, err := a.issuer(name)
	return err != nil
}

// gateIssuer finds one issuer of a gate. Only where browsers sign in does a foreign one need a place of its
// own for their sessions.
func (a *App) gateIssuer(i GateIssuer, session *GateSession, audiences []string, first bool) (*issuer, tokeninject.Issuer, error) {
	if !a.isForeign(i.Name) {
		is, err := a.issuer(i.Name)
		switch {
		case err != nil:
			return nil, nil, err
		case len(i.CA) > 0 || i.Roles != "" || i.Introspect != nil:
			return nil, nil, fmt.Errorf("issuer %s is of this config, and asked without a network: it takes no tls_ca, roles or introspect", is.name)
		}
		return is, newLocalIssuer(is), nil
	}
	client := foreign.Client{}
	if session != nil && first {
		if session.Client == "" {
			return nil, nil, fmt.Errorf("session: the issuer %s has to know the gate: write client <id> [<secret>]", i.Name)
		}
		client = foreign.Client{ID: session.Client, Secret: session.Secret}
	}
	made, err := a.foreignIssuer(i, client, audiences)
	if err != nil || !first {
		return nil, made, err
	}
	is, err := a.foreignState(i.Name)
	return is, made, err
}

// foreignState is where the gates of a foreign issuer keep sessions and logins: where the config's own server
// keeps its state, else in the default file.
func (a *App) foreignState(url string) (*issuer, error) {
	if is := a.foreign[url]; is != nil {
		return is, nil
	}
	var storage Storage
	if own, err := a.issuer(""); err == nil {
		storage = own.storage
	} else {
		file := new(BoltStorage)
		if err := file.Provision(a.ctx); err != nil {
			return nil, err
		}
		storage = file
	}
	is, err := newIssuer(url, url, storage, a.log)
	if err == nil {
		a.foreign[url] = is
	}
	return is, err
}

// foreignIssuer makes a foreign issuer, or finds the one that another gate made in just this way.
func (a *App) foreignIssuer(i GateIssuer, client foreign.Client, audiences []string) (*foreign.Issuer, error) {
	key, err := json.Marshal([]any{i, client, audiences})
	if err != nil {
		return nil, err
	}
	if made := a.clients[string(key)]; made != nil {
		return made, nil
	}
	cfg := foreign.Config{URL: i.Name, Client: client, RolesClaim: i.Roles}
	if cfg.Documents, err = a.foreignDocuments(i); err != nil {
		return nil, err
	}
	if q := i.Introspect; q != nil {
		cfg.Introspection = &foreign.Introspection{
			Endpoint: q.URL, Client: foreign.Client{ID: q.Client, Secret: q.Secret}, Cache: duration(q.Cache),
		}
		if q.InsecureAnyAudience && len(audiences) > 0 {
			a.log.Warn("tokens of an issuer are taken though it does not say for whom they are", zap.String("issuer", i.Name))
			cfg.Introspection.AssumeAudience = audiences[0]
		}
	}
	made, err := foreign.New(cfg)
	if err == nil {
		a.clients[string(key)] = made
	}
	return made, err
}

// findMint gives the token policy its issuer.
func (h *TokenInject) findMint(app *App, cfg *tokeninject.Config) error {
	switch {
	case cfg.Token == nil:
		return nil
	case cfg.Token.Phantom && (h.issuer.server == nil || len(cfg.Others) > 0):
		return errors.New("phantom: only an authorization server of this config can mint for its own tokens, so there may be no other issuer")
	case cfg.Token.Phantom:
		return nil
	}
	policy := h.Inject.Token
	switch policy.Grant {
	case "", grantClientCredentials, grantTokenExchange:
	default:
		return fmt.Errorf("inject token: grant %q is none of client_credentials, token_exchange", policy.Grant)
	}
	at := GateIssuer{Name: policy.Issuer}
	if policy.Issuer == "" && len(h.Issuers) > 0 {
		at = h.Issuers[0]
	}
	switch {
	case app.isForeign(at.Name):
	case policy.Issuer != "" || policy.Client != "" || policy.Grant != "":
		return errors.New("inject token: issuer, client and grant are for issuers of other processes")
	default:
		return nil
	}
	client := foreign.Client{ID: policy.Client, Secret: policy.Secret}
	if client.ID == "" && h.Session != nil {
		client = foreign.Client{ID: h.Session.Client, Secret: h.Session.Secret}
	}
	switch {
	case client.Secret == "" && (policy.Grant != "" || policy.ResourceServer != "" || len(policy.Scopes) > 0):
		return errors.New("inject token: a client with a secret is needed")
	case policy.Grant == grantTokenExchange && h.Session != nil && h.issuer.server != nil:
		return errors.New("inject token: a session of a server in this config has no token to exchange; use grant client_credentials")
	case policy.Issuer != "" && policy.Grant == "" && len(h.Issuers) > 0 && h.Issuers[0].Name != policy.Issuer:
		return errors.New("inject token: say by which grant another issuer than the gate's own mints")
	}
	minter, err := app.foreignIssuer(at, client, cfg.Audiences)
	cfg.Token.Issuer, cfg.Token.Client = minter, client.ID
	return err
}

// foreignDocuments are what an issuer publishes: a reload must not forget them, the issuer may be away.
func (a *App) foreignDocuments(i GateIssuer) (*foreign.Documents, error) {
	client, trust, err := trusting(i.CA)
	if err != nil {
		return nil, fmt.Errorf("issuer %s: tls_ca: %w", i.Name, err)
	}
	shared, release, err := acquire(fmt.Sprintf("foreign %s %x", i.Name, trust), func() (sharedDocuments, error) {
		documents, err := foreign.NewDocuments(i.Name, client, nil)
		return sharedDocuments{documents}, err
	})
	if err != nil {
		return nil, err
	}
	a.releases = append(a.releases, release)
	return shared.Documents, nil
}

// sharedDocuments outlive a config.
type sharedDocuments struct{ *foreign.Documents }

// Destruct implements caddy.Destructor; there is nothing to close.
func (sharedDocuments) Destruct() error { return nil }

// trusting makes the client that speaks to a foreign issuer, nil for the usual one, and tells by a hash whom it trusts.
func trusting(files []string) (client *http.Client, trust [sha256.Size]byte, err error) {
	if len(files) == 0 {
		return nil, trust, nil
	}
	pool := x509.NewCertPool()
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file) // #nosec G304 -- the operator names the file
		if err != nil {
			return nil, trust, err
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, trust, fmt.Errorf("%s has no certificate", file)
		}
		all = append(all, text...)
	}
	return foreign.NewClient(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}), sha256.Sum256(all), nil
}

// checkIssuer checks what the gate needs of its issuer: an authorization server of this config knows its
// resource servers, scopes and clients; of another process's nothing is known before it is asked.
func (h *TokenInject) checkIssuer(cfg tokeninject.Config) error {
	if cfg.Session == nil && cfg.ResourceServer == "" && len(cfg.Audiences) == 0 && !cfg.Optional {
		return errors.New("neither session, resource_server nor audience: nobody could pass")
	}
	if h.issuer.server != nil {
		return errors.Join(h.checkResources(cfg), h.checkNames(cfg), checkAudiences(cfg, cfg.Others))
	}
	return checkAudiences(cfg, append([]tokeninject.Issuer{cfg.Issuer}, cfg.Others...))
}

// checkAudiences refuses issuers of which it is not known for whom their tokens for the resource server are: the gate
// could take none.
func checkAudiences(cfg tokeninject.Config, issuers []tokeninject.Issuer) error {
	if cfg.ResourceServer == "" || len(cfg.Audiences) > 0 {
		return nil
	}
	for _, issuer := range issuers {
		switch _, err := issuer.Audience(cfg.ResourceServer); {
		case errors.Is(err, tokeninject.ErrUnknownResource):
			return fmt.Errorf("resource_server %s: the issuer %s does not tell its audience, write audience <value>", cfg.ResourceServer, issuer.URL())
		case err != nil:
			return err
		}
	}
	return nil
}

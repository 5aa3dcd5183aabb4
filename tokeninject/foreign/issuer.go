package foreign

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/tokeninject"
)

// Config is what an operator says of a foreign issuer. New checks it and fills in defaults.
type Config struct {
	// URL is the iss of its tokens, and where its metadata is found: https, or http on loopback.
	URL string
	// Client is who the gate is at the issuer for logins and minted tokens; only those need one.
	Client Client
	// Introspection asks the issuer about access tokens that can't be verified here; nil: they are refused.
	Introspection *Introspection
	// RolesClaim of ID token or userinfo has the person's roles; default "roles".
	RolesClaim string
	// HTTP speaks to the issuer; nil: a client that follows no redirect.
	HTTP *http.Client
	// Documents are those of URL; nil: the Issuer's own. If set, HTTP is ignored: the documents' own client is used.
	Documents *Documents
	Now       func() time.Time // nil: time.Now
}

// Client is a client of the issuer's. Without a secret it is a public one.
type Client struct{ ID, Secret string }

// Introspection is how the issuer is asked about tokens (RFC 7662).
type Introspection struct {
	// Endpoint is where; empty: as the metadata says.
	Endpoint string
	Client   Client
	// Cache is how long an answer counts; default 1 min. Revocations are seen that late.
	Cache time.Duration
	// AssumeAudience is what aud is taken for where the answer has none; empty: such a token is refused. It
	// MUST NOT be set where the issuer serves other APIs as well: their tokens would be taken here (A7).
	AssumeAudience string
}

// defaultCache is how long an answer to introspection counts.
const defaultCache = time.Minute

// Issuer implements tokeninject.Issuer. It is safe for concurrent use.
type Issuer struct {
	*Documents
	cfg       Config
	asking    singleflight.Group // by token
	places    chan struct{}      // one for each question under way
	silent    atomic.Bool        // the last question had no answer in time
	listening atomic.Bool        // somebody waits long for the next answer
	feed      *revocation.Feed   // always empty: a foreign issuer tells nobody what it revokes
}

// New makes an issuer. It fetches nothing.
func New(cfg Config) (*Issuer, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RolesClaim == "" {
		cfg.RolesClaim = "roles"
	}
	switch {
	case cfg.Documents == nil:
		var err error
		if cfg.Documents, err = NewDocuments(cfg.URL, cfg.HTTP, cfg.Now); err != nil {
			return nil, err
		}
	case cfg.Documents.url != cfg.URL:
		return nil, fmt.Errorf("issuer %q: the documents are of another", cfg.URL)
	}
	if q := cfg.Introspection; q != nil {
		copied := *q
		if copied.Cache == 0 {
			copied.Cache = defaultCache
		}
		switch {
		case copied.Client.ID == "" || copied.Client.Secret == "":
			return nil, errors.New("introspect: a client with a secret is needed")
		case copied.Cache < 0:
			return nil, errors.New("introspect: cache is negative")
		case copied.Endpoint != "":
			if err := checkURL(copied.Endpoint); err != nil {
				return nil, fmt.Errorf("introspect %q: %w", copied.Endpoint, err)
			}
		}
		cfg.Introspection = &copied
	}
	return &Issuer{
		Documents: cfg.Documents,
		cfg:       cfg, places: make(chan struct{}, maxAsking), feed: revocation.New(store.NewMemory(cfg.Now), cfg.Now),
	}, nil
}

// checkURL wants https, or http where nothing leaves the machine (P2).
func checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return err
	case u.Host == "" || u.Fragment != "" || u.User != nil:
		return errors.New("it is no address of a server")
	case u.Scheme != "https" && (u.Scheme != "http" || !oauth.IsLoopback(u.Hostname())):
		return errors.New("it must be an https URL")
	}
	return nil
}

// URL implements tokeninject.Issuer.
func (i *Issuer) URL() string { return i.cfg.URL }

// RolesClaim implements tokeninject.RolesNamer.
func (i *Issuer) RolesClaim() string { return i.cfg.RolesClaim }

// Ready waits for the issuer's metadata, which everything else needs.
func (i *Issuer) Ready(ctx context.Context) error {
	_, err := i.metadata.get(ctx)
	return err
}

// NamesItself tells whether the metadata promise iss in answers (RFC 9207 §3).
func (i *Issuer) NamesItself() bool {
	m, _, _ := i.metadata.look(fresh)
	return m != nil && m.NamesItself
}

// Introspects implements tokeninject.Introspector.
func (i *Issuer) Introspects() bool { return i.cfg.Introspection != nil }

// Audience knows no resource server by name: those are the issuer's own affair.
func (i *Issuer) Audience(string) (string, error) { return "", tokeninject.ErrUnknownResource }

// Account is the subject: the feed is empty.
func (i *Issuer) Account(subject string) string { return subject }

// Revocations is an empty feed.
func (i *Issuer) Revocations() *revocation.Feed { return i.feed }

// Person knows what the login said, and nothing beyond: a foreign issuer is not asked about people.
func (i *Issuer) Person(context.Context, string) (*tokeninject.Person, error) {
	return &tokeninject.Person{}, nil
}

// metadata is what counts of RFC 8414 §2 and OpenID Connect Discovery §3.
type metadata struct {
	Issuer            string   `json:"issuer"`
	Authorization     string   `json:"authorization_endpoint"`
	Token             string   `json:"token_endpoint"`
	UserInfo          string   `json:"userinfo_endpoint"`
	Introspection     string   `json:"introspection_endpoint"`
	Revocation        string   `json:"revocation_endpoint"`
	EndSession        string   `json:"end_session_endpoint"`
	JWKS              string   `json:"jwks_uri"`
	NamesItself       bool     `json:"authorization_response_iss_parameter_supported"`
	TokenAuth         []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuth []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuth    []string `json:"revocation_endpoint_auth_methods_supported"`
	ChallengeMethods  []string `json:"code_challenge_methods_supported"`
	ScopesSupported   []string `json:"scopes_supported"`
	GrantTypes        []string `json:"grant_types_supported"`
	Prompts           []string `json:"prompt_values_supported"`
}

// offers tells whether a list of the metadata has a value; a list that is left out says nothing against it.
func offers(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }

// Interface guards.
var (
	_ tokeninject.Issuer       = (*Issuer)(nil)
	_ tokeninject.Introspector = (*Issuer)(nil)
	_ tokeninject.Renewer      = (*Issuer)(nil)
)

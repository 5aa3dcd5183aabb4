package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatewright/gatewright/tokeninject"
)

// GateSession says how browsers sign in and what keeps them signed in.
type GateSession struct {
	// The client to sign in as; default: one that is built in. A foreign issuer needs one.
	Client string `json:"client,omitempty"`
	// Its secret.
	Secret string `json:"secret,omitempty"`
	// What is asked for at login.
	Scopes []string `json:"scope,omitempty"`
	// A session unused that long is over; default: 1h.
	Idle caddy.Duration `json:"idle,omitempty"`
	// A session that old is over; default: 12h.
	Absolute caddy.Duration `json:"absolute,omitempty"`
	// The path that logins of a foreign issuer come back to, which is registered there; default:
	// /.authz/callback.
	Callback string `json:"callback,omitempty"`
	// The path that signs out; default: /.authz/logout.
	Logout string `json:"logout,omitempty"`
	// The path that signs in, and goes back to the page that linked to it; default, where the gate is
	// optional: /.authz/login.
	Login string `json:"login,omitempty"`
	// Logins a second that one address may begin, and thirty times as many at once; default: 1.
	LoginRate int `json:"login_rate,omitempty"`
	// Hosts on which browsers may sign in, with a port where it is not the site's own; those that
	// the site's addresses name are known without being listed.
	Hosts []string `json:"host,omitempty"`
	// A domain all of whose hosts share the session, where their gates say the same; default: none. Whoever has
	// a host of it can sign somebody in as somebody else.
	Domain string `json:"domain,omitempty"`
	// The name of the session's cookie; default: one made from the issuer.
	Cookie string `json:"cookie,omitempty"`
}

// Requirement is one thing that must hold: scopes, a role, a claim or a contract.
type Requirement struct {
	// All of these scopes.
	Scopes []string `json:"scope,omitempty"`
	// One of these roles.
	Roles []string `json:"role,omitempty"`
	// This claim has one of the values.
	Claim string `json:"claim,omitempty"`
	// The values of the claim.
	Values []string `json:"value,omitempty"`
	// One of these contracts, or one of a higher level.
	Contracts []string `json:"contract,omitempty"`
}

// Injection is what the upstream gets to see. Values take the placeholders of the request, those of
// the gate included.
type Injection struct {
	// Headers.
	Headers []NamedValue `json:"header,omitempty"`
	// Tags, several of which may share a header.
	Tags []TagValue `json:"tag,omitempty"`
	// Cookies.
	Cookies []NamedValue `json:"cookie,omitempty"`
	// Query parameters.
	Query []NamedValue `json:"query,omitempty"`
	// Basic authentication (RFC 7617).
	Basic *BasicValue `json:"basic,omitempty"`
	// An access token for the upstream.
	Token *TokenPolicy `json:"token,omitempty"`
}

// NamedValue is one header, cookie or query parameter.
type NamedValue struct {
	// Its name.
	Name string `json:"name"`
	// Its value.
	Value Template `json:"value"`
	// Gives each item of a list a header or parameter of its own, instead of joining them.
	Repeat bool `json:"repeat,omitempty"`
	// Writes a single item as a list of one, its commas encoded.
	List bool `json:"list,omitempty"`
}

// TagValue is one tag=value in a header.
type TagValue struct {
	// The header's name.
	Header string `json:"header"`
	// The tag.
	Tag string `json:"tag"`
	// Its value.
	Value Template `json:"value"`
	// Writes a single item as a list of one, its commas encoded.
	List bool `json:"list,omitempty"`
}

// BasicValue is a user name and a password for the upstream.
type BasicValue struct {
	// The user name.
	User Template `json:"user"`
	// The password.
	Password Template `json:"password"`
}

// TokenPolicy says which access token the upstream gets.
type TokenPolicy struct {
	// The issuer that mints it, where that is not the gate's own: a name or a URL.
	Issuer string `json:"issuer,omitempty"`
	// The client that the gate is there, for a foreign issuer; default: the one that signs people in.
	Client string `json:"client,omitempty"`
	// Its secret.
	Secret string `json:"secret,omitempty"`
	// token_exchange (default at a foreign issuer) gives a token for the person or caller, client_credentials
	// one for the gate itself, the same for everybody.
	Grant string `json:"grant,omitempty"`
	// The resource server that it is for.
	ResourceServer string `json:"resource_server,omitempty"`
	// What it may do there.
	Scopes []string `json:"scope,omitempty"`
	// It is renewed that long before it expires; default: 1m.
	RenewBefore caddy.Duration `json:"renew_before,omitempty"`
}

// domain turns the configuration, its placeholders expanded, into the gate's own. The host's parts
// (issuer, store, logger) are left to the caller.
func (h *TokenInject) domain() (tokeninject.Config, error) {
	cfg := tokeninject.Config{
		ResourceServer: h.ResourceServer,
		Audiences:      h.Audiences,
		Session:        h.Session.domain(),
		Optional:       h.Optional,
		Policy:         h.Policy.domain(),
		Missing:        tokeninject.Missing(h.Missing),
		Refresh:        duration(h.Refresh),
		PassToken:      h.PassToken,
	}
	if h.DecryptKey != "" {
		key, err := os.ReadFile(h.DecryptKey)
		if err != nil {
			return cfg, fmt.Errorf("decrypt_key: %w", err)
		}
		cfg.DecryptKey = key
	}
	for _, r := range h.Require {
		if err := r.addTo(&cfg); err != nil {
			return cfg, fmt.Errorf("require: %w", err)
		}
	}
	if err := h.Inject.addTo(&cfg); err != nil || !h.Phantom {
		return cfg, err
	}
	if cfg.Token != nil || cfg.ResourceServer == "" || len(cfg.Audiences) > 0 {
		return cfg, errors.New("phantom: it needs a resource_server, and takes neither audience nor inject token")
	}
	cfg.Token = &tokeninject.TokenInjection{Phantom: true, ResourceServer: h.ResourceServer}
	return cfg, nil
}

func (s *GateSession) domain() *tokeninject.SessionConfig {
	if s == nil {
		return nil
	}
	return &tokeninject.SessionConfig{
		ClientID:     s.Client,
		ClientSecret: s.Secret,
		Scope:        s.Scopes,
		Idle:         duration(s.Idle),
		Absolute:     duration(s.Absolute),
		Callback:     s.Callback,
		Logout:       s.Logout,
		Login:        s.Login,
		LoginRate:    s.LoginRate,
		Domain:       strings.ToLower(s.Domain),
		Cookie:       s.Cookie,
	}
}

func (r Requirement) addTo(cfg *tokeninject.Config) error {
	given := 0
	add := func(kind tokeninject.RequirementKind, name string, values []string) {
		given++
		cfg.Require = append(cfg.Require, tokeninject.Requirement{Kind: kind, Name: name, Values: values})
	}
	if len(r.Scopes) > 0 {
		add(tokeninject.RequireScope, "", r.Scopes)
	}
	if len(r.Roles) > 0 {
		add(tokeninject.RequireRole, "", r.Roles)
	}
	if r.Claim != "" && len(r.Values) > 0 {
		add(tokeninject.RequireClaim, r.Claim, r.Values)
	}
	if len(r.Contracts) > 0 {
		if cfg.Contracts != nil {
			return errors.New("one login has one contract: list all that will do in one line")
		}
		given++
		cfg.Contracts = r.Contracts
	}
	if given != 1 {
		return errors.New("exactly one of scope, role, contract, or claim with value is needed")
	}
	return nil
}

// templates are what is injected as text.
func (i *Injection) templates() (all []Template) {
	for _, v := range slices.Concat(i.Headers, i.Cookies, i.Query) {
		all = append(all, v.Value)
	}
	for _, v := range i.Tags {
		all = append(all, v.Value)
	}
	if i.Basic != nil {
		all = append(all, i.Basic.User, i.Basic.Password)
	}
	return all
}

// addTo compiles the values and adds them to the gate's configuration.
func (i *Injection) addTo(cfg *tokeninject.Config) error {
	if i == nil {
		return nil
	}
	var c compiler
	for _, v := range i.Headers {
		where, name := "inject header "+v.Name, http.CanonicalHeaderKey(v.Name)
		if v.Repeat {
			cfg.HeaderLists = append(cfg.HeaderLists, tokeninject.ListInjection{Name: name, Values: c.values(where, v.Value, encodeHeaderItem)})
		} else {
			cfg.Headers = append(cfg.Headers, tokeninject.HeaderInjection{Name: name, Value: c.joined(where, v.Value, v.List, encodeHeaderItem)})
		}
	}
	for _, v := range i.Tags {
		cfg.Tags = append(cfg.Tags, tokeninject.TagInjection{
			Header: http.CanonicalHeaderKey(v.Header), Tag: v.Tag, Value: c.joined("inject tag "+v.Header, v.Value, v.List, encodeHeaderItem),
		})
	}
	for _, v := range i.Cookies {
		cfg.Cookies = append(cfg.Cookies, tokeninject.ValueInjection{
			Name: v.Name, Value: c.joined("inject cookie "+v.Name, v.Value, v.List, encodeItem),
		})
	}
	for _, v := range i.Query {
		where := "inject query " + v.Name
		if v.Repeat {
			whole := func(item string) string { return item } // nothing joins them
			cfg.QueryLists = append(cfg.QueryLists, tokeninject.ListInjection{Name: v.Name, Values: c.values(where, v.Value, whole)})
		} else {
			cfg.Query = append(cfg.Query, tokeninject.ValueInjection{Name: v.Name, Value: c.joined(where, v.Value, v.List, encodeItem)})
		}
	}
	if i.Basic != nil {
		cfg.Basic = &tokeninject.BasicInjection{
			User:     c.userName("inject basic", i.Basic.User),
			Password: c.value("inject basic", i.Basic.Password, encodeItem),
		}
	}
	if i.Token != nil {
		cfg.Token = &tokeninject.TokenInjection{
			ResourceServer: i.Token.ResourceServer,
			Scope:          i.Token.Scopes,
			RenewBefore:    duration(i.Token.RenewBefore),
			ForGate:        i.Token.Grant == grantClientCredentials,
		}
	}
	return c.err
}

package tokeninject

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/store"
)

// Config is everything an operator decides about one gate. New checks it and fills in defaults.
type Config struct {
	Issuer Issuer
	// Name tells this gate from every other of the same server and goes into its cookies' names:
	// two gates with one name share their browser sessions.
	Name string

	// ResourceServer is whose tokens are taken; with Audiences empty its audience is asked of the
	// issuer. A gate with neither takes no bearer tokens (R13).
	ResourceServer string
	Audiences      []string
	// DecryptKey is a JWKS with this resource server's private keys; nil: none.
	DecryptKey []byte

	// Session is nil where browsers can't sign in.
	Session *SessionConfig
	// Optional passes a request without credential on, every owned name stripped.
	Optional bool

	Require []Requirement
	Missing Missing

	Headers []HeaderInjection
	Tags    []TagInjection
	Cookies []ValueInjection
	Query   []ValueInjection
	Basic   *BasicInjection
	Token   *TokenInjection
	// PassToken lets the client's own token go on to the upstream.
	PassToken bool

	// Store keeps gate sessions and logins in flight; its owner closes it.
	Store  store.Store
	Logger *zap.Logger
	Now    func() time.Time
}

// SessionConfig is how browsers are signed in.
type SessionConfig struct {
	ClientID     string // empty: the issuer's built-in client
	ClientSecret string
	Scope        []string
	Idle         time.Duration // default 1 h
	Absolute     time.Duration // default 12 h
	Logout       string        // path; default /.authz/logout
	Cookie       string        // name; default made of the gate's name
}

// RequirementKind is what a `require` line looks at.
type RequirementKind string

// Kinds of requirement.
const (
	RequireScope RequirementKind = "scope" // all of the values
	RequireRole  RequirementKind = "role"  // one of the values
	RequireClaim RequirementKind = "claim" // one of the values
)

// Requirement is one `require` line; all lines must hold.
type Requirement struct {
	Kind   RequirementKind
	Name   string // of the claim
	Values []string
}

// Missing is what an injected value that is not there does.
type Missing string

// What Missing may be.
const (
	MissingSkip  Missing = "skip" // the default
	MissingEmpty Missing = "empty"
	MissingDeny  Missing = "deny"
)

// Value computes what is injected. ok is false where there is nothing. It is given by the host, so
// that this package knows no template language.
type Value func(ctx context.Context, r *http.Request, id *Identity) (value string, ok bool)

// HeaderInjection sets one header.
type HeaderInjection struct {
	Name  string
	Value Value
}

// TagInjection puts tag=value into a header that several tags share (`Role=Manager`).
type TagInjection struct {
	Header string
	Tag    string
	Value  Value
}

// ValueInjection sets one cookie or one query parameter.
type ValueInjection struct {
	Name  string
	Value Value
}

// BasicInjection sets `Authorization: Basic`.
type BasicInjection struct {
	User     Value
	Password Value
}

// TokenInjection is the OAuth token injection policy (W4).
type TokenInjection struct {
	ResourceServer string
	Scope          []string
	RenewBefore    time.Duration // default 1 min
}

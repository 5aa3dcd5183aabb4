package tokeninject

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/store"
)

// Config is everything an operator decides about one gate. New checks it and fills in defaults.
type Config struct {
	// Issuer is where people sign in. Its tokens are taken, and so are those of Others, each checked
	// with the keys of its own issuer and no other's.
	Issuer Issuer
	Others []Issuer
	// Name is what the act claim of tokens minted for a caller says (RFC 8693 §4.1).
	Name string

	// ResourceServer is whose tokens are taken; with Audiences empty its audience is asked of the
	// issuer. A gate with neither takes no bearer tokens (R13).
	ResourceServer string
	Audiences      []string
	// Reached tells whether the metadata of a protected resource (RFC 9728) can be fetched: its URL leads
	// to a gate of the resource, or to the issuer. Challenges name it then. nil: that is not known.
	Reached func(resource string) bool
	// DecryptKey is a JWKS with this resource server's private keys; nil: none.
	DecryptKey []byte

	// Session is nil where browsers can't sign in.
	Session *SessionConfig
	// KnownHost tells whether Seen's host, with its port, is one of the gate's own. It is needed where
	// Session is set, and MUST answer by what the operator said, never by the request alone: a login's
	// code goes to that host, and the client chose it.
	KnownHost func(r *http.Request) bool
	// SeesLogout tells whether requests for Session.Logout come to this gate, or to another that has the same
	// sessions, so that its pages can offer it; nil: that is not known, and they don't.
	SeesLogout func() bool
	// SessionCookies are those that may come with a request for another gate by its SessionConfig.Cookie, which no
	// upstream may see; nil: there are none.
	SessionCookies func(r *http.Request) []string
	// Brand is what the gate's own pages show.
	Brand Brand
	// Optional passes a request without credential on, every owned name stripped. Browsers sign in at
	// SessionConfig.Login.
	Optional bool

	Require []Requirement
	// Contracts are the acr of which a login must have one, or a higher one (RFC 9470). Browsers are signed
	// in by them.
	Contracts []string
	Policy    *Policy // asked after Require; nil: none
	Missing   Missing

	Headers []HeaderInjection
	Tags    []TagInjection
	Cookies []ValueInjection
	Query   []ValueInjection
	// HeaderLists and QueryLists are those with several values.
	HeaderLists []ListInjection
	QueryLists  []ListInjection
	Basic       *BasicInjection
	Token       *TokenInjection
	// Refresh is how long what the issuer said of a person's attributes is taken for current; default 1 min.
	Refresh time.Duration
	// PassToken lets the client's own token go on to the upstream.
	PassToken bool

	// Store keeps gate sessions and logins in flight; its owner closes it. It is needed where
	// Session is set.
	Store store.Store
	// Sessions lets gates of one store share what they hold of live sessions, minted tokens
	// included, and keeps it over a change of configuration; nil: the gate holds its own.
	Sessions *Sessions

	// Seen tells how the client addressed the request; nil: as the request says itself. It is asked
	// only where a request without TLS of its own or a login needs it.
	Seen func(r *http.Request) Seen
	// OverTLS tells whether the client speaks TLS; nil: as Seen says. It is asked of each request without TLS of its own
	// that may have a session, so it is to be quick.
	OverTLS func(r *http.Request) bool

	Logger *zap.Logger      // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// Seen is a request as the client sent it: before rewrites, and before a trusted proxy took its TLS.
type Seen struct {
	URL      url.URL // scheme, host, path and query
	ClientIP string
}

// SessionConfig is how browsers are signed in.
type SessionConfig struct {
	ClientID     string // empty: the issuer's built-in client
	ClientSecret string
	Scope        []string
	// Callback is the path, as the client sees it, that logins come back to: the one that a foreign
	// issuer knows. Empty: the page that was asked for.
	Callback string
	Idle     time.Duration // default 1 h
	Absolute time.Duration // default 12 h
	Logout   string        // path as the gate sees it; default DefaultLogout
	// Login is the path, as the gate sees it, that begins a login and ends at the page that linked to
	// it. Empty: none, or DefaultLogin where the gate is optional, since there nothing else begins one.
	Login string
	// LoginRate is how many logins a second one address (oauth.Network) may begin, and thirty seconds' worth at once;
	// default 1.
	LoginRate int
	// Domain shares the session: whoever signed in at one gate of the same issuer and client on a host of
	// this domain is signed in at all of them. Empty: every host has its own. Whoever has a host there can
	// plant a cookie of theirs (A66), so all hosts of the domain MUST be trusted.
	Domain string
	// Cookie is the session cookie's whole name. Empty: one made of the issuer, the client and the
	// site's port, since cookies ignore ports; whoever names it sees to that.
	Cookie string
}

// Brand is what pages show of the operator.
type Brand struct {
	Name string // empty: none
	// Color of buttons and links, as #rgb or #rrggbb. In its place stands the default where it is written
	// in another way, or where white text on it would be hard to read (WCAG 2.2 §1.4.3).
	Color string
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
// that this package knows no template language. A control character in the value refuses the request
// (A57); what a header can't hold otherwise is percent-encoded, see HeaderInjection.
type Value func(ctx context.Context, r *http.Request, id *Identity) (value string, ok bool)

// Values is a Value that may have several: none where there is nothing.
type Values func(ctx context.Context, r *http.Request, id *Identity) []string

// HeaderInjection sets one header. A value with bytes outside ASCII goes as percent-encoded UTF-8,
// "%" included; any other value goes as it is.
type HeaderInjection struct {
	Name  string
	Value Value
}

// ListInjection sets one header or parameter several times, once for each value.
type ListInjection struct {
	Name   string
	Values Values
}

// TagInjection puts tag=value into a header that several tags share (`Role=Manager`), separated by
// ";" in the order of the configuration. A value that holds a ";" is percent-encoded like one outside
// ASCII, so that it can't begin a tag of its own.
type TagInjection struct {
	Header string
	Tag    string
	Value  Value
}

// ValueInjection sets one cookie or one query parameter. A cookie's value is percent-encoded where it
// isn't made of cookie-octets (RFC 6265 §4.1.1), "%" included; a parameter's as forms encode it.
type ValueInjection struct {
	Name  string
	Value Value
}

// BasicInjection sets `Authorization: Basic` (RFC 7617). A user with a ":" refuses the request, and so
// does a control character in either.
type BasicInjection struct {
	User     Value
	Password Value
}

// TokenInjection is the OAuth token injection policy (W4).
type TokenInjection struct {
	// Issuer mints the token; nil: the gate's own.
	Issuer Issuer
	// Client is whom it mints for, "" where that is nobody's choice. What two policies ask for as different
	// clients is never mixed up.
	Client string
	// ForGate injects one token, the gate's own, for everybody who passes.
	ForGate bool
	// Phantom gives the upstream the caller's own token as a signed JWT, where the caller brought one that is
	// opaque or encrypted (W8). A session is left without.
	Phantom        bool
	ResourceServer string
	Scope          []string
	// RenewBefore is how long before its end a token is replaced, at most half its lifetime;
	// default 1 min.
	RenewBefore time.Duration
}

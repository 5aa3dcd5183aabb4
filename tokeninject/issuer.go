package tokeninject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
)

// Issuer is what the gate needs of an authorization server. One in the same process is adapted
// without HTTP; a foreign one is another implementation.
type Issuer interface {
	// URL is the iss of its tokens.
	URL() string
	// Ready returns once the issuer can answer, or an error when ctx ends, or its own bounded wait is
	// over, first.
	Ready(ctx context.Context) error
	// Open opens an access token as far as its cryptography goes: decrypts it (by decrypt where the
	// issuer's own keys don't fit; it may be nil), checks signature and typ, and returns the
	// claims. Times, audience and revocation are the caller's. until, if not zero, is when the issuer
	// has to be asked again, which a token that it only vouches for needs.
	Open(ctx context.Context, raw string, decrypt Decrypt) (payload []byte, until time.Time, err error)
	// Audience is the aud of tokens for a resource server of that name; ErrUnknownResource.
	Audience(resourceServer string) (string, error)
	// Account is the name under which the feed knows whom a token's sub means: another one where clients
	// get pairwise subs (OpenID Connect Core §8.1).
	Account(subject string) string
	// Revocations is the feed of what was revoked and is not yet expired.
	Revocations() *revocation.Feed

	// NamesItself tells whether the answer to a login always says who gives it (RFC 9207 §3).
	NamesItself() bool
	// BeginLogin pushes an authorization request and returns the URL to send the browser to.
	BeginLogin(ctx context.Context, l LoginRequest) (url string, err error)
	// RedeemLogin turns the code of a login into what the issuer says of the person.
	RedeemLogin(ctx context.Context, code string, l LoginRequest) (*Session, error)
	// Refresh looks the session's person up again: ErrSessionEnded when it may not go on. A session that
	// comes with another error has a Stamp that replaces the old one, and nothing else that is new. That
	// includes a revocation that the feed has forgotten meanwhile: gates ask the feed for what is
	// new, and Refresh for the rest.
	Refresh(ctx context.Context, s *Session) (*Session, error)
	// EndSession signs the person out at the issuer as well, and ends what the login gave;
	// ErrSessionEnded counts as done, ErrSessionRemains says that the issuer has no way to do it. next, if not
	// empty, is where the browser has to go for that, also where the rest failed.
	EndSession(ctx context.Context, s *Session) (next string, err error)
	// Mint makes an access token for injection: ErrSessionEnded, or an *oauth.Error with
	// insufficient_scope where the scopes were never granted.
	Mint(ctx context.Context, m MintRequest) (*MintedToken, error)
	// Person looks a person up afresh.
	Person(ctx context.Context, subject string) (*Person, error)
}

// Renewer is an Issuer whose Refresh, where Renews says so, uses up what the session's Stamp holds: one node may do
// so, and the others have to take its answer over.
type Renewer interface{ Renews(s *Session) bool }

// Decrypt undoes the encryption of the token at hand to the gate's resource server. It is dear, and may be
// busy (oauth.TemporarilyUnavailable).
type Decrypt func(context.Context) (signed string, err error)

// Person is what is known of somebody where people are kept.
type Person struct {
	Username   string
	Attributes map[string][]string // by the names of the place where people are kept
}

// What an Issuer answers.
var (
	// ErrBusy is an issuer, or a gate, that is asked too much at once.
	ErrBusy            = fmt.Errorf("%w: too much is asked at once", oauth.TemporarilyUnavailable)
	ErrSessionEnded    = errors.New("the session has ended")
	ErrSessionRemains  = errors.New("the issuer's own session goes on")
	ErrUnknownResource = errors.New("no such resource server")
)

// LoginRequest is one browser login that a gate begins.
type LoginRequest struct {
	ClientID     string `json:"client_id,omitempty"` // empty: the built-in client
	ClientSecret string `json:"-"`
	RedirectURI  string `json:"redirect_uri"`
	State        string `json:"state,omitempty"`
	Nonce        string `json:"nonce"`
	Verifier     string `json:"verifier"` // of PKCE
	// Scope of the session and of every token that will be injected into it.
	Scope []string `json:"scope,omitempty"`
	// ACRValues are contracts, of which the first that the issuer knows is used.
	ACRValues []string `json:"acr_values,omitempty"`
	// Another asks who is to be signed in, also where the issuer knows.
	Another bool `json:"another,omitempty"`
}

// Session is what an issuer says of a person who signed in at a gate.
type Session struct {
	Subject   string          `json:"sub"`
	Username  string          `json:"username,omitempty"`
	ClientID  string          `json:"client_id"`
	SessionID string          `json:"sid,omitempty"` // names the issuer's session; it is not its secret
	GrantID   string          `json:"grant_id"`      // the grant family every injected token belongs to
	Scope     []string        `json:"scope,omitempty"`
	Roles     []string        `json:"roles,omitempty"`
	Claims    json.RawMessage `json:"claims"` // one JSON object: the claims of the granted scopes
	AuthTime  time.Time       `json:"auth_time"`
	ACR       string          `json:"acr,omitempty"`  // the contract that the person signed in by
	AMR       []string        `json:"amr,omitempty"`  // RFC 8176
	Begun     time.Time       `json:"begun,omitzero"` // at this gate, by the issuer's clock
	// Stamp is the issuer's own note, kept with the session and never looked at: ours tells a password
	// changed since by it, a foreign issuer's tokens are in it.
	Stamp string `json:"stamp,omitempty"`
}

// MintRequest asks for a token to inject: for a session, for the incoming token of Caller, or for the
// gate itself.
type MintRequest struct {
	Session       *Session
	SessionIssuer string // where the session's person signed in
	Caller        *Identity
	// Raw is the caller's token as it came, and CallerIssuer whose it is: one issuer's word about people
	// is none for another, unless that one takes tokens in exchange (RFC 8693).
	Raw          string
	CallerIssuer string
	// ForGate asks for a token in which nobody is named but the gate (RFC 6749 §4.4).
	ForGate        bool
	ResourceServer string
	Scope          []string
	// Phantom asks for Caller's own token in a form that the upstream can read.
	Phantom bool
	// Gate is named in the act claim of a token made for Caller (RFC 8693 §4.1).
	Gate string
}

// MintedToken is a token made for injection.
type MintedToken struct {
	Token   string
	Expires time.Time
}

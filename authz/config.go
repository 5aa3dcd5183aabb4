package authz

import (
	"context"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/fetch"
	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/authz/users"
)

// Config is everything an operator decides about one authorization server. New checks it and fills
// in what was left zero; it is not changed afterwards.
type Config struct {
	// Issuer is the URL that names the server in every token (RFC 8414 §2): https, or http on a
	// loopback host; no query, no fragment, no slash at the end.
	Issuer string

	Users users.Store
	// NewGrants keeps grants elsewhere than in the store: it is given what the server knows. nil: the store.
	NewGrants func(grants.DirectoryConfig) (grants.Grants, error)
	// Keys keeps the server's key document. It is asked in Start, never in New.
	Keys KeyStore

	ResourceServers []ResourceServer
	AttributeSets   []AttributeSet
	Clients         []Client
	// Contracts are the authentication procedures; where none is the default, PasswordContract is.
	Contracts []Contract
	// Methods are those of others that contracts may name, beside the built-in ones.
	Methods map[string]Method
	// PasswordGrantContracts are for the password grant where neither client nor request name any (G13).
	PasswordGrantContracts []string

	// TokenFormat of access and refresh tokens (G16); empty: JWT.
	TokenFormat TokenFormat
	// Compat serves the endpoints under the paths of another product as well (E12).
	Compat Compat

	// SAMLIssuers are identity providers whose assertions are taken as grants (RFC 7522).
	SAMLIssuers []SAMLIssuer
	// JWTIssuers are those whose JWTs about people are taken as grants (RFC 7523 §2.1).
	JWTIssuers []JWTIssuer

	Signing   Signing
	Lifetimes Lifetimes
	Lockout   Lockout
	RateLimit RateLimit
	Brand     Brand

	Revocation Revocation
	// LogoutRevokes ends the refresh-token families of a session with it (G10).
	LogoutRevokes bool
	// Registration says who may register clients (E11); empty: RegistrationOff.
	Registration Registration
	// DeveloperRole and AdminRole are what people have who manage their own clients, and all (C2); empty:
	// NAM_OAUTH2_DEVELOPER and NAM_OAUTH2_ADMIN.
	DeveloperRole, AdminRole string
	// LogoutConsent asks before a logout that an application began (G7); nil: on.
	LogoutConsent *bool

	// GrantTypes the server takes (G5); empty: authorization_code, refresh_token, client_credentials.
	GrantTypes []string
	// TokenTypes the server issues (G6); empty: all.
	TokenTypes []TokenType
	// CORS lists the origins of G3; one "*" is all.
	CORS            []string
	CORSCredentials bool

	// ClientIP tells where a request comes from, which only the host knows behind proxies; nil: the
	// peer's address.
	ClientIP func(*http.Request) string
	// Fetch says what clients' own URLs may lead to (A51).
	Fetch  fetch.Config
	Logger *zap.Logger
	// Observe is told of everything that audit and statistics want to know; nil: nobody listens.
	Observe func(ctx context.Context, e Event)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// KeyStore keeps key documents where every node of a cluster finds them. Load answers an error that
// is fs.ErrNotExist when there is none.
type KeyStore interface {
	Load(ctx context.Context, name string) ([]byte, error)
	Save(ctx context.Context, name string, document []byte) error
	// Lock keeps other nodes from making keys at the same time.
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

// Signing says which keys the server has and what they sign (G12).
type Signing struct {
	// Algorithms to have a key for; empty: RS256 and ES256. Those of Keys are added.
	Algorithms []jose.SignatureAlgorithm
	// IDToken is the default algorithm of ID tokens; empty: RS256.
	IDToken jose.SignatureAlgorithm
	// AccessToken is the default algorithm of access tokens; empty: ES256.
	AccessToken jose.SignatureAlgorithm
	// Keys are the operator's own, from ReadSigningKey; algorithms without one have generated keys. The
	// last one of an algorithm signs, once it has been published for token.PublishAhead; until then
	// the one before it does, if it is here as well.
	Keys []*token.FileKey
	// Rotate is how long a generated key signs, and one encrypts for "server_key", until the next one
	// does: at least an hour, and a tenth of Overlap; 0: for ever.
	Rotate time.Duration
	// Overlap is how long a key stays published, or decrypts, after that; 0: the longest lifetime of a
	// token and token.PublishAhead, and never less.
	Overlap time.Duration
}

// TokenFormat is what access and refresh tokens look like (G16).
type TokenFormat string

// Token formats.
const (
	FormatJWT TokenFormat = "jwt"
	// FormatBinary is opaque, short, and without claims: the server's own endpoints tell what it is
	// worth (R10).
	FormatBinary TokenFormat = "binary"
)

// Compat names a layout of endpoints that applications know from another product.
type Compat string

// CompatNAM is the layout of NetIQ Access Manager (E12).
const CompatNAM Compat = "nam"

// Lifetimes of what is issued (G11). Zero: the default named here.
type Lifetimes struct {
	Code         time.Duration // 60 s
	AccessToken  time.Duration // 10 min
	IDToken      time.Duration // 10 min
	RefreshToken time.Duration // 30 days, absolute: use never extends it
	RefreshIdle  time.Duration // 7 days: a refresh token unused that long is dead; none where Revocation is off
	Session      time.Duration // 12 h, absolute
	SessionIdle  time.Duration // 1 h
	// RefreshGrace is how long the generation before the last is taken, so that a lost answer or two
	// tabs log nobody out (E3); 10 s.
	RefreshGrace time.Duration
}

// Lockout limits guesses per account and per address (U9): so many wrong ones within Window end in a
// Pause. Zero: 10 within 5 min, 5 min of pause. Wrong guesses at a second factor count until a right one;
// each pause is twice as long as the one before, and after 100 it has no end (NIST SP 800-63B §5.2.2).
type Lockout struct {
	Guesses int
	Window  time.Duration
	Pause   time.Duration
}

// Revocation says whether tokens can be ended before their time (G8).
type Revocation struct {
	// Off keeps nothing about refresh tokens: they are worth what they say until they expire, and clients
	// without a secret get none. Rotation, an idle lifetime and LogoutRevokes need revocation. Tokens that
	// were issued while it was off end when it is switched on.
	Off bool
	// CheckAfter is for how long after a family begins its grants are not asked whether it has been revoked
	// (G9): a directory's replicas may lag. The feed is asked always.
	CheckAfter time.Duration
}

// Brand is what pages show of the operator (O7).
type Brand struct {
	Name  string // default: the issuer's host
	Logo  string // https URL; empty: none
	Color string // CSS color of buttons and links; empty: the default
}

// Encryption is how access tokens for a resource server are protected (R3).
type Encryption string

// Modes of Encryption.
const (
	EncryptionNone        Encryption = "none"
	EncryptionServerKey   Encryption = "server_key"   // the default
	EncryptionResourceKey Encryption = "resource_key" // to the resource server's public key
)

// IssuerResource is the reserved name of the built-in resource server: the issuer itself (R2).
const IssuerResource = "issuer"

// ResourceServer is an API that takes the server's access tokens.
type ResourceServer struct {
	Name    string
	Default bool
	// Identifiers are absolute URIs (RFC 8707 §2); the first one becomes aud.
	Identifiers []string
	Encryption  Encryption
	// Signed overrides Signing.AccessToken.
	Signed jose.SignatureAlgorithm
	// JWKS is the public key set of EncryptionResourceKey, or JWKSURL is where to fetch it.
	JWKS    []byte
	JWKSURL string
	// KeyAlgorithm (alg) and ContentEncryption (enc) of EncryptionResourceKey.
	KeyAlgorithm      string
	ContentEncryption string
	// ScopeAsArray gives old consumers "scope" as an array (R12).
	ScopeAsArray bool
	Scopes       []Scope
}

// Placement says which tokens carry a claim; userinfo always has it.
type Placement struct {
	AccessToken bool
	IDToken     bool
}

// Scope is a permission a client may ask for (S1).
type Scope struct {
	Name string
	// Description is what the consent page says.
	Description    string
	RequireConsent bool // S4
	Optional       bool // S5
	Attributes     []ScopeAttributes
	Permissions    []ScopePermissions
	// Roles is set when the scope gives the person's roles (S7).
	Roles *Placement
	// Implies names scopes that come along (C17).
	Implies []string
}

// ScopeAttributes are claims of a user that a scope gives (S2). A claim is written "claim", or
// "set/claim" where two attribute sets define it.
type ScopeAttributes struct {
	Claims []string
	To     Placement
}

// ScopePermissions are strings that a scope puts in the list "claims" (S3).
type ScopePermissions struct {
	Permissions []string
	To          Placement
}

// AttributeSet maps a directory's attributes to claims.
type AttributeSet struct {
	Name string
	// Attributes: directory attribute -> claim.
	Attributes map[string]string
	// Constants: claim -> value.
	Constants map[string]string
	// Virtual: claim -> CEL expression over user, a map of the attributes (one value a string, several
	// a list), of username, subject and roles, and of values, where every attribute is a list.
	Virtual map[string]string
}

// ClientType is where a client runs (C4).
type ClientType string

// Client types. A web client keeps a secret; a browser client never can.
const (
	ClientWeb     ClientType = "web"
	ClientNative  ClientType = "native"
	ClientBrowser ClientType = "browser"
)

// AccessType tells a client that acts for itself from one that acts for a person (C13).
type AccessType string

// Access types.
const (
	AccessUser    AccessType = "user"
	AccessService AccessType = "service"
)

// TokenType is a kind of token that can be allowed or not (G6, C4).
type TokenType string

// Token types.
const (
	CodeType         TokenType = "code"
	IDTokenType      TokenType = "id_token"
	AccessTokenType  TokenType = "access_token"
	RefreshTokenType TokenType = "refresh_token"
)

// How a client authenticates (OpenID Connect Core §9, RFC 8414 §2).
const (
	AuthBasic = "client_secret_basic"
	AuthPost  = "client_secret_post"
	AuthNone  = "none"
	// AuthSecretJWT and AuthPrivateKeyJWT sign an assertion (RFC 7523 §2.2): by the shared secret, which has to
	// be known itself for that, or by a key of which this server has the public half.
	AuthSecretJWT     = "client_secret_jwt"
	AuthPrivateKeyJWT = "private_key_jwt"
)

// AlgNone leaves ID tokens unsigned (OpenID Connect Core §2); a client gets them from the token
// endpoint only, whose TLS then stands for the signature.
const AlgNone jose.SignatureAlgorithm = "none"

// Client is a registered application.
type Client struct {
	ID         string // [A-Za-z0-9._@-]{1,256} (C14)
	Name       string
	Type       ClientType // default: web with a secret, else browser
	AccessType AccessType // default: user
	// SecretHash is oauth.Fingerprint of the secret; empty: a public client.
	SecretHash string
	// Secret is the secret itself, for AuthSecretJWT and where RequestObjectAlg is an HMAC: at least 32 bytes (RFC
	// 7518 §3.2).
	Secret string
	// AuthMethod is the one method the client may use; empty: basic and post with a secret, else none.
	AuthMethod string
	// AuthAlg is the only algorithm of its assertions; empty: those that its keys or its secret fit.
	AuthAlg                jose.SignatureAlgorithm
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	GrantTypes             []string // default: authorization_code refresh_token; service: client_credentials
	TokenTypes             []TokenType
	ResponseTypes          []string
	Scopes                 []string // allow-list (C12)
	Contracts              []string // they override acr_values; the first is used (C11)
	ResourceServer         string   // C20
	CORS                   []string // C10
	Lifetimes              Lifetimes
	TokenFormat            TokenFormat // empty: the server's (C7)
	// RefreshToken: nil leaves it to TokenTypes and GrantTypes (G6).
	RefreshToken       *bool
	RotateRefreshToken bool
	RequirePKCE        bool
	PlainPKCE          bool // takes code_challenge_method plain (A22)
	// PersistentCookie takes who stays signed in on the device that a request names (C5): for native
	// clients.
	PersistentCookie bool
	// PromptUser: nil leaves it to the scopes (C18).
	PromptUser *bool
	AllowRoles []string // C22; both empty: everybody
	AllowUsers []string
	IDTokenAlg jose.SignatureAlgorithm // AlgNone only by this explicit choice
	// IDTokenKeyAlgorithm encrypts ID tokens to the client's keys (C6); empty: they are signed only.
	IDTokenKeyAlgorithm      string
	IDTokenContentEncryption string // default: A256GCM
	// UserInfoAlg signs what userinfo answers (OpenID Connect Core §5.3.2); empty: JSON.
	UserInfoAlg jose.SignatureAlgorithm
	// UserInfoKeyAlgorithm encrypts it to the client's keys; empty: it is not encrypted.
	UserInfoKeyAlgorithm      string
	UserInfoContentEncryption string // default: A256GCM
	// RequestObjectAlg is the one algorithm of the client's request objects, AlgNone included (OpenID Connect
	// Dynamic Client Registration §2); empty: any that its keys fit, or none.
	RequestObjectAlg jose.SignatureAlgorithm
	// RequireSignedRequest refuses authorization requests without a signed request object (RFC 9101 §10.5).
	RequireSignedRequest bool
	// RequestURIs are the only ones that request_uri may be, fragments apart: https.
	RequestURIs []string
	// JWKS are the client's public keys, or JWKSURL is where to fetch them.
	JWKS     []byte
	JWKSURL  string
	Logo     string
	Policy   string
	Terms    string
	Contacts []string
	Disabled bool
	// SubjectType: empty: public. A pairwise client has redirect URIs of one host, or a
	// SectorIdentifierURI (https), whose host then names its sector.
	SubjectType         SubjectType
	SectorIdentifierURI string
	// InitiateLoginURI is where others may begin a login at the client (OpenID Connect Core §4): https.
	InitiateLoginURI string
	// DefaultMaxAge is the max_age of requests without one, in seconds (OpenID Connect Dynamic Client
	// Registration §2); nil: none.
	DefaultMaxAge *int
	// DefaultACRValues are the acr_values of requests without any (OpenID Connect Dynamic Client Registration
	// §2): a wish, which Contracts overrides.
	DefaultACRValues []string
}

// Event is one thing that happened, for audit and statistics. It holds no secret.
type Event struct {
	Name     string // "token_issued", "token_refused", "login", "login_failed", "consent", "revoked", ...
	Issuer   string
	ClientID string
	Subject  string
	Grant    string // grant type, or the endpoint
	Method   string // of a contract, where the event is about a second factor
	Code     oauth.Code
	// Account is the name that somebody tried, and Address where from, where a guess may be behind it.
	Account string
	Address string
}

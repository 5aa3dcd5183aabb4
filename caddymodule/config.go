package caddymodule

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/fetch"
)

// ServerConfig is one authorization server. Its fields are the words of the Caddyfile's `authz`
// block. Strings take Caddy's placeholders, such as {env.X} and {file./path}; one that comes out
// empty is an error, and braces that are no placeholder are text.
type ServerConfig struct {
	// Where the parts were written, for messages; the Caddyfile adapter fills it in.
	Places map[string]string `json:"places,omitempty"`

	// The URL that names the server in every token (RFC 8414 §2): https, or http on a loopback host.
	Issuer string `json:"issuer,omitempty"`

	// Where codes, sessions and grants are kept; default: the module bolt with its own default file.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=authz.storage inline_key=module"`

	// Where people are kept; default: nobody can sign in.
	UsersRaw json.RawMessage `json:"users,omitempty" caddy:"namespace=authz.users inline_key=module"`

	// Which attributes of a person become which claims.
	AttributeSets []AttributeSet `json:"attribute_set,omitempty"`

	// The APIs that take this server's access tokens, with their scopes.
	ResourceServers []ResourceServer `json:"resource_server,omitempty"`

	// The applications that may ask for tokens.
	Clients []Client `json:"client,omitempty"`

	// The authentication procedures; a password is one that is built in.
	Contracts []Contract `json:"contract,omitempty"`

	// Methods of contracts beside the built-in ones, by the names under which contracts know them.
	MethodsRaw caddy.ModuleMap `json:"methods,omitempty" caddy:"namespace=authz.methods"`

	// The contracts of the password grant, where neither client nor request name any.
	PasswordGrantContracts []string `json:"password_grant_contract,omitempty"`

	// What access and refresh tokens look like: jwt (default) or binary.
	TokenFormat string `json:"token_format,omitempty"`

	// Serves the endpoints under the paths of another product as well: nam.
	Compat string `json:"compat,omitempty"`

	// Identity providers whose SAML 2.0 assertions are taken as grants (RFC 7522).
	SAMLIssuers []SAMLIssuer `json:"saml_issuer,omitempty"`

	// Those whose JWTs about people are taken as grants (RFC 7523).
	JWTIssuers []JWTIssuer `json:"jwt_issuer,omitempty"`

	// Which keys the server has, what they sign and how they are replaced.
	Signing *Signing `json:"signing,omitempty"`

	// How long what is issued lives.
	Lifetime *Lifetime `json:"lifetime,omitempty"`

	// How many wrong passwords end in a pause.
	Lockout *Lockout `json:"lockout,omitempty"`

	// How many requests a second the endpoints take; default: any number.
	RateLimit *RateLimit `json:"rate_limit,omitempty"`

	// Whether tokens can be ended before their time; default: on.
	Revocation *Revocation `json:"revocation,omitempty"`

	// What happens when an application signs somebody out.
	Logout *Logout `json:"logout,omitempty"`

	// What pages show of the operator.
	Brand *Brand `json:"brand,omitempty"`

	// The grant types that the server takes; default: authorization_code, refresh_token and
	// client_credentials.
	GrantTypes []string `json:"grant_type,omitempty"`

	// The token types that the server issues; default: all.
	TokenTypes []string `json:"token_type,omitempty"`

	// The origins that browsers may call from; "*" is all, default: none.
	CORS []string `json:"cors,omitempty"`

	// Lets those origins send cookies; never together with "*".
	CORSCredentials bool `json:"cors_credentials,omitempty"`

	// Who may register clients: off (default), protected (developers and administrators) or open (clients
	// register themselves, too).
	Registration string `json:"registration,omitempty"`
	// The role of people who manage their own clients; default: NAM_OAUTH2_DEVELOPER.
	DeveloperRole string `json:"developer_role,omitempty"`
	// The role of people who manage all registered clients; default: NAM_OAUTH2_ADMIN.
	AdminRole string `json:"admin_role,omitempty"`

	// What URLs that clients name may lead to; default: public hosts with a certificate that the system
	// trusts.
	Fetch *Fetch `json:"fetch,omitempty"`
}

// Fetch says what URLs that clients name may lead to: key sets, request objects, sector files and the
// addresses where they hear of logouts. Whatever is written here, it is https and follows no redirect.
type Fetch struct {
	// Hosts, or host:port, that may have a private address. Others must have a public one. URLs of this
	// configuration, such as a jwks, may lead anywhere.
	AllowHosts []string `json:"allow_host,omitempty"`
	// PEM files with certificate authorities to trust beside the system's.
	CA []string `json:"ca,omitempty"`
}

// AttributeSet maps attributes of a person to claims.
type AttributeSet struct {
	// The name by which a scope may say "set/claim".
	Name string `json:"name"`
	// Attribute to claim.
	Attributes map[string]string `json:"attribute,omitempty"`
	// Claim to a value that is the same for everybody.
	Constants map[string]string `json:"constant,omitempty"`
	// Claim to a CEL expression over user, a map of the attributes (one value a string, several a
	// list), and of username, subject and roles.
	Virtual map[string]string `json:"virtual,omitempty"`
}

// Contract is a named authentication procedure.
type Contract struct {
	// What acr says of a login by it.
	URI string `json:"uri"`
	// What people call it.
	Name string `json:"name,omitempty"`
	// What has to succeed, in this order: password, totp, webauthn, and names of methods; default: password.
	Methods []string `json:"method,omitempty"`
	// Whoever satisfies a contract satisfies every one of a lower level; default: 0.
	Level int `json:"level,omitempty"`
	// How long what was proven counts; default: the lifetime of a session.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// Used where nobody asks for a contract; without one, the built-in password contract is.
	Default bool `json:"default,omitempty"`
}

// Lifetime says how long what is issued lives. What is left out has the server's default, or in a
// client's block the server's own value.
type Lifetime struct {
	// Default: 60s.
	Code caddy.Duration `json:"code,omitempty"`
	// Default: 10m.
	AccessToken caddy.Duration `json:"access_token,omitempty"`
	// Default: 10m.
	IDToken caddy.Duration `json:"id_token,omitempty"`
	// Default: 30d. Use never extends it.
	RefreshToken caddy.Duration `json:"refresh_token,omitempty"`
	// A refresh token unused that long is dead; default: 7d.
	RefreshIdle caddy.Duration `json:"refresh_idle,omitempty"`
	// Default: 12h.
	Session caddy.Duration `json:"session,omitempty"`
	// Default: 1h.
	SessionIdle caddy.Duration `json:"session_idle,omitempty"`
	// How long the refresh token before the last is taken, for answers that were lost; default: 10s.
	RefreshGrace caddy.Duration `json:"refresh_grace,omitempty"`
}

// Lockout limits guesses per account and per address.
type Lockout struct {
	// That many wrong passwords; default: 10.
	Guesses int `json:"guesses,omitempty"`
	// Within that time; default: 5m.
	Window caddy.Duration `json:"window,omitempty"`
	// End in a pause of that long; default: 5m.
	Pause caddy.Duration `json:"pause,omitempty"`
}

// Logout is what happens when an application signs somebody out.
type Logout struct {
	// Whether the person is asked first; default: on.
	Consent *bool `json:"consent,omitempty"`
	// Whether the refresh tokens that began in the session end with it; default: off.
	RevokeTokens *bool `json:"revoke_tokens,omitempty"`
}

// RateLimit says how many requests a second the endpoints take, on each node. What is left out is not
// limited. Metadata and keys are free.
type RateLimit struct {
	// Of everybody together.
	Total int `json:"total,omitempty"`
	// Of each client.
	Client int `json:"client,omitempty"`
	// Of each address, of IPv6 each /64.
	Address int `json:"address,omitempty"`
}

// Revocation says whether tokens can be ended before their time. Where it is off nothing about refresh
// tokens is stored, and clients without a secret get none.
type Revocation struct {
	// Default: on.
	On *bool `json:"on,omitempty"`
	// For how long after it was issued a directory is not asked whether a token has been revoked, since its
	// replicas may lag; default: 0.
	CheckAfter caddy.Duration `json:"check_after,omitempty"`
}

// Brand is what pages show of the operator.
type Brand struct {
	// Default: the issuer's host.
	Name string `json:"name,omitempty"`
	// The https URL of an image.
	Logo string `json:"logo,omitempty"`
	// The CSS color of buttons and links.
	Color string `json:"color,omitempty"`
}

// domain turns the configuration, its placeholders expanded, into the authorization server's own.
func (c *ServerConfig) domain() (authz.Config, error) {
	signing, err := c.Signing.domain()
	if err != nil {
		return authz.Config{}, err
	}
	cfg := authz.Config{
		Issuer:          c.Issuer,
		Signing:         signing,
		Lifetimes:       c.Lifetime.domain(),
		TokenFormat:     authz.TokenFormat(c.TokenFormat),
		Compat:          authz.Compat(c.Compat),
		GrantTypes:      c.GrantTypes,
		TokenTypes:      named[authz.TokenType](c.TokenTypes),
		CORS:            c.CORS,
		CORSCredentials: c.CORSCredentials,
		Registration:    authz.Registration(c.Registration),
		DeveloperRole:   c.DeveloperRole,
		AdminRole:       c.AdminRole,

		PasswordGrantContracts: c.PasswordGrantContracts,
	}
	if cfg.Fetch, err = c.Fetch.domain(); err != nil {
		return authz.Config{}, &authz.ConfigError{Part: "fetch", Err: err}
	}
	for _, contract := range c.Contracts {
		cfg.Contracts = append(cfg.Contracts, authz.Contract{
			URI: contract.URI, Name: contract.Name, Methods: contract.Methods, Level: contract.Level,
			Timeout: duration(contract.Timeout), Default: contract.Default,
		})
	}
	if c.Lockout != nil {
		cfg.Lockout.Guesses = c.Lockout.Guesses
		cfg.Lockout.Window = duration(c.Lockout.Window)
		cfg.Lockout.Pause = duration(c.Lockout.Pause)
	}
	if c.Logout != nil {
		cfg.LogoutConsent = c.Logout.Consent
		cfg.LogoutRevokes = c.Logout.RevokeTokens != nil && *c.Logout.RevokeTokens
	}
	if c.RateLimit != nil {
		cfg.RateLimit = authz.RateLimit{Total: c.RateLimit.Total, Client: c.RateLimit.Client, Address: c.RateLimit.Address}
	}
	if c.Revocation != nil {
		cfg.Revocation = authz.Revocation{
			Off: c.Revocation.On != nil && !*c.Revocation.On, CheckAfter: duration(c.Revocation.CheckAfter),
		}
	}
	if c.Brand != nil {
		cfg.Brand = authz.Brand{Name: c.Brand.Name, Logo: c.Brand.Logo, Color: c.Brand.Color}
	}
	for _, i := range c.SAMLIssuers {
		converted, err := i.domain()
		if err != nil {
			return authz.Config{}, &authz.ConfigError{Part: "saml_issuer", Name: i.EntityID, Err: err}
		}
		cfg.SAMLIssuers = append(cfg.SAMLIssuers, converted)
	}
	for _, i := range c.JWTIssuers {
		converted, err := i.domain()
		if err != nil {
			return authz.Config{}, &authz.ConfigError{Part: "jwt_issuer", Name: i.Issuer, Err: err}
		}
		cfg.JWTIssuers = append(cfg.JWTIssuers, converted)
	}
	for _, set := range c.AttributeSets {
		cfg.AttributeSets = append(cfg.AttributeSets, authz.AttributeSet{
			Name: set.Name, Attributes: set.Attributes, Constants: set.Constants, Virtual: set.Virtual,
		})
	}
	for _, rs := range c.ResourceServers {
		converted, err := rs.domain()
		if err != nil {
			return authz.Config{}, &authz.ConfigError{Part: "resource_server", Name: rs.Name, Err: err}
		}
		cfg.ResourceServers = append(cfg.ResourceServers, converted)
	}
	for _, client := range c.Clients {
		converted, err := client.domain()
		if err != nil {
			return authz.Config{}, &authz.ConfigError{Part: "client", Name: client.ID, Err: err}
		}
		cfg.Clients = append(cfg.Clients, converted)
	}
	return cfg, nil
}

func (l *Lifetime) domain() authz.Lifetimes {
	if l == nil {
		return authz.Lifetimes{}
	}
	return authz.Lifetimes{
		Code:         duration(l.Code),
		AccessToken:  duration(l.AccessToken),
		IDToken:      duration(l.IDToken),
		RefreshToken: duration(l.RefreshToken),
		RefreshIdle:  duration(l.RefreshIdle),
		Session:      duration(l.Session),
		SessionIdle:  duration(l.SessionIdle),
		RefreshGrace: duration(l.RefreshGrace),
	}
}

func (f *Fetch) domain() (fetch.Config, error) {
	if f == nil {
		return fetch.Config{}, nil
	}
	cfg := fetch.Config{AllowHosts: f.AllowHosts}
	if len(f.CA) == 0 {
		return cfg, nil
	}
	var err error
	if cfg.Roots, err = x509.SystemCertPool(); err != nil {
		return fetch.Config{}, fmt.Errorf("the system's certificate authorities: %w", err)
	}
	for _, file := range f.CA {
		pem, err := os.ReadFile(file) // #nosec G304 -- named by the operator
		if err != nil {
			return fetch.Config{}, fmt.Errorf("ca: %w", err)
		}
		if !cfg.Roots.AppendCertsFromPEM(pem) {
			return fetch.Config{}, fmt.Errorf("ca: %q holds no certificate in PEM", file)
		}
	}
	return cfg, nil
}

// JWKS is a set of public keys, from one of three places.
type JWKS struct {
	// Where to fetch it when it is needed: an https URL.
	URL string `json:"url,omitempty"`
	// The path of a JSON file.
	File string `json:"file,omitempty"`
	// The set itself.
	Inline json.RawMessage `json:"inline,omitempty"`
}

// read returns the set's JSON; nil for no set, and for one that is fetched when it is needed.
func (j *JWKS) read() ([]byte, error) {
	if j == nil {
		return nil, nil
	}
	given := 0
	for _, there := range []bool{j.URL != "", j.File != "", len(j.Inline) > 0} {
		if there {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("jwks: give one of url, file and the set itself")
	}
	if j.File == "" {
		return j.Inline, nil
	}
	set, err := os.ReadFile(j.File)
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	return set, nil
}

package authz

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/authz/users"
)

// GateClientID is the built-in client under which gates of the same process sign people in (W4). It
// can't clash with a registered one: they hold no colon (C14).
const GateClientID = "urn:gatewright:gate"

// Grant types (RFC 6749 §1.3).
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantImplicit          = "implicit"
	GrantPassword          = "password"
	GrantSAML2Bearer       = "saml2_bearer"
	GrantJWTBearer         = "jwt_bearer"
)

// wireNames are those of grant types whose short names are for configurations only.
var wireNames = map[string]string{
	GrantSAML2Bearer: "urn:ietf:params:oauth:grant-type:saml2-bearer", // RFC 7522 §2.1
	GrantJWTBearer:   "urn:ietf:params:oauth:grant-type:jwt-bearer",   // RFC 7523 §2.1
}

// wireName is what a grant type is called in requests and metadata.
func wireName(grantType string) string {
	if name, ok := wireNames[grantType]; ok {
		return name
	}
	return grantType
}

var knownGrantTypes = []string{
	GrantAuthorizationCode, GrantRefreshToken, GrantClientCredentials, GrantImplicit, GrantPassword, GrantSAML2Bearer, GrantJWTBearer,
}

// tokensOfGrant are the kinds of token a grant type yields where nothing else is said (G5).
var tokensOfGrant = map[string][]TokenType{
	GrantAuthorizationCode: {CodeType, IDTokenType, AccessTokenType, RefreshTokenType},
	GrantImplicit:          {IDTokenType, AccessTokenType},
	GrantPassword:          {AccessTokenType, RefreshTokenType},
	GrantSAML2Bearer:       {AccessTokenType, RefreshTokenType},
	GrantJWTBearer:         {AccessTokenType, RefreshTokenType},
	GrantClientCredentials: {AccessTokenType},
}

// client is a Client, checked, with its defaults and the server's filled in.
type client struct {
	Client
	resource *resource // its own (C20), nil when it has none
	// keys are those that ID tokens are encrypted to (C6), userInfoKeys those that userinfo answers are
	// (E4); nil when they are not.
	keys, userInfoKeys *keySet[token.Encrypter]
	signing            *keySet[token.Verifier] // that verify what the client signs, nil without any
	sector             string                  // of pairwise subjects, "" for public ones
	fetch              fetchers                // of what its URLs name

	// Of registered clients: the secret before, taken until then (C15), whether it registered itself, and
	// nobody has checked it (A36), since when it is there, when it goes if nobody uses it, and whether
	// anybody has, which is known of those that registered themselves.
	formerHash   string
	formerSecret string // itself, where it signs
	formerUntil  time.Time
	self         bool
	unverified   bool
	since, until time.Time
	used         bool
}

// compileClient checks a registration and fills in its defaults. Every problem found is named.
func (s *Server) compileClient(cfg *Config, reg Client) (*client, error) {
	return s.compileClientFrom(cfg, reg, s.configuredFetch)
}

// compileClientFrom is compileClient for registrations of any origin, whose URLs the fetchers may follow.
func (s *Server) compileClientFrom(cfg *Config, reg Client, from fetchers) (*client, error) {
	c := &client{Client: reg, fetch: from.forClient()}
	c.defaults(cfg)
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !validClientID(c.ID) {
		complain("an ID has 1 to 256 of the characters A-Z a-z 0-9 . _ @ -")
	}
	errs = append(errs, c.checkAuthentication(), c.checkGrants(cfg), c.checkURIs(), checkFormat(c.TokenFormat),
		c.Lifetimes.check(), cfg.Revocation.checkLifetimes(c.Lifetimes), checkOrigins(c.CORS, false), checkTokenTypes(c.TokenTypes))
	if c.PersistentCookie && c.Type != ClientNative {
		complain("persistent_cookie is for clients of type native (C5)")
	}
	if cfg.Revocation.Off && reg.RotateRefreshToken {
		complain("rotate_refresh_token needs revocation on (G8)")
	}
	for _, name := range c.Scopes {
		if s.scopes[name] == nil {
			complain("scope %q is not defined", name)
		}
	}
	for _, uri := range c.Contracts {
		if s.contractNamed(uri) == nil {
			complain("contract %q is not defined", uri)
		}
	}
	if c.ResourceServer != "" {
		if c.resource = s.resourceNamed(c.ResourceServer); c.resource == nil {
			complain("resource_server %q is not defined", c.ResourceServer)
		}
	}
	errs = append(errs, c.prepareIDToken(cfg), c.prepareUserInfo(cfg), c.prepareSubject(), c.prepareRequests(cfg))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c.Scopes = s.withImplied(c.Scopes)
	return c, nil
}

func (c *client) defaults(cfg *Config) {
	c.ResponseTypes = slices.Clone(c.ResponseTypes) // checkGrants writes them in one order
	if c.Name == "" {
		c.Name = c.ID
	}
	if c.AccessType == "" {
		c.AccessType = AccessUser
	}
	if c.Type == "" {
		c.Type = ClientBrowser
		if !c.public() {
			c.Type = ClientWeb
		}
	}
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{GrantAuthorizationCode}
		if slices.Contains(cfg.GrantTypes, GrantRefreshToken) {
			c.GrantTypes = append(c.GrantTypes, GrantRefreshToken)
		}
		if c.AccessType == AccessService {
			c.GrantTypes = []string{GrantClientCredentials}
		}
	}
	if c.RefreshToken != nil && *c.RefreshToken && !slices.Contains(c.GrantTypes, GrantRefreshToken) {
		c.GrantTypes = append(slices.Clone(c.GrantTypes), GrantRefreshToken)
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{ScopeOpenID}
	}
	c.Lifetimes.fill(cfg.Lifetimes)
	if c.TokenFormat == "" {
		c.TokenFormat = cfg.TokenFormat
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = cfg.Signing.IDToken
	}
	if c.public() {
		c.RequirePKCE = true
		c.RotateRefreshToken = true // E3: always for clients without a secret
	}
}

func (c *client) checkAuthentication() error {
	switch {
	case c.Type != ClientWeb && c.Type != ClientNative && c.Type != ClientBrowser:
		return fmt.Errorf("type %q is none of web, native, browser", c.Type)
	case c.AccessType != AccessUser && c.AccessType != AccessService:
		return fmt.Errorf("access_type %q is none of user, service", c.AccessType)
	case c.Type == ClientBrowser && c.SecretHash != "":
		return errors.New("a browser client can't keep a secret (C15)")
	case c.Type == ClientWeb && c.public():
		return errors.New("a web client needs a secret")
	case c.AuthMethod == AuthNone && c.SecretHash != "":
		return errors.New("auth_method none and a secret contradict each other")
	case (c.AuthMethod == AuthBasic || c.AuthMethod == AuthPost) && c.public():
		return fmt.Errorf("auth_method %s needs a secret", c.AuthMethod)
	}
	if methods := []string{AuthBasic, AuthPost, AuthSecretJWT, AuthPrivateKeyJWT, AuthNone}; c.AuthMethod != "" && !slices.Contains(methods, c.AuthMethod) {
		return fmt.Errorf("auth_method %q is none of %s", c.AuthMethod, strings.Join(methods, ", "))
	}
	return c.checkAssertions()
}

func checkTokenTypes(types []TokenType) error {
	for _, t := range types {
		if !slices.Contains([]TokenType{CodeType, IDTokenType, AccessTokenType, RefreshTokenType}, t) {
			return fmt.Errorf("token_type: %q is none of code, id_token, access_token, refresh_token", t)
		}
	}
	return nil
}

func checkFormat(f TokenFormat) error {
	if f != FormatJWT && f != FormatBinary {
		return fmt.Errorf("token_format: %q is none of jwt, binary", f)
	}
	return nil
}

func (c *client) checkGrants(cfg *Config) error {
	for _, g := range c.GrantTypes {
		switch {
		case !slices.Contains(knownGrantTypes, g):
			return fmt.Errorf("grant_type %q is unknown", g)
		case !slices.Contains(cfg.GrantTypes, g):
			return fmt.Errorf("grant_type %q is not allowed by this server's grant_type", g)
		case g == GrantSAML2Bearer && len(cfg.SAMLIssuers) == 0:
			return errors.New("grant_type saml2_bearer: the server trusts no SAML issuer")
		case g == GrantJWTBearer && len(cfg.JWTIssuers) == 0:
			return errors.New("grant_type jwt_bearer: the server trusts no issuer of JWTs with grants")
		case g == GrantClientCredentials && c.public():
			return errors.New("grant_type client_credentials needs a secret")
		}
	}
	for i, t := range c.ResponseTypes {
		if c.ResponseTypes[i] = canonicalResponseType(t); responseTypes[c.ResponseTypes[i]] == nil {
			return fmt.Errorf("response_type %q is unknown", t)
		}
	}
	if (c.allowsGrant(GrantAuthorizationCode) || c.allowsGrant(GrantImplicit)) && c.AccessType == AccessUser && len(c.RedirectURIs) == 0 {
		return errors.New("a client that signs people in needs a redirect_uri")
	}
	return nil
}

func (c *client) checkURIs() error {
	for _, uri := range slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs) {
		if err := oauth.CheckRedirectURI(uri, c.Type == ClientNative); err != nil {
			return fmt.Errorf("redirect URI %q %w", uri, err)
		}
	}
	if u, err := url.Parse(c.InitiateLoginURI); c.InitiateLoginURI != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("initiate_login_uri %q must be an https URL", c.InitiateLoginURI)
	}
	for _, link := range []string{c.Logo, c.Policy, c.Terms} {
		if link == "" {
			continue
		}
		if err := oauth.CheckLink(link); err != nil {
			return fmt.Errorf("link %q %w", link, err)
		}
	}
	return nil
}

// prepareIDToken checks how ID tokens are signed and encrypted (C6).
func (c *client) prepareIDToken(cfg *Config) (err error) {
	if c.IDTokenAlg != AlgNone && !slices.Contains(cfg.Signing.Algorithms, c.IDTokenAlg) {
		return fmt.Errorf("id_token signed %s: signing has no key for it", c.IDTokenAlg)
	}
	if c.IDTokenAlg == AlgNone && c.allowsGrant(GrantImplicit) && (len(c.ResponseTypes) == 0 || slices.ContainsFunc(c.ResponseTypes, holdsIDToken)) {
		return errors.New("id_token signed none: not for a client that gets ID tokens from the authorization endpoint (OpenID Connect Core §2)")
	}
	if c.IDTokenAlg == AlgNone && c.IDTokenKeyAlgorithm != "" {
		return errors.New("id_token signed none: what is encrypted has to be signed, since anybody can encrypt to a public key")
	}
	if c.IDTokenKeyAlgorithm != "" {
		if c.keys, err = newRecipientKeys(c.keySource(cfg), c.IDTokenKeyAlgorithm, c.IDTokenContentEncryption); err != nil {
			return fmt.Errorf("id_token encrypted: %w", err)
		}
	}
	return nil
}

// prepareUserInfo checks how userinfo answers are signed and encrypted (E4).
func (c *client) prepareUserInfo(cfg *Config) (err error) {
	if c.UserInfoAlg != "" && !slices.Contains(cfg.Signing.Algorithms, c.UserInfoAlg) {
		return fmt.Errorf("userinfo signed %s: signing has no key for it", c.UserInfoAlg)
	}
	if c.UserInfoKeyAlgorithm != "" {
		if c.userInfoKeys, err = newRecipientKeys(c.keySource(cfg), c.UserInfoKeyAlgorithm, c.UserInfoContentEncryption); err != nil {
			return fmt.Errorf("userinfo encrypted: %w", err)
		}
	}
	return nil
}

func (c *client) keySource(cfg *Config) keySource {
	return keySource{jwks: c.JWKS, url: c.JWKSURL, fetcher: c.fetch.documents, now: cfg.Now}
}

// public tells a client that can't authenticate (RFC 6749 §2.1).
func (c *client) public() bool { return c.SecretHash == "" && c.AuthMethod != AuthPrivateKeyJWT }

// knows tells whether a fingerprint is of the client's secret.
func (c *client) knows(fingerprint string, now time.Time) bool {
	current, former := oauth.SameSecret(fingerprint, c.SecretHash), oauth.SameSecret(fingerprint, c.formerHash)
	return current || former && now.Before(c.formerUntil)
}

func (c *client) allowsGrant(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// tokenTypes are the kinds of token the client may have: its own list, else what its grants yield.
func (c *client) tokenTypes() []TokenType {
	if len(c.TokenTypes) > 0 {
		return c.TokenTypes
	}
	var all []TokenType
	for _, g := range c.GrantTypes {
		all = append(all, tokensOfGrant[g]...)
	}
	return all
}

// mayHave tells whether server and client both allow a kind of token; codes are up to the client (G6).
func (s *Server) mayHave(c *client, t TokenType) bool {
	return (t == CodeType || slices.Contains(s.cfg.TokenTypes, t)) && slices.Contains(c.tokenTypes(), t)
}

// mayRefresh tells whether the client gets a refresh token: refresh_token on|off decides where it is
// written, else token_type, else the grants (G6); a service client gets one only by its own word
// (C13). One that could never be redeemed is not handed out.
func (s *Server) mayRefresh(c *client) bool {
	if !slices.Contains(s.cfg.TokenTypes, RefreshTokenType) || !s.grantEnabled(GrantRefreshToken) || !c.allowsGrant(GrantRefreshToken) {
		return false
	}
	if s.cfg.Revocation.Off && c.public() {
		return false // a stolen one could neither be found out by rotation nor be ended (RFC 9700 §4.14.2)
	}
	if c.RefreshToken != nil {
		return *c.RefreshToken
	}
	return c.AccessType == AccessUser && slices.Contains(c.tokenTypes(), RefreshTokenType)
}

// admits tells whether a person may sign in to the client (C22).
func (c *client) admits(u *users.User) bool {
	if len(c.AllowRoles) == 0 && len(c.AllowUsers) == 0 {
		return true
	}
	return slices.Contains(c.AllowUsers, u.Username) ||
		slices.ContainsFunc(u.Roles, func(role string) bool { return slices.Contains(c.AllowRoles, role) })
}

// asksFirst tells whether the consent page comes at the first access though no scope asks for it (C18).
func (c *client) asksFirst() bool { return c.PromptUser != nil && *c.PromptUser }

// asksAlways tells whether the person is asked every time, unless an administrator turns that off: the client
// registered itself, or it can be impersonated (C18).
func (c *client) asksAlways(redirectURI string) bool {
	return !c.asksNever() && (c.unverified || c.impersonable(redirectURI))
}

// impersonable tells whether any program of a machine may be listening at the redirect URI of a client that
// can't prove itself (RFC 8252 §8.6).
func (c *client) impersonable(redirectURI string) bool { return c.public() && !isRemote(redirectURI) }

// asksNever tells whether the client's scopes count as agreed (C18).
func (c *client) asksNever() bool { return c.PromptUser != nil && !*c.PromptUser }

func validClientID(id string) bool {
	if id == "" || len(id) > 256 {
		return false
	}
	for _, b := range []byte(id) {
		if !isAlphanumeric(b) && b != '.' && b != '_' && b != '@' && b != '-' {
			return false
		}
	}
	return true
}

// fill replaces what is zero by the value of the defaults.
func (l *Lifetimes) fill(d Lifetimes) {
	for _, p := range []struct{ value, fallback *time.Duration }{
		{&l.Code, &d.Code},
		{&l.AccessToken, &d.AccessToken},
		{&l.IDToken, &d.IDToken},
		{&l.RefreshToken, &d.RefreshToken},
		{&l.RefreshIdle, &d.RefreshIdle},
		{&l.Session, &d.Session},
		{&l.SessionIdle, &d.SessionIdle},
		{&l.RefreshGrace, &d.RefreshGrace},
	} {
		if *p.value == 0 {
			*p.value = *p.fallback
		}
	}
}

package authz

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// clientMetadata is a client as it is registered over the wire and kept in the store (RFC 7591 §2,
// OpenID Connect Dynamic Client Registration §2, and the logout specifications). The members of
// clientExtensions are the Caddyfile's words; durations have seconds.
type clientMetadata struct {
	RedirectURIs            []string `json:"redirect_uris,omitempty"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes              []string `json:"grant_types,omitempty"`
	ResponseTypes           []string `json:"response_types,omitempty"`
	ApplicationType         string   `json:"application_type,omitempty"` // web or native
	Scope                   string   `json:"scope,omitempty"`

	ClientName      string   `json:"client_name,omitempty"`
	ClientURI       string   `json:"client_uri,omitempty"`
	LogoURI         string   `json:"logo_uri,omitempty"`
	PolicyURI       string   `json:"policy_uri,omitempty"`
	TermsURI        string   `json:"tos_uri,omitempty"`
	Contacts        []string `json:"contacts,omitempty"`
	SoftwareID      string   `json:"software_id,omitempty"`
	SoftwareVersion string   `json:"software_version,omitempty"`

	JWKSURI             string          `json:"jwks_uri,omitempty"`
	JWKS                json.RawMessage `json:"jwks,omitempty"`
	SectorIdentifierURI string          `json:"sector_identifier_uri,omitempty"`
	SubjectType         string          `json:"subject_type,omitempty"`

	TokenEndpointAuthAlg string `json:"token_endpoint_auth_signing_alg,omitempty"`

	IDTokenAlg            string `json:"id_token_signed_response_alg,omitempty"`
	IDTokenEncryptionAlg  string `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEncryptionEnc  string `json:"id_token_encrypted_response_enc,omitempty"`
	UserInfoAlg           string `json:"userinfo_signed_response_alg,omitempty"`
	UserInfoEncryptionAlg string `json:"userinfo_encrypted_response_alg,omitempty"`
	UserInfoEncryptionEnc string `json:"userinfo_encrypted_response_enc,omitempty"`

	RequestObjectAlg string `json:"request_object_signing_alg,omitempty"`
	// What the client says it may encrypt by; whatever the server's keys open is taken.
	RequestObjectEncryptionAlg string   `json:"request_object_encryption_alg,omitempty"`
	RequestObjectEncryptionEnc string   `json:"request_object_encryption_enc,omitempty"`
	RequireSignedRequest       bool     `json:"require_signed_request_object,omitempty"` // RFC 9101 §10.5
	RequestURIs                []string `json:"request_uris,omitempty"`

	DefaultMaxAge    *int     `json:"default_max_age,omitempty"`
	DefaultACRValues []string `json:"default_acr_values,omitempty"`
	RequireAuthTime  bool     `json:"require_auth_time,omitempty"` // ID tokens always have it
	InitiateLoginURI string   `json:"initiate_login_uri,omitempty"`

	PostLogoutRedirectURIs    []string `json:"post_logout_redirect_uris,omitempty"`
	FrontchannelLogoutURI     string   `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelLogoutSession bool     `json:"frontchannel_logout_session_required,omitempty"`
	BackchannelLogoutURI      string   `json:"backchannel_logout_uri,omitempty"`
	BackchannelLogoutSession  bool     `json:"backchannel_logout_session_required,omitempty"`

	RequirePKCE        bool `json:"require_pkce,omitempty"`
	RotateRefreshToken bool `json:"rotate_refresh_token,omitempty"`
	clientExtensions
}

// clientExtensions are for people whom the operator trusts: what registers itself has none of them.
type clientExtensions struct {
	AccessType     string             `json:"access_type,omitempty"`
	ResourceServer string             `json:"resource_server,omitempty"`
	Contracts      []string           `json:"contract,omitempty"`
	CORS           []string           `json:"cors,omitempty"`
	TokenTypes     []TokenType        `json:"token_type,omitempty"`
	TokenFormat    string             `json:"token_format,omitempty"`
	RefreshToken   *bool              `json:"refresh_token,omitempty"`
	Lifetime       *lifetimeMetadata  `json:"lifetime,omitempty"`
	Allow          *allowanceMetadata `json:"allow,omitempty"`
	PromptUser     *bool              `json:"prompt_user,omitempty"`
	Disabled       bool               `json:"disabled,omitempty"`
	// Verified takes the mark from the pages of a client that registered itself, and lets them show its
	// logo (A36). Only administrators say so.
	Verified bool `json:"verified,omitempty"`
}

// lifetimeMetadata has seconds.
type lifetimeMetadata struct {
	Code         int64 `json:"code,omitempty"`
	AccessToken  int64 `json:"access_token,omitempty"`
	IDToken      int64 `json:"id_token,omitempty"`
	RefreshToken int64 `json:"refresh_token,omitempty"`
	RefreshIdle  int64 `json:"refresh_idle,omitempty"`
}

type allowanceMetadata struct {
	Roles []string `json:"role,omitempty"`
	Users []string `json:"user,omitempty"`
}

// fill writes down the defaults, so that the answer tells all that is registered (RFC 7591 §3.2.1).
func (m *clientMetadata) fill(s *Server, self bool) {
	m.ApplicationType = cmp.Or(m.ApplicationType, m.likelyType())
	m.SubjectType = cmp.Or(m.SubjectType, string(SubjectPublic))
	m.IDTokenAlg = cmp.Or(m.IDTokenAlg, string(s.cfg.Signing.IDToken))
	m.AccessType = cmp.Or(m.AccessType, string(AccessUser))
	m.fillGrants(s)
	scopes := strings.Fields(m.Scope)
	if self {
		scopes = s.selfScopes(scopes)
	}
	if len(scopes) == 0 {
		scopes = []string{ScopeOpenID}
	}
	m.Scope = strings.Join(scopes, " ")
	m.Lifetime.cap(s.cfg.Lifetimes)
}

// likelyType is the application type of a client that told none: "web" (OpenID Connect Dynamic Client
// Registration §2). RFC 7591 has no such member, though, and MCP clients leave it out: who has no secret,
// and comes back to the person's own machine, is native.
func (m *clientMetadata) likelyType() string {
	local := func(uri string) bool { return !isRemote(uri) }
	if m.TokenEndpointAuthMethod == AuthNone && !slices.Contains(m.GrantTypes, GrantImplicit) && slices.ContainsFunc(m.RedirectURIs, local) {
		return string(ClientNative)
	}
	return string(ClientWeb)
}

// fillGrants derives grant types from response types and the other way round (RFC 7591 §2.1).
func (m *clientMetadata) fillGrants(s *Server) {
	if len(m.GrantTypes) == 0 && m.AccessType == string(AccessService) {
		m.GrantTypes = []string{GrantClientCredentials}
	}
	if len(m.GrantTypes) == 0 && len(m.ResponseTypes) == 0 {
		m.ResponseTypes = []string{responseCode}
	}
	if len(m.GrantTypes) == 0 {
		for _, t := range m.ResponseTypes {
			m.GrantTypes = append(m.GrantTypes, responseTypes[canonicalResponseType(t)]...)
		}
		if slices.Contains(m.GrantTypes, GrantAuthorizationCode) && s.grantEnabled(GrantRefreshToken) {
			m.GrantTypes = append(m.GrantTypes, GrantRefreshToken)
		}
		slices.Sort(m.GrantTypes)
		m.GrantTypes = slices.Compact(m.GrantTypes)
	}
	if len(m.ResponseTypes) == 0 && slices.Contains(m.GrantTypes, GrantAuthorizationCode) {
		m.ResponseTypes = []string{responseCode}
	}
}

// selfScopes are the scopes that a client may have which registered itself: those that a person is
// asked about, and openid. It gets all of them if it names none (RFC 7591 §2).
func (s *Server) selfScopes(asked []string) []string {
	open := slices.DeleteFunc(s.publicScopes(), isRegistrationScope)
	if len(asked) == 0 {
		return open
	}
	return slices.DeleteFunc(asked, func(name string) bool { return !slices.Contains(open, name) })
}

// cap keeps lifetimes within the server's own: what it remembers of the past depends on those.
func (l *lifetimeMetadata) cap(most Lifetimes) {
	if l == nil {
		return
	}
	for own, limit := range map[*int64]time.Duration{
		&l.Code: most.Code, &l.AccessToken: most.AccessToken, &l.IDToken: most.IDToken,
		&l.RefreshToken: most.RefreshToken, &l.RefreshIdle: most.RefreshIdle,
	} {
		*own = min(*own, int64(limit/time.Second))
	}
}

func (l *lifetimeMetadata) domain() Lifetimes {
	if l == nil {
		return Lifetimes{}
	}
	return Lifetimes{
		Code:         time.Duration(l.Code) * time.Second,
		AccessToken:  time.Duration(l.AccessToken) * time.Second,
		IDToken:      time.Duration(l.IDToken) * time.Second,
		RefreshToken: time.Duration(l.RefreshToken) * time.Second,
		RefreshIdle:  time.Duration(l.RefreshIdle) * time.Second,
	}
}

// clientType is where the client runs: without a way to prove itself it is no web client.
func (m *clientMetadata) clientType() ClientType {
	switch {
	case m.ApplicationType == string(ClientWeb) && m.TokenEndpointAuthMethod == AuthNone:
		return ClientBrowser
	default:
		return ClientType(m.ApplicationType)
	}
}

// needsSecret tells whether the client has a use for a shared secret: its way to authenticate rests on one, or it
// signs request objects by it. One that can't authenticate could not keep it (C15).
func (m *clientMetadata) needsSecret() bool {
	if m.TokenEndpointAuthMethod == AuthPrivateKeyJWT {
		return hmacAlgorithms[jose.SignatureAlgorithm(m.RequestObjectAlg)] != 0
	}
	return m.TokenEndpointAuthMethod != AuthNone
}

// client is the registration as the configuration would have it.
func (m *clientMetadata) client() Client {
	c := Client{
		Name:                      m.ClientName,
		Type:                      m.clientType(),
		AccessType:                AccessType(m.AccessType),
		AuthMethod:                m.TokenEndpointAuthMethod,
		RedirectURIs:              m.RedirectURIs,
		PostLogoutRedirectURIs:    m.PostLogoutRedirectURIs,
		GrantTypes:                m.GrantTypes,
		TokenTypes:                m.TokenTypes,
		ResponseTypes:             m.ResponseTypes,
		Scopes:                    strings.Fields(m.Scope),
		Contracts:                 m.Contracts,
		ResourceServer:            m.ResourceServer,
		CORS:                      m.CORS,
		Lifetimes:                 m.Lifetime.domain(),
		TokenFormat:               TokenFormat(strings.TrimPrefix(m.TokenFormat, "default")),
		RefreshToken:              m.RefreshToken,
		RotateRefreshToken:        m.RotateRefreshToken,
		RequirePKCE:               m.RequirePKCE,
		PromptUser:                m.PromptUser,
		IDTokenAlg:                jose.SignatureAlgorithm(m.IDTokenAlg),
		IDTokenKeyAlgorithm:       m.IDTokenEncryptionAlg,
		IDTokenContentEncryption:  m.IDTokenEncryptionEnc,
		UserInfoAlg:               jose.SignatureAlgorithm(m.UserInfoAlg),
		UserInfoKeyAlgorithm:      m.UserInfoEncryptionAlg,
		UserInfoContentEncryption: m.UserInfoEncryptionEnc,
		RequestObjectAlg:          jose.SignatureAlgorithm(m.RequestObjectAlg),
		AuthAlg:                   jose.SignatureAlgorithm(m.TokenEndpointAuthAlg),
		RequireSignedRequest:      m.RequireSignedRequest,
		RequestURIs:               m.RequestURIs,
		JWKS:                      m.JWKS,
		JWKSURL:                   m.JWKSURI,
		Logo:                      m.LogoURI,
		Policy:                    m.PolicyURI,
		Terms:                     m.TermsURI,
		Contacts:                  m.Contacts,
		Disabled:                  m.Disabled,
		SubjectType:               SubjectType(m.SubjectType),
		SectorIdentifierURI:       m.SectorIdentifierURI,
		InitiateLoginURI:          m.InitiateLoginURI,
		DefaultMaxAge:             m.DefaultMaxAge,
		DefaultACRValues:          m.DefaultACRValues,
	}
	if m.Allow != nil {
		c.AllowRoles, c.AllowUsers = m.Allow.Roles, m.Allow.Users
	}
	return c
}

package caddymodule

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/oauth"
)

// Client is a registered application.
type Client struct {
	// Letters, digits and ._@- only, at most 256 of them.
	ID string `json:"id"`
	// What pages call it.
	Name string `json:"name,omitempty"`
	// user (default) or service, which acts for itself.
	AccessType string `json:"access_type,omitempty"`
	// web, native or browser; default: web with a secret, else browser.
	Type string `json:"type,omitempty"`
	// The resource server of its tokens where a request names none.
	ResourceServer string `json:"resource_server,omitempty"`
	// The type of its access tokens; only bearer.
	AccessTokenType string `json:"access_token_type,omitempty"`
	// Its shared secret. Only a hash of it is kept in memory, except for auth_method client_secret_jwt.
	Secret string `json:"secret,omitempty"`
	// The secret's hash instead: "sha256:" and the digest in hex or base64url.
	SecretHash string `json:"secret_hash,omitempty"`
	// The one way it may authenticate; default: what the secret allows.
	AuthMethod string `json:"auth_method,omitempty"`
	// The only algorithm of its assertions, for client_secret_jwt and private_key_jwt; default: those that fit.
	AuthAlg string `json:"auth_alg,omitempty"`
	// Where logins may come back to.
	RedirectURIs []string `json:"redirect_uri,omitempty"`
	// Where logouts may come back to.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uri,omitempty"`
	// Default: authorization_code and refresh_token; of a service client client_credentials.
	GrantTypes []string `json:"grant_type,omitempty"`
	// Default: what the grants imply.
	TokenTypes []string `json:"token_type,omitempty"`
	// Default: what the grants imply.
	ResponseTypes []string `json:"response_type,omitempty"`
	// What it may ask for.
	Scopes []string `json:"scope,omitempty"`
	// Its contracts, which override acr_values; the first is used.
	Contracts []string `json:"contract,omitempty"`
	// Origins that count beside the server's.
	CORS []string `json:"cors,omitempty"`
	// Its ID tokens; signed is an algorithm, or none; default: signing's id_token.
	IDToken *TokenForm `json:"id_token,omitempty"`
	// What userinfo answers it; without this, JSON.
	UserInfo *TokenForm `json:"userinfo,omitempty"`
	// How it packs its authorization requests.
	RequestObject *RequestObject `json:"request_object,omitempty"`
	// The addresses that its requests may name instead of being sent; https.
	RequestURIs []string `json:"request_uri,omitempty"`
	// Its public keys, for what is encrypted to it, and what it signs.
	JWKS *JWKS `json:"jwks,omitempty"`
	// What differs from the server's lifetimes.
	Lifetime *Lifetime `json:"lifetime,omitempty"`
	// What its tokens look like: default (the server's), jwt or binary.
	TokenFormat string `json:"token_format,omitempty"`
	// Whether it gets refresh tokens; default: its token and grant types decide.
	RefreshToken *bool `json:"refresh_token,omitempty"`
	// Gives a new refresh token at each use.
	RotateRefreshToken bool `json:"rotate_refresh_token,omitempty"`
	// Refuses authorization requests without PKCE (RFC 7636), which a client without secret needs anyway.
	RequirePKCE bool `json:"require_pkce,omitempty"`
	// Takes code_challenge_method plain (RFC 7636 §4.2), for applications that know no other.
	PlainPKCE bool `json:"plain_pkce,omitempty"`
	// Takes who stays signed in on the device that its request names by revocation_id; for native clients.
	PersistentCookie bool `json:"persistent_cookie,omitempty"`
	// Whether people are asked at first access; default: the scopes decide.
	PromptUser *bool `json:"prompt_user,omitempty"`
	// How old a login may be where a request has no max_age; default: any age.
	DefaultMaxAge caddy.Duration `json:"default_max_age,omitempty"`
	// public (default), or pairwise: a person has another sub in each sector, and no client can tell that
	// they are one.
	SubjectType string `json:"subject_type,omitempty"`
	// Its host is the client's sector; default: the one host of the redirect URIs.
	SectorIdentifierURI string `json:"sector_identifier_uri,omitempty"`
	// Where others may begin a login at the client (OpenID Connect Core §4).
	InitiateLoginURI string `json:"initiate_login_uri,omitempty"`
	// Who may sign in; default: everybody.
	Allow *Allow `json:"allow,omitempty"`
	// Shown on the consent page.
	Logo string `json:"logo,omitempty"`
	// Shown on the consent page.
	Policy string `json:"policy,omitempty"`
	// Shown on the consent page.
	Terms string `json:"terms,omitempty"`
	// Shown on the consent page.
	Contacts []string `json:"contact,omitempty"`
	// Gets no new tokens; those it has stay valid.
	Disabled bool `json:"disabled,omitempty"`
}

// TokenForm says how a client wants what it gets as a JWT.
type TokenForm struct {
	// The signature algorithm.
	Signed string `json:"signed,omitempty"`
	// The key management algorithm (RFC 7518 §4) of what is encrypted to the client's keys.
	Alg string `json:"alg,omitempty"`
	// The content encryption (RFC 7518 §5) of those; default: A256GCM.
	Enc string `json:"enc,omitempty"`
}

// RequestObject says how a client packs its authorization requests (RFC 9101).
type RequestObject struct {
	// The only algorithm that is taken, or none; default: any that the client's keys fit, and none.
	Signed string `json:"signed,omitempty"`
	// Refuses requests that are not signed.
	Required bool `json:"required,omitempty"`
}

// Allow says who may sign in to a client.
type Allow struct {
	// People with one of these roles.
	Roles []string `json:"role,omitempty"`
	// These people.
	Users []string `json:"user,omitempty"`
}

func (c *Client) domain() (authz.Client, error) {
	hash, err := c.secretHash()
	if err != nil {
		return authz.Client{}, err
	}
	if c.AccessTokenType != "" && !strings.EqualFold(c.AccessTokenType, "bearer") {
		return authz.Client{}, fmt.Errorf("access_token_type is bearer, not %q", c.AccessTokenType)
	}
	converted := authz.Client{
		ID:                     c.ID,
		Name:                   c.Name,
		Type:                   authz.ClientType(c.Type),
		AccessType:             authz.AccessType(c.AccessType),
		SecretHash:             hash,
		AuthMethod:             c.AuthMethod,
		AuthAlg:                jose.SignatureAlgorithm(c.AuthAlg),
		RedirectURIs:           c.RedirectURIs,
		PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		GrantTypes:             c.GrantTypes,
		TokenTypes:             named[authz.TokenType](c.TokenTypes),
		ResponseTypes:          c.ResponseTypes,
		Scopes:                 c.Scopes,
		Contracts:              c.Contracts,
		ResourceServer:         c.ResourceServer,
		CORS:                   c.CORS,
		Lifetimes:              c.Lifetime.domain(),
		TokenFormat:            authz.TokenFormat(strings.TrimPrefix(c.TokenFormat, "default")),
		RefreshToken:           c.RefreshToken,
		RotateRefreshToken:     c.RotateRefreshToken,
		RequirePKCE:            c.RequirePKCE,
		PlainPKCE:              c.PlainPKCE,
		PersistentCookie:       c.PersistentCookie,
		PromptUser:             c.PromptUser,
		SubjectType:            authz.SubjectType(c.SubjectType),
		SectorIdentifierURI:    c.SectorIdentifierURI,
		InitiateLoginURI:       c.InitiateLoginURI,
		Logo:                   c.Logo,
		Policy:                 c.Policy,
		Terms:                  c.Terms,
		Contacts:               c.Contacts,
		Disabled:               c.Disabled,
	}
	if c.DefaultMaxAge > 0 {
		seconds := int(time.Duration(c.DefaultMaxAge) / time.Second)
		converted.DefaultMaxAge = &seconds
	}
	if c.IDToken != nil {
		converted.IDTokenAlg = jose.SignatureAlgorithm(c.IDToken.Signed)
		converted.IDTokenKeyAlgorithm, converted.IDTokenContentEncryption = c.IDToken.Alg, c.IDToken.Enc
	}
	if c.UserInfo != nil {
		converted.UserInfoAlg = jose.SignatureAlgorithm(c.UserInfo.Signed)
		converted.UserInfoKeyAlgorithm, converted.UserInfoContentEncryption = c.UserInfo.Alg, c.UserInfo.Enc
	}
	converted.RequestURIs = c.RequestURIs
	if c.RequestObject != nil {
		converted.RequestObjectAlg = jose.SignatureAlgorithm(c.RequestObject.Signed)
		converted.RequireSignedRequest = c.RequestObject.Required
	}
	if converted.SignsBySecret() {
		converted.Secret = c.Secret
	}
	if converted.JWKS, err = c.JWKS.read(); err != nil {
		return authz.Client{}, err
	}
	if c.JWKS != nil {
		converted.JWKSURL = c.JWKS.URL
	}
	if c.Allow != nil {
		converted.AllowRoles, converted.AllowUsers = c.Allow.Roles, c.Allow.Users
	}
	return converted, nil
}

// secretHash is oauth.Fingerprint of the client's secret, however it was given; "" for none.
func (c *Client) secretHash() (string, error) {
	switch {
	case c.Secret != "" && c.SecretHash != "":
		return "", errors.New("give secret or secret_hash, not both")
	case c.Secret != "":
		return oauth.Fingerprint(c.Secret), nil
	case c.SecretHash == "":
		return "", nil
	}
	text, ok := strings.CutPrefix(c.SecretHash, "sha256:")
	if !ok {
		return "", errors.New("secret_hash must have the prefix \"sha256:\" before its digest")
	}
	const size = 32 // bytes of a SHA-256 digest
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.RawURLEncoding.Strict().DecodeString} {
		if digest, err := decode(text); err == nil && len(digest) == size {
			return base64.RawURLEncoding.EncodeToString(digest), nil
		}
	}
	return "", errors.New("secret_hash is no SHA-256 digest in hex or base64url")
}

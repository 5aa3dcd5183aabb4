package authz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// clientAssertionType is the one kind of client_assertion there is (RFC 7523 §2.2).
const clientAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // #nosec G101 -- a name

// typeClientAssertion is the typ that RFC 7523bis asks for. Clients of today send JWT or none.
const typeClientAssertion = "client-authentication+jwt"

// hmacAlgorithms are those of client_secret_jwt, each with the bytes that a secret needs (RFC 7518 §3.2).
var hmacAlgorithms = map[jose.SignatureAlgorithm]int{jose.HS256: 32, jose.HS384: 48, jose.HS512: 64}

// Why a client assertion is refused, for the log.
var (
	errAssertionAlg    = errors.New("client assertion: signed by another algorithm than the client registered")
	errAssertionClaims = errors.New("client assertion: iss and sub are not the client, or aud is not this server's issuer alone")
	errAssertionTime   = errors.New("client assertion: exp is missing, past or more than an hour away, or it is not valid yet")
	errAssertionJTI    = errors.New("client assertion: jti is missing")
	errAssertionReplay = errors.New("client assertion: used before")
)

// assertedClient reads which client an assertion is of. Nothing is believed yet.
func assertedClient(p oauth.Params) (clientCredentials, error) {
	if p.Get("client_assertion_type") != clientAssertionType {
		return clientCredentials{}, oauth.Errorf(oauth.InvalidRequest, "client_assertion_type is not %s", clientAssertionType)
	}
	claims, err := token.Unverified(p.Get("client_assertion"))
	id, _ := claims["sub"].(string)
	if err != nil || id == "" || p.Has("client_id") && p.Get("client_id") != id {
		return clientCredentials{}, oauth.Errorf(oauth.InvalidClient, "client authentication failed").Because(errAssertionClaims)
	}
	return clientCredentials{id: id, assertion: p.Get("client_assertion")}, nil
}

// checkAssertion authenticates a client by what it signed (RFC 7523 §3, OpenID Connect Core §9), save that it
// may have been used before: see takeClientAssertion.
func (s *Server) checkAssertion(ctx context.Context, c *client, raw string) (jti string, err error) {
	alg, err := token.Algorithm(raw)
	if err != nil {
		return "", err
	}
	if c.AuthAlg != "" && alg != string(c.AuthAlg) {
		return "", errAssertionAlg
	}
	var payload []byte
	switch c.AuthMethod {
	case AuthPrivateKeyJWT:
		payload, err = c.verify(ctx, raw, "", "JWT", typeClientAssertion)
	case AuthSecretJWT:
		payload, err = c.verifyHMAC(raw, s.now(), "", "JWT", typeClientAssertion)
	default:
		err = errAuthMethod
	}
	if err != nil {
		return "", err
	}
	claims, err := token.Claims(payload)
	if err != nil {
		return "", err
	}
	return s.checkAssertionClaims(c, claims)
}

// verifyHMAC verifies by the client's secret, or the one before while that is taken (C15).
func (c *client) verifyHMAC(raw string, now time.Time, typ ...string) ([]byte, error) {
	payload, err := verifyBySecret(raw, c.Secret, typ)
	if err != nil && c.formerSecret != "" && now.Before(c.formerUntil) {
		return verifyBySecret(raw, c.formerSecret, typ)
	}
	return payload, err
}

// SignsBySecret tells a client that signs its assertions or its request objects by its secret.
func (c *Client) SignsBySecret() bool {
	return c.AuthMethod == AuthSecretJWT || hmacAlgorithms[c.RequestObjectAlg] != 0
}

// checkSecretFor checks that what is signed by the secret can be verified.
func (c *Client) checkSecretFor(what string, alg jose.SignatureAlgorithm) error {
	switch size := hmacAlgorithms[alg]; {
	case c.SecretHash == "" && (c.AuthMethod == "" || c.AuthMethod == AuthNone):
		return fmt.Errorf("%s needs a secret, and a public client (auth_method none) can't keep one (C15)", what)
	case c.Secret == "":
		return fmt.Errorf("%s needs the secret itself, its hash is not enough", what)
	case len(c.Secret) < size:
		return fmt.Errorf("%s needs a secret of at least %d bytes (RFC 7518 §3.2)", what, size)
	}
	return nil
}

// verifyBySecret takes algorithms of a list of its own, so that no public key can be taken for a secret (A2).
func verifyBySecret(raw, secret string, typ []string) ([]byte, error) {
	var fit []jose.SignatureAlgorithm
	for alg, size := range hmacAlgorithms {
		if len(secret) >= size {
			fit = append(fit, alg)
		}
	}
	signed, err := jose.ParseSignedCompact(raw, fit)
	if err != nil {
		return nil, err
	}
	if got, _ := signed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string); !token.HasType(got, typ) {
		return nil, token.ErrType
	}
	return signed.Verify([]byte(secret))
}

// checkAssertionClaims: aud is the issuer and nothing else, or an assertion for another server would be good
// here, and one for here there (A41).
func (s *Server) checkAssertionClaims(c *client, claims map[string]any) (jti string, err error) {
	jti, _ = claims["jti"].(string)
	_, expires := claims["exp"]
	switch {
	case claims["iss"] != c.ID || claims["sub"] != c.ID || claims["aud"] != s.cfg.Issuer:
		return "", errAssertionClaims
	case !expires || checkTimes(claims, s.now()) != nil:
		return "", errAssertionTime
	case jti == "":
		return "", errAssertionJTI
	}
	return jti, nil
}

// takeClientAssertion makes an assertion good for one request (A41).
func (s *Server) takeClientAssertion(ctx context.Context, c *client, jti string) error {
	key := "client-assertion\n" + c.ID + "\n" + jti
	err := s.run.decided.Update(ctx, key, func(old *struct{}) (*struct{}, time.Time, error) {
		if old != nil {
			return nil, time.Time{}, errAssertionReplay
		}
		return &struct{}{}, s.now().Add(requestLifetime + 2*leeway), nil
	})
	if err != nil && !errors.Is(err, errAssertionReplay) {
		return oauth.Errorf(oauth.TemporarilyUnavailable, "the client can't be authenticated now").Because(err)
	}
	return err
}

// checkAssertions checks what a client needs that signs assertions.
func (c *client) checkAssertions() error {
	switch c.AuthMethod {
	case AuthPrivateKeyJWT:
		if (len(c.JWKS) > 0) == (c.JWKSURL != "") {
			return errors.New("auth_method private_key_jwt needs jwks: one of url, file and the set itself")
		}
		if c.SecretHash != "" && hmacAlgorithms[c.RequestObjectAlg] == 0 {
			return errors.New("auth_method private_key_jwt and a secret contradict each other, unless the secret signs request objects")
		}
		if c.AuthAlg != "" && token.CheckSignature(c.AuthAlg) != nil {
			return fmt.Errorf("auth_method private_key_jwt %s is unknown", c.AuthAlg)
		}
	case AuthSecretJWT:
		alg := cmp.Or(c.AuthAlg, jose.HS256)
		if hmacAlgorithms[alg] == 0 {
			return fmt.Errorf("auth_method client_secret_jwt %s is none of HS256, HS384, HS512", alg)
		}
		return c.checkSecretFor("auth_method client_secret_jwt", alg)
	default:
		if c.AuthAlg != "" {
			return errors.New("only client_secret_jwt and private_key_jwt have an algorithm")
		}
	}
	return nil
}

// assertions are the ways to authenticate by an assertion, and their algorithms: keys can be brought by anybody,
// but who signs by a secret has to be in the configuration, or to register.
func (s *Server) assertions() (methods []string, algorithms []jose.SignatureAlgorithm) {
	methods, algorithms = []string{AuthPrivateKeyJWT}, token.SignatureAlgorithms()
	if s.anyClient(func(c *client) bool { return c.AuthMethod == AuthSecretJWT }) {
		return append(methods, AuthSecretJWT), append(slices.Clip(algorithms), jose.HS256, jose.HS384, jose.HS512)
	}
	return methods, algorithms
}

// anyClient tells whether there may be a client of a kind: one is in the configuration, or may register.
func (s *Server) anyClient(is func(*client) bool) bool {
	return s.cfg.Registration != RegistrationOff || slices.ContainsFunc(slices.Collect(maps.Values(s.clients)), is)
}

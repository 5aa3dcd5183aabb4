package authz

import (
	"context"
	"errors"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/authz/users"
)

// JWTIssuer is somebody whose JWTs about people are taken as grants (RFC 7523 §2.1).
type JWTIssuer struct {
	// Issuer is the iss of its JWTs.
	Issuer string
	// JWKS are its public keys, or JWKSURL is where to fetch them.
	JWKS    []byte
	JWKSURL string
	// Audience is what its JWTs call this server; empty: the issuer URL.
	Audience string
	// UserAttribute is the one that sub is a value of; empty: sub is the login name.
	UserAttribute string
}

// jwtIssuer is a JWTIssuer with its keys.
type jwtIssuer struct {
	JWTIssuer
	keys *keySet[token.Verifier]
}

// jwtBearerGrant is the JWT bearer grant (RFC 7523 §2.1).
type jwtBearerGrant struct{ s *Server }

func (jwtBearerGrant) Type() string { return GrantJWTBearer }

// Why a JWT gives no tokens, for the log.
var (
	errJWTIssuer = errors.New("its iss is nobody who is trusted with grants")
	errJWTClaims = errors.New("sub, jti or exp is missing, or aud is not this server alone")
)

func (g jwtBearerGrant) Authorize(ctx context.Context, r *TokenRequest) (*Authorization, error) {
	if !r.Params.Has("assertion") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "assertion is missing")
	}
	said, err := g.s.verifyGrantJWT(ctx, r.Params.Get("assertion"))
	switch {
	case errors.Is(err, oauth.TemporarilyUnavailable):
		return nil, err
	case err != nil:
		return nil, errAssertion.Because(err)
	}
	return g.s.authorizeAsserted(ctx, r, said)
}

// verifyGrantJWT checks a JWT as RFC 7523 §3 says: by the keys of the issuer that it names, and for us alone.
func (s *Server) verifyGrantJWT(ctx context.Context, raw string) (asserted, error) {
	claimed, err := token.Unverified(raw)
	if err != nil {
		return asserted{}, err
	}
	iss, _ := claimed["iss"].(string)
	issuer := s.jwtIssuers[iss]
	if issuer == nil {
		return asserted{}, errJWTIssuer
	}
	payload, err := verifyWith(ctx, issuer.keys, raw, "", "JWT")
	if err != nil {
		return asserted{}, err
	}
	claims, err := token.Claims(payload)
	if err != nil {
		return asserted{}, err
	}
	sub, _ := claims["sub"].(string)
	jti, _ := claims["jti"].(string)
	exp, expires := numericDate(claims["exp"])
	switch {
	case sub == "" || jti == "" || !expires || claims["aud"] != issuer.Audience:
		return asserted{}, errJWTClaims
	case checkTimes(claims, s.now()) != nil:
		return asserted{}, errAssertionTime
	}
	signedIn, _ := numericDate(claims["auth_time"])
	return asserted{issuer: iss, id: jti, attribute: issuer.UserAttribute, name: sub, signedIn: signedIn, expires: exp}, nil
}

// compileJWTIssuers prepares the check of JWTs.
func (s *Server) compileJWTIssuers(cfg *Config) error {
	s.jwtIssuers = make(map[string]*jwtIssuer, len(cfg.JWTIssuers))
	for _, i := range cfg.JWTIssuers {
		compiled, err := s.compileJWTIssuer(cfg, i)
		if err == nil && s.jwtIssuers[i.Issuer] != nil {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return wrong("jwt_issuer", i.Issuer, err)
		}
		s.jwtIssuers[i.Issuer] = compiled
	}
	return nil
}

func (s *Server) compileJWTIssuer(cfg *Config, i JWTIssuer) (*jwtIssuer, error) {
	if _, ok := cfg.Users.(users.Finder); !ok {
		return nil, errors.New("this store of users can't find people by an attribute")
	}
	if i.Issuer == "" || (len(i.JWKS) > 0) == (i.JWKSURL != "") {
		return nil, errors.New("it needs a name and jwks: one of url, file and the set itself")
	}
	if i.Issuer == cfg.Issuer {
		return nil, errors.New("it is this server, whose tokens are no grants")
	}
	if i.Audience == "" {
		i.Audience = cfg.Issuer
	}
	keys, err := newKeySet(keySource{jwks: i.JWKS, url: i.JWKSURL, fetcher: s.fetch, now: cfg.Now}, token.NewVerifier)
	return &jwtIssuer{JWTIssuer: i, keys: keys}, err
}

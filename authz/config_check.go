package authz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

func (c *Config) fillDefaults() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Observe == nil {
		c.Observe = func(context.Context, Event) {}
	}
	if len(c.Signing.Algorithms) == 0 {
		c.Signing.Algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
	}
	for _, key := range c.Signing.Keys {
		if !slices.Contains(c.Signing.Algorithms, key.Algorithm()) {
			c.Signing.Algorithms = append(slices.Clip(c.Signing.Algorithms), key.Algorithm())
		}
	}
	if c.Signing.IDToken == "" {
		c.Signing.IDToken = preferred(c.Signing.Algorithms, jose.RS256)
	}
	if c.Signing.AccessToken == "" {
		c.Signing.AccessToken = preferred(c.Signing.Algorithms, jose.ES256)
	}
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{GrantAuthorizationCode, GrantRefreshToken, GrantClientCredentials}
	}
	if c.TokenFormat == "" {
		c.TokenFormat = FormatJWT
	}
	c.Registration = cmp.Or(c.Registration, RegistrationOff)
	c.DeveloperRole = cmp.Or(c.DeveloperRole, "NAM_OAUTH2_DEVELOPER")
	c.AdminRole = cmp.Or(c.AdminRole, "NAM_OAUTH2_ADMIN")
	if len(c.TokenTypes) == 0 {
		c.TokenTypes = []TokenType{CodeType, IDTokenType, AccessTokenType, RefreshTokenType}
	}
	defaults := Lifetimes{
		Code:         time.Minute,
		AccessToken:  10 * time.Minute,
		IDToken:      10 * time.Minute,
		RefreshToken: 30 * 24 * time.Hour,
		RefreshIdle:  7 * 24 * time.Hour,
		Session:      12 * time.Hour,
		SessionIdle:  time.Hour,
		RefreshGrace: 10 * time.Second,
	}
	if c.Revocation.Off {
		defaults.RefreshIdle = 0
	}
	c.Lifetimes.fill(defaults)
	c.Lockout.fill()
}

// preferred is the wanted algorithm where there is a key for it, else the first.
func preferred(have []jose.SignatureAlgorithm, want jose.SignatureAlgorithm) jose.SignatureAlgorithm {
	if slices.Contains(have, want) {
		return want
	}
	return have[0]
}

func (c *Config) check() error {
	var errs []error
	if c.Users == nil {
		errs = append(errs, wrong("users", "", errors.New("a store of users is needed")))
	}
	if c.Keys == nil {
		errs = append(errs, wrong("keys", "", errors.New("a place to keep keys is needed")))
	}
	for _, g := range c.GrantTypes {
		if !slices.Contains(knownGrantTypes, g) {
			errs = append(errs, wrong("grant_type", "", fmt.Errorf("%q is unknown", g)))
		}
	}
	switch {
	case c.Revocation.Off && c.Revocation.CheckAfter != 0:
		errs = append(errs, wrong("revocation", "", errors.New("check_after is for revocation on")))
	case c.Revocation.CheckAfter < 0:
		errs = append(errs, wrong("revocation", "", errors.New("check_after must not be negative")))
	case c.Revocation.Off && c.LogoutRevokes:
		errs = append(errs, wrong("logout", "", errors.New("revoke_tokens needs revocation on (G8)")))
	}
	if c.CORSCredentials && slices.Contains(c.CORS, "*") {
		errs = append(errs, wrong("cors_credentials", "", errors.New("cors_credentials and cors * exclude each other (G4)")))
	}
	return errors.Join(append(
		errs,
		wrong("signing", "", c.Signing.check()),
		wrong("token_format", "", checkFormat(c.TokenFormat)),
		wrong("lifetime", "", errors.Join(c.Lifetimes.check(), c.Revocation.checkLifetimes(c.Lifetimes))),
		wrong("registration", "", c.Registration.check()),
		wrong("rate_limit", "", c.RateLimit.check()),
		wrong("token_type", "", checkTokenTypes(c.TokenTypes)),
		wrong("cors", "", checkOrigins(c.CORS, true)),
	)...)
}

// maxCodeLifetime is the longest an authorization code may live (RFC 6749 §4.1.2).
const maxCodeLifetime = 10 * time.Minute

func (l Lifetimes) check() error {
	for _, d := range []time.Duration{l.Code, l.AccessToken, l.IDToken, l.RefreshToken, cmp.Or(l.RefreshIdle, time.Second), l.Session, l.SessionIdle} {
		if d < time.Second {
			return errors.New("must be at least a second")
		}
	}
	if l.Code > maxCodeLifetime {
		return errors.New("code: at most 10 minutes (RFC 6749 §4.1.2)")
	}
	if l.AccessToken > token.MaxLifetime {
		return fmt.Errorf("access_token: at most %s", token.MaxLifetime)
	}
	return nil
}

// checkLifetimes refuses what would need something about refresh tokens to be stored.
func (r Revocation) checkLifetimes(l Lifetimes) error {
	if r.Off && l.RefreshIdle != 0 {
		return errors.New("refresh_idle needs revocation on (G8)")
	}
	return nil
}

// checkIssuer applies RFC 8414 §2 and P2.
func checkIssuer(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return nil, errors.New("must be a URL with a host")
	case u.Scheme != "https" && (u.Scheme != "http" || !oauth.IsLoopback(u.Hostname())):
		return nil, errors.New("must be https; http is for loopback hosts only")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || strings.Contains(raw, "#"):
		return nil, errors.New("must have no query, fragment or user name")
	case strings.HasSuffix(u.Path, "/"):
		return nil, errors.New("must not end in a slash")
	case u.EscapedPath() != u.Path || u.String() != raw || u.Host != strings.ToLower(u.Host) || u.JoinPath().Path != u.Path && u.Path != "",
		u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return nil, errors.New("must be written in its plain form: lower case, no default port, no escapes or dots in the path")
	}
	return u, nil
}

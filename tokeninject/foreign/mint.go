package foreign

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/tokeninject"
)

// Names of RFC 8693.
const (
	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token" // #nosec G101 -- a name
)

// assumedLifetime is that of a token whose issuer doesn't say (RFC 6749 §5.1 leaves it open).
const assumedLifetime = time.Minute

var (
	errNoExchange = errors.New("the issuer does not offer token exchange")
	errNoSubject  = errors.New("there is no access token to exchange")
	errNotTaken   = errors.New("the issuer does not take the other issuer's token in exchange") // signing in again would not help
)

// Mint gets a token for an upstream: the session's own where nothing else is asked for; one for the gate
// itself by client credentials; else one in exchange for that of the session or the caller (RFC 8693).
func (i *Issuer) Mint(ctx context.Context, m tokeninject.MintRequest) (*tokeninject.MintedToken, error) {
	if m.ForGate {
		return i.minted(i.token(ctx, i.cfg.Client, target(m, url.Values{"grant_type": {"client_credentials"}})))
	}
	subject, ours := m.Raw, m.CallerIssuer == i.cfg.URL
	if m.Session != nil {
		ours = m.SessionIssuer == i.cfg.URL
		held := tokensOf(m.Session)
		good := held.Expires.IsZero() || i.cfg.Now().Before(held.Expires)
		switch {
		case !good: // and it can't be renewed, or Refresh had done so
			return nil, tokeninject.ErrSessionEnded
		case ours && m.ResourceServer == "" && len(m.Scope) == 0:
			return &tokeninject.MintedToken{Token: held.Access, Expires: i.end(held.Expires)}, nil
		}
		subject = held.Access
	}
	if subject == "" {
		return nil, errNoSubject
	}
	minted, err := i.exchange(ctx, m, subject)
	// A new login would bring another token of the same kind, and that one is not taken either. Whether a session
	// of ours has ended, Refresh finds out.
	if errors.Is(err, tokeninject.ErrSessionEnded) && (m.Session != nil || !ours) {
		return nil, fmt.Errorf("%w: %v", errNotTaken, err) //nolint:errorlint // it must not be taken for its cause
	}
	return minted, err
}

func (i *Issuer) exchange(ctx context.Context, m tokeninject.MintRequest, subject string) (*tokeninject.MintedToken, error) {
	known, err := i.metadata.get(ctx)
	switch {
	case err != nil:
		return nil, err
	case !offers(known.GrantTypes, grantExchange):
		return nil, errNoExchange
	}
	return i.minted(i.token(ctx, i.cfg.Client, target(m, url.Values{
		"grant_type": {grantExchange}, "subject_token": {subject}, "subject_token_type": {typeAccessToken},
		"requested_token_type": {typeAccessToken},
	})))
}

// target says whom a token is for: an address is a resource (RFC 8707), a name an audience (RFC 8693 §2.1).
func target(m tokeninject.MintRequest, form url.Values) url.Values {
	switch {
	case strings.Contains(m.ResourceServer, "://"):
		form.Set("resource", m.ResourceServer)
	case m.ResourceServer != "":
		form.Set("audience", m.ResourceServer)
	}
	if len(m.Scope) > 0 {
		form.Set("scope", oauth.FormatScope(m.Scope))
	}
	return form
}

// minted reads an answer. What the issuer refuses for the subject's sake ends the session, or the caller's
// token; what it refuses for want of a right is a missing scope.
func (i *Issuer) minted(answer *tokenAnswer, err error) (*tokeninject.MintedToken, error) {
	switch {
	case errors.Is(err, oauth.InvalidGrant):
		return nil, fmt.Errorf("%w: %w", tokeninject.ErrSessionEnded, err)
	case errors.Is(err, oauth.InvalidScope), errors.Is(err, oauth.InvalidTarget), errors.Is(err, oauth.AccessDenied):
		return nil, oauth.Errorf(oauth.InsufficientScope, "").Because(err)
	case err != nil:
		return nil, err
	}
	t := i.kept(answer, &tokens{})
	return &tokeninject.MintedToken{Token: t.Access, Expires: i.end(t.Expires)}, nil
}

func (i *Issuer) end(expires time.Time) time.Time {
	if expires.IsZero() {
		return i.cfg.Now().Add(assumedLifetime)
	}
	return expires
}

package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/tokeninject"
)

// localIssuer is an authorization server of this process as a gate sees it: nothing calls itself
// over HTTP (W6).
type localIssuer struct{ is *issuer }

func newLocalIssuer(is *issuer) tokeninject.Issuer { return localIssuer{is} }

func (l localIssuer) URL() string { return l.is.server.Issuer() }

func (l localIssuer) Ready(ctx context.Context) error { return l.is.server.Ready(ctx) }

func (l localIssuer) Revocations() *revocation.Feed { return l.is.server.Revocations() }

func (l localIssuer) Account(subject string) string { return l.is.server.Account(subject) }

func (l localIssuer) NamesItself() bool { return true }

func (l localIssuer) Open(ctx context.Context, raw string, _ tokeninject.Decrypt) ([]byte, time.Time, error) {
	payload, err := l.is.server.OpenToken(ctx, raw)
	return payload, time.Time{}, err
}

func (l localIssuer) Audience(resourceServer string) (string, error) {
	audience, ok := l.is.server.Audience(resourceServer)
	if !ok {
		return "", tokeninject.ErrUnknownResource
	}
	return audience, nil
}

func (l localIssuer) Describe(resourceServer string) []oauth.ProtectedResource {
	return l.is.server.Describe(resourceServer)
}

func (l localIssuer) BeginLogin(ctx context.Context, r tokeninject.LoginRequest) (string, error) {
	return l.is.server.BeginLogin(ctx, authz.GateLogin(r))
}

func (l localIssuer) RedeemLogin(ctx context.Context, code string, r tokeninject.LoginRequest) (*tokeninject.Session, error) {
	session, err := l.is.server.RedeemLogin(ctx, code, authz.GateLogin(r))
	return toSession(session), ended(err)
}

func (l localIssuer) Satisfies(wanted []string, acr string, at time.Time) (ok bool, maxAge time.Duration) {
	return l.is.server.Satisfies(wanted, acr, at)
}

// Refresh asks the server of the config that runs now and no other: an event stream outlives its own config, which must
// not vouch for people whom the operator has disabled since, the less so as a session is shared by the gates of both.
func (l localIssuer) Refresh(ctx context.Context, s *tokeninject.Session) (*tokeninject.Session, error) {
	is, err := live.Load().current(l.is)
	if err != nil {
		return nil, err
	}
	if err := is.use(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", oauth.TemporarilyUnavailable, err)
	}
	defer is.lease.give()
	session, err := is.server.RefreshSession(ctx, fromSession(s))
	return toSession(session), ended(err)
}

func (l localIssuer) EndSession(ctx context.Context, s *tokeninject.Session) (next string, err error) {
	return "", ended(l.is.server.EndSession(ctx, fromSession(s)))
}

func (l localIssuer) Mint(ctx context.Context, m tokeninject.MintRequest) (*tokeninject.MintedToken, error) {
	if m.Caller != nil && m.CallerIssuer != l.URL() {
		return nil, oauth.Errorf(oauth.InsufficientScope, "").Because(errForeignCaller)
	}
	request := authz.GateMint{ResourceServer: m.ResourceServer, Scope: m.Scope, Gate: m.Gate, Phantom: m.Phantom}
	if m.Session != nil {
		request.Session = fromSession(m.Session)
	} else {
		request.Caller = callerOf(m.Caller)
	}
	raw, expires, err := l.is.server.Mint(ctx, request)
	if err != nil {
		return nil, ended(err)
	}
	return &tokeninject.MintedToken{Token: raw, Expires: expires}, nil
}

func (l localIssuer) Person(ctx context.Context, subject string) (*tokeninject.Person, error) {
	user, err := l.is.server.Person(ctx, subject)
	if err != nil {
		return nil, ended(err)
	}
	return &tokeninject.Person{Username: user.Username, Attributes: user.Attributes}, nil
}

// errForeignCaller keeps one issuer's people from being taken for another's of the same name.
var errForeignCaller = errors.New("the token is of another issuer, and this one mints nothing for it")

// callerOf is an incoming token as the mint needs it.
func callerOf(id *tokeninject.Identity) *token.AccessToken {
	caller := &token.AccessToken{
		Subject:   id.Subject,
		ClientID:  id.ClientID,
		SessionID: id.SessionID,
		GrantID:   id.GrantID,
		ID:        id.TokenID,
		Scope:     strings.Fields(id.Scope),
		IssuedAt:  id.IssuedAt,
		ExpiresAt: id.Expires,
	}
	caller.ACR, caller.AuthTime = id.Login()
	amr, _ := id.Claim("amr")
	methods, _ := amr.([]any)
	for _, method := range methods {
		name, _ := method.(string)
		caller.AMR = append(caller.AMR, name)
	}
	act, _ := id.Claim("act")
	for actor, ok := act.(map[string]any); ok; actor, ok = actor["act"].(map[string]any) {
		name, _ := actor["sub"].(string)
		caller.Actors = append(caller.Actors, name)
	}
	return caller
}

// ended translates the one error that gates act on.
func ended(err error) error {
	if errors.Is(err, authz.ErrEnded) {
		return errors.Join(tokeninject.ErrSessionEnded, err)
	}
	return err
}

func toSession(s *authz.GateSession) *tokeninject.Session {
	if s == nil {
		return nil
	}
	return (*tokeninject.Session)(s)
}

func fromSession(s *tokeninject.Session) *authz.GateSession { return (*authz.GateSession)(s) }

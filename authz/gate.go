package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/users"
)

// This file is what a gate in the same process asks for without HTTP (decision 9, W4, W5).

// ErrEnded is the answer when a session or grant has ended: the person is gone or disabled, the
// password has changed, or it was revoked.
var ErrEnded = errors.New("authz: the session has ended")

// pushLifetime is how long a pushed login may wait for its browser (RFC 9126 §2.2).
const pushLifetime = 10 * time.Minute

// GateLogin is a login that a gate begins and redeems. Its redirect URI is the page that was asked
// for: the gate is this process, so it needs no registered one.
type GateLogin struct {
	ClientID     string // "": the built-in client
	ClientSecret string
	RedirectURI  string
	State        string
	Nonce        string
	Verifier     string // of PKCE
	Scope        []string
	ACRValues    []string // contracts, of which the first that is known is used
	Another      bool     // asks who is to be signed in, also where somebody is
}

// GateSession is what the server says of a person signed in at a gate.
type GateSession struct {
	Subject   string
	Username  string
	ClientID  string
	SessionID string
	GrantID   string
	Scope     []string
	Roles     []string
	Claims    json.RawMessage // the claims of the granted scopes, as userinfo has them
	AuthTime  time.Time
	ACR       string
	AMR       []string
	Begun     time.Time // at the gate
	Stamp     string
}

// pushed is an authorization request that a gate pushed. It travels sealed in its own request URI,
// so that a flood of strangers stores nothing. It can be used more than once until it expires: each
// use gives another code for the same state and verifier, and the gate takes only one, of the browser
// that began.
type pushed struct {
	Request authorizationRequest `json:"request"`
	Expires time.Time            `json:"expires"`
}

func (s *Server) gateClient() *client {
	c := &client{Client: Client{
		ID:         GateClientID,
		Type:       ClientWeb,
		AccessType: AccessUser,
		SecretHash: unknownSecret, // it never authenticates over HTTP
		GrantTypes: []string{GrantAuthorizationCode},
		Lifetimes:  s.cfg.Lifetimes,
	}}
	for name := range s.scopes {
		c.Scopes = append(c.Scopes, name)
	}
	return c
}

// gateClientFor finds the client under which a gate signs people in: both are configured, so this is
// known before the server starts.
func (s *Server) gateClientFor(id, secret string) (*client, error) {
	if id == "" || id == GateClientID {
		return s.gate, nil
	}
	c := s.clients[id]
	if c == nil || c.Disabled {
		return nil, oauth.Errorf(oauth.InvalidClient, "client authentication failed").Because(errNoClient)
	}
	if !c.public() && !oauth.SameSecret(oauth.Fingerprint(secret), c.SecretHash) {
		return nil, oauth.Errorf(oauth.InvalidClient, "client authentication failed").Because(errWrongSecret)
	}
	return c, nil
}

// CheckGate returns an error that names what a gate's configuration refers to and nobody defines:
// its client ("": the built-in one) or its secret, or one of its scopes.
func (s *Server) CheckGate(clientID, secret string, scopes []string) error {
	c, err := s.gateClientFor(clientID, secret)
	if errors.Is(err, errWrongSecret) {
		return fmt.Errorf("the secret of client %q is wrong", clientID)
	}
	if err != nil {
		return fmt.Errorf("there is no client %q, or it is disabled", clientID)
	}
	for _, name := range scopes {
		if s.scopes[name] == nil {
			return fmt.Errorf("scope %q is not defined", name)
		}
		if !slices.Contains(c.Scopes, name) {
			return fmt.Errorf("client %q may not have scope %q", clientID, name)
		}
	}
	return nil
}

// HasClient tells whether the configuration has a client. Others may have registered themselves.
func (s *Server) HasClient(id string) bool { return id == GateClientID || s.clients[id] != nil }

// CheckContracts returns an error that names a contract which nobody defines.
func (s *Server) CheckContracts(uris []string) error {
	for _, uri := range uris {
		if s.contractNamed(uri) == nil {
			return fmt.Errorf("contract %q is not defined", uri)
		}
	}
	return nil
}

// Audience is the aud of tokens for a resource server; ok is false when there is none of that name.
func (s *Server) Audience(resourceServer string) (audience string, ok bool) {
	r := s.resourceNamed(resourceServer)
	if r == nil {
		return "", false
	}
	return r.audience, true
}

// BeginLogin pushes an authorization request and returns the URL the browser goes to (RFC 9126).
func (s *Server) BeginLogin(ctx context.Context, l GateLogin) (string, error) {
	if err := s.Ready(ctx); err != nil {
		return "", err
	}
	c, err := s.gateClientFor(l.ClientID, l.ClientSecret)
	if err != nil {
		return "", err
	}
	var prompt []string
	if l.Another {
		prompt = []string{"select_account"}
	}
	plain := compactJSON(pushed{
		Expires: s.now().Add(pushLifetime),
		Request: authorizationRequest{
			ClientID:            c.ID,
			RedirectURI:         l.RedirectURI,
			RedirectURIGiven:    true,
			ResponseType:        "code",
			State:               l.State,
			Nonce:               l.Nonce,
			Scope:               c.grantable(l.Scope),
			ACRValues:           l.ACRValues,
			Prompt:              prompt,
			CodeChallenge:       oauth.S256(l.Verifier),
			CodeChallengeMethod: oauth.ChallengeS256,
			Gate:                true,
		},
	})
	query := url.Values{
		"client_id":   {c.ID},
		"request_uri": {pushedPrefix + s.run.interactions.Seal(plain, []byte("pushed"))},
	}
	return s.cfg.Issuer + pathAuthorize + "?" + query.Encode(), nil
}

func (s *Server) openPushed(ctx context.Context, clientID, sealed string) (*authorizationRequest, *client, error) {
	invalid := oauth.Errorf(oauth.InvalidRequestURI, "the request is unknown or too old")
	plain, err := s.run.interactions.Open(sealed, []byte("pushed"))
	if err != nil {
		return nil, nil, invalid.Because(err)
	}
	var p pushed
	if err := json.Unmarshal(plain, &p); err != nil {
		return nil, nil, invalid.Because(err)
	}
	c, err := s.activeClient(ctx, p.Request.ClientID)
	if err != nil {
		return nil, nil, err
	}
	if c == nil || clientID != p.Request.ClientID || !s.now().Before(p.Expires) {
		return nil, nil, invalid.Because(errExpired)
	}
	return &p.Request, c, nil
}

// RedeemLogin turns the code of a login into a session. Errors are *oauth.Error.
func (s *Server) RedeemLogin(ctx context.Context, code string, l GateLogin) (*GateSession, error) {
	c, err := s.gateClientFor(l.ClientID, l.ClientSecret)
	if err != nil {
		return nil, err
	}
	rec, err := s.takeCode(ctx, code)
	if err != nil {
		return nil, err
	}
	if !rec.Gate || rec.ClientID != c.ID || rec.RedirectURI != l.RedirectURI || rec.Nonce != l.Nonce {
		return nil, oauth.Errorf(oauth.InvalidGrant, "the code belongs to another login")
	}
	if err := oauth.VerifyPKCE(rec.Challenge, rec.ChallengeMethod, l.Verifier); err != nil {
		return nil, err
	}
	session := &GateSession{
		Subject:   rec.Subject,
		ClientID:  rec.ClientID,
		SessionID: rec.SID,
		GrantID:   rec.GrantID,
		Scope:     rec.Scope,
		AuthTime:  rec.AuthTime,
		ACR:       rec.ACR,
		AMR:       rec.AMR,
		Begun:     rec.Issued,
		Stamp:     rec.Stamp,
	}
	return s.RefreshSession(ctx, session)
}

// RefreshSession looks the person of a session up again: ErrEnded, or what is true of them now.
func (s *Server) RefreshSession(ctx context.Context, session *GateSession) (*GateSession, error) {
	c, user, err := s.sessionParties(ctx, session)
	if err != nil {
		return nil, err
	}
	next := *session
	next.Username, next.Roles = user.Username, user.Roles
	next.Scope = c.grantable(session.Scope)
	claims := s.claimsOf(next.Scope, user, everywhere)
	if next.Claims, err = json.Marshal(claims); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return &next, nil
}

// EndSession signs the person out here, at every gate, and ends what the login gave.
func (s *Server) EndSession(ctx context.Context, session *GateSession) error {
	until := s.now().Add(s.longestLifetime())
	return errors.Join(
		s.run.feed.Revoke(ctx, revocation.Family, session.GrantID, until),
		s.endSession(ctx, session.SessionID),
	)
}

// sessionParties are the client and the person of a session, both as they are now.
func (s *Server) sessionParties(ctx context.Context, session *GateSession) (*client, *users.User, error) {
	if s.run.feed.Revoked(revocation.Subject{Family: session.GrantID, Session: session.SessionID, User: session.Subject, IssuedAt: session.AuthTime}) ||
		s.run.feed.Revoked(revocation.Subject{User: session.Subject, Client: session.ClientID, IssuedAt: session.Begun}) {
		return nil, nil, fmt.Errorf("%w: %w", ErrEnded, errRevoked)
	}
	c, err := s.activeClient(ctx, session.ClientID)
	if err != nil {
		return nil, nil, err
	}
	if c == nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEnded, errUnknownClient)
	}
	user, err := s.grantUser(ctx, c, session.Subject, session.Stamp)
	if err != nil && errors.Is(err, oauth.InvalidGrant) {
		return nil, nil, fmt.Errorf("%w: %w", ErrEnded, err)
	}
	return c, user, err
}

// Person looks a person up afresh: ErrEnded where there is no such person, or they are disabled.
func (s *Server) Person(ctx context.Context, subject string) (*users.User, error) {
	user, err := s.lookUp(ctx, s.Account(subject), "")
	if err != nil && gone(err) {
		return nil, fmt.Errorf("%w: %w", ErrEnded, err)
	}
	return user, err
}

// OpenToken opens an access token as far as its cryptography goes. The server can open what it encrypted to
// a resource server, so that nobody's private key is needed.
func (s *Server) OpenToken(ctx context.Context, raw string) ([]byte, error) { return s.open(ctx, raw) }

// Revocations is the feed of what was revoked.
func (s *Server) Revocations() *revocation.Feed { return s.run.feed }

package authz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
)

// codeRecord is what a code stands for. Once redeemed it stays as a tombstone until it would have
// expired, so that a replay finds what to revoke (decision 5).
type codeRecord struct {
	Redeemed bool      `json:"redeemed,omitempty"`
	GrantID  string    `json:"grant_id"`
	Expires  time.Time `json:"expires"`

	ClientID         string    `json:"client_id,omitempty"`
	RedirectURI      string    `json:"redirect_uri,omitempty"`
	RedirectURIGiven bool      `json:"redirect_uri_given,omitempty"`
	Challenge        string    `json:"challenge,omitempty"`
	ChallengeMethod  string    `json:"challenge_method,omitempty"`
	Subject          string    `json:"sub,omitempty"`
	Stamp            string    `json:"stamp,omitempty"`
	SID              string    `json:"sid,omitempty"`
	AuthTime         time.Time `json:"auth_time,omitzero"`
	ACR              string    `json:"acr,omitempty"`
	AMR              []string  `json:"amr,omitempty"`
	Nonce            string    `json:"nonce,omitempty"`
	Scope            []string  `json:"scope,omitempty"`
	Resource         string    `json:"resource,omitempty"` // named in the request
	Gate             bool      `json:"gate,omitempty"`
	Issued           time.Time `json:"issued,omitzero"`
	Device           string    `json:"device,omitempty"`

	Claims *requestedClaims `json:"claims,omitempty"`
}

// codeGrant is the authorization code grant (RFC 6749 §4.1.3).
type codeGrant struct{ s *Server }

func (codeGrant) Type() string { return GrantAuthorizationCode }

func (g codeGrant) Authorize(ctx context.Context, r *TokenRequest) (*Authorization, error) {
	rec, err := g.s.takeCode(ctx, r.Params.Get("code"))
	if err != nil {
		return nil, err
	}
	switch {
	case rec.Gate || rec.ClientID != r.client.ID:
		return nil, errCode.Because(errOtherClient)
	case rec.RedirectURIGiven && r.Params.Get("redirect_uri") != rec.RedirectURI,
		!rec.RedirectURIGiven && r.Params.Has("redirect_uri") && r.Params.Get("redirect_uri") != rec.RedirectURI:
		return nil, oauth.Errorf(oauth.InvalidGrant, "redirect_uri differs from the authorization request")
	}
	if err := oauth.VerifyPKCE(rec.Challenge, rec.ChallengeMethod, r.Params.Get("code_verifier")); err != nil {
		return nil, err
	}
	return g.s.authorizeCode(ctx, r, rec)
}

// authorizeCode turns a code that was rightly presented into what it stands for.
func (s *Server) authorizeCode(ctx context.Context, r *TokenRequest, rec *codeRecord) (*Authorization, error) {
	user, err := s.grantUser(ctx, r.client, rec.Subject, rec.Stamp)
	if err != nil {
		return nil, err
	}
	a, err := s.authorization(r, user, rec.Scope, rec.Resource)
	if err != nil {
		return nil, err
	}
	if a.device, err = sameDevice(rec.Device, r.device); err != nil {
		return nil, err
	}
	a.grantID, a.sid, a.nonce, a.authContext, a.claims = rec.GrantID, rec.SID, rec.Nonce, authContext{rec.AuthTime, rec.ACR, rec.AMR}, rec.Claims
	s.beginFamily(a, r.now)
	return a, nil
}

// takeCode makes a code good for exactly one redemption. It is gone whatever the request gets wrong
// afterwards (A25), and its replay ends everything the first use gave (A23, RFC 6749 §4.1.2).
func (s *Server) takeCode(ctx context.Context, code string) (*codeRecord, error) {
	if code == "" {
		return nil, oauth.Errorf(oauth.InvalidRequest, "code is missing")
	}
	var taken codeRecord
	err := s.run.codes.Update(ctx, code, func(old *codeRecord) (*codeRecord, time.Time, error) {
		if old == nil {
			return nil, time.Time{}, store.ErrNotFound
		}
		taken = *old
		return &codeRecord{Redeemed: true, GrantID: old.GrantID, Subject: old.Subject, ClientID: old.ClientID, Expires: old.Expires}, old.Expires, nil
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, errCode
	case err != nil:
		return nil, fmt.Errorf("code: %w", err)
	case taken.Redeemed:
		if err := s.endFamily(ctx, taken.Subject, taken.GrantID); err != nil {
			return nil, fmt.Errorf("code replay: %w", err)
		}
		return nil, errCode.Because(errReplay)
	case !s.now().Before(taken.Expires):
		return nil, errCode
	case s.codeRevoked(&taken):
		return nil, errCode.Because(errRevoked)
	}
	return &taken, nil
}

// codeRevoked goes by when the person signed in for what ends logins, and by when the code was issued for
// what ends what a client has: a client may be served again after its revocation, by an older login.
func (s *Server) codeRevoked(rec *codeRecord) bool {
	return s.run.feed.Revoked(revocation.Subject{Session: rec.SID, User: rec.Subject, IssuedAt: rec.AuthTime}) ||
		s.run.feed.Revoked(revocation.Subject{User: rec.Subject, Client: rec.ClientID, Device: rec.Device, IssuedAt: rec.Issued})
}

var errCode = oauth.Errorf(oauth.InvalidGrant, "the code is unknown, expired or used")

// Why a grant is refused, for the log.
var (
	errReplay  = errors.New("replayed: everything it gave is revoked")
	errRevoked = errors.New("revoked")
)

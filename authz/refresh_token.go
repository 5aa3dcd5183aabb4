package authz

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// refreshToken is self-contained: it is sealed, not signed, since nobody but the server reads it.
type refreshToken struct {
	GrantID    string    `json:"g"`
	Generation int       `json:"n,omitempty"`
	ClientID   string    `json:"c"`
	Subject    string    `json:"u"`
	Stamp      string    `json:"p,omitempty"`
	SID        string    `json:"i,omitempty"`
	Scope      []string  `json:"s,omitempty"`
	Resource   string    `json:"r,omitempty"` // named in a request
	AuthTime   time.Time `json:"a,omitzero"`
	ACR        string    `json:"l,omitempty"`
	AMR        []string  `json:"m,omitempty"`
	Issued     time.Time `json:"t"` // of the family
	Expires    time.Time `json:"e"` // of the family; use never extends it

	Claims *requestedClaims `json:"q,omitempty"`
}

// Contexts of the seal tell the two layouts apart.
var (
	refreshJSON   = []byte("json")
	refreshBinary = []byte("binary")
)

// sealRefresh makes the string that the client keeps, short for clients of the binary format (R10).
func (s *Server) sealRefresh(ctx context.Context, c *client, t *refreshToken) (string, error) {
	if c.TokenFormat == FormatBinary {
		return s.sealBinaryRefresh(ctx, t)
	}
	plain, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("refresh token: %w", err)
	}
	return s.run.refresh.Seal(plain, refreshJSON), nil
}

// openRefresh reads a refresh token: invalid_grant for what is none of ours, temporarily_unavailable
// where that can't be told.
func (s *Server) openRefresh(ctx context.Context, raw string) (*refreshToken, error) {
	plain, err := s.run.refresh.Open(raw, refreshJSON)
	if err != nil {
		return s.openBinaryRefresh(ctx, raw)
	}
	t := new(refreshToken)
	if err := json.Unmarshal(plain, t); err != nil {
		return nil, errRefresh.Because(err)
	}
	return t, nil
}

func (s *Server) sealBinaryRefresh(ctx context.Context, t *refreshToken) (string, error) {
	number, err := s.run.terms.number(ctx, terms{ClientID: t.ClientID, Resource: t.Resource, Scope: t.Scope, ACR: t.ACR, AMR: t.AMR, Claims: t.Claims})
	if err != nil {
		return "", err
	}
	w := newBinaryWriter()
	w.id(t.GrantID)
	w.number(uint64(max(0, t.Generation))) // #nosec G115 -- not negative
	w.number(number)
	w.time(t.AuthTime)
	w.time(t.Issued)
	w.time(t.Expires)
	w.text(t.Subject)
	w.text(t.Stamp)
	w.text(t.SID)
	return s.run.refresh.Seal(w.buf, refreshBinary), w.err
}

func (s *Server) openBinaryRefresh(ctx context.Context, raw string) (*refreshToken, error) {
	plain, err := s.run.refresh.Open(raw, refreshBinary)
	if err != nil {
		return nil, errRefresh.Because(err)
	}
	r := newBinaryReader(plain)
	t := &refreshToken{GrantID: r.id(), Generation: int(r.number() & maxGeneration)} // #nosec G115 -- bounded
	number := r.number()
	t.AuthTime, t.Issued, t.Expires = r.time(), r.time(), r.time()
	t.Subject, t.Stamp, t.SID = r.text(), r.text(), r.text()
	if r.err != nil {
		return nil, errRefresh.Because(r.err)
	}
	terms, err := s.run.terms.get(ctx, number)
	if err != nil {
		return nil, err
	}
	t.ClientID, t.Resource, t.Scope, t.ACR, t.AMR, t.Claims = terms.ClientID, terms.Resource, terms.Scope, terms.ACR, terms.AMR, terms.Claims
	return t, nil
}

// maxGeneration keeps a generation within an int on every machine.
const maxGeneration = 1<<31 - 1

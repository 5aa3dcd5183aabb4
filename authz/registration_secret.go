package authz

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
)

// This file makes the secrets of registered clients, and new ones (C15).

const (
	// secretOverlap is how long the former secret is taken where a request says nothing.
	secretOverlap = 24 * time.Hour
	// maxSecretOverlap is the most it can be asked for.
	maxSecretOverlap = 30 * 24 * time.Hour
)

// newClientSecret makes a secret. It is long enough to sign by every algorithm (RFC 7518 §3.2), also for a client
// that only sends it: one day it may register to sign.
func (s *Server) newClientSecret(rec *registration) string {
	secret := oauth.NewSecret() + oauth.NewSecret()
	rec.SecretHash = oauth.Fingerprint(secret)
	rec.SealedSecret = s.run.secrets.Seal([]byte(secret), []byte(rec.ID))
	return secret
}

// openClientSecret returns the secret that was sealed for a client, "" for none.
func (s *Server) openClientSecret(id, sealed string) (string, error) {
	if sealed == "" {
		return "", nil
	}
	secret, err := s.run.secrets.Open(sealed, []byte(id))
	if err != nil {
		return "", fmt.Errorf("secret of client %s: %w", id, err)
	}
	return string(secret), nil
}

// renewSecret replaces a client's secret. The one before is taken for "overlap" seconds more, a day where
// nothing is said (C15).
func (s *Server) renewSecret(r *http.Request) (any, error) {
	rec, who, err := s.managed(r)
	if err != nil {
		return nil, err
	}
	overlap, err := readOverlap(r)
	if err != nil {
		return nil, err
	}
	if rec.SecretHash == "" {
		return nil, invalidMetadata(errors.New("the client has no secret"))
	}
	rec.FormerHash, rec.FormerSealed, rec.FormerUntil = rec.SecretHash, rec.SealedSecret, s.now().Add(overlap)
	secret := s.newClientSecret(rec)
	if err := s.replaceClient(r.Context(), rec); err != nil {
		return nil, err
	}
	s.observe(r, Event{Name: "client_secret_renewed", ClientID: rec.ID, Subject: who.subject, Address: s.clientIP(r)})
	return s.information(rec, secret, who.raw), nil
}

func readOverlap(r *http.Request) (time.Duration, error) {
	if r.ContentLength == 0 {
		return secretOverlap, nil
	}
	request := struct {
		Overlap *int64 `json:"overlap"`
	}{}
	if err := readObject(r, &request); err != nil {
		return 0, err
	}
	switch {
	case request.Overlap == nil:
		return secretOverlap, nil
	case *request.Overlap < 0 || *request.Overlap > int64(maxSecretOverlap/time.Second):
		return 0, invalidMetadata(fmt.Errorf("overlap has 0 to %d seconds", maxSecretOverlap/time.Second))
	}
	return time.Duration(*request.Overlap) * time.Second, nil
}

package authz

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/token"
)

const (
	// minRotate keeps rotation apart from token.PublishAhead, and a slip of the unit (30s for 30d)
	// from filling the JWKS.
	minRotate = time.Hour
	// serverKeysKept is for how many rotations a key of "server_key" stays (R7): its kid is one of
	// eleven.
	serverKeysKept = 10
)

// check looks at what doesn't depend on the lifetimes of clients.
func (s *Signing) check() error {
	var errs []error
	for _, alg := range s.Algorithms {
		if err := token.CheckSignature(alg); err != nil {
			errs = append(errs, err)
		}
	}
	kids := make(map[string]bool)
	for _, key := range s.Keys {
		if kids[key.KeyID()] {
			errs = append(errs, errors.New("key: two are the same key; each algorithm needs its own (RFC 8725 §3.1)"))
		}
		kids[key.KeyID()] = true
	}
	for _, alg := range []jose.SignatureAlgorithm{s.IDToken, s.AccessToken} {
		if !slices.Contains(s.Algorithms, alg) {
			errs = append(errs, fmt.Errorf("algorithm lists no %s", alg))
		}
	}
	if s.Rotate != 0 && s.Rotate < minRotate {
		errs = append(errs, fmt.Errorf("rotate: at least %s", minRotate))
	}
	return errors.Join(errs...)
}

// planKeys is what the configuration wants of the keys. A key stays as long as anything lives that it
// may have signed, so it fails when that is longer than overlap, or than encryption keys can stay.
func (s *Server) planKeys() (token.Plan, error) {
	signing := &s.cfg.Signing
	needed := s.longestSigned() + token.PublishAhead
	overlap := signing.Overlap
	if overlap == 0 {
		overlap = needed
	}
	if overlap < needed {
		return token.Plan{}, fmt.Errorf(
			"signing: overlap: at least %s, which is the longest life of a token and %s for caches of the old keys", needed, token.PublishAhead)
	}
	if longest := serverKeysKept*signing.Rotate - token.PublishAhead; signing.Rotate != 0 && overlap > longest {
		return token.Plan{}, fmt.Errorf(
			"signing: rotate: an encryption key stays for %d rotations, at this pace %s, but overlap or the longest life of a token asks for %s",
			serverKeysKept, longest, overlap)
	}
	return token.Plan{Algorithms: signing.Algorithms, Files: signing.Keys, Interval: signing.Rotate, Overlap: overlap}, nil
}

// longestSigned is the longest that anything lives which the server signs. Refresh tokens, codes and
// cookies are sealed under the master secret, which is never rotated.
func (s *Server) longestSigned() time.Duration {
	longest := max(s.cfg.Lifetimes.AccessToken, s.cfg.Lifetimes.IDToken)
	for _, c := range s.clients {
		longest = max(longest, c.Lifetimes.AccessToken, c.Lifetimes.IDToken)
	}
	return longest
}

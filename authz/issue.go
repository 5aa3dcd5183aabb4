package authz

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/token"
)

// tokenResponse is RFC 6749 §5.1. The scope is always named (S8).
type tokenResponse struct {
	AccessToken  string `json:"access_token,omitempty"`
	TokenType    string `json:"token_type,omitempty"`
	ExpiresIn    int64  `json:"expires_in,omitempty"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope"`
}

// issue is the one mint: it turns the Authorization of any grant into tokens. What can't be made as
// configured is not made at all (A16).
func (s *Server) issue(ctx context.Context, a *Authorization) (*tokenResponse, error) {
	now := s.now()
	if !a.until.IsZero() && a.until.Sub(now) < time.Second {
		return nil, oauth.Errorf(oauth.InvalidGrant, "the grant ends now") // times in tokens have whole seconds
	}
	response := &tokenResponse{Scope: oauth.FormatScope(a.scope)}
	if s.mayHave(a.client, AccessTokenType) {
		access, expires, err := s.mintAccessToken(ctx, a, now)
		if err != nil {
			return nil, fmt.Errorf("access token for %s: %w", a.resource.Name, err)
		}
		response.AccessToken, response.TokenType = access, "Bearer"
		response.ExpiresIn = int64(expires.Sub(now).Seconds())
	}
	if a.user != nil && slices.Contains(a.scope, ScopeOpenID) && s.mayHave(a.client, IDTokenType) {
		id, err := s.mintIDToken(ctx, a, now, idTokenParts{accessToken: response.AccessToken})
		if err != nil {
			return nil, fmt.Errorf("ID token: %w", err)
		}
		response.IDToken = id
	}
	if a.commit != nil {
		refresh, err := a.commit(ctx)
		if err != nil {
			return nil, err
		}
		if refresh != nil {
			if response.RefreshToken, err = s.sealRefresh(ctx, a.client, refresh); err != nil {
				return nil, err
			}
		}
	}
	if s.revokedSince(a) {
		return nil, oauth.Errorf(oauth.InvalidGrant, "the grant was revoked").Because(errRevoked)
	}
	return response, nil
}

// revokedSince tells whether what a person or a client has was revoked while the tokens for it were made
// (A78).
func (s *Server) revokedSince(a *Authorization) bool {
	return s.run.feed.Revoked(revocation.Subject{User: a.subject(), Client: a.client.ID, IssuedAt: a.asked})
}

// mintAccessToken signs (RFC 9068), then encrypts as the resource server wants it (R3).
func (s *Server) mintAccessToken(ctx context.Context, a *Authorization, now time.Time) (raw string, expires time.Time, err error) {
	expires = bounded(now.Add(a.client.Lifetimes.AccessToken), a.until)
	if a.format == FormatBinary {
		raw, err = s.mintBinary(ctx, a, now, expires)
		return raw, expires, err
	}
	extra := s.claimsOf(a.scope, a.user, inAccessToken)
	claims := token.AccessToken{
		Issuer:       s.cfg.Issuer,
		Subject:      s.tokenSubject(a),
		ClientID:     a.client.ID,
		ID:           oauth.NewID(),
		GrantID:      a.grantID,
		Audience:     []string{a.resource.audience},
		Scope:        a.scope,
		ScopeAsArray: a.resource.ScopeAsArray,
		IssuedAt:     now,
		ExpiresAt:    expires,
		AuthTime:     a.authTime,
		ACR:          a.acr,
		AMR:          a.amr,
		Actors:       a.actors,
		Extra:        extra,
	}
	if a.bound {
		claims.SessionID = a.sid
	}
	if roles, ok := extra[claimRoles].([]string); ok {
		claims.Roles = roles
	}
	maps.Copy(extra, s.sealPrivate(s.privateOf(a), claims.ID))
	payload, err := claims.Marshal()
	if err != nil {
		return "", expires, err
	}
	signed, err := s.run.keys().Sign(a.resource.Signed, token.TypeAccessToken, payload)
	if err != nil {
		return "", expires, err
	}
	raw, err = s.encrypt(ctx, a.resource, signed, now)
	return raw, expires, err
}

func (s *Server) encrypt(ctx context.Context, r *resource, signed string, now time.Time) (string, error) {
	switch r.Encryption {
	case EncryptionNone:
		return signed, nil
	case EncryptionResourceKey:
		encrypter, err := r.keys.get(ctx)
		if err != nil {
			return "", err
		}
		return encrypter.Encrypt(signed, now, s.run.owner)
	default:
		return s.run.keys().Encrypt(signed)
	}
}

// idTokenParts is what comes along with an ID token, which it vouches for by hashes (OpenID Connect
// Core §3.3.2.11; s_hash is of FAPI).
type idTokenParts struct {
	accessToken, code, state string
	allClaims                bool
}

// mintIDToken makes an ID token (OpenID Connect Core §2, §3.1.3.6).
func (s *Server) mintIDToken(ctx context.Context, a *Authorization, now time.Time, parts idTokenParts) (string, error) {
	placed := inIDToken
	if parts.allClaims {
		placed = insteadOfUserInfo
	}
	claims := s.claimsOf(a.scope, a.user, placed)
	s.addRequested(claims, a.client, a.user, a.claims.idToken())
	claims["iss"] = s.cfg.Issuer
	claims["sub"] = s.subjectFor(a.client, a.user.Subject)
	claims["aud"] = a.client.ID
	claims["iat"] = now.Unix()
	claims["exp"] = bounded(now.Add(a.client.Lifetimes.IDToken), a.until).Unix()
	if !a.authTime.IsZero() {
		claims["auth_time"] = a.authTime.Unix()
	}
	if a.acr != "" {
		claims["acr"], claims["amr"] = a.acr, a.amr
	}
	if a.sid != "" {
		claims["sid"] = a.sid
	}
	if a.nonce != "" {
		claims["nonce"] = a.nonce
	}
	for name, part := range map[string]string{"at_hash": parts.accessToken, "c_hash": parts.code, "s_hash": parts.state} {
		if part != "" {
			claims[name] = halfHash(a.client.IDTokenAlg, part)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := s.signIDToken(a.client, payload)
	if err != nil || a.client.keys == nil {
		return signed, err
	}
	encrypter, err := a.client.keys.get(ctx)
	if err != nil {
		return "", err
	}
	return encrypter.Encrypt(signed, now, nil)
}

func (s *Server) signIDToken(c *client, payload []byte) (string, error) {
	if c.IDTokenAlg != AlgNone {
		return s.run.keys().Sign(c.IDTokenAlg, "JWT", payload)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(payload) + ".", nil // RFC 7519 §6
}

// halfHash is at_hash, c_hash and s_hash: the left half of the hash that goes with the signature algorithm
// (OpenID Connect Core §3.1.3.6). EdDSA on Ed25519 goes with SHA-512.
func halfHash(alg jose.SignatureAlgorithm, value string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(string(alg), "384"):
		full := sha512.Sum384([]byte(value))
		sum = full[:24]
	case strings.HasSuffix(string(alg), "512"), alg == jose.EdDSA:
		full := sha512.Sum512([]byte(value))
		sum = full[:32]
	default:
		full := sha256.Sum256([]byte(value))
		sum = full[:16]
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// bounded is the earlier of two times; a zero bound is none.
func bounded(t, until time.Time) time.Time {
	if !until.IsZero() && until.Before(t) {
		return until
	}
	return t
}

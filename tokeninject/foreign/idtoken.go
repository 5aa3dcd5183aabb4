package foreign

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/token"
)

// idTokenLeeway is how far the issuer's clock and ours may differ.
const idTokenLeeway = 30 * time.Second

// idToken is an ID token that was checked.
type idToken struct {
	claims   map[string]any
	subject  string
	session  string // sid
	authTime time.Time
}

var (
	errIDTokenClaims = errors.New("the ID token lacks iss, sub, aud, exp or iat, or has them wrong")
	errIDTokenIssuer = errors.New("the ID token is of another issuer")
	errIDTokenClient = errors.New("the ID token is for another client")
	errIDTokenTime   = errors.New("the ID token has expired, or is of the future")
	errIDTokenHash   = errors.New("the ID token came with another access token")
)

// idToken checks an ID token as OpenID Connect Core §3.1.3.7 says. An access token is none: its typ is
// another one (A6).
func (i *Issuer) idToken(ctx context.Context, raw, clientID, access string) (*idToken, error) {
	payload, _, err := i.verify(ctx, raw, "JWT", "")
	if err != nil {
		return nil, fmt.Errorf("ID token: %w", err)
	}
	claims, err := token.Claims(payload)
	if err != nil {
		return nil, fmt.Errorf("ID token: %w", err)
	}
	id := &idToken{claims: claims}
	expires, hasEnd := date(claims["exp"])
	issued, hasBeginning := date(claims["iat"])
	id.subject, _ = claims["sub"].(string)
	id.session, _ = claims["sid"].(string)
	now := i.cfg.Now()
	switch {
	case id.subject == "" || !hasEnd || !hasBeginning:
		return nil, errIDTokenClaims
	case claims["iss"] != i.cfg.URL:
		return nil, errIDTokenIssuer
	case !ofClient(claims, clientID):
		return nil, errIDTokenClient
	case !now.Before(expires.Add(idTokenLeeway)), issued.After(now.Add(idTokenLeeway)):
		return nil, errIDTokenTime
	case claims["at_hash"] != nil && claims["at_hash"] != accessHash(raw, access):
		return nil, errIDTokenHash
	}
	if id.authTime, hasBeginning = date(claims["auth_time"]); !hasBeginning {
		id.authTime = issued
	}
	return id, nil
}

// ofClient wants the client among the audiences, and where there are others, named as azp.
func ofClient(claims map[string]any, clientID string) bool {
	if !holds(claims["aud"], clientID) {
		return false
	}
	azp, named := claims["azp"]
	if list, ok := claims["aud"].([]any); ok && len(list) > 1 && !named {
		return false
	}
	return !named || azp == clientID
}

// accessHash is at_hash (OpenID Connect Core §3.1.3.6). The ID token's signature is good already, so its
// header is believed.
func accessHash(idToken, access string) string {
	head, _, _ := strings.Cut(idToken, ".")
	text, _ := base64.RawURLEncoding.DecodeString(head)
	var header struct {
		Algorithm jose.SignatureAlgorithm `json:"alg"`
	}
	_ = json.Unmarshal(text, &header)
	var sum []byte
	switch {
	case strings.HasSuffix(string(header.Algorithm), "384"):
		full := sha512.Sum384([]byte(access))
		sum = full[:]
	case strings.HasSuffix(string(header.Algorithm), "512"), header.Algorithm == jose.EdDSA:
		full := sha512.Sum512([]byte(access))
		sum = full[:]
	default:
		full := sha256.Sum256([]byte(access))
		sum = full[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// date reads a NumericDate (RFC 7519 §2).
func date(claim any) (time.Time, bool) {
	number, ok := claim.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

package token

import (
	"crypto"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxKeys is the most keys a JWKS may have.
const maxKeys = 64

// jwk is one key of a JWKS. broken is why it can't be used at all.
type jwk struct {
	jose.JSONWebKey
	broken error
	// secret is a key that has private or symmetric parts (RFC 7518 §6).
	secret bool
	// expires is the earlier of the exp member and the end of the certificate;
	// zero for never.
	expires time.Time
}

// parseJWKS reads a JWK Set (RFC 7517 §5) of at most MaxSize bytes. A key that
// can't be read, for being of an unknown type or broken, is only marked: it
// must not take the others down.
func parseJWKS(doc []byte) ([]jwk, error) {
	if _, err := Claims(doc); err != nil {
		return nil, fmt.Errorf("JWKS: %w", err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(doc, &set); err != nil {
		return nil, refuse(ErrMalformed, "JWKS has no array of keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, refuse(ErrMalformed, "JWKS has too many keys")
	}
	keys := make([]jwk, len(set.Keys))
	for i, raw := range set.Keys {
		keys[i] = parseJWK(raw)
	}
	return keys, nil
}

func parseJWK(raw []byte) jwk {
	members, err := Claims(raw)
	if err != nil {
		return jwk{broken: err}
	}
	var k jwk
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "priv"} {
		if _, has := members[name]; has {
			k.secret = true
		}
	}
	if members["kty"] == "OKP" && members["crv"] == curveX25519 {
		k.broken = k.readX25519(members)
	} else if err := k.UnmarshalJSON(raw); err != nil {
		// Its text stays out: it may quote what is private.
		k.broken = refuse(ErrKey, "is of an unknown type or broken")
	}
	if k.broken != nil {
		return k
	}
	if len(k.Certificates) > 0 {
		k.expires = k.Certificates[0].NotAfter
	}
	if exp, has := members["exp"]; has {
		number, _ := exp.(json.Number)
		end, err := numericDate(number)
		if err != nil {
			k.broken = refuse(ErrKey, "has an exp that is no date")
		}
		if k.expires.IsZero() || end.Before(k.expires) {
			k.expires = end
		}
	}
	return k
}

// thumbprint is the kid of a key of ours: the whole SHA-256 JWK thumbprint
// (RFC 7638 §3), so it says nothing new and no two keys share it.
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	return encoding.EncodeToString(sum), nil
}

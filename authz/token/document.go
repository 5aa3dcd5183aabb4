package token

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// documentVersion is the version of the stored form of Keys. Another one is
// refused: guessing at secrets is worse than not starting.
const documentVersion = 1

type document struct {
	Version int           `json:"version"`
	Signing []documentKey `json:"signing"`
	// Server has the keys of "server_key", as JWK of type oct; the last encrypts.
	Server []jose.JSONWebKey `json:"server"`
	Master string            `json:"master"` // base64url
}

type documentKey struct {
	// Key is private, or public for a key that is imported from a file.
	Key      jose.JSONWebKey `json:"key"`
	Since    int64           `json:"since"` // Unix seconds
	Imported bool            `json:"imported,omitempty"`
}

// Marshal writes the keys as the JSON document that ParseKeys reads. It holds
// every secret of the issuer in the clear, imported private keys excepted.
func (k *Keys) Marshal() ([]byte, error) {
	doc := document{Version: documentVersion, Master: encoding.EncodeToString(k.master)}
	for _, key := range k.signing {
		jwk := key.publicJWK()
		if key.private != nil && !key.imported {
			jwk.Key = key.private
		}
		doc.Signing = append(doc.Signing, documentKey{Key: jwk, Since: key.since.Unix(), Imported: key.imported})
	}
	for _, key := range k.server {
		doc.Server = append(doc.Server, jose.JSONWebKey{Key: key.secret, KeyID: key.kid, Algorithm: string(serverKeyAlgorithm), Use: "enc"})
	}
	out, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("marshal keys: %w", err)
	}
	return out, nil
}

// ParseKeys reads what Marshal wrote and checks every key in it. ErrMalformed
// for a document of another shape or version, ErrKey for a key that is unsound.
func ParseKeys(stored []byte) (*Keys, error) {
	doc, err := parseDocument(stored)
	if err != nil {
		return nil, err
	}
	k := &Keys{}
	if k.master, err = decode(doc.Master); err != nil {
		return nil, err
	}
	for _, stored := range doc.Signing {
		key, err := stored.signingKey()
		if err != nil {
			return nil, err
		}
		k.signing = append(k.signing, key)
	}
	for _, jwk := range doc.Server {
		secret, _ := jwk.Key.([]byte)
		key, err := newServerKey(jwk.KeyID, secret)
		if err != nil {
			return nil, err
		}
		k.server = append(k.server, key)
	}
	return k.freeze()
}

// parseDocument never wraps the decoder's own error, which may quote a secret.
func parseDocument(stored []byte) (*document, error) {
	if _, err := Claims(stored); err != nil {
		return nil, fmt.Errorf("stored keys: %w", err)
	}
	doc := &document{}
	decoder := json.NewDecoder(bytes.NewReader(stored))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(doc); err != nil {
		return nil, refuse(ErrMalformed, "stored keys are not as they were written")
	}
	if doc.Version != documentVersion {
		return nil, refuse(ErrMalformed, fmt.Sprintf("stored keys have version %d, want %d", doc.Version, documentVersion))
	}
	return doc, nil
}

func (d documentKey) signingKey() (*signingKey, error) {
	a, err := algorithmOf(jose.SignatureAlgorithm(d.Key.Algorithm))
	if err != nil {
		return nil, err
	}
	since := time.Unix(d.Since, 0)
	var key *signingKey
	if private, ok := d.Key.Key.(crypto.Signer); ok {
		key, err = newSigningKey(a, private, since)
	} else {
		key, err = newPublishedKey(a, d.Key.Public().Key, since)
	}
	if err != nil {
		return nil, err
	}
	if key.kid != d.Key.KeyID {
		return nil, refuse(ErrKey, "stored key has another kid than its thumbprint")
	}
	key.chain, key.imported = d.Key.Certificates, d.Imported
	return key, nil
}

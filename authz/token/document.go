package token

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
)

// documentVersion is the version of the stored form of Keys. Another one is
// refused: guessing at secrets is worse than not starting.
const documentVersion = 1

// maxDocument bounds in bytes what is taken for stored keys: many times what
// every algorithm and the longest overlap come to.
const maxDocument = 1 << 20

type document struct {
	Version int           `json:"version"`
	Signing []documentKey `json:"signing"`
	// Server has the keys of "server_key", as JWK of type oct, in the order in
	// which they encrypt.
	Server []jose.JSONWebKey `json:"server"`
	// ServerTimes says by kid when they do.
	ServerTimes map[string]documentTimes `json:"server_times,omitempty"`
	Interval    int64                    `json:"interval,omitempty"` // seconds
	Master      string                   `json:"master"`             // base64url
}

type documentKey struct {
	// Key is private, or public for a key that is imported from a file or is
	// only published any more.
	Key jose.JSONWebKey `json:"key"`
	documentTimes
	Imported bool `json:"imported,omitempty"`
}

// documentTimes are keyTimes.
type documentTimes struct {
	Since int64 `json:"since"`           // Unix seconds
	Until int64 `json:"until,omitempty"` // Unix seconds
	Keep  int64 `json:"keep,omitempty"`  // seconds
}

func (t keyTimes) storedTimes() documentTimes {
	times := documentTimes{Since: t.since.Unix(), Keep: int64(t.keep / time.Second)}
	if !t.until.IsZero() {
		times.Until = t.until.Unix()
	}
	return times
}

func (t documentTimes) keyTimes() keyTimes {
	times := keyTimes{since: time.Unix(t.Since, 0).UTC(), keep: time.Duration(t.Keep) * time.Second}
	if t.Until != 0 {
		times.until = time.Unix(t.Until, 0).UTC()
	}
	return times
}

// Marshal writes the keys as the JSON document that ParseKeys reads. It holds
// every secret of the issuer in the clear, imported private keys excepted.
func (k *Keys) Marshal() ([]byte, error) {
	doc := document{
		Version: documentVersion, Master: encoding.EncodeToString(k.master), Interval: int64(k.interval / time.Second),
		ServerTimes: make(map[string]documentTimes, len(k.server)),
	}
	for _, key := range k.signing {
		jwk := key.publicJWK()
		if key.private != nil && !key.imported {
			jwk.Key = key.private
		}
		doc.Signing = append(doc.Signing, documentKey{Key: jwk, documentTimes: key.storedTimes(), Imported: key.imported})
	}
	for _, key := range k.server {
		doc.Server = append(doc.Server, jose.JSONWebKey{Key: key.secret, KeyID: key.kid, Algorithm: string(serverKeyAlgorithm), Use: "enc"})
		doc.ServerTimes[key.kid] = key.storedTimes()
	}
	out, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("marshal keys: %w", err)
	}
	return out, nil
}

// ParseKeys reads what Marshal wrote and checks every key in it. ErrMalformed
// for a document of another shape or version, ErrKey for a key that is unsound.
// The keys are as of before any began, so that the first of each algorithm
// signs, until At or a Plan says what time it is.
func ParseKeys(stored []byte) (*Keys, error) {
	doc, err := parseDocument(stored)
	if err != nil {
		return nil, err
	}
	k := &Keys{interval: time.Duration(doc.Interval) * time.Second}
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
		key.keyTimes = doc.ServerTimes[key.kid].keyTimes()
		k.server = append(k.server, key)
	}
	return k.freeze(time.Time{})
}

// parseDocument never wraps the decoder's own error, which may quote a secret.
func parseDocument(stored []byte) (*document, error) {
	if len(stored) > maxDocument || !utf8.Valid(stored) {
		return nil, refuse(ErrMalformed, "stored keys are too large or not valid UTF-8")
	}
	p := &parser{text: string(stored)}
	if err := p.document(func(string) error { _, err := p.value(); return err }); err != nil {
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
	var key *signingKey
	if private, ok := d.Key.Key.(crypto.Signer); ok {
		key, err = newSigningKey(a, private)
	} else {
		key, err = newPublishedKey(a, d.Key.Public().Key)
	}
	if err != nil {
		return nil, err
	}
	if key.kid != d.Key.KeyID {
		return nil, refuse(ErrKey, "stored key has another kid than its thumbprint")
	}
	key.keyTimes = d.keyTimes()
	key.chain, key.imported = d.Key.Certificates, d.Imported
	return key, nil
}

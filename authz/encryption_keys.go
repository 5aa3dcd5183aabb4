package authz

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/token"
)

// encryptionDocument is the name under which the keys are kept that clients encrypt to. They are apart
// from the keys that make tokens: nothing that they open is good for longer than one login, so they
// are made once and not rotated.
const encryptionDocument = "encryption.json"

// encryptionKeys open what clients encrypt to the server (OpenID Connect Core §6.1): one RSA and one EC
// key, which between them serve every algorithm of token.KeyAlgorithms.
type encryptionKeys struct {
	decrypter *token.Decrypter
	public    []jose.JSONWebKey
}

// loadEncryptionKeys reads the keys, and makes them where there are none. A lock keeps the nodes of a
// cluster apart, so that they agree on one set.
func loadEncryptionKeys(ctx context.Context, store KeyStore) (*encryptionKeys, error) {
	document, err := store.Load(ctx, encryptionDocument)
	if errors.Is(err, fs.ErrNotExist) {
		document, err = makeEncryptionKeys(ctx, store)
	}
	if err != nil {
		return nil, err
	}
	return parseEncryptionKeys(document)
}

func parseEncryptionKeys(document []byte) (*encryptionKeys, error) {
	keys := new(encryptionKeys)
	var err error
	if keys.decrypter, err = token.NewDecrypter(document); err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, errors.New("not as it was written") // the decoder's own error may quote a secret
	}
	for _, key := range set.Keys {
		keys.public = append(keys.public, key.Public())
	}
	return keys, nil
}

func makeEncryptionKeys(ctx context.Context, store KeyStore) ([]byte, error) {
	if err := store.Lock(ctx, encryptionDocument); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	defer func() { _ = store.Unlock(context.WithoutCancel(ctx), encryptionDocument) }()
	document, err := store.Load(ctx, encryptionDocument)
	if !errors.Is(err, fs.ErrNotExist) {
		return document, err // another node was first, or nobody can tell
	}
	if document, err = generateEncryptionKeys(); err != nil {
		return nil, err
	}
	if err := store.Save(ctx, encryptionDocument, document); err != nil {
		return nil, fmt.Errorf("save: %w", err)
	}
	return document, nil
}

func generateEncryptionKeys() ([]byte, error) {
	const bits = 2048
	forRSA, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, err
	}
	forECDH, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	for _, private := range []crypto.Signer{forRSA, forECDH} {
		key := jose.JSONWebKey{Key: private, Use: "enc"}
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, err
		}
		key.KeyID = base64.RawURLEncoding.EncodeToString(sum)
		set.Keys = append(set.Keys, key)
	}
	return json.Marshal(set)
}

// publish adds the public keys to a JWKS document of those that verify signatures.
func (k *encryptionKeys) publish(signing []byte) ([]byte, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(signing, &set); err != nil {
		return nil, err
	}
	for _, key := range k.public {
		text, err := key.MarshalJSON()
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, text)
	}
	return json.Marshal(set)
}

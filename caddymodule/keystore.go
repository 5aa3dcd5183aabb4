package caddymodule

import (
	"context"
	"path"

	"github.com/caddyserver/certmagic"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/oauth"
)

// keyStore keeps an issuer's keys in Caddy's storage, where every node of a cluster finds them.
type keyStore struct {
	storage certmagic.Storage
	folder  string
}

// newKeyStore names the issuer's folder after its URL. A piece of a hash is added since the readable
// form is not unique; nothing of it ever comes from a request.
func newKeyStore(storage certmagic.Storage, issuer string) *keyStore {
	name := certmagic.StorageKeys.Safe(issuer) + "-" + certmagic.StorageKeys.Safe(oauth.Fingerprint(issuer)[:12])
	return &keyStore{storage: storage, folder: path.Join("authz", name)}
}

func (k *keyStore) key(name string) string {
	return path.Join(k.folder, certmagic.StorageKeys.Safe(name))
}

// Load implements authz.KeyStore; certmagic's storages answer fs.ErrNotExist for what is missing.
func (k *keyStore) Load(ctx context.Context, name string) ([]byte, error) {
	return k.storage.Load(ctx, k.key(name))
}

// Save implements authz.KeyStore.
func (k *keyStore) Save(ctx context.Context, name string, document []byte) error {
	return k.storage.Store(ctx, k.key(name), document)
}

// Lock implements authz.KeyStore.
func (k *keyStore) Lock(ctx context.Context, name string) error {
	return k.storage.Lock(ctx, k.key(name))
}

// Unlock implements authz.KeyStore.
func (k *keyStore) Unlock(ctx context.Context, name string) error {
	return k.storage.Unlock(ctx, k.key(name))
}

// Interface guard.
var _ authz.KeyStore = (*keyStore)(nil)

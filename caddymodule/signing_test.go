package caddymodule

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users/static"
)

// newKeyFile writes a new Ed25519 key as PEM.
func newKeyFile(t *testing.T, name string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return writeFile(t, name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, content, 0o600))
	return file
}

func TestG12_SigningReadsKeyFiles(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	content, err := pkcs12.Modern.Encode(key, certificate, nil, "open sesame")
	require.NoError(t, err)
	p12, pemFile := writeFile(t, "key.p12", content), newKeyFile(t, "key.pem")

	signing, err := (&Signing{
		Keys:   []SigningKey{{File: pemFile}, {File: p12, Algorithm: "EdDSA", Password: "open sesame"}},
		Rotate: caddy.Duration(time.Hour), Overlap: caddy.Duration(2 * time.Hour),
	}).domain()
	require.NoError(t, err)
	require.Len(t, signing.Keys, 2)
	require.Equal(t, jose.EdDSA, signing.Keys[1].Algorithm())
	require.NotEqual(t, signing.Keys[0].KeyID(), signing.Keys[1].KeyID())
	require.Equal(t, time.Hour, signing.Rotate)
	require.Equal(t, 2*time.Hour, signing.Overlap)

	for name, c := range map[string]struct {
		key     SigningKey
		problem string
		kind    error
	}{
		"no file":        {SigningKey{File: pemFile + ".none"}, "key.pem.none", fs.ErrNotExist},
		"wrong password": {SigningKey{File: p12, Password: "close sesame"}, "key.p12", authz.ErrKeyPassword},
		"wrong alg":      {SigningKey{File: pemFile, Algorithm: "RS256"}, "not for RS256", nil},
		"too large":      {SigningKey{File: writeFile(t, "large", make([]byte, maxKeyFile+1))}, "larger than", nil},
		"a folder":       {SigningKey{File: t.TempDir()}, "directory", nil},
	} {
		_, err := (&Signing{Keys: []SigningKey{c.key}}).domain()
		require.ErrorContains(t, err, "signing: key ", name)
		require.ErrorContains(t, err, c.problem, name)
		require.NotContains(t, err.Error(), "sesame", name)
		if c.kind != nil {
			require.ErrorIs(t, err, c.kind, name)
		}
	}
}

func TestG12_SigningIsCheckedAtLoad(t *testing.T) {
	for words, problem := range map[string]string{
		"rotate 30s":                     "signing: rotate: at least 1h",
		"overlap 5m":                     "signing: overlap: at least 20m",
		"rotate 1h\n overlap 1d":         "signing: rotate: an encryption key stays for 10 rotations",
		"key /nowhere/key.pem":           `signing: key "/nowhere/key.pem"`,
		"key {env.GATEWRIGHT_TEST_NONE}": "signing.key.0.file: evaluated placeholder",
		"rotate 30d\n overlap 2d":        "",
	} {
		w := newWorld(t)
		w.block = "signing {\n" + words + "\n}"
		config, err := adapt(w.caddyfile())
		require.NoError(t, err)
		err = validateJSON(config)
		if problem == "" {
			require.NoError(t, err, words)
		} else {
			require.ErrorContains(t, err, problem, words)
		}
	}
}

// published are the kids of the keys that a world's issuer signs with, as its JWKS has them.
func (w *world) published() []string {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, w.issuer+"/jwks.json", nil)
	require.NoError(w.t, err)
	status, _, body, err := answer(w.browser(), r)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, status)
	var set jose.JSONWebKeySet
	require.NoError(w.t, json.Unmarshal([]byte(body), &set))
	var kids []string
	for _, key := range set.Keys {
		if key.Use == "sig" {
			kids = append(kids, key.KeyID)
		}
	}
	return kids
}

func TestG12_KeyFileIsReplacedByReloads(t *testing.T) {
	older, newer := newKeyFile(t, "older.pem"), newKeyFile(t, "newer.pem")
	w := newWorld(t)
	keys := func(lines string) { w.block = "signing {\nalgorithm EdDSA\n" + lines + "}" }
	keys("key " + older + "\n")
	w.start()
	before := w.published()
	require.Len(t, before, 1, "no key is generated beside it")
	token, err := w.robotToken()
	require.NoError(t, err)

	keys("key " + older + "\nkey " + newer + "\n")
	w.reload()
	require.Len(t, w.published(), 2, "the next key is published")
	require.Equal(t, before[0], w.published()[0])

	keys("key " + newer + "\n")
	w.reload()
	require.Len(t, w.published(), 2, "the old key stays for what it signed")
	status, body, err := w.api(w.browser(), token)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "user=robot", body)
}

func (w *world) reload() {
	w.t.Helper()
	config, err := adapt(w.caddyfile())
	require.NoError(w.t, err)
	require.NoError(w.t, loadJSON(config))
}

// countedKeys keeps key documents in memory, and tells how often that of the signing keys was read.
type countedKeys struct {
	authztest.Keys
	loads atomic.Int64
}

func (k *countedKeys) Load(ctx context.Context, name string) ([]byte, error) {
	if name == "keys.json" {
		k.loads.Add(1)
	}
	return k.Keys.Load(ctx, name)
}

func TestG12_KeysAreCaredForUntilAGenerationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nobody, err := static.New(nil)
		require.NoError(t, err)
		keys := new(countedKeys)
		server, err := authz.New(authz.Config{
			Issuer: "https://login.example.com/" + t.Name(), Users: nobody, Keys: keys,
			Signing: authz.Signing{Algorithms: []jose.SignatureAlgorithm{jose.EdDSA}},
		})
		require.NoError(t, err)
		is, err := newIssuer("default", server.Issuer(), new(MemoryStorage), zap.NewNop())
		require.NoError(t, err)
		is.server = server
		require.NoError(t, is.start(t.Context()))
		started := keys.loads.Load()
		<-time.After(10*time.Minute + time.Second)
		synctest.Wait()
		require.Equal(t, started+10, keys.loads.Load())
		is.lease.give()
		<-time.After(time.Hour)
		synctest.Wait()
		require.Equal(t, started+10, keys.loads.Load(), "nobody looks at the document any more")
	})
}

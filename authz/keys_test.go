package authz_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/token"
)

// sharedKeyStore is a KeyStore of several servers, whose parts can be made to fail.
type sharedKeyStore struct {
	lock chan struct{}

	mu       sync.Mutex
	document []byte // of the keys that make tokens
	others   map[string][]byte
	saved    int
	load     error
	save     error
}

// tokenKeys is the document that these tests are about.
const tokenKeys = "keys.json"

func newSharedKeyStore() *sharedKeyStore { return &sharedKeyStore{lock: make(chan struct{}, 1)} }

func (k *sharedKeyStore) Load(_ context.Context, name string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if name != tokenKeys {
		if document, ok := k.others[name]; ok {
			return document, nil
		}
		return nil, fs.ErrNotExist
	}
	if k.document == nil && k.load == nil {
		return nil, fs.ErrNotExist
	}
	return k.document, k.load
}

func (k *sharedKeyStore) Save(_ context.Context, name string, document []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if name != tokenKeys {
		if k.others == nil {
			k.others = make(map[string][]byte)
		}
		k.others[name] = document
		return nil
	}
	if k.save != nil {
		return k.save
	}
	k.document = document
	k.saved++
	return nil
}

func (k *sharedKeyStore) Lock(ctx context.Context, _ string) error {
	select {
	case k.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *sharedKeyStore) Unlock(context.Context, string) error {
	<-k.lock
	return nil
}

// set changes the store between two looks of the servers.
func (k *sharedKeyStore) set(change func(k *sharedKeyStore)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(k)
}

func (k *sharedKeyStore) saves() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.saved
}

// keyNode is one server of a cluster.
type keyNode struct {
	*authz.Server
	t    testing.TB
	logs *observer.ObservedLogs
}

// keyConfig has keys that are quickly made, for tokens that are encrypted to the server.
func keyConfig(keys authz.KeyStore) authz.Config {
	cfg := authztest.Config()
	cfg.Keys = keys
	cfg.Signing = authz.Signing{Algorithms: []jose.SignatureAlgorithm{jose.ES256}, Rotate: 24 * time.Hour}
	cfg.ResourceServers[0].Encryption = authz.EncryptionServerKey
	return cfg
}

func startNode(t testing.TB, cfg authz.Config) *keyNode {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Issuer, cfg.Users, cfg.Logger = "https://login.example.com", people(t), zap.New(core)
	server, err := authz.New(cfg)
	require.NoError(t, err)
	require.NoError(t, server.Start(t.Context(), authztest.NewState(t, cfg.Now)))
	t.Cleanup(server.Stop)
	return &keyNode{Server: server, t: t, logs: logs}
}

func (n *keyNode) ask(method, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://login.example.com"+path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("robot", authztest.Secret)
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return w
}

// mint makes an access token.
func (n *keyNode) mint() string {
	n.t.Helper()
	w := n.ask(http.MethodPost, "/token", url.Values{"grant_type": {"client_credentials"}})
	var answer struct {
		Token string `json:"access_token"`
	}
	if assert.NoError(n.t, json.Unmarshal(w.Body.Bytes(), &answer)) {
		assert.NotEmpty(n.t, answer.Token, w.Body)
	}
	return answer.Token
}

// active tells whether the server takes a token.
func (n *keyNode) active(raw string) bool {
	n.t.Helper()
	w := n.ask(http.MethodPost, "/introspect", url.Values{"token": {raw}})
	var answer struct {
		Active bool `json:"active"`
	}
	assert.NoError(n.t, json.Unmarshal(w.Body.Bytes(), &answer))
	return answer.Active
}

// kids are those of the published keys that make tokens.
func (n *keyNode) kids() []string {
	n.t.Helper()
	w := n.ask(http.MethodGet, "/jwks.json", nil)
	require.Equal(n.t, "public, max-age=300", w.Header().Get("Cache-Control"), "half of token.PublishAhead")
	var kids []string
	for _, key := range parseJWKS(n.t, w.Body.Bytes()).Keys {
		if key.Use == "sig" {
			kids = append(kids, key.KeyID)
		}
	}
	return kids
}

// signer is the kid of what signs now, where tokens are not encrypted.
func (n *keyNode) signer() string {
	n.t.Helper()
	signed, err := jose.ParseSignedCompact(n.mint(), []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(n.t, err)
	return signed.Signatures[0].Header.KeyID
}

func parseJWKS(t testing.TB, document []byte) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(document, &set))
	return set
}

// pass lets time go by in a bubble, and everything be done that is due by then.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestG12_KeysRotateOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := keyConfig(newSharedKeyStore())
		cfg.ResourceServers[0].Encryption = authz.EncryptionNone
		n := startNode(t, cfg)
		began := time.Now()
		published, signed := make(map[string]time.Time), make(map[string]time.Time)
		var alive []string // tokens of the last ten minutes, which is their lifetime
		for time.Since(began) < 49*time.Hour {
			for _, kid := range n.kids() {
				if _, known := published[kid]; !known {
					published[kid] = time.Now()
				}
			}
			require.LessOrEqual(t, len(n.kids()), 2)
			kid := n.signer()
			require.Contains(t, n.kids(), kid)
			if _, known := signed[kid]; !known {
				require.True(t, len(signed) == 0 || time.Since(published[kid]) >= token.PublishAhead, "nobody's cache is without it")
				signed[kid] = time.Now()
			}
			alive = append(alive, n.mint())
			if len(alive) > 9 {
				alive = alive[1:]
			}
			require.True(t, n.active(alive[0]), "a token lives as long as it says, whatever rotates")
			pass(time.Minute)
		}
		require.Len(t, signed, 3)
		require.Len(t, n.kids(), 1, "old keys leave after the overlap")
		times := slices.SortedFunc(maps.Values(signed), time.Time.Compare)
		for i, at := range times[1:] {
			require.WithinDuration(t, times[i].Add(24*time.Hour), at, 2*time.Minute)
		}
	})
}

func TestG12_ServersOverOneStoreConverge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := newSharedKeyStore()
		a := startNode(t, keyConfig(keys))
		pass(25 * time.Second)
		b := startNode(t, keyConfig(keys))
		require.Equal(t, 1, keys.saves())
		for range 25 * 60 {
			ofA, ofB := a.mint(), b.mint()
			for _, raw := range []string{ofA, ofB} {
				require.True(t, a.active(raw))
				_, err := b.OpenToken(t.Context(), raw) // as the gates of a process do
				require.NoError(t, err)
			}
			pass(time.Minute)
		}
		require.Equal(t, a.kids(), b.kids())
		require.Less(t, keys.saves(), 6, "each change is stored once")
	})
}

func TestG12_ServersThatRotateAtOnceAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := newSharedKeyStore()
		nodes := make([]*keyNode, 5)
		for i := range nodes {
			nodes[i] = startNode(t, keyConfig(keys))
		}
		before := nodes[0].kids()
		pass(24*time.Hour - token.PublishAhead + time.Minute)
		require.Len(t, nodes[0].kids(), 2)
		require.Equal(t, before[0], nodes[0].kids()[0])
		for _, n := range nodes {
			require.Equal(t, nodes[0].kids(), n.kids())
			require.Zero(t, n.logs.FilterLevelExact(zap.ErrorLevel).Len())
		}
		require.Equal(t, 2, keys.saves())
	})
}

func TestG12_FaultsOfTheStoreLeaveTheKeys(t *testing.T) {
	fault := errors.New("the disk is full")
	synctest.Test(t, func(t *testing.T) {
		keys := newSharedKeyStore()
		cfg := keyConfig(keys)
		cfg.ResourceServers[0].Encryption = authz.EncryptionNone
		n := startNode(t, cfg)
		first := n.signer()
		keys.set(func(k *sharedKeyStore) { k.save = fault })
		pass(25 * time.Hour)
		require.Equal(t, []string{first}, n.kids(), "what isn't stored is not published")
		require.Equal(t, first, n.signer())
		require.NotZero(t, n.logs.FilterLevelExact(zap.ErrorLevel).Len())
		require.ErrorIs(t, n.RotateKeys(t.Context()), fault)

		keys.set(func(k *sharedKeyStore) { k.save = nil })
		pass(time.Minute)
		require.Len(t, n.kids(), 2)
		require.Equal(t, first, n.signer(), "late, but published ahead all the same")

		keys.set(func(k *sharedKeyStore) { k.load = fault })
		pass(token.PublishAhead + time.Minute)
		require.NotEqual(t, first, n.signer(), "what was published begins without the store")
		require.True(t, n.active(n.mint()))
	})
}

func TestG12_DocumentThatIsReplacedIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, others := newSharedKeyStore(), newSharedKeyStore()
		n := startNode(t, keyConfig(keys))
		startNode(t, keyConfig(others))
		before, raw := n.kids(), n.mint()
		for name, document := range map[string][]byte{"gone": nil, "empty": {}, "another issuer's": others.document, "no document": []byte("{}")} {
			keys.set(func(k *sharedKeyStore) { k.document = document })
			pass(time.Minute)
			require.Equal(t, before, n.kids(), name)
			require.True(t, n.active(raw), name)
			require.Error(t, n.RotateKeys(t.Context()), name)
		}
	})
}

func TestG12_RotationByHandIsPublishedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := keyConfig(newSharedKeyStore())
		cfg.Signing.Rotate = 0
		cfg.ResourceServers[0].Encryption = authz.EncryptionNone
		rotated := 0
		cfg.Observe = func(_ context.Context, e authz.Event) {
			if e.Name == "keys_rotated" {
				rotated++
			}
		}
		n := startNode(t, cfg)
		pass(100 * time.Hour)
		first := n.signer()
		require.Equal(t, []string{first}, n.kids())
		require.NoError(t, n.RotateKeys(t.Context()))
		require.Equal(t, 1, rotated, "O1")
		require.NoError(t, n.RotateKeys(t.Context()), "it is under way")
		require.Len(t, n.kids(), 2)
		pass(token.PublishAhead - time.Minute)
		require.Equal(t, first, n.signer())
		raw := n.mint()
		pass(time.Minute + time.Second)
		require.Equal(t, n.kids()[1], n.signer())
		require.True(t, n.active(raw))
		pass(30 * time.Minute)
		require.Equal(t, []string{n.signer()}, n.kids())
	})
}

func TestR7_ServerKeyTokensOpenAcrossTenRotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := keyConfig(newSharedKeyStore())
		cfg.Signing.Rotate = time.Hour
		cfg.Lifetimes.AccessToken = 10*time.Hour - 2*token.PublishAhead
		n := startNode(t, cfg)
		pass(time.Hour - time.Minute)
		raw := n.mint()
		require.Equal(t, "0", serverKid(t, raw))
		pass(9*time.Hour + 30*time.Minute)
		require.Equal(t, "10", serverKid(t, n.mint()))
		require.True(t, n.active(raw))
		pass(20 * time.Minute)
		require.Equal(t, "10", serverKid(t, n.mint()))
		require.False(t, n.active(raw), "at the end of its life")
		pass(time.Hour)
		require.Equal(t, "0", serverKid(t, n.mint()), "its kid goes round")
		_, err := n.OpenToken(t.Context(), raw)
		require.ErrorIs(t, err, token.ErrDecrypt)
	})
}

// serverKid is the kid of the key that a token is encrypted with.
func serverKid(t *testing.T, raw string) string {
	t.Helper()
	jwe, err := jose.ParseEncryptedCompact(raw, []jose.KeyAlgorithm{jose.A256KW}, []jose.ContentEncryption{jose.A256GCM})
	require.NoError(t, err)
	return jwe.Header.KeyID
}

func TestG12_RotationUnderLoad(t *testing.T) {
	clock := authztest.NewClock()
	cfg := keyConfig(newSharedKeyStore())
	cfg.Now = clock.Now
	cfg.Lifetimes.AccessToken = 24 * time.Hour
	cfg.Signing.Rotate = 0
	n := startNode(t, cfg)
	var stop atomic.Bool
	var load sync.WaitGroup
	minted := make(chan struct{}, 100)
	for range 4 {
		load.Go(func() {
			old := n.mint()
			for !stop.Load() {
				raw := n.mint()
				assert.True(t, n.active(raw))
				assert.True(t, n.active(old))
				select {
				case minted <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 9 {
		require.NoError(t, n.RotateKeys(t.Context()))
		clock.Advance(token.PublishAhead)
		for range 8 {
			<-minted
		}
	}
	stop.Store(true)
	load.Wait()
	require.Len(t, n.kids(), 10)
}

func TestG12_StopEndsTheCare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := newSharedKeyStore()
		n := startNode(t, keyConfig(keys))
		n.Stop()
		n.Stop()
		pass(48 * time.Hour)
		require.Equal(t, 1, keys.saves())
		require.True(t, n.active(n.mint()), "it still answers")

		cfg := keyConfig(keys)
		cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
		idle, err := authz.New(cfg)
		require.NoError(t, err)
		idle.Stop()
		require.Error(t, idle.RotateKeys(t.Context()), "it was never started")
	})
}

func TestG12_FileSignsAndIsPublished(t *testing.T) {
	key, chain := keyWithChain(t)
	content := pemBlock("PRIVATE KEY", pkcs8(t, key))
	for _, certificate := range chain {
		content = append(content, pemBlock("CERTIFICATE", certificate.Raw)...)
	}
	file, err := authz.ReadSigningKey(content, "", "")
	require.NoError(t, err)
	cfg := keyConfig(newSharedKeyStore())
	cfg.Signing = authz.Signing{Algorithms: []jose.SignatureAlgorithm{jose.EdDSA}, Keys: []*token.FileKey{file}, AccessToken: jose.ES256}
	cfg.ResourceServers[0].Encryption = authz.EncryptionNone
	n := startNode(t, cfg)
	require.Equal(t, file.KeyID(), n.signer())
	set := parseJWKS(t, n.ask(http.MethodGet, "/jwks.json", nil).Body.Bytes())
	require.Len(t, set.Keys, 4, "two to verify with, two to encrypt to")
	published := set.Key(file.KeyID())
	require.Len(t, published, 1)
	require.True(t, slices.EqualFunc(chain, published[0].Certificates, (*x509.Certificate).Equal))
	require.Contains(t, n.ask(http.MethodGet, "/.well-known/openid-configuration", nil).Body.String(), `"id_token_signing_alg_values_supported":["EdDSA","ES256"]`)
}

func TestG12_SigningConfigurationIsChecked(t *testing.T) {
	file, err := authz.ReadSigningKey(pkcs8(t, rsaKeys()[0]), jose.RS256, "")
	require.NoError(t, err)
	again, err := authz.ReadSigningKey(pkcs8(t, rsaKeys()[0]), jose.PS256, "")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		edit    func(*authz.Config)
		problem string
	}{
		"nothing":                    {func(*authz.Config) {}, ""},
		"an unknown algorithm":       {func(c *authz.Config) { c.Signing.Algorithms = append(c.Signing.Algorithms, "RS257") }, "RS257"},
		"a key twice":                {func(c *authz.Config) { c.Signing.Keys = []*token.FileKey{file, again} }, "RFC 8725"},
		"30s where 30d was meant":    {func(c *authz.Config) { c.Signing.Rotate = 30 * time.Second }, "rotate: at least 1h"},
		"rotate backwards":           {func(c *authz.Config) { c.Signing.Rotate = -time.Hour }, "rotate: at least 1h"},
		"overlap as long as needed":  {func(c *authz.Config) { c.Signing.Overlap = 20 * time.Minute }, ""},
		"overlap shorter than that":  {func(c *authz.Config) { c.Signing.Overlap = 20*time.Minute - time.Second }, "overlap: at least 20m"},
		"overlap backwards":          {func(c *authz.Config) { c.Signing.Overlap = -time.Hour }, "overlap: at least 20m"},
		"overlap for a client":       {func(c *authz.Config) { c.Signing.Overlap, c.Clients[0].Lifetimes.IDToken = time.Hour, time.Hour }, "overlap: at least 1h10m"},
		"rotate too often for that":  {func(c *authz.Config) { c.Signing.Rotate, c.Signing.Overlap = time.Hour, 10*time.Hour }, "rotate: an encryption key stays for 10 rotations"},
		"rotate too often by itself": {func(c *authz.Config) { c.Lifetimes.AccessToken = 11 * 24 * time.Hour }, "rotate: an encryption key stays for 10 rotations"},
		"overlap without rotate":     {func(c *authz.Config) { c.Signing.Rotate, c.Signing.Overlap = 0, 365*24*time.Hour }, ""},
	} {
		cfg := keyConfig(newSharedKeyStore())
		cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
		c.edit(&cfg)
		_, err := authz.New(cfg)
		if c.problem == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, c.problem, name)
		}
	}
}

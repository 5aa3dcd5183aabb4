package token

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// certificate is a self-signed one that ends an hour after testNow.
func certificate(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"},
		NotBefore: testNow, NotAfter: testNow.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}

func newEd25519(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

func fileKey(t *testing.T, alg jose.SignatureAlgorithm, private crypto.Signer, chain ...*x509.Certificate) *FileKey {
	t.Helper()
	file, err := NewFileKey(alg, private, chain)
	require.NoError(t, err)
	return file
}

// kid is the key that signs.
func (l *life) kid(alg jose.SignatureAlgorithm) string {
	l.t.Helper()
	require.NotNil(l.t, l.keys.signers[alg])
	return l.keys.signers[alg].kid
}

func TestG12_FileSignsAndStaysOutOfStorage(t *testing.T) {
	private := newEd25519(t)
	plan := testPlan(jose.ES256, jose.EdDSA)
	plan.Files = []*FileKey{fileKey(t, "", private, certificate(t, private))}
	l := newLife(t, plan)
	raw := l.sign(jose.EdDSA)
	require.Equal(t, 2, l.published(), "none is generated beside it")
	require.Contains(t, string(l.keys.JWKS()), `"x5c":["`)

	doc, err := l.keys.Marshal()
	require.NoError(t, err)
	require.NotContains(t, string(doc), b64(string(private.Seed())))
	stored, err := ParseKeys(doc)
	require.NoError(t, err)
	require.Equal(t, l.keys.JWKS(), stored.JWKS(), "still published")
	_, err = stored.Verifier().Verify(raw, "JWT")
	require.NoError(t, err)
	_, err = stored.Sign(jose.EdDSA, "JWT", []byte(`{}`))
	require.ErrorIs(t, err, ErrKey, "but signs only with the file at hand")

	again, changed, err := plan.Tend(stored, testNow.Add(time.Hour))
	require.NoError(t, err)
	require.False(t, changed, "nothing new to store")
	_, err = again.Sign(jose.EdDSA, "JWT", []byte(`{}`))
	require.NoError(t, err)

	plan.Files = []*FileKey{fileKey(t, "", private)}
	l.store()
	require.True(t, l.step(plan.Adopt), "without its certificate")
	require.NotContains(t, string(l.keys.JWKS()), "x5c")
}

func TestG12_FilesAreReplacedWithOverlap(t *testing.T) {
	first, second := fileKey(t, "", newEd25519(t)), fileKey(t, "", newEd25519(t))
	plan := testPlan(jose.EdDSA)
	l := newLife(t, plan)
	generated := l.kid(jose.EdDSA)

	plan.Files = []*FileKey{first}
	require.True(t, l.step(plan.Adopt))
	require.Equal(t, generated, l.kid(jose.EdDSA), "the file's is published first")
	l.after(PublishAhead).step(plan.Tend)
	require.Equal(t, first.KeyID(), l.kid(jose.EdDSA))

	plan.Files = []*FileKey{first, second}
	require.True(t, l.step(plan.Adopt))
	require.Equal(t, first.KeyID(), l.kid(jose.EdDSA))
	l.after(PublishAhead).step(plan.Tend)
	require.Equal(t, second.KeyID(), l.kid(jose.EdDSA))
	l.after(testOverlap).step(plan.Tend)
	require.Equal(t, 2, l.published(), "a file that is listed stays")

	plan.Files = []*FileKey{second}
	l.store()
	l.after(time.Second).step(plan.Adopt)
	require.Equal(t, 1, l.published())

	plan.Files = []*FileKey{first}
	l.store()
	require.True(t, l.step(plan.Adopt))
	raw := l.sign(jose.EdDSA)
	require.Equal(t, first.KeyID(), l.kid(jose.EdDSA), "nothing else is at hand, so it signs at once")
	require.NoError(t, l.verify(raw))
	require.Equal(t, 2, l.published(), "what the other signed still verifies")
}

func TestG12_FileThatWentAwayGivesWayToAGeneratedKey(t *testing.T) {
	file := fileKey(t, "", newEd25519(t))
	plan := testPlan(jose.EdDSA)
	plan.Files = []*FileKey{file}
	l := newLife(t, plan)
	raw := l.sign(jose.EdDSA)

	plan.Files = nil
	l.store()
	require.True(t, l.step(plan.Adopt))
	generated := l.kid(jose.EdDSA)
	require.NotEqual(t, file.KeyID(), generated)
	require.NoError(t, l.verify(raw))

	plan.Files = []*FileKey{file}
	require.True(t, l.step(plan.Adopt), "and back again")
	require.Equal(t, file.KeyID(), l.kid(jose.EdDSA), "it is known already")

	plan.Files = nil
	l.store()
	require.True(t, l.after(time.Second).step(plan.Adopt))
	require.Equal(t, generated, l.kid(jose.EdDSA), "the one there is signs again")
	require.Equal(t, 2, l.published())
	l.after(testOverlap + time.Second).step(plan.Tend)
	require.Equal(t, 1, l.published())
}

func TestG12_NodeWithoutTheFileSignsOn(t *testing.T) {
	l := newLife(t, testPlan(jose.EdDSA))
	older := *l.plan
	l.plan.Files = []*FileKey{fileKey(t, "", newEd25519(t))}
	require.True(t, l.step(l.plan.Adopt))
	doc, err := l.keys.Marshal()
	require.NoError(t, err)
	stored, err := ParseKeys(doc)
	require.NoError(t, err)
	other, changed, err := older.Tend(stored, l.now.Add(PublishAhead))
	require.NoError(t, err)
	require.False(t, changed, "the newer configuration decides what is published")
	raw, err := other.Sign(jose.EdDSA, "JWT", []byte(`{}`))
	require.NoError(t, err)
	require.NoError(t, l.verify(raw))
}

func TestNewFileKey_Refuses(t *testing.T) {
	private, other := newEd25519(t), newEd25519(t)
	_, err := NewFileKey(jose.ES256, private, nil)
	require.ErrorIs(t, err, ErrKey, "a key of another kind")
	_, err = NewFileKey("", private, []*x509.Certificate{certificate(t, other)})
	require.ErrorIs(t, err, ErrKey, "a certificate of another key")
	_, err = NewFileKey("HS256", private, nil)
	require.ErrorIs(t, err, ErrAlgorithm)
	require.Equal(t, jose.RS256, fileKey(t, "", testRSA()).Algorithm())
	weak := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}}
	_, err = NewFileKey("", weak, nil)
	require.ErrorIs(t, err, ErrKey)

	plan := testPlan(jose.RS256, jose.PS256)
	plan.Files = []*FileKey{fileKey(t, jose.RS256, testRSA()), fileKey(t, jose.PS256, testRSA())}
	_, err = plan.Generate(testNow)
	require.ErrorIs(t, err, ErrKey, "RFC 8725 §3.1: one key, one algorithm")
}

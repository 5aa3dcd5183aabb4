package authz_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/token"
)

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return der
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func newEC(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

// keyWithChain is a key with its certificate, that of an authority between, and that of the root.
func keyWithChain(t *testing.T) (*ecdsa.PrivateKey, []*x509.Certificate) {
	t.Helper()
	chain := make([]*x509.Certificate, 3)
	var key *ecdsa.PrivateKey
	var parent *x509.Certificate
	var parentKey crypto.Signer
	for i, name := range []string{"root", "between", "signer"} {
		key = newEC(t, elliptic.P256())
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i)), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: i < 2,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
		require.NoError(t, err)
		parent, err = x509.ParseCertificate(der)
		require.NoError(t, err)
		chain[2-i], parentKey = parent, key
	}
	return key, chain
}

// x5c are the certificates that a file key publishes.
func x5c(t *testing.T, key *token.FileKey) []*x509.Certificate {
	t.Helper()
	keys, err := (&token.Plan{Algorithms: []jose.SignatureAlgorithm{key.Algorithm()}, Files: []*token.FileKey{key}}).Generate(time.Now())
	require.NoError(t, err)
	set := parseJWKS(t, keys.JWKS())
	require.Len(t, set.Keys, 1)
	require.Equal(t, key.KeyID(), set.Keys[0].KeyID)
	return set.Keys[0].Certificates
}

func TestG12_KeyFilesOfEveryKind(t *testing.T) {
	rsaKey := rsaKeys()[0]
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p256, p384, p521 := newEC(t, elliptic.P256()), newEC(t, elliptic.P384()), newEC(t, elliptic.P521())
	sec1, err := x509.MarshalECPrivateKey(p384)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		content   []byte
		alg, want jose.SignatureAlgorithm
	}{
		"PKCS#8 RSA":             {pemBlock("PRIVATE KEY", pkcs8(t, rsaKey)), "", jose.RS256},
		"PKCS#8 RSA for PS512":   {pemBlock("PRIVATE KEY", pkcs8(t, rsaKey)), jose.PS512, jose.PS512},
		"PKCS#1":                 {pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), jose.RS384, jose.RS384},
		"SEC 1":                  {pemBlock("EC PRIVATE KEY", sec1), "", jose.ES384},
		"SEC 1 after parameters": {append(pemBlock("EC PARAMETERS", []byte{6, 1, 42}), pemBlock("EC PRIVATE KEY", sec1)...), "", jose.ES384},
		"PKCS#8 P-256":           {pemBlock("PRIVATE KEY", pkcs8(t, p256)), jose.ES256, jose.ES256},
		"PKCS#8 Ed25519":         {pemBlock("PRIVATE KEY", pkcs8(t, edKey)), "", jose.EdDSA},
		"PKCS#8 in DER":          {pkcs8(t, p521), "", jose.ES512},
		"text before the PEM":    {append([]byte("Bag Attributes\n"), pemBlock("PRIVATE KEY", pkcs8(t, p256))...), "", jose.ES256},
	} {
		key, err := authz.ReadSigningKey(c.content, c.alg, "")
		require.NoError(t, err, name)
		require.Equal(t, c.want, key.Algorithm(), name)
		require.Empty(t, x5c(t, key), name)
	}
}

func TestG12_CertificatesBecomeX5C(t *testing.T) {
	key, chain := keyWithChain(t)
	_, others := keyWithChain(t)
	for name, certificates := range map[string][]*x509.Certificate{
		"in order":        chain,
		"upside down":     {chain[2], chain[1], chain[0]},
		"among strangers": {others[0], chain[1], others[1], chain[0], chain[2]},
	} {
		content := pemBlock("PRIVATE KEY", pkcs8(t, key))
		for _, certificate := range certificates {
			content = append(content, pemBlock("CERTIFICATE", certificate.Raw)...)
		}
		file, err := authz.ReadSigningKey(content, "", "")
		require.NoError(t, err, name)
		require.True(t, slices.EqualFunc(chain, x5c(t, file), (*x509.Certificate).Equal), name)
	}
	content, err := pkcs12.Modern.Encode(key, chain[0], []*x509.Certificate{chain[2], chain[1]}, "open sesame")
	require.NoError(t, err)
	file, err := authz.ReadSigningKey(content, "", "open sesame")
	require.NoError(t, err)
	require.True(t, slices.EqualFunc(chain, x5c(t, file), (*x509.Certificate).Equal), "PKCS#12")
	content, err = pkcs12.LegacyDES.Encode(key, chain[0], nil, "open sesame")
	require.NoError(t, err)
	file, err = authz.ReadSigningKey(content, jose.ES256, "open sesame")
	require.NoError(t, err)
	require.Equal(t, "signer", x5c(t, file)[0].Subject.CommonName, "an old PKCS#12")
}

func TestG12_KeyFileIsRefused(t *testing.T) {
	key, chain := keyWithChain(t)
	private := pemBlock("PRIVATE KEY", pkcs8(t, key))
	p12, err := pkcs12.Modern.Encode(key, chain[0], nil, "open sesame")
	require.NoError(t, err)
	foreignP12, err := pkcs12.Modern.Encode(newEC(t, elliptic.P256()), chain[0], nil, "open sesame")
	require.NoError(t, err)
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	legacy := pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x"),
	})
	for name, c := range map[string]struct {
		content  []byte
		alg      jose.SignatureAlgorithm
		password string
		kind     error
		problem  string
	}{
		"empty":                     {nil, "", "", authz.ErrKeyFile, "neither PEM nor PKCS#8"},
		"text":                      {[]byte("hello"), "", "", authz.ErrKeyFile, "neither PEM nor PKCS#8"},
		"certificates only":         {pemBlock("CERTIFICATE", chain[0].Raw), "", "", authz.ErrKeyFile, "has no private key"},
		"broken key":                {pemBlock("PRIVATE KEY", []byte("x")), "", "", authz.ErrKeyFile, "asn1"},
		"broken certificate":        {append(private, pemBlock("CERTIFICATE", []byte("x"))...), "", "", authz.ErrKeyFile, "certificate: "},
		"two keys":                  {slices.Concat(private, private), "", "", authz.ErrKeyFile, "there are two"},
		"a key that only agrees":    {pemBlock("PRIVATE KEY", pkcs8(t, agreement)), "", "", authz.ErrKeyFile, "can't sign"},
		"a curve without an alg":    {pemBlock("PRIVATE KEY", pkcs8(t, newEC(t, elliptic.P224()))), "", "", token.ErrKey, "no algorithm"},
		"a weak key":                {pemBlock("PRIVATE KEY", pkcs8(t, weak)), "", "", token.ErrKey, "1024 bits"},
		"an alg of another type":    {private, jose.RS256, "", token.ErrKey, "not for RS256"},
		"an alg of another curve":   {private, jose.ES384, "", token.ErrKey, "not for ES384"},
		"an alg that is symmetric":  {private, jose.HS256, "", token.ErrAlgorithm, "HS256"},
		"another key's certificate": {append(pemBlock("PRIVATE KEY", pkcs8(t, newEC(t, elliptic.P256()))), pemBlock("CERTIFICATE", chain[0].Raw)...), "", "", token.ErrKey, "certificate is not the key's"},
		"the same in PKCS#12":       {foreignP12, "", "open sesame", token.ErrKey, "certificate is not the key's"},
		"encrypted PEM":             {pemBlock("ENCRYPTED PRIVATE KEY", []byte("x")), "", "", authz.ErrKeyPassword, "not supported"},
		"encrypted PEM of old":      {legacy, "", "", authz.ErrKeyPassword, "not supported"},
		"a password for PEM":        {private, "", "open sesame", authz.ErrKeyPassword, "only a PKCS#12 file has one"},
		"a wrong password":          {p12, "", "close sesame", authz.ErrKeyPassword, "not that of the PKCS#12 file"},
		"no password":               {p12, "", "", authz.ErrKeyPassword, "missing"},
	} {
		file, err := authz.ReadSigningKey(c.content, c.alg, c.password)
		require.ErrorIs(t, err, c.kind, name)
		require.ErrorContains(t, err, c.problem, name)
		require.NotContains(t, err.Error(), "sesame", name)
		require.Nil(t, file, name)
	}
}

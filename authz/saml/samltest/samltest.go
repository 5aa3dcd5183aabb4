// Package samltest is an identity provider for tests: a key, and assertions that it signs.
package samltest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/stretchr/testify/require"
)

// Provider is an identity provider.
type Provider struct {
	Key         *rsa.PrivateKey
	Certificate *x509.Certificate
}

// NewProvider makes a key and a certificate that is good around a time.
func NewProvider(now time.Time) *Provider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "identity provider"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &Provider{key, certificate}
}

// Assertion is what a provider says.
type Assertion struct {
	Now                                     time.Time
	ID, Issuer, NameID, Recipient, Audience string
}

// XML is the assertion, unsigned: confirmed for five minutes, valid for ten, of a login a minute ago. Each
// change replaces one text by another.
func (a Assertion) XML(changes ...string) string {
	at := func(d time.Duration) string { return a.Now.Add(d).UTC().Format(time.RFC3339) }
	text := `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="` + a.ID + `" Version="2.0" IssueInstant="` + at(0) + `">` +
		`<saml:Issuer>` + a.Issuer + `</saml:Issuer>` +
		`<saml:Subject><saml:NameID>` + a.NameID + `</saml:NameID>` +
		`<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">` +
		`<saml:SubjectConfirmationData Recipient="` + a.Recipient + `" NotOnOrAfter="` + at(5*time.Minute) + `"/></saml:SubjectConfirmation></saml:Subject>` +
		`<saml:Conditions NotBefore="` + at(-time.Minute) + `" NotOnOrAfter="` + at(10*time.Minute) + `">` +
		`<saml:AudienceRestriction><saml:Audience>` + a.Audience + `</saml:Audience></saml:AudienceRestriction></saml:Conditions>` +
		`<saml:AuthnStatement AuthnInstant="` + at(-time.Minute) + `"><saml:AuthnContext/></saml:AuthnStatement>` +
		`</saml:Assertion>`
	return strings.NewReplacer(changes...).Replace(text)
}

// Sign puts an enveloped signature behind the issuer's name, where the schema wants it.
func (p *Provider) Sign(t testing.TB, text string) string {
	t.Helper()
	doc := etree.NewDocument()
	require.NoError(t, doc.ReadFromString(text))
	context, err := dsig.NewSigningContext(p.Key, [][]byte{p.Certificate.Raw})
	require.NoError(t, err)
	context.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	signature, err := context.ConstructSignature(doc.Root(), true)
	require.NoError(t, err)
	doc.Root().InsertChildAt(1, signature)
	signed, err := doc.WriteToString()
	require.NoError(t, err)
	return signed
}

// Encode is how an assertion goes into a request (RFC 7522 §2.1).
func Encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

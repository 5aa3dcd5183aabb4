package saml_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/saml"
	"github.com/gatewright/gatewright/authz/saml/samltest"
)

const (
	entityID  = "https://idp.example/saml"
	audience  = "https://login.example"
	recipient = "https://login.example/token"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

var (
	ours   = sync.OnceValue(func() *samltest.Provider { return samltest.NewProvider(now) })
	theirs = sync.OnceValue(func() *samltest.Provider { return samltest.NewProvider(now) })
)

// assertion is a good one with changes.
func assertion(changes ...string) string {
	return samltest.Assertion{
		Now: now, ID: "_a1", Issuer: entityID, NameID: "alice@example.com", Recipient: recipient, Audience: audience,
	}.XML(changes...)
}

func verifier(t testing.TB) *saml.Verifier {
	t.Helper()
	v, err := saml.New([]saml.Issuer{{
		EntityID: entityID, Certificates: []*x509.Certificate{theirs().Certificate, ours().Certificate}, Audiences: []string{audience},
	}}, []string{recipient})
	require.NoError(t, err)
	return v
}

func TestE2_SAMLAnAssertionSaysWhoSignedIn(t *testing.T) {
	a, err := verifier(t).Verify(samltest.Encode(ours().Sign(t, assertion())), now)
	require.NoError(t, err)
	require.Equal(t, &saml.Assertion{
		Issuer: entityID, ID: "_a1", NameID: "alice@example.com", AuthnInstant: now.Add(-time.Minute), Expires: now.Add(5 * time.Minute),
	}, a)
	padded := base64.URLEncoding.EncodeToString([]byte(ours().Sign(t, assertion("alice", "al"))))
	_, err = verifier(t).Verify(padded, now)
	require.NoError(t, err, "RFC 7522 §2.1 only says that padding should not be there")
}

func TestE2_SAMLAssertionsThatAreRefused(t *testing.T) {
	v, good := verifier(t), ours().Sign(t, assertion())
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	stranger := samltest.NewProvider(now)
	for name, row := range map[string]struct {
		text string
		want error
	}{
		"RFC 7522 §3 1 another issuer":           {ours().Sign(t, assertion(entityID, "https://evil.example")), saml.ErrIssuer},
		"RFC 7522 §3 1 no issuer":                {ours().Sign(t, assertion("<saml:Issuer>"+entityID+"</saml:Issuer>", "")), saml.ErrMalformed},
		"RFC 7522 §3 2 another audience":         {ours().Sign(t, assertion("<saml:Audience>"+audience, "<saml:Audience>https://other.example")), saml.ErrAudience},
		"RFC 7522 §3 2 for everybody":            {ours().Sign(t, assertion("<saml:AudienceRestriction><saml:Audience>"+audience+"</saml:Audience></saml:AudienceRestriction>", "")), saml.ErrAudience},
		"RFC 7522 §3 3 no subject":               {ours().Sign(t, assertion("<saml:NameID>alice@example.com</saml:NameID>", "")), saml.ErrMalformed},
		"RFC 7522 §3 3 an empty subject":         {ours().Sign(t, assertion("alice@example.com", " ")), saml.ErrMalformed},
		"RFC 7522 §3 4 expired":                  {ours().Sign(t, assertion(at(10*time.Minute), at(-time.Second), at(5*time.Minute), at(time.Minute))), saml.ErrTime},
		"RFC 7522 §3 4 no end":                   {ours().Sign(t, assertion(` NotOnOrAfter="`+at(10*time.Minute)+`"`, "", ` NotOnOrAfter="`+at(5*time.Minute)+`"`, "")), saml.ErrTime},
		"RFC 7522 §3 5 another recipient":        {ours().Sign(t, assertion(recipient, "https://other.example/token")), saml.ErrAudience},
		"RFC 7522 §3 5 no recipient":             {ours().Sign(t, assertion(` Recipient="`+recipient+`"`, "")), saml.ErrAudience},
		"RFC 7522 §3 5 a holder of a key":        {ours().Sign(t, assertion("cm:bearer", "cm:holder-of-key")), saml.ErrAudience},
		"RFC 7522 §3 5 the confirmation is over": {ours().Sign(t, assertion(at(5*time.Minute), at(-time.Second))), saml.ErrTime},
		"RFC 7522 §3 6 not yet":                  {ours().Sign(t, assertion(`NotBefore="`+at(-time.Minute), `NotBefore="`+at(2*time.Minute))), saml.ErrTime},
		"RFC 7522 §3 7 a login of the future":    {ours().Sign(t, assertion(`AuthnInstant="`+at(-time.Minute), `AuthnInstant="`+at(time.Hour))), saml.ErrTime},
		"RFC 7522 §3 8 its session has ended":    {ours().Sign(t, assertion("<saml:AuthnStatement ", `<saml:AuthnStatement SessionNotOnOrAfter="`+at(-time.Second)+`" `)), saml.ErrTime},
		"RFC 7522 §3 9 unsigned":                 {assertion(), saml.ErrSignature},
		"RFC 7522 §3 9 by another key":           {stranger.Sign(t, assertion()), saml.ErrSignature},
		"altered":                                {strings.Replace(good, "alice@", "mallory@", 1), saml.ErrSignature},
		"a condition that nobody knows":          {ours().Sign(t, assertion("<saml:AudienceRestriction>", "<saml:Secret/><saml:AudienceRestriction>")), saml.ErrMalformed},
		"a comment in the name":                  {strings.Replace(good, "alice@example.com", "alice@example.com<!-- -->.evil.example", 1), saml.ErrMalformed},
		"a DTD":                                  {`<!DOCTYPE a [<!ENTITY x "y">]>` + good, saml.ErrMalformed},
		"a processing instruction":               {`<?php x?>` + good, saml.ErrMalformed},
		"two roots":                              {good + good, saml.ErrMalformed},
		"an encrypted name":                      {ours().Sign(t, assertion("saml:NameID", "saml:EncryptedID")), saml.ErrMalformed},
		"elements in the name":                   {ours().Sign(t, assertion("alice@example.com", "<x/>alice")), saml.ErrMalformed},
		"version 1":                              {ours().Sign(t, assertion(`Version="2.0"`, `Version="1.1"`)), saml.ErrMalformed},
		"another namespace":                      {ours().Sign(t, assertion("urn:oasis:names:tc:SAML:2.0:assertion", "urn:x")), saml.ErrMalformed},
		"a time without zone":                    {ours().Sign(t, assertion(`AuthnInstant="`+at(-time.Minute), `AuthnInstant="2026-05-04T12:00:00`)), saml.ErrMalformed},
		"SHA-1":                                  {strings.Replace(good, "2001/04/xmldsig-more#rsa-sha256", "2000/09/xmldsig#rsa-sha1", 1), saml.ErrSignature},
		"a digest by SHA-1":                      {strings.Replace(good, "2001/04/xmlenc#sha256", "2000/09/xmldsig#sha1", 1), saml.ErrSignature},
		"another transform":                      {strings.Replace(good, `<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#`, `<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116`, 1), saml.ErrSignature},
		"a reference to all of the document":     {strings.Replace(good, `URI="#_a1"`, `URI=""`, 1), saml.ErrSignature},
		"the signature of another element":       {strings.Replace(good, `URI="#_a1"`, `URI="#_b"`, 1), saml.ErrSignature},
		"no ID":                                  {strings.Replace(good, `ID="_a1"`, ``, 1), saml.ErrSignature},
		"too large":                              {strings.Replace(good, "alice", strings.Repeat("a", 70_000), 1), saml.ErrMalformed},
		"too deep":                               {strings.Replace(good, "alice@example.com", strings.Repeat("<a>", 40)+strings.Repeat("</a>", 40), 1), saml.ErrMalformed},
		"no XML":                                 {"alice", saml.ErrMalformed},
		"nothing":                                {"", saml.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := v.Verify(samltest.Encode(row.text), now)
			require.ErrorIs(t, err, row.want)
			require.Nil(t, a)
		})
	}
	_, err := v.Verify("****", now)
	require.ErrorIs(t, err, saml.ErrMalformed)
}

// Signature wrapping: the signature is good, and what it covers is not what is presented.
func TestE2_SAMLWrappedSignaturesAreRefused(t *testing.T) {
	v, good := verifier(t), ours().Sign(t, assertion())
	signature := good[strings.Index(good, "<ds:Signature"):]
	signature = signature[:strings.Index(signature, "</ds:Signature>")+len("</ds:Signature>")]
	unsigned := strings.Replace(good, signature, "", 1)
	evil := assertion("_a1", "_evil", "alice@", "mallory@")
	twin := assertion("alice@", "mallory@")
	open, rest, _ := strings.Cut(evil, "<saml:Subject>")
	openTwin, restTwin, _ := strings.Cut(twin, "<saml:Subject>")
	for name, text := range map[string]string{
		"XSW1: the original inside the evil one's signature": open + strings.Replace(signature, "</ds:Signature>", "<ds:Object>"+unsigned+"</ds:Object></ds:Signature>", 1) + "<saml:Subject>" + rest,
		"XSW2: the original beside the signature":            open + signature + unsigned + "<saml:Subject>" + rest,
		"XSW3: the original in an extension":                 open + "<saml:Advice>" + good + "</saml:Advice><saml:Subject>" + rest,
		"XSW4: around both":                                  "<x>" + evil + good + "</x>",
		"the same ID twice":                                  openTwin + signature + "<x ID=\"_a1\"/><saml:Subject>" + restTwin,
		"the signature moved to another assertion":           openTwin + signature + "<saml:Subject>" + restTwin,
		"the signature deeper":                               openTwin + "<saml:Advice>" + signature + "</saml:Advice><saml:Subject>" + restTwin,
		"two signatures":                                     strings.Replace(good, signature, signature+signature, 1),
	} {
		t.Run(name, func(t *testing.T) {
			a, err := v.Verify(samltest.Encode(text), now)
			require.Error(t, err)
			require.Nil(t, a)
		})
	}
}

// An assertion that another implementation signed: xmlsec1.
func TestE2_SAMLOfAnotherImplementation(t *testing.T) {
	if os.Getenv("GATEWRIGHT_E2E") == "" {
		t.Skip("signs with xmlsec1: set GATEWRIGHT_E2E=1, or run ./xcaddy.sh test, which installs it")
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(key, pemOf(t, ours().Key), 0o600))
	template := `<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo>` +
		`<CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>` +
		`<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-%s"/>` +
		`<Reference URI="#_a1"><Transforms><Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>` +
		`<Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></Transforms>` +
		`<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue/></Reference></SignedInfo><SignatureValue/></Signature>`
	for _, hash := range []string{"sha256", "sha384", "sha512"} {
		text := strings.Replace(assertion(), "</saml:Issuer>", "</saml:Issuer>\n  "+fmt.Sprintf(template, hash)+"\n", 1)
		file := filepath.Join(dir, hash+".xml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		cmd := exec.CommandContext(t.Context(), "xmlsec1", "--sign", "--privkey-pem", key, "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion", file)
		var signed, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &signed, &complaints
		require.NoError(t, cmd.Run(), complaints.String())
		a, err := verifier(t).Verify(samltest.Encode(signed.String()), now)
		require.NoError(t, err, hash)
		require.Equal(t, "alice@example.com", a.NameID)
		_, err = verifier(t).Verify(samltest.Encode(strings.Replace(signed.String(), "alice@", "mallory@", 1)), now)
		require.ErrorIs(t, err, saml.ErrSignature)
	}
}

func pemOf(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestE2_SAMLNewRefusesWhatCannotWork(t *testing.T) {
	certificates := []*x509.Certificate{ours().Certificate}
	for want, issuers := range map[string][]saml.Issuer{
		"without an entity ID":  {{Certificates: certificates, Audiences: []string{"a"}}},
		"is there twice":        {{EntityID: "a", Certificates: certificates, Audiences: []string{"a"}}, {EntityID: "a", Certificates: certificates, Audiences: []string{"a"}}},
		"a certificate is":      {{EntityID: "a", Audiences: []string{"a"}}},
		"an audience is needed": {{EntityID: "a", Certificates: certificates}},
	} {
		_, err := saml.New(issuers, nil)
		require.ErrorContains(t, err, want)
	}
}

// FuzzVerify: what is taken says who was signed for, however the document was changed.
func FuzzVerify(f *testing.F) {
	v, good := verifier(f), ours().Sign(f, assertion())
	f.Add(good)
	f.Add(assertion())
	f.Add(strings.Replace(good, "alice", "mallory", 1))
	f.Add(strings.Replace(good, "<saml:Subject>", "<saml:Advice>"+assertion()+"</saml:Advice><saml:Subject>", 1))
	f.Fuzz(func(t *testing.T, text string) {
		a, err := v.Verify(samltest.Encode(text), now)
		if err != nil {
			require.Nil(t, a)
			return
		}
		require.Equal(t, "alice@example.com", a.NameID)
		require.Equal(t, "_a1", a.ID)
		require.Equal(t, now.Add(5*time.Minute), a.Expires)
	})
}

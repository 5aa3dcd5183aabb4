package saml

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/gatewright/gatewright/authz/oauth"
)

// Leeway is how far the clocks of an identity provider and ours may differ.
const Leeway = time.Minute

// Issuer is an identity provider whose assertions are taken.
type Issuer struct {
	EntityID     string
	Certificates []*x509.Certificate // any of them may have signed
	// Audiences are what an assertion has to name us by, one of them.
	Audiences []string
}

// Verifier checks assertions. It is safe for concurrent use.
type Verifier struct {
	issuers    map[string]*Issuer
	recipients []string
}

// New makes a verifier. recipients are the URLs of the token endpoint: bearer assertions are for one of them
// (RFC 7522 §3).
func New(issuers []Issuer, recipients []string) (*Verifier, error) {
	v := &Verifier{issuers: make(map[string]*Issuer, len(issuers)), recipients: recipients}
	for _, i := range issuers {
		switch {
		case i.EntityID == "":
			return nil, errors.New("an issuer without an entity ID")
		case v.issuers[i.EntityID] != nil:
			return nil, fmt.Errorf("the issuer %q is there twice", i.EntityID)
		case len(i.Certificates) == 0:
			return nil, errors.New("a certificate is needed")
		case slices.ContainsFunc(i.Certificates, weak):
			return nil, errors.New("certificates have to hold RSA keys of at least 2048 bits")
		case len(i.Audiences) == 0 || slices.Contains(i.Audiences, ""):
			return nil, errors.New("an audience is needed")
		}
		v.issuers[i.EntityID] = &i
	}
	return v, nil
}

// weak tells whether a certificate's key is not taken. ECDSA is not: the library reads its signatures in a form
// that XML Signature does not have (XML Signature 1.1 §6.4.3), so nobody's would verify.
func weak(c *x509.Certificate) bool {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	return !ok || key.N.BitLen() < 2048
}

// Assertion is what a verified assertion says.
type Assertion struct {
	Issuer string
	ID     string
	NameID string
	// AuthnInstant is when the person signed in there; zero: it doesn't say.
	AuthnInstant time.Time
	// Expires is from when on the assertion is worth nothing.
	Expires time.Time
}

// Why an assertion is refused.
var (
	ErrMalformed = errors.New("saml: malformed")
	ErrIssuer    = errors.New("saml: unknown issuer")
	ErrSignature = errors.New("saml: bad signature")
	ErrAudience  = errors.New("saml: for another audience or recipient")
	ErrTime      = errors.New("saml: expired or not yet valid")
)

func refuse(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
}

// Verify checks an assertion as it came in the parameter assertion.
func (v *Verifier) Verify(encoded string, now time.Time) (*Assertion, error) {
	root, err := read(encoded)
	if err != nil {
		return nil, err
	}
	claimed, err := issuerOf(root) // whose keys to try: nothing more is believed of it
	if err != nil {
		return nil, err
	}
	issuer := v.issuers[claimed]
	if issuer == nil {
		return nil, refuse(ErrIssuer, "%q", oauth.Clip(claimed))
	}
	signed, err := verify(root, issuer, now)
	if err != nil {
		return nil, err
	}
	return v.examine(signed, issuer, now)
}

// verify returns what the signature covers, parsed from the bytes that were digested.
func verify(root *etree.Element, issuer *Issuer, now time.Time) (*etree.Element, error) {
	if err := checkSignature(root); err != nil {
		return nil, err
	}
	// One certificate at a time: a document need not say by which it is signed, and what it says is no proof.
	for _, certificate := range issuer.Certificates {
		context := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{certificate}})
		context.Clock = dsig.NewFakeClockAt(now)
		signed, err := context.Validate(root.Copy())
		if err == nil && signed != nil {
			return signed, nil
		}
	}
	return nil, refuse(ErrSignature, "by none of the issuer's certificates")
}

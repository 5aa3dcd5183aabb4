package saml

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/beevik/etree"
	xrv "github.com/mattermost/xml-roundtrip-validator"
)

const (
	maxSize  = 64 << 10 // bytes of XML
	maxDepth = 32

	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
)

// read decodes an assertion (RFC 7522 §2.1) and parses it, if it is of a form that leaves no parser a choice.
func read(encoded string) (*etree.Element, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(encoded, "="))
	if err != nil || len(text) > maxSize {
		return nil, refuse(ErrMalformed, "no base64url of %d bytes at most", maxSize)
	}
	// Go's parser drops some of what it reads, so that what is digested could differ from what is read.
	if err := xrv.Validate(bytes.NewReader(text)); err != nil {
		return nil, refuse(ErrMalformed, "%v", err)
	}
	if err := checkForm(text); err != nil {
		return nil, err
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		return nil, refuse(ErrMalformed, "%v", err)
	}
	root := doc.Root()
	if root == nil || root.Tag != "Assertion" || root.NamespaceURI() != nsAssertion || root.SelectAttrValue("Version", "") != "2.0" {
		return nil, refuse(ErrMalformed, "no SAML 2.0 assertion")
	}
	return root, nil
}

// former looks at a document token by token.
type former struct {
	depth, roots, assertions, signatures int
	ids                                  []string
}

// checkForm refuses what has been used to make a signature cover one thing and a parser read another.
func checkForm(text []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	decoder.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("not UTF-8") }
	f := new(former)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return refuse(ErrMalformed, "%v", err)
		}
		if err := f.take(token); err != nil {
			return err
		}
	}
	switch {
	case f.roots != 1 || f.assertions != 1:
		return refuse(ErrMalformed, "%d root elements, %d assertions", f.roots, f.assertions)
	case f.signatures != 1:
		return refuse(ErrSignature, "%d signatures", f.signatures)
	}
	return nil
}

func (f *former) take(token xml.Token) error {
	switch t := token.(type) {
	case xml.Comment, xml.Directive:
		return refuse(ErrMalformed, "a comment or a DTD")
	case xml.ProcInst:
		if t.Target != "xml" {
			return refuse(ErrMalformed, "a processing instruction")
		}
	case xml.CharData:
		if f.depth == 0 && len(bytes.TrimSpace(t)) > 0 {
			return refuse(ErrMalformed, "text beside the root")
		}
	case xml.EndElement:
		f.depth--
	case xml.StartElement:
		return f.begin(t)
	}
	return nil
}

func (f *former) begin(e xml.StartElement) error {
	if f.depth == 0 {
		f.roots++
	}
	if f.depth++; f.depth > maxDepth {
		return refuse(ErrMalformed, "too deep")
	}
	switch e.Name.Local {
	case "Assertion":
		f.assertions++
	case "EncryptedAssertion", "EncryptedID":
		return refuse(ErrMalformed, "%s is not taken", e.Name.Local)
	case "Signature":
		f.signatures++
	}
	for _, a := range e.Attr {
		if !strings.EqualFold(a.Name.Local, "id") {
			continue
		}
		if slices.Contains(f.ids, a.Value) {
			return refuse(ErrMalformed, "an ID twice")
		}
		f.ids = append(f.ids, a.Value)
	}
	return nil
}

// Algorithms that are taken: SHA-1 makes collisions, and an HMAC by a public key proves nothing.
var (
	signatureMethods = []string{
		"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
		"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
	}
	digestMethods = []string{
		"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512",
	}
	transforms = []string{
		"http://www.w3.org/2000/09/xmldsig#enveloped-signature", "http://www.w3.org/2001/10/xml-exc-c14n#",
	}
)

// checkSignature wants the one signature to be the root's own, over all of it.
func checkSignature(root *etree.Element) error {
	info, err := only(root, nsSignature, "Signature", "SignedInfo")
	if err != nil {
		return err
	}
	method, err := only(info, nsSignature, "SignatureMethod")
	if err != nil {
		return err
	}
	reference, err := only(info, nsSignature, "Reference")
	if err != nil {
		return err
	}
	digest, err := only(reference, nsSignature, "DigestMethod")
	if err != nil {
		return err
	}
	id := root.SelectAttrValue("ID", "")
	switch {
	case id == "" || reference.SelectAttrValue("URI", "") != "#"+id:
		return refuse(ErrSignature, "it is not over the assertion")
	case !slices.Contains(signatureMethods, method.SelectAttrValue("Algorithm", "")),
		!slices.Contains(digestMethods, digest.SelectAttrValue("Algorithm", "")):
		return refuse(ErrSignature, "its algorithm is not taken")
	}
	list, err := only(reference, nsSignature, "Transforms")
	if err != nil {
		return err
	}
	for _, transform := range list.ChildElements() {
		if !slices.Contains(transforms, transform.SelectAttrValue("Algorithm", "")) {
			return refuse(ErrSignature, "its transform is not taken")
		}
	}
	return nil
}

// only finds the one child of that name at each step.
func only(e *etree.Element, namespace string, path ...string) (*etree.Element, error) {
	for _, name := range path {
		found := children(e, namespace, name)
		if len(found) != 1 {
			return nil, refuse(ErrMalformed, "%d of %s", len(found), name)
		}
		e = found[0]
	}
	return e, nil
}

func children(e *etree.Element, namespace, name string) []*etree.Element {
	var found []*etree.Element
	for _, child := range e.ChildElements() {
		if child.Tag == name && child.NamespaceURI() == namespace {
			found = append(found, child)
		}
	}
	return found
}

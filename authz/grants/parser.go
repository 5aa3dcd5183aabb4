package grants

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
)

// What makes a document not ours; all are ErrForeign to callers.
var (
	errDocumentType = errors.New("has a directive")
	errDepth        = errors.New("nested too deeply")
	errRoot         = errors.New("another root element")
	errVersion      = errors.New("another version")
	errOutside      = errors.New("text outside the root element")
)

// parser walks over a document token by token. encoding/xml knows no entities but those of XML itself
// and expands nothing.
type parser struct {
	raw    []byte
	xml    *xml.Decoder
	issuer string
	depth  int
	doc    document
}

// next returns a token and where it begins; io.EOF behind the last element.
func (p *parser) next() (t xml.Token, start int64, err error) {
	start = p.xml.InputOffset()
	if t, err = p.xml.Token(); err != nil {
		return nil, start, err
	}
	switch t.(type) {
	case xml.Directive:
		return nil, start, errDocumentType
	case xml.StartElement:
		if p.depth++; p.depth > maxDepth {
			return nil, start, errDepth
		}
	case xml.EndElement:
		p.depth--
	}
	return t, start, nil
}

// misc skips what may stand before and behind the root element, and returns what it finds there: the
// root, or nil at the end.
func (p *parser) misc() (*xml.StartElement, int64, error) {
	for {
		t, start, err := p.next()
		if errors.Is(err, io.EOF) {
			return nil, start, nil
		}
		if err != nil {
			return nil, start, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return &t, start, nil
		case xml.CharData:
			if !isBlank(t) {
				return nil, start, errOutside
			}
		}
	}
}

func isBlank(text []byte) bool { return len(bytes.Trim(text, " \t\r\n")) == 0 }

func (p *parser) document() error {
	root, start, err := p.misc()
	if err != nil {
		return err
	}
	if root == nil || root.Name != (xml.Name{Space: Namespace, Local: "grants"}) {
		return errRoot
	}
	if fieldsOf(*root).text("version") != Version {
		return errVersion
	}
	p.doc.startTag = issuerTag(p.issuer, declares(*root))
	if err := p.root(start); err != nil {
		return err
	}
	if more, _, err := p.misc(); err != nil || more != nil {
		return errors.Join(errOutside, err)
	}
	return nil
}

// declares reports whether unprefixed names in this element are in our namespace.
func declares(e xml.StartElement) bool {
	return slices.Contains(e.Attr, xml.Attr{Name: xml.Name{Local: "xmlns"}, Value: Namespace})
}

// root cuts the document at the elements of our issuer. One is all that we write; of more, the first is
// where ours will be.
func (p *parser) root(start int64) error {
	inside := p.xml.InputOffset()
	cut := int64(-1) // behind the last element of our issuer, -1 before the first
	for {
		t, at, err := p.next()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if t.Name != (xml.Name{Space: Namespace, Local: "issuer"}) || fieldsOf(t).text("id") != p.issuer {
				p.doc.others = true
				if err := p.skip(); err != nil {
					return err
				}
				continue
			}
			if cut < 0 {
				p.doc.head, cut = p.raw[:at], at
			}
			p.doc.tail = append(p.doc.tail, p.raw[cut:at]...)
			if err := p.issuerElement(at); err != nil {
				return err
			}
			cut = p.xml.InputOffset()
		case xml.EndElement:
			p.closeRoot(start, inside, at, cut)
			return nil
		case xml.CharData:
			p.doc.others = p.doc.others || !isBlank(t)
		default:
			p.doc.others = true
		}
	}
}

// closeRoot sets the ends of the document: the root element begins at start, its content at inside, its
// end tag at end.
func (p *parser) closeRoot(start, inside, end, cut int64) {
	switch {
	case cut >= 0:
		p.doc.tail = append(p.doc.tail, p.raw[cut:]...)
	case end == inside && p.raw[inside-2] == '/': // <grants/>, which has no room for an element
		name := bytes.Fields(p.raw[start+1 : inside-2])[0]
		p.doc.head = append(slices.Clone(p.raw[:inside-2]), '>')
		p.doc.tail = slices.Concat([]byte("</"), name, []byte(">"), p.raw[inside:])
	default:
		p.doc.head, p.doc.tail = p.raw[:end], p.raw[end:]
	}
}

// skip reads on behind the element that just began.
func (p *parser) skip() error {
	for outside := p.depth - 1; p.depth > outside; {
		if _, _, err := p.next(); err != nil {
			return err
		}
	}
	return nil
}

// issuerElement reads the clients of our issuer. What else is in it is of no use and not written again.
func (p *parser) issuerElement(start int64) error {
	if string(p.raw[start:p.xml.InputOffset()]) != p.doc.startTag {
		p.doc.reshaped = true
	}
	for outside := p.depth - 1; p.depth > outside; {
		t, at, err := p.next()
		if err != nil {
			return err
		}
		e, ok := t.(xml.StartElement)
		switch {
		case !ok:
		case e.Name == xml.Name{Space: Namespace, Local: "client"}:
			err = p.client(e, at)
		default:
			err = p.skip()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) client(start xml.StartElement, at int64) error {
	f := fieldsOf(start)
	e := clientElement{id: f.text("id"), seal: f.text("seal")}
	c := &Client{NotBefore: f.time("not-before"), KeepNotBefore: f.time("keep-not-before")}
	ok := f.complete()
	client := p.depth
	for p.depth >= client {
		t, _, err := p.next()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			ok = p.depth == client+1 && decodeInto(c, t) && ok
		case xml.CharData:
			ok = isBlank(t) && ok
		}
	}
	if ok {
		e.client = c
	}
	e.raw = p.raw[at:p.xml.InputOffset()]
	p.doc.clients = append(p.doc.clients, e)
	return nil
}

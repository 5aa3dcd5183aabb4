package grants

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Namespace is that of the elements of a document, and Version what its root element says.
const (
	Namespace = "https://github.com/gatewright/gatewright/grants"
	Version   = "1"
)

// maxDepth is how deep the elements of a document may be nested: ours are four, other issuers' versions
// may have more.
const maxDepth = 16

// ErrForeign says that the attribute holds what this server must not overwrite: it belongs to something
// else, is of a later version, or is damaged. An administrator has to look.
var ErrForeign = errors.New("grants: attribute holds content that is not ours to overwrite")

// document is the value of the attribute, cut where the element of our issuer is, or is to be.
type document struct {
	head, tail []byte
	clients    []clientElement // of our issuer, as they stand there
	startTag   string          // of our issuer's element, as we write it
	reshaped   bool            // it stands there in another form, so that its children can't be kept as text
	others     bool            // there is something besides our issuer's element
}

// clientElement is a client element of our issuer, whose seal is yet to be checked.
type clientElement struct {
	id, seal string
	client   *Client // nil for what we don't write
	raw      []byte
}

// parseDocument cuts a value for an issuer; no value is an empty document. All errors are ErrForeign.
func parseDocument(raw []byte, issuer string) (*document, error) {
	if len(raw) == 0 {
		d := &document{head: []byte(`<grants xmlns="` + Namespace + `" version="` + Version + `">`), tail: []byte("</grants>")}
		d.startTag = issuerTag(issuer, true)
		return d, nil
	}
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrForeign, len(raw))
	}
	p := &parser{raw: raw, xml: xml.NewDecoder(bytes.NewReader(raw)), issuer: issuer}
	if err := p.document(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return &p.doc, nil
}

// issuerTag writes the start tag of an issuer's element; where unprefixed names aren't in our namespace
// it says so.
func issuerTag(issuer string, inherits bool) string {
	var out strings.Builder
	out.WriteString("<issuer")
	if !inherits {
		out.WriteString(` xmlns="` + Namespace + `"`)
	}
	out.WriteString(` id="`)
	_ = xml.EscapeText(&out, []byte(issuer)) // a Builder takes everything
	out.WriteString(`">`)
	return out.String()
}

// compose writes the document with these client elements, by id, in place of those there. Elements that
// granted nothing stay unless their client is among them, or there is no room. It returns nil when nothing
// is left at all.
func (d *document) compose(clients map[string]string, refused []clientElement) ([]byte, error) {
	var kept [][]byte
	for _, e := range refused {
		if _, replaced := clients[e.id]; !replaced && !d.reshaped {
			kept = append(kept, e.raw)
		}
	}
	value := d.write(clients, kept)
	if len(value) > MaxSize {
		value = d.write(clients, nil)
	}
	if len(value) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(value))
	}
	return value, nil
}

func (d *document) write(clients map[string]string, kept [][]byte) []byte {
	if len(clients)+len(kept) == 0 {
		if !d.others {
			return nil
		}
		return slices.Concat(d.head, d.tail)
	}
	out := bytes.NewBuffer(slices.Clone(d.head))
	out.WriteString(d.startTag)
	for _, id := range slices.Sorted(maps.Keys(clients)) {
		out.WriteString(clients[id])
	}
	for _, raw := range kept {
		out.Write(raw)
	}
	out.WriteString("</issuer>")
	out.Write(d.tail)
	return out.Bytes()
}

// frameSize is how many bytes the document has besides the clients of our issuer.
func (d *document) frameSize() int {
	return len(d.head) + len(d.startTag) + len("</issuer>") + len(d.tail)
}

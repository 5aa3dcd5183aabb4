package grants

import (
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// errText says that a text or a time has no form in XML (XML 1.0 §2.2).
var errText = errors.New("grants: not to be written as XML")

// clientTag begins a client element; sealed sets the seal behind it.
const clientTag = "<client"

// sealSize is what a seal adds to a client element: a MAC of 256 bits in base64url.
const sealSize = len(` seal=""`) + 43

// encodeClients returns the canonical form of each client.
func encodeClients(clients map[string]*Client) (map[string]string, error) {
	texts := make(map[string]string, len(clients))
	for id, c := range clients {
		text, err := encodeClient(id, c)
		if err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
		texts[id] = text
	}
	return texts, nil
}

// encodeClient writes a client element in its canonical form, without the seal.
func encodeClient(id string, c *Client) (string, error) {
	w := &elementWriter{}
	w.out.WriteString(clientTag)
	w.text("id", id)
	w.optionalTime("not-before", c.NotBefore)
	w.optionalTime("keep-not-before", c.KeepNotBefore)
	w.out.WriteString(">")
	for _, scope := range slices.Sorted(maps.Keys(c.Consents)) {
		w.out.WriteString("<consent")
		w.scope("scope", scope)
		w.time("at", c.Consents[scope])
		w.out.WriteString("/>")
	}
	for _, f := range c.Families {
		w.family(f)
	}
	w.out.WriteString("</client>")
	return w.out.String(), w.err
}

// sealed adds the seal to the canonical form of a client element.
func sealed(text, seal string) string {
	return clientTag + ` seal="` + seal + `"` + strings.TrimPrefix(text, clientTag)
}

// elementWriter writes elements and remembers the first value that won't go.
type elementWriter struct {
	out strings.Builder
	err error
}

func (w *elementWriter) family(f Family) {
	w.out.WriteString("<family")
	w.text("id", f.ID)
	w.time("issued", f.Issued)
	w.optionalTime("expires", f.Expires)
	w.optionalTime("last-used", f.LastUsed)
	if len(f.Scope) > 0 {
		w.scope("scope", f.Scope...)
	}
	w.optionalText("resource-server", f.ResourceServer)
	w.optionalText("device", f.Device)
	w.out.WriteString("/>")
}

// scope writes scopes with a space between them, as RFC 6749 §3.3 does.
func (w *elementWriter) scope(name string, scopes ...string) {
	for _, scope := range scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\r\n") {
			w.fail(name)
		}
	}
	w.text(name, strings.Join(scopes, " "))
}

func (w *elementWriter) optionalText(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *elementWriter) text(name, value string) {
	if err := checkText(name, value); err != nil {
		w.fail(name)
		return
	}
	w.out.WriteString(" " + name + `="`)
	_ = xml.EscapeText(&w.out, []byte(value)) // a Builder takes everything
	w.out.WriteString(`"`)
}

func (w *elementWriter) optionalTime(name string, at time.Time) {
	if !at.IsZero() {
		w.time(name, at)
	}
}

func (w *elementWriter) time(name string, at time.Time) {
	at = at.UTC()
	if at.Year() < 1 || at.Year() > 9999 {
		w.fail(name)
		return
	}
	w.text(name, at.Format(time.RFC3339Nano))
}

func (w *elementWriter) fail(name string) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s", errText, name)
	}
}

// checkText refuses what XML can't hold. EscapeText would put U+FFFD in its place, and two ids might
// become one.
func checkText(name, value string) error {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(c rune) bool { return !isChar(c) }) {
		return fmt.Errorf("%w: %s", errText, name)
	}
	return nil
}

// isChar reports whether XML has this character at all (XML 1.0 §2.2).
func isChar(c rune) bool {
	return c >= ' ' && c != 0xFFFE && c != 0xFFFF || c == '\t' || c == '\n' || c == '\r'
}

// fields are the attributes of one element of ours, taken out one by one; bad is set once one of them
// was not as we write it.
type fields struct {
	values map[string]string
	bad    bool
}

// fieldsOf reads attributes. Declarations of namespaces are none; what else names a namespace, or is there
// twice, is bad.
func fieldsOf(e xml.StartElement) *fields {
	f := &fields{values: make(map[string]string, len(e.Attr))}
	for _, a := range e.Attr {
		if isDeclaration(a.Name) {
			continue
		}
		if _, twice := f.values[a.Name.Local]; twice || a.Name.Space != "" {
			f.bad = true
		}
		f.values[a.Name.Local] = a.Value
	}
	return f
}

func isDeclaration(name xml.Name) bool {
	return name.Space == "xmlns" || name.Space == "" && name.Local == "xmlns"
}

// text takes a value out, "" when there is none.
func (f *fields) text(name string) string {
	value := f.values[name]
	delete(f.values, name)
	return value
}

// time takes a time out, the zero one when there is none.
func (f *fields) time(name string) time.Time {
	value := f.text(name)
	if value == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		f.bad = true
	}
	return at.UTC()
}

// complete reports whether all was well and nothing is left over.
func (f *fields) complete() bool { return !f.bad && len(f.values) == 0 }

// decodeInto adds a child of a client element to the client; ok is false for one that we don't write.
func decodeInto(c *Client, e xml.StartElement) (ok bool) {
	f := fieldsOf(e)
	switch e.Name {
	case xml.Name{Space: Namespace, Local: "consent"}:
		if c.Consents == nil {
			c.Consents = make(map[string]time.Time)
		}
		c.Consents[f.text("scope")] = f.time("at")
	case xml.Name{Space: Namespace, Local: "family"}:
		family := Family{
			ID:             f.text("id"),
			Issued:         f.time("issued"),
			Expires:        f.time("expires"),
			LastUsed:       f.time("last-used"),
			ResourceServer: f.text("resource-server"),
			Device:         f.text("device"),
		}
		if scope := f.text("scope"); scope != "" {
			family.Scope = strings.Split(scope, " ")
		}
		c.Families = append(c.Families, family)
	default:
		return false
	}
	return f.complete()
}

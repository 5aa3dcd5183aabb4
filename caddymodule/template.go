package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatewright/gatewright/tokeninject"
)

// Template is text whose placeholders are replaced for each request: those of Caddy's request, and
// those of the gate's own identity. {env.X} and {file./path} are replaced once, when the config is
// loaded, and what they yield is never read as a placeholder again. One that nobody knows has no value, such as a group
// of a regular expression that didn't match. \{ and \} are braces, and so are those around what can't be a name. Between
// double quotes a value can't end them: it has a backslash before its own (RFC 9110 §5.6.4, RFC 8259 §7).
type Template string

// placeholderName tells names from text that is in braces, such as JSON. Behind a prefix that is ours or Caddy's anything
// may follow: claims are called https://example.com/roles or cognito:groups, and files have spaces in their names.
var placeholderName = regexp.MustCompile(`^(?:(?:authz|env|file|http|system|time|vars)\..|[A-Za-z][^\s"'{},:;<>()=]*$)`)

// compiler compiles templates and keeps the first error.
type compiler struct {
	err error
}

// value compiles one template. encode is for the items of lists.
func (c *compiler) value(where string, t Template, encode itemEncoder) tokeninject.Value {
	return valueOf(c.parse(where, t, encode))
}

// userName compiles a template of a user's name, in which a colon would move the rest into the password (RFC 7617 §2).
func (c *compiler) userName(where string, t Template) tokeninject.Value {
	pieces := c.parse(where, t, encodeItem)
	if slices.ContainsFunc(pieces, func(p piece) bool { return strings.Contains(p.text, ":") }) {
		c.fail(where, fmt.Errorf("a user name has no colon, as in %q", t))
	}
	return valueOf(pieces)
}

// list compiles a template in which what may be a list is always written as one, also where there is only one
// item: else that one's commas would look like those between items (A57).
func (c *compiler) list(where string, t Template, encode itemEncoder) tokeninject.Value {
	pieces := c.parse(where, t, encode)
	found := false
	for i, piece := range pieces {
		if piece.lookup != nil {
			found, pieces[i].lookup, pieces[i].fixed = true, asList(piece.lookup), nil
		}
	}
	if !found {
		c.fail(where, fmt.Errorf("list is for a placeholder of the gate, such as {authz.claim.groups}, and not %q", t))
	}
	return valueOf(pieces)
}

// joined compiles a template by list or value.
func (c *compiler) joined(where string, t Template, list bool, encode itemEncoder) tokeninject.Value {
	if list {
		return c.list(where, t, encode)
	}
	return c.value(where, t, encode)
}

// asList reads a single text as a list of one.
func asList(read lookup) lookup {
	return func(ctx context.Context, id *tokeninject.Identity) any {
		value := read(ctx, id)
		if single, ok := value.(string); ok {
			return []string{single}
		}
		return value
	}
}

// valueOf joins pieces. Most values are one placeholder, or none, which costs a request nothing but the look-up itself.
func valueOf(pieces []piece) tokeninject.Value {
	if len(pieces) == 0 {
		return func(context.Context, *http.Request, *tokeninject.Identity) (string, bool) { return "", true }
	}
	if len(pieces) == 1 && pieces[0].key == "" {
		text := pieces[0].text
		return func(context.Context, *http.Request, *tokeninject.Identity) (string, bool) { return text, true }
	}
	if len(pieces) == 1 {
		return pieces[0].value
	}
	return func(ctx context.Context, r *http.Request, id *tokeninject.Identity) (string, bool) {
		var b strings.Builder
		for _, piece := range pieces {
			text, ok := piece.value(ctx, r, id)
			if !ok {
				return "", false // half a value is none
			}
			b.WriteString(text)
		}
		return b.String(), true
	}
}

// values compiles a template that gives several values: one placeholder of the gate, and nothing else.
func (c *compiler) values(where string, t Template, encode itemEncoder) tokeninject.Values {
	pieces := c.parse(where, t, encode)
	if len(pieces) != 1 || pieces[0].lookup == nil {
		c.fail(where, fmt.Errorf("repeat is for one placeholder with a list, such as {authz.roles}, and not %q", t))
		return nil
	}
	read := pieces[0].lookup
	return func(ctx context.Context, _ *http.Request, id *tokeninject.Identity) []string {
		return claimItems(read(ctx, id), encode)
	}
}

func (c *compiler) parse(where string, t Template, encode itemEncoder) []piece {
	pieces, err := parseTemplate(string(t), encode)
	if err != nil {
		c.fail(where, err)
	}
	return pieces
}

func (c *compiler) fail(where string, err error) {
	if c.err == nil {
		c.err = fmt.Errorf("%s: %w", where, err)
	}
}

// piece is literal text, or one placeholder.
type piece struct {
	text   string
	key    string                             // of the placeholder; "" for literal text
	lookup lookup                             // of a placeholder of the gate; nil for the request's
	fixed  func(*tokeninject.Identity) string // lookup as text at once, where it is one of fixedTexts
	encode itemEncoder
	quoted bool // the placeholder stands between double quotes
}

// quotedPairs keeps a value between double quotes.
var quotedPairs = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// value is the piece's text in one request; a placeholder that comes out empty has none.
func (p piece) value(ctx context.Context, r *http.Request, id *tokeninject.Identity) (string, bool) {
	text, ok := p.read(ctx, r, id)
	if p.quoted {
		text = quotedPairs.Replace(text)
	}
	return text, ok
}

func (p piece) read(ctx context.Context, r *http.Request, id *tokeninject.Identity) (string, bool) {
	switch {
	case p.key == "":
		return p.text, true
	case p.lookup != nil:
		if id == nil {
			return "", false
		}
		if p.fixed != nil {
			text := p.fixed(id)
			return text, text != ""
		}
		text := claimText(p.lookup(ctx, id), p.encode)
		return text, text != ""
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return "", false
	}
	text, known := repl.GetString(p.key)
	return text, known && text != ""
}

func parseTemplate(text string, encode itemEncoder) ([]piece, error) {
	var pieces []piece
	var literal strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (text[i+1] == '{' || text[i+1] == '}') {
			i++
			literal.WriteByte(text[i])
			continue
		}
		length := -1
		if text[i] == '{' {
			length = strings.IndexByte(text[i:], '}')
		}
		if length < 2 || !placeholderName.MatchString(text[i+1:i+length]) {
			literal.WriteByte(text[i])
			continue
		}
		key := text[i+1 : i+length]
		i += length
		if strings.HasPrefix(key, "env.") || strings.HasPrefix(key, "file.") {
			value, err := caddy.NewReplacer().ReplaceOrErr("{"+key+"}", true, false)
			if err != nil {
				return nil, err
			}
			literal.WriteString(value)
			continue
		}
		if literal.Len() > 0 {
			quoted = endsQuoted(literal.String(), quoted)
			pieces = append(pieces, piece{text: literal.String()})
			literal.Reset()
		}
		read := lookupOf(key)
		if read == nil && strings.HasPrefix(key, "authz.") {
			return nil, fmt.Errorf("there is no placeholder {%s}", key)
		}
		pieces = append(pieces, piece{key: key, lookup: read, fixed: fixedTexts[key], encode: encode, quoted: quoted})
	}
	if literal.Len() > 0 {
		pieces = append(pieces, piece{text: literal.String()})
	}
	return pieces, nil
}

// endsQuoted tells whether what follows a text stands between double quotes, by whether the text does.
func endsQuoted(text string, quoted bool) bool {
	escaped := false
	for i := range len(text) {
		if text[i] == '"' && !escaped {
			quoted = !quoted
		}
		escaped = text[i] == '\\' && !escaped
	}
	return quoted
}

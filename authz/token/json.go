package token

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays may nest. Tokens need three or four.
const maxDepth = 16

// parser reads one JSON text (RFC 8259) and is strict where libraries are kind,
// since two readers that disagree about one token are a way in: no duplicate
// members at any depth (RFC 7515 §4, RFC 7519 §4), no invalid UTF-8, no lone
// surrogates, nothing after the value. It holds the text as a string, so the
// strings it returns share that memory and cost nothing.
//
// go-jose's own json package refuses duplicates, but lets invalid UTF-8 and
// any depth pass; encoding/json lets all three pass.
type parser struct {
	text  string
	pos   int
	depth int
}

func newParser(text []byte) (*parser, error) {
	if len(text) > MaxSize {
		return nil, refuse(ErrMalformed, "JSON is too large")
	}
	if !utf8.Valid(text) {
		return nil, refuse(ErrMalformed, "JSON is not valid UTF-8")
	}
	return &parser{text: string(text)}, nil
}

// Claims reads a payload as a JSON object, strictly: duplicate members at any
// depth, invalid UTF-8, nesting deeper than 16, more than MaxSize bytes and
// anything after the object are ErrMalformed. Numbers come as json.Number.
func Claims(payload []byte) (map[string]any, error) {
	p, err := newParser(payload)
	if err != nil {
		return nil, err
	}
	claims := make(map[string]any)
	err = p.document(func(name string) error {
		value, err := p.value()
		claims[name] = value
		return err
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// document reads the one object that is the whole text.
func (p *parser) document(member func(name string) error) error {
	if err := p.object(member); err != nil {
		return err
	}
	if p.space(); p.pos != len(p.text) {
		return refuse(ErrMalformed, "JSON goes on after its end")
	}
	return nil
}

// object calls member for each name in turn; member must read the value.
func (p *parser) object(member func(name string) error) error {
	var seen nameSet
	return p.list('{', '}', func() error {
		name, err := p.str()
		if err != nil {
			return err
		}
		if !seen.add(name) {
			return refuse(ErrMalformed, "JSON has a duplicate member")
		}
		if !p.take(':') {
			return refuse(ErrMalformed, "JSON member has no value")
		}
		return member(name)
	})
}

// list reads what stands between two brackets, separated by commas.
func (p *parser) list(open, closing byte, item func() error) error {
	if !p.take(open) {
		return refuse(ErrMalformed, "JSON value has another type")
	}
	if p.depth++; p.depth > maxDepth {
		return refuse(ErrMalformed, "JSON nests too deep")
	}
	defer func() { p.depth-- }()
	if p.take(closing) {
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if p.take(closing) {
			return nil
		}
		if !p.take(',') {
			return refuse(ErrMalformed, "JSON list is broken")
		}
	}
}

// value reads any value into the types of encoding/json with UseNumber.
func (p *parser) value() (any, error) {
	switch c := p.peek(); c {
	case '{':
		object := make(map[string]any)
		err := p.object(func(name string) (err error) {
			object[name], err = p.value()
			return err
		})
		return object, err
	case '[':
		array := []any{}
		err := p.list('[', ']', func() error {
			element, err := p.value()
			array = append(array, element)
			return err
		})
		return array, err
	case '"':
		return p.str()
	case 't':
		return true, p.literal("true")
	case 'f':
		return false, p.literal("false")
	case 'n':
		return nil, p.literal("null")
	default:
		return p.number()
	}
}

// strings reads an array of strings, or one string as an array of one, as aud
// may be (RFC 7519 §4.1.3).
func (p *parser) strings() ([]string, error) {
	if p.peek() == '"' {
		s, err := p.str()
		return []string{s}, err
	}
	var all []string
	err := p.list('[', ']', func() error {
		s, err := p.str()
		all = append(all, s)
		return err
	})
	return all, err
}

func (p *parser) str() (string, error) {
	if !p.take('"') {
		return "", refuse(ErrMalformed, "JSON value is not a string")
	}
	start := p.pos
	for ; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			return p.text[start : p.pos-1], nil
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", refuse(ErrMalformed, "JSON string has a control character")
		}
	}
	return "", refuse(ErrMalformed, "JSON string has no end")
}

// escaped goes on with a string from its first backslash.
func (p *parser) escaped(start int) (string, error) {
	var b strings.Builder
	b.WriteString(p.text[start:p.pos])
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '"':
			return b.String(), nil
		case c < ' ':
			return "", refuse(ErrMalformed, "JSON string has a control character")
		case c != '\\':
			b.WriteByte(c)
		default:
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		}
	}
	return "", refuse(ErrMalformed, "JSON string has no end")
}

// escape reads what follows a backslash.
func (p *parser) escape() (rune, error) {
	if p.pos == len(p.text) {
		return 0, refuse(ErrMalformed, "JSON string has no end")
	}
	c := p.text[p.pos]
	p.pos++
	const names, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if i := strings.IndexByte(names, c); i >= 0 {
		return rune(meanings[i]), nil
	}
	if c != 'u' {
		return 0, refuse(ErrMalformed, "JSON string has an unknown escape")
	}
	r, ok := p.hex4()
	if ok && utf16.IsSurrogate(r) {
		// A half of a pair alone is no character; what readers make of it differs.
		if ok = strings.HasPrefix(p.text[p.pos:], `\u`); ok {
			p.pos += 2
			var low rune
			low, ok = p.hex4()
			r = utf16.DecodeRune(r, low)
			ok = ok && r != utf8.RuneError
		}
	}
	if !ok {
		return 0, refuse(ErrMalformed, "JSON string has a broken \\u escape")
	}
	return r, nil
}

func (p *parser) hex4() (rune, bool) {
	if len(p.text)-p.pos < 4 {
		return 0, false
	}
	r, err := strconv.ParseUint(p.text[p.pos:p.pos+4], 16, 16)
	p.pos += 4
	return rune(r), err == nil
}

// number reads a number and leaves it as it is written.
func (p *parser) number() (json.Number, error) {
	p.space()
	start := p.pos
	p.accept('-')
	ok := p.accept('0') || p.digits()
	if ok && p.accept('.') {
		ok = p.digits()
	}
	if ok && (p.accept('e') || p.accept('E')) {
		_ = p.accept('+') || p.accept('-')
		ok = p.digits()
	}
	if !ok {
		return "", refuse(ErrMalformed, "JSON value is not a number")
	}
	return json.Number(p.text[start:p.pos]), nil
}

func (p *parser) digits() bool {
	start := p.pos
	for p.pos < len(p.text) && p.text[p.pos] >= '0' && p.text[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

func (p *parser) literal(word string) error {
	if !strings.HasPrefix(p.text[p.pos:], word) {
		return refuse(ErrMalformed, "JSON value is none")
	}
	p.pos += len(word)
	return nil
}

func (p *parser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// peek gives the next byte after white space, or 0 at the end.
func (p *parser) peek() byte {
	if p.space(); p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

// take goes past c if it comes next after white space.
func (p *parser) take(c byte) bool {
	p.space()
	return p.accept(c)
}

// accept goes past c if it is the very next byte.
func (p *parser) accept(c byte) bool {
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// nameSet tells a name seen before from a new one. It looks at a short list,
// and goes over to a map before that gets slow: an object is as large as a
// stranger likes.
type nameSet struct {
	few  [24]string
	n    int
	many map[string]struct{}
}

// add reports whether the name is new.
func (s *nameSet) add(name string) bool {
	if s.many == nil {
		if slices.Contains(s.few[:s.n], name) {
			return false
		}
		if s.n < len(s.few) {
			s.few[s.n] = name
			s.n++
			return true
		}
		s.many = make(map[string]struct{}, 2*s.n)
		for _, old := range s.few {
			s.many[old] = struct{}{}
		}
	}
	if _, old := s.many[name]; old {
		return false
	}
	s.many[name] = struct{}{}
	return true
}

package token

import (
	"encoding/base64"
	"strings"
)

// MaxSize is the most bytes that any token, payload or sealed value may have.
// It is checked before anything else is done with one.
const MaxSize = 64 << 10

// encoding is base64url without padding (RFC 7515 §2). Strict, so that the
// unused bits of the last character are zero and a value has one spelling:
// tokens are remembered by the hash of their bytes.
var encoding = base64.RawURLEncoding.Strict()

// decode takes one part of a token whose text has no line breaks.
func decode(part string) ([]byte, error) {
	out, err := encoding.DecodeString(part)
	if err != nil {
		return nil, refuse(ErrMalformed, "part is not base64url")
	}
	return out, nil
}

// decodeText takes a JSON string, which may have line breaks.
func decodeText(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, refuse(ErrMalformed, "part is not base64url")
	}
	return decode(text)
}

// split cuts a compact serialization into exactly len(parts) parts (RFC 7515
// §7.1, RFC 7516 §7.1).
func split(raw string, parts []string) error {
	if len(raw) > MaxSize {
		return refuse(ErrMalformed, "token is too large")
	}
	// Go's base64 decoder skips line breaks, even a strict one.
	if strings.IndexByte(raw, '\n') >= 0 || strings.IndexByte(raw, '\r') >= 0 {
		return refuse(ErrMalformed, "token has a line break")
	}
	last := len(parts) - 1
	for i := range last {
		head, tail, found := strings.Cut(raw, ".")
		if !found {
			return refuse(ErrMalformed, "token has too few parts")
		}
		parts[i], raw = head, tail
	}
	if strings.IndexByte(raw, '.') >= 0 {
		return refuse(ErrMalformed, "token has too many parts")
	}
	parts[last] = raw
	return nil
}

// header reads a protected header and gives each member to set, which must
// read its value. A crit member is refused whatever it lists: no extension is
// understood here (RFC 7515 §4.1.11).
func header(part string, set func(p *parser, name string) error) error {
	text, err := decode(part)
	if err != nil {
		return err
	}
	p, err := newParser(text)
	if err != nil {
		return err
	}
	return p.document(func(name string) error {
		if name == "crit" {
			return refuse(ErrMalformed, "header has crit")
		}
		return set(p, name)
	})
}

// isJWS reports whether text has the shape of a compact JWS with a header, a
// payload and a signature.
func isJWS(text string) bool {
	var parts [3]string
	return split(text, parts[:]) == nil && parts[0] != "" && parts[1] != "" && parts[2] != ""
}

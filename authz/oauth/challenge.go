package oauth

import "strings"

// Challenge is a WWW-Authenticate value of RFC 6750 §3. Members left empty are not sent.
type Challenge struct {
	Realm            string
	Code             Code
	Description      string
	Scope            string
	ACRValues        string // RFC 9470 §3
	MaxAge           string // seconds (RFC 9470 §3)
	ResourceMetadata string // RFC 9728 §5.1
}

// String is the header's value.
func (c Challenge) String() string {
	var b strings.Builder
	b.WriteString("Bearer")
	separator := " "
	add := func(name, value string) {
		if value == "" {
			return
		}
		b.WriteString(separator)
		b.WriteString(name)
		b.WriteString(`="`)
		writeQuoted(&b, value)
		b.WriteByte('"')
		separator = ", "
	}
	add("realm", c.Realm)
	add("error", string(c.Code))
	add("error_description", c.Description)
	add("scope", c.Scope)
	add("acr_values", c.ACRValues)
	add("max_age", c.MaxAge)
	add("resource_metadata", c.ResourceMetadata)
	return b.String()
}

// writeQuoted keeps a value inside its quotes: RFC 6750 §3 allows neither quote nor backslash in
// most members, and a line break would start a header of its own.
func writeQuoted(b *strings.Builder, value string) {
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\'')
		case r < 0x20 || r > 0x7e:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
}

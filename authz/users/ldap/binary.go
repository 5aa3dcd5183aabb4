package ldap

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// isGUID tells which attributes hold 16 bytes of a GUID: Active Directory's and eDirectory's.
func isGUID(attribute string) bool {
	return strings.EqualFold(attribute, "objectGUID") || strings.EqualFold(attribute, "GUID")
}

func isSID(attribute string) bool { return strings.EqualFold(attribute, "objectSid") }

// toText spells a value as text. Bytes that are none are base64.
func toText(attribute string, value []byte) string {
	switch {
	case isGUID(attribute) && len(value) == 16:
		return guidText(value)
	case isSID(attribute):
		if sid, ok := sidText(value); ok {
			return sid
		}
	case utf8.Valid(value):
		return string(value)
	}
	return base64.StdEncoding.EncodeToString(value)
}

// subjectText spells the value that identifies a person, so that subjectFilter finds it again.
func subjectText(attribute string, value []byte) (string, error) {
	switch {
	case isGUID(attribute) && len(value) == 16:
		return guidText(value), nil
	case isGUID(attribute) || len(value) == 0 || !utf8.Valid(value):
		return "", fmt.Errorf("attribute %s identifies nobody: %d bytes that are neither text nor a GUID", attribute, len(value))
	}
	return string(value), nil
}

// subjectFilter is the equality of an attribute and the text of subjectText; ok is false for what can be
// nobody's.
func subjectFilter(attribute, subject string) (filter string, ok bool) {
	if subject == "" || len(subject) > maxName {
		return "", false
	}
	if !isGUID(attribute) {
		return "(" + attribute + "=" + ldap.EscapeFilter(subject) + ")", true
	}
	guid, ok := parseGUID(subject)
	if !ok {
		return "", false
	}
	var b strings.Builder
	for _, octet := range guid {
		fmt.Fprintf(&b, `\%02x`, octet)
	}
	return "(" + attribute + "=" + b.String() + ")", true
}

// guidText spells a GUID in its usual form: the first three numbers are little-endian ([MS-DTYP] §2.3.4).
func guidText(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b[0:4]), binary.LittleEndian.Uint16(b[4:6]),
		binary.LittleEndian.Uint16(b[6:8]), b[8:10], b[10:16])
}

// parseGUID reads guidText's spelling, and only that: one person has one subject.
func parseGUID(text string) ([]byte, bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != 16 {
		return nil, false
	}
	binary.LittleEndian.PutUint32(b[0:4], binary.BigEndian.Uint32(b[0:4]))
	binary.LittleEndian.PutUint16(b[4:6], binary.BigEndian.Uint16(b[4:6]))
	binary.LittleEndian.PutUint16(b[6:8], binary.BigEndian.Uint16(b[6:8]))
	return b, guidText(b) == text
}

// sidText spells a security identifier, S-1-5-… ([MS-DTYP] §2.4.2.1).
func sidText(b []byte) (string, bool) {
	if len(b) < 8 || len(b) != 8+4*int(b[1]) {
		return "", false
	}
	var authority [8]byte
	copy(authority[2:], b[2:8])
	var sid strings.Builder
	fmt.Fprintf(&sid, "S-%d-%d", b[0], binary.BigEndian.Uint64(authority[:]))
	for rest := b[8:]; len(rest) > 0; rest = rest[4:] {
		fmt.Fprintf(&sid, "-%d", binary.LittleEndian.Uint32(rest))
	}
	return sid.String(), true
}

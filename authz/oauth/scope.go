package oauth

import "strings"

// ParseScope splits a scope parameter (RFC 6749 §3.3) into its tokens, each once, in the order of
// first mention. Scope tokens are case-sensitive. A character outside the RFC's set is invalid_scope.
func ParseScope(s string) ([]string, error) {
	var tokens []string
	seen := make(map[string]bool)
	for token := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ' ' }) {
		if !ValidScopeToken(token) {
			return nil, Errorf(InvalidScope, "scope holds a character that is not allowed in it")
		}
		if !seen[token] { // a map, for strangers send thousands
			seen[token] = true
			tokens = append(tokens, token)
		}
	}
	return tokens, nil
}

// ValidScopeToken tells whether s is a scope-token of RFC 6749 §3.3.
func ValidScopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// FormatScope is the wire form of a list of scope tokens.
func FormatScope(tokens []string) string { return strings.Join(tokens, " ") }

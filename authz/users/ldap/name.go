package ldap

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxName is how long a name may be, in bytes. Directories have shorter ones.
const maxName = 256

// maxPassword bounds what is sent to a server as a password, in bytes.
const maxPassword = 4096

// plausible tells whether a name could be anybody's: what isn't never reaches a server.
func plausible(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, unicode.IsControl)
}

// fold is one spelling for all that a directory may take for the same name: compatible characters
// (NFKC), case, invisible characters and spaces are as RFC 4518 §2 prepares strings.
func fold(name string) string {
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return unicode.ReplacementChar
		case unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			return -1
		}
		return r
	}, name)
	folded := norm.NFKC.String(strings.Map(oneCase, cases.Fold().String(norm.NFKC.String(visible))))
	return strings.Join(strings.Fields(folded), " ")
}

// oneCase is the same for all cases of a letter. Folding alone leaves Cherokee letters two spellings.
func oneCase(r rune) rune {
	smallest := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		smallest = min(smallest, other)
	}
	return unicode.ToLower(smallest)
}

// Canonical implements users.Store.
func (d *Directory) Canonical(username string) string {
	if len(username) > maxName {
		username = username[:maxName] // nobody's name
	}
	return fold(username)
}

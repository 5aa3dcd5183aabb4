package oauth

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

type challengeVector struct{ Challenge Challenge }

func TestChallengeVectors(t *testing.T) {
	vectors(t, "challenge", func(t *testing.T, v challengeVector, expect string) {
		require.Equal(t, expect, v.Challenge.String())
	})
}

func TestA57_NoHeaderInChallenge(t *testing.T) {
	for name, row := range map[string]struct{ value, want string }{
		"CR LF":          {"x\r\nSet-Cookie: a=b", `Bearer realm="x??Set-Cookie: a=b"`},
		"LF":             {"x\ny", `Bearer realm="x?y"`},
		"NUL":            {"x\x00y", `Bearer realm="x?y"`},
		"DEL":            {"x\x7fy", `Bearer realm="x?y"`},
		"tab":            {"x\ty", `Bearer realm="x?y"`},
		"end of quotes":  {`x", error="y`, `Bearer realm="x', error='y"`},
		"backslash":      {`x\`, `Bearer realm="x'"`},
		"letters abroad": {"Zürich 東", `Bearer realm="Z?rich ?"`},
		"not UTF-8":      {"x\xffy", `Bearer realm="x?y"`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, row.want, Challenge{Realm: row.value}.String())
			requireOneHeader(t, everyMember(row.value))
		})
	}
}

func TestChallengeLeavesOutWhatIsEmpty(t *testing.T) {
	require.Equal(t, "Bearer", Challenge{}.String())
	require.Equal(t, `Bearer scope="a b"`, Challenge{Scope: "a b"}.String())
}

// everyMember is a challenge that says the same everywhere.
func everyMember(value string) Challenge {
	return Challenge{
		Realm: value, Code: Code(value), Description: value, Scope: value, ACRValues: value, ResourceMetadata: value,
	}
}

// challengeForm is a challenge whose values are all quoted and hold nothing that ends a quote or a
// line (RFC 9110 §11.6.1, with the characters of RFC 6750 §3).
var challengeForm = regexp.MustCompile(`^Bearer(,? [a-z_]+="[ !#-\[\]-~]+")*$`)

func requireOneHeader(t *testing.T, c Challenge) {
	t.Helper()
	require.Regexp(t, challengeForm, c.String())
}

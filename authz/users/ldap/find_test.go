package ldap

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
)

// Find is for whom another system speaks of: by one value of one attribute, escaped, or nobody.
func TestU1_E2_FindByAnAttribute(t *testing.T) {
	d, _ := directory(t, nil)
	for _, by := range [][2]string{{"mail", "alice@example.org"}, {"", "alice"}, {"MAIL", "Alice@Example.org"}} {
		u, err := d.Find(t.Context(), by[0], by[1])
		require.NoError(t, err, by)
		require.Equal(t, "alice", u.Username)
	}
	for _, by := range [][2]string{{"mail", "*"}, {"mail", "zoe@example.org"}, {"mail", "*)(uid=alice"}, {"", "*"}, {"", ""}, {"mail", ""}, {"mail", "\x00"}} {
		_, err := d.Find(t.Context(), by[0], by[1])
		require.ErrorIs(t, err, users.ErrNotFound, by)
	}
	_, err := d.Find(t.Context(), "mail)(uid", "alice")
	require.ErrorContains(t, err, "is no attribute")
}

package ldap

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
)

func TestU1_SearchThenBind(t *testing.T) {
	d, s := directory(t, nil)
	u, err := d.Authenticate(bounded(t), users.Credentials{Username: "ALICE", Password: "alice-pw"})
	require.NoError(t, err)
	require.Equal(t, s.entryUUID(t, alice), u.Subject)
	require.Equal(t, "alice", u.Username, "the directory's spelling")
	require.Equal(t, []string{"alice@example.org", "a.example@example.org"}, u.Attributes["mail"])
	require.NotContains(t, u.Attributes, "userPassword")
	require.Empty(t, u.Roles, "no source of roles was named")

	_, err = d.Authenticate(bounded(t), users.Credentials{Username: "alice", Password: "wrong"})
	require.ErrorIs(t, err, users.ErrCredentials)
	looked, err := d.Lookup(bounded(t), u.Subject)
	require.NoError(t, err)
	require.Equal(t, u.Attributes, looked.Attributes)
	require.Equal(t, u.Username, looked.Username)
	_, err = d.Lookup(bounded(t), "7c3b1e2e-0000-0000-0000-000000000000")
	require.ErrorIs(t, err, users.ErrNotFound)
}

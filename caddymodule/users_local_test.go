package caddymodule

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/static"
)

// hash is bcrypt of "wonderland" at the least cost.
const hash = "$2a$04$fpGARonGaWDGEtFYevbTw.oB3lnGUaZgoK6e06hG1SjLTzyf3VRGC"

func TestUserFileIsReadAgainWhenItChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.json")
	write := func(document string, modified time.Time) {
		require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
		require.NoError(t, os.Chtimes(file, modified, modified))
	}
	start := time.Unix(1_700_000_000, 0)
	write(`{"user":[{"name":"alice","password":"`+hash+`","role":["a"]}]}`, start)
	core, logs := observer.New(zap.ErrorLevel)
	f, err := newUserFile(file, zap.New(core), func(document []byte) (*static.Store, error) {
		entries, err := parseUserFile(document)
		if err != nil {
			return nil, err
		}
		return newStatic(entries)
	})
	require.NoError(t, err)
	clock := start
	f.now = func() time.Time { return clock }
	f.checked = clock
	roles := func() []string {
		u, err := f.Lookup(t.Context(), "alice")
		require.NoError(t, err)
		return u.Roles
	}
	require.Equal(t, []string{"a"}, roles())

	write(`{"user":[{"name":"alice","password":"`+hash+`","role":["b"]}]}`, start.Add(time.Minute))
	require.Equal(t, []string{"a"}, roles(), "it is looked at once a second")
	clock = clock.Add(userFileInterval)
	require.Equal(t, []string{"b"}, roles())

	write(`{"user":[{"name":"alice","pasword":"x"}]}`, start.Add(2*time.Minute))
	clock = clock.Add(userFileInterval)
	require.Equal(t, []string{"b"}, roles(), "a wrong file leaves who is known")
	require.Equal(t, 1, logs.Len())
	clock = clock.Add(userFileInterval)
	require.Equal(t, []string{"b"}, roles())
	require.Equal(t, 1, logs.Len(), "one change, one complaint")

	require.NoError(t, os.Remove(file))
	clock = clock.Add(userFileInterval)
	require.Equal(t, []string{"b"}, roles())
	require.Equal(t, 2, logs.Len())

	write(`{"user":[{"name":"alice","password":"`+hash+`","disabled":true}]}`, start.Add(3*time.Minute))
	clock = clock.Add(userFileInterval)
	_, err = f.Lookup(t.Context(), "alice")
	require.ErrorIs(t, err, users.ErrDisabled)
	require.Equal(t, "alice", f.Canonical(" Alice "))
}

func TestUserFileErrors(t *testing.T) {
	_, err := parseUserFile([]byte(`{"user":[]} {"user":[]}`))
	require.EqualError(t, err, "something follows the JSON document")
	_, err = parseUserFile([]byte(`{"users":[]}`))
	require.EqualError(t, err, `json: unknown field "users"`)
	_, err = newUserFile(filepath.Join(t.TempDir(), "none.json"), zap.NewNop(), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

package token

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSealer_OpensOnlyItsOwn(t *testing.T) {
	s := testKeys().Sealer("refresh")
	for _, plaintext := range []string{"", "x", strings.Repeat("long ", 1000)} {
		sealed := s.Seal([]byte(plaintext), []byte("alice"))
		require.Regexp(t, `^[A-Za-z0-9_-]+$`, sealed)
		require.NotEqual(t, sealed, s.Seal([]byte(plaintext), []byte("alice")))
		opened, err := testKeys().Sealer("refresh").Open(sealed, []byte("alice"))
		require.NoError(t, err)
		require.Equal(t, plaintext, string(opened))
	}
	sealed := s.Seal([]byte("secret"), []byte("alice"))
	for name, open := range map[string]func() ([]byte, error){
		"other context":  func() ([]byte, error) { return s.Open(sealed, []byte("bob")) },
		"no context":     func() ([]byte, error) { return s.Open(sealed, nil) },
		"other purpose":  func() ([]byte, error) { return testKeys().Sealer("cookie").Open(sealed, []byte("alice")) },
		"other issuer":   func() ([]byte, error) { return otherKeys().Sealer("refresh").Open(sealed, []byte("alice")) },
		"empty":          func() ([]byte, error) { return s.Open("", []byte("alice")) },
		"nonce only":     func() ([]byte, error) { return s.Open(sealed[:32], []byte("alice")) },
		"line break":     func() ([]byte, error) { return s.Open(sealed+"\n", []byte("alice")) },
		"padding":        func() ([]byte, error) { return s.Open(sealed+"=", []byte("alice")) },
		"beyond the cap": func() ([]byte, error) { return s.Open(strings.Repeat("A", MaxSize+1), []byte("alice")) },
	} {
		opened, err := open()
		require.ErrorIs(t, err, ErrSeal, name)
		require.Nil(t, opened, name)
	}
	for i := range sealed {
		altered := []byte(sealed)
		altered[i] ^= 1
		_, err := s.Open(string(altered), []byte("alice"))
		require.ErrorIs(t, err, ErrSeal, "byte %d", i)
	}
}

func TestSealer_MAC(t *testing.T) {
	s := testKeys().Sealer("csrf")
	mac := s.MAC("session", "consent")
	require.Len(t, mac, 43)
	require.Equal(t, mac, testKeys().Sealer("csrf").MAC("session", "consent"))
	require.True(t, s.CheckMAC(mac, "session", "consent"))
	for _, other := range []string{
		s.MAC("sessionconsent"), s.MAC("session", "consent", ""), s.MAC("sessio", "nconsent"), s.MAC("consent", "session"), s.MAC(),
		testKeys().Sealer("cookie").MAC("session", "consent"), otherKeys().Sealer("csrf").MAC("session", "consent"), "",
	} {
		require.NotEqual(t, mac, other)
		require.False(t, s.CheckMAC(other, "session", "consent"))
	}
}

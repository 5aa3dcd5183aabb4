package token

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestS11_PairwiseIdentifiers(t *testing.T) {
	keys := testKeys()
	p := keys.Pairwise()
	shop, bank := p.Sector("shop.example.com"), p.Sector("bank.example.com")
	for _, subject := range []string{"alice", "a", "", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "Zoë", strings.Repeat("x", 64)} {
		id := p.Identifier(shop, subject)
		require.Equal(t, id, keys.Pairwise().Identifier(shop, subject), "the same for good")
		require.NotEqual(t, id, p.Identifier(bank, subject), "another one in each sector")
		require.LessOrEqual(t, len(id), 255, "OpenID Connect Core §8")
		back, ok := p.Subject(id)
		require.True(t, ok)
		require.Equal(t, subject, back)
		for i := range id { // one changed character, and it is nobody's
			changed := []byte(id)
			changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
			_, ok := p.Subject(string(changed))
			require.False(t, ok, "character %d", i)
		}
	}
	require.Len(t, p.Identifier(shop, "bob"), len(p.Identifier(shop, "alice")), "the length tells nothing of a short name")
	for _, other := range []string{"", "alice", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", strings.Repeat("A", 43), strings.Repeat("A", 64), "not base64!" + strings.Repeat("x", 60)} {
		_, ok := p.Subject(other)
		require.False(t, ok, other)
	}
	require.Equal(t, "[redacted]", fmt.Sprint(p))
}

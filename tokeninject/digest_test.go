package tokeninject

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestA7_EveryByteOfATokenCounts(t *testing.T) {
	seen := map[digest]bool{}
	texts := 0
	for _, length := range []int{1, 15, 16, 17, 43, 700, 2048, 5000} {
		token := strings.Repeat("x", length)
		seen[digestOf(token)] = true
		for i := range length {
			seen[digestOf(token[:i]+"y"+token[i+1:])] = true
		}
		texts += 1 + length
		require.Len(t, seen, texts)
		require.True(t, seen[digestOf(strings.Clone(token))])
	}
}

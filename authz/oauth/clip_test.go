package oauth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestO1_ClipLeavesWholeCharacters(t *testing.T) {
	assert.Equal(t, strings.Repeat("x", 64), Clip(strings.Repeat("x", 64)))
	assert.Equal(t, strings.Repeat("x", 64)+"…", Clip(strings.Repeat("x", 65)))
	assert.Equal(t, strings.Repeat("x", 63)+"…", Clip(strings.Repeat("x", 63)+"é"))
}

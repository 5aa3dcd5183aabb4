package authz

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestG15_FewAreRememberedAtOnce(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	l := newLimiters()
	for i := range 2 * maxLimiters {
		assert.Zero(t, l.take(strconv.Itoa(i), 1, at))
	}
	assert.LessOrEqual(t, len(l.by), maxLimiters)
	assert.Equal(t, time.Second, l.take(strconv.Itoa(2*maxLimiters-1), 1, at), "the last one is known still")

	at = at.Add(time.Second)
	assert.Zero(t, l.take("busy", 2, at))
	l.dropIdle(at)
	assert.Len(t, l.by, 1)
	l.dropIdle(at.Add(time.Second))
	assert.Empty(t, l.by)
}

package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// collect returns the strings from start on.
func collect(t *sortedSet, start string) []string {
	var all []string
	t.ascend(start, func(s string) bool {
		all = append(all, s)
		return true
	})
	return all
}

// TestSortedSet compares the set with a sorted slice while it grows over many
// chunks and shrinks to nothing, each time in a scrambled order.
func TestSortedSet(t *testing.T) {
	const n = 5 * chunkLen
	name := func(i int) string { return fmt.Sprintf("%05d", i*7919%n) }
	set, want := &sortedSet{}, []string{}
	for i := range n {
		set.insert(name(i))
		set.insert(name(i / 2)) // there already
		want = append(want, name(i))
	}
	slices.Sort(want)
	require.Equal(t, want, collect(set, ""))
	require.Equal(t, want[n/2:], collect(set, want[n/2]))
	require.Equal(t, want[n/2+1:], collect(set, want[n/2]+"+"), "from between two")
	require.Empty(t, collect(set, "9"))
	for _, chunk := range set.chunks {
		require.LessOrEqual(t, len(chunk), chunkLen)
	}

	set.remove("absent")
	for i := range n - 2 {
		set.remove(name(i))
		set.remove(name(i / 2)) // gone already
	}
	want = []string{name(n - 2), name(n - 1)}
	slices.Sort(want)
	require.Equal(t, want, collect(set, ""))
	for _, last := range want {
		set.remove(last)
	}
	require.Empty(t, set.chunks)
	set.insert("again")
	require.Equal(t, []string{"again"}, collect(set, ""))
}

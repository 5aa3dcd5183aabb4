package store

import "slices"

// chunkLen bounds the slices of a sortedSet: an insert moves at most this many
// strings, whatever the size of the set.
const chunkLen = 512

// sortedSet is an ordered set of strings: sorted, never empty chunks of at most
// chunkLen strings each. It is a B-tree of depth two, which for the few million
// keys that fit in memory costs as little as a deeper one. It does no locking.
type sortedSet struct {
	chunks [][]string
}

// find returns the chunk that holds s or would take it, the index within it,
// and whether it is there.
func (t *sortedSet) find(s string) (chunk, index int, ok bool) {
	chunk, ok = slices.BinarySearchFunc(t.chunks, s, func(c []string, s string) int {
		switch {
		case s < c[0]:
			return 1
		case s > c[len(c)-1]:
			return -1
		}
		return 0
	})
	if !ok {
		return chunk, 0, false
	}
	index, ok = slices.BinarySearch(t.chunks[chunk], s)
	return chunk, index, ok
}

// insert adds s unless it is there.
func (t *sortedSet) insert(s string) {
	chunk, index, ok := t.find(s)
	if ok {
		return
	}
	if chunk == len(t.chunks) {
		if chunk == 0 {
			t.chunks = append(t.chunks, []string{s})
			return
		}
		// Past the end: the last chunk takes it.
		chunk--
		index = len(t.chunks[chunk])
	}
	c := slices.Insert(t.chunks[chunk], index, s)
	t.chunks[chunk] = c
	if len(c) > chunkLen {
		half := slices.Clone(c[chunkLen/2:])
		clear(c[chunkLen/2:])
		t.chunks[chunk] = c[:chunkLen/2]
		t.chunks = slices.Insert(t.chunks, chunk+1, half)
	}
}

// remove takes s out; an absent one is fine.
func (t *sortedSet) remove(s string) {
	chunk, index, ok := t.find(s)
	if !ok {
		return
	}
	t.chunks[chunk] = slices.Delete(t.chunks[chunk], index, index+1)
	if len(t.chunks[chunk]) == 0 {
		t.chunks = slices.Delete(t.chunks, chunk, chunk+1)
	}
}

// ascend calls yield for each string from start on, in order, until it returns
// false. The set must not change meanwhile.
func (t *sortedSet) ascend(start string, yield func(string) bool) {
	chunk, index, _ := t.find(start)
	for ; chunk < len(t.chunks); chunk++ {
		for _, s := range t.chunks[chunk][index:] {
			if !yield(s) {
				return
			}
		}
		index = 0
	}
}

package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/store"
)

func testScan(t *testing.T, s store.Store, c *clock) {
	ctx := t.Context()
	for _, key := range []string{"b/3", "a/1", "b/1", "c", "b/2", "b", "b0", "b/4"} {
		put(t, s, key, "v"+key, never)
	}
	put(t, s, "b/25", "expired", c.now().Add(time.Minute))
	c.advance(time.Minute)

	tests := []struct {
		name, prefix, from string
		n                  int
		want               []string
	}{
		{"all", "", "", 100, []string{"a/1", "b", "b/1", "b/2", "b/3", "b/4", "b0", "c"}},
		{"prefix", "b/", "", 100, []string{"b/1", "b/2", "b/3", "b/4"}},
		{"first page", "b/", "", 2, []string{"b/1", "b/2"}},
		{"from is left out", "b/", "b/2", 2, []string{"b/3", "b/4"}},
		{"past the last", "b/", "b/4", 2, []string{}},
		{"from between keys", "b/", "b/2x", 1, []string{"b/3"}},
		{"from at the expired", "b/", "b/25", 1, []string{"b/3"}},
		{"from before the prefix", "b/", "a", 1, []string{"b/1"}},
		{"from after the prefix", "b/", "c", 1, []string{}},
		{"from is the prefix", "b", "b", 2, []string{"b/1", "b/2"}},
		{"nothing there", "x", "", 10, []string{}},
		{"no entries wanted", "", "", 0, []string{}},
	}
	for _, test := range tests {
		entries, err := s.Scan(ctx, test.prefix, test.from, test.n)
		require.NoError(t, err, test.name)
		require.Equal(t, test.want, keysOf(entries), test.name)
		for _, e := range entries {
			require.Equal(t, "v"+e.Key, string(e.Value), test.name)
		}
	}
}

// testScanMany pages through more entries than an inner node of any store
// holds, after deletions have thinned them out.
func testScanMany(t *testing.T, s store.Store, _ *clock) {
	const total = 3000
	key := func(i int) string { return fmt.Sprintf("k%05d", i*7919%total) }
	errs := make(chan error, total)
	for i := range total {
		go func() { errs <- s.Put(t.Context(), key(i), []byte("v"), never) }()
	}
	for range total {
		require.NoError(t, <-errs)
	}
	for i := range total / 2 {
		go func() { errs <- s.Delete(t.Context(), fmt.Sprintf("k%05d", 2*i)) }()
	}
	for range total / 2 {
		require.NoError(t, <-errs)
	}

	var got, want []string
	for i := 1; i < total; i += 2 {
		want = append(want, fmt.Sprintf("k%05d", i))
	}
	from := ""
	for {
		entries, err := s.Scan(t.Context(), "k", from, 100)
		require.NoError(t, err)
		got = append(got, keysOf(entries)...)
		if len(entries) < 100 {
			break
		}
		from = entries[99].Key
	}
	require.Equal(t, want, got)
}

func testNamespaces(t *testing.T, s store.Store, c *clock) {
	ctx := t.Context()
	one := store.Namespace(s, "https://id.example")
	two := store.Namespace(s, "https://id.example/b")
	put(t, s, "k", "root", never)
	put(t, one, "k", "1", never)
	put(t, one, "b/k", "1b", never)
	put(t, two, "k", "2", c.now().Add(time.Minute))

	requireValue(t, s, "k", "root")
	requireValue(t, one, "k", "1")
	requireValue(t, one, "b/k", "1b")
	requireValue(t, two, "k", "2")
	requireAbsent(t, two, "b/k")

	entries, err := one.Scan(ctx, "", "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{"b/k", "k"}, keysOf(entries))
	entries, err = one.Scan(ctx, "", "b/k", 10)
	require.NoError(t, err)
	require.Equal(t, []string{"k"}, keysOf(entries))

	got, err := store.Take(ctx, one, "k")
	require.NoError(t, err)
	require.Equal(t, "1", string(got))
	require.NoError(t, one.Delete(ctx, "b/k"))
	requireValue(t, two, "k", "2")
	requireValue(t, s, "k", "root")
	require.NoError(t, one.Ping(ctx))

	_, err = one.Get(ctx, "")
	require.ErrorIs(t, err, store.ErrKey)
	require.ErrorIs(t, one.Put(ctx, "", nil, never), store.ErrKey)
	require.ErrorIs(t, one.Delete(ctx, ""), store.ErrKey)
	_, err = store.Take(ctx, one, "")
	require.ErrorIs(t, err, store.ErrKey)

	c.advance(time.Minute)
	n, err := one.Purge(ctx, 10)
	require.NoError(t, err)
	require.Equal(t, 1, n, "a purge is of the whole store")
}

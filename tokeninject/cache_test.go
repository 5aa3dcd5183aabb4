package tokeninject

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func cached(i int, size int) *Identity {
	sub := fmt.Sprintf("user-%d", i)
	return &Identity{
		Subject: sub, ClientID: "shop", Scope: "orders.read orders.list", GrantID: fmt.Sprintf("grant-%d", i),
		IssuedAt: time.Unix(1000, 0), Expires: time.Unix(2000, 0), from: new(source),
		claims: fmt.Sprintf(`{"sub":%q,"client_id":"shop","scope":"orders.read orders.list","pad":%q}`, sub, strings.Repeat("x", size)),
	}
}

func hashOf(i int) *digest {
	sum := digestOf(strconv.Itoa(i))
	return &sum
}

func (c *tokenCache) has(hash *digest, now time.Time) bool {
	_, ok := c.get(hash, now, new(Identity))
	return ok
}

func TestCacheGivesBackWhatItTook(t *testing.T) {
	c, now := newTokenCache(), time.Unix(1500, 0)
	for i := range 500 {
		c.put(hashOf(i), cached(i, i%300), judgement{i%5 - 1, uint64(i)}, uint64(i), time.Time{})
	}
	id := new(Identity)
	for i := range 500 {
		seen, ok := c.get(hashOf(i), now, id)
		require.True(t, ok)
		want := cached(i, i%300)
		require.Equal(t, want.claims, id.claims)
		require.Equal(t, want.Subject, id.Subject)
		require.Equal(t, want.GrantID, id.GrantID, "not part of the claims")
		require.Equal(t, want.Scope, id.Scope)
		require.True(t, want.Expires.Equal(id.Expires))
		require.Equal(t, cacheHit{judgement{i%5 - 1, uint64(i)}, uint64(i), 0}, seen)
	}
	require.False(t, c.has(hashOf(1), time.Unix(2000, 0)), "never at or past exp")
	require.False(t, c.has(hashOf(1000), now))
	c.confirm(hashOf(1), 77)
	seen, _ := c.get(hashOf(1), now, id)
	require.EqualValues(t, 77, seen.epoch)
	c.drop(hashOf(1))
	require.False(t, c.has(hashOf(1), now))
}

func TestCacheGivesBackEveryField(t *testing.T) {
	c, now := newTokenCache(), time.Unix(1500, 0)
	want := Identity{
		Subject: "user", ClientID: "shop", Username: "name", SessionID: "session", GrantID: "grant", TokenID: "token", Scope: "a b",
		IssuedAt: time.Unix(1000, 0), Expires: time.Unix(2000, 0), from: &source{index: 3}, again: 1800,
		claims: `{"sub":"user","preferred_username":"name","jti":"token","scope":"a b"}`, // not the others
	}
	c.put(hashOf(1), &want, judgement{failed: -1}, 0, time.Unix(1800, 0))
	var got Identity
	seen, ok := c.get(hashOf(1), now, &got)
	require.True(t, ok)
	require.EqualValues(t, 3, seen.source)
	got.from = want.from // for the gate to find by that
	require.Equal(t, want, got)
	require.False(t, c.has(hashOf(1), time.Unix(1800, 0)), "the issuer has to be asked again")
}

func TestCacheForgetsTheOldestWhenFull(t *testing.T) {
	c, now := newTokenCache(), time.Unix(1500, 0)
	const size, n = 15_000, 3000 // some 45 MB
	for i := range n {
		c.put(hashOf(i), cached(i, size), judgement{failed: -1}, 0, time.Time{})
	}
	kept := 0
	id := new(Identity)
	for i := range n {
		if _, ok := c.get(hashOf(i), now, id); ok {
			require.Equal(t, cached(i, size).claims, id.claims)
			kept++
			require.Greater(t, i, n/10, "the oldest went first")
		}
	}
	require.Greater(t, kept, n/2)
	entries := 0
	for i := range c.shards {
		require.LessOrEqual(t, len(c.shards[i].chunks), shardChunks)
		entries += len(c.shards[i].index)
	}
	require.Equal(t, kept, entries, "what is overwritten leaves the index, too")
	c.put(hashOf(n), cached(n, maxEntry), judgement{failed: -1}, 0, time.Time{})
	require.False(t, c.has(hashOf(n), now), "too large to keep")
}

func TestCacheNeedsLessThanAKilobyteAToken(t *testing.T) {
	const n = 20_000
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before, c := heap(), newTokenCache()
	for i := range n {
		c.put(hashOf(i), cached(i, 450), judgement{failed: -1}, 0, time.Time{})
	}
	after := heap()
	for i := range n {
		require.True(t, c.has(hashOf(i), time.Unix(1500, 0)), "all of them are there")
	}
	require.Less(t, (after-before)/n, uint64(1024))
	t.Logf("%d bytes a token", (after-before)/n)
}

func TestRefusedTokensShareAFixedTable(t *testing.T) {
	var refused refusedTokens
	now := time.Unix(1500, 0)
	refused.add(hashOf(1), now)
	require.True(t, refused.has(hashOf(1), now))
	require.False(t, refused.has(hashOf(2), now))
	require.False(t, refused.has(hashOf(1), now.Add(refusedFor)))
}

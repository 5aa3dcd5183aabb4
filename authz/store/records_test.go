package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/store"
)

type code struct {
	Client string `json:"client"`
	Uses   int    `json:"uses"`
}

func TestRecords(t *testing.T) {
	ctx := t.Context()
	now := time.Unix(1_900_000_000, 0)
	s := store.NewMemory(func() time.Time { return now })
	codes := store.NewRecords[code](s, "code")

	_, err := codes.Get(ctx, "secret")
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, codes.Put(ctx, "secret", &code{Client: "app"}, now.Add(time.Minute)))
	got, err := codes.Get(ctx, "secret")
	require.NoError(t, err)
	require.Equal(t, &code{Client: "app"}, got)

	_, err = store.NewRecords[code](s, "token").Get(ctx, "secret")
	require.ErrorIs(t, err, store.ErrNotFound, "kinds do not mix")

	got, err = codes.Take(ctx, "secret")
	require.NoError(t, err)
	require.Equal(t, "app", got.Client)
	_, err = codes.Take(ctx, "secret")
	require.ErrorIs(t, err, store.ErrNotFound)

	require.NoError(t, codes.Put(ctx, "secret", &code{}, now.Add(time.Minute)))
	require.NoError(t, codes.Delete(ctx, "secret"))
	_, err = codes.Get(ctx, "secret")
	require.ErrorIs(t, err, store.ErrNotFound)

	require.NoError(t, codes.Put(ctx, "secret", &code{}, now))
	_, err = codes.Get(ctx, "secret")
	require.ErrorIs(t, err, store.ErrNotFound, "expired")
}

func TestRecordsUpdate(t *testing.T) {
	ctx := t.Context()
	codes := store.NewRecords[code](store.NewMemory(nil), "code")
	use := func(old *code) (*code, time.Time, error) {
		if old == nil {
			return &code{Uses: 1}, time.Time{}, nil
		}
		old.Uses++
		return old, time.Time{}, nil
	}
	require.NoError(t, codes.Update(ctx, "c", use))
	require.NoError(t, codes.Update(ctx, "c", use))
	got, err := codes.Get(ctx, "c")
	require.NoError(t, err)
	require.Equal(t, 2, got.Uses)

	refused := errors.New("refused")
	err = codes.Update(ctx, "c", func(*code) (*code, time.Time, error) { return &code{Uses: 9}, time.Time{}, refused })
	require.ErrorIs(t, err, refused)
	got, err = codes.Get(ctx, "c")
	require.NoError(t, err)
	require.Equal(t, 2, got.Uses)

	require.NoError(t, codes.Update(ctx, "c", func(*code) (*code, time.Time, error) { return nil, time.Time{}, nil }))
	_, err = codes.Get(ctx, "c")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// The identifier of a code or session is a secret: whoever reads the file must
// not be able to redeem what lies in it.
func TestRecordsKeepNoIdentifierAtRest(t *testing.T) {
	ctx := t.Context()
	s := store.NewMemory(nil)
	codes := store.NewRecords[code](s, "code")
	require.NoError(t, codes.Put(ctx, "", &code{}, time.Time{}), "any identifier will do")
	require.NoError(t, codes.Put(ctx, "SECRET", &code{}, time.Time{}))
	require.NoError(t, codes.Put(ctx, strings.Repeat("SECRET", 1000), &code{}, time.Time{}))
	entries, err := s.Scan(ctx, "", "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	for _, e := range entries {
		require.Regexp(t, `^code/[A-Za-z0-9_-]{43}$`, e.Key)
		require.NotContains(t, e.Key+string(e.Value), "SECRET")
	}
}

func TestRecordsList(t *testing.T) {
	ctx := t.Context()
	s := store.NewMemory(nil)
	codes := store.NewRecords[code](s, "code")
	require.NoError(t, store.NewRecords[code](s, "codec").Put(ctx, "x", &code{Uses: 99}, time.Time{}))
	for i := range 10 {
		require.NoError(t, codes.Put(ctx, string(rune('a'+i)), &code{Uses: i}, time.Time{}))
	}
	seen, cursor := map[int]bool{}, ""
	for _, want := range []int{4, 4, 2} {
		page, next, err := codes.List(ctx, cursor, 4)
		require.NoError(t, err)
		require.Len(t, page, want)
		for _, c := range page {
			seen[c.Uses] = true
		}
		cursor = next
	}
	require.Empty(t, cursor)
	require.Len(t, seen, 10)
	require.NotContains(t, seen, 99)
}

func TestRecordsOfAnotherShape(t *testing.T) {
	ctx := t.Context()
	s := store.NewMemory(nil)
	require.NoError(t, store.NewRecords[string](s, "code").Put(ctx, "c", new("text"), time.Time{}))
	codes := store.NewRecords[code](s, "code")
	_, err := codes.Get(ctx, "c")
	require.ErrorContains(t, err, "decode code/record")
	_, _, err = codes.List(ctx, "", 10)
	require.ErrorContains(t, err, "decode code/record")
	err = codes.Update(ctx, "c", func(*code) (*code, time.Time, error) { return nil, time.Time{}, nil })
	require.ErrorContains(t, err, "decode code/record")

	require.ErrorContains(t, store.NewRecords[func()](s, "f").Put(ctx, "c", new(func() {}), time.Time{}), "encode f/record")
}

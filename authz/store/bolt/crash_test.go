package bolt

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crashFile names the file that a child process writes until it is killed.
const crashFile = "GATEWRIGHT_BOLT_CRASH_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const crashWriters = 8

// writeForEver is the child: each writer puts entry after entry and counts them
// in a counter of its own, and prints what was acknowledged, after it was.
func writeForEver(path string) error {
	ctx := context.Background()
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range crashWriters {
		go func() { failed <- writeAcknowledged(ctx, s, w) }()
	}
	return <-failed
}

func writeAcknowledged(ctx context.Context, s *Store, writer int) error {
	for {
		var n uint64
		err := s.Update(ctx, fmt.Sprintf("counter/%d", writer), func(old []byte) ([]byte, time.Time, error) {
			n = 1
			if old != nil {
				n = binary.BigEndian.Uint64(old) + 1
			}
			return binary.BigEndian.AppendUint64(nil, n), time.Time{}, nil
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Printf("counter/%d %d\n", writer, n); err != nil {
			return err
		}
		key := fmt.Sprintf("entry/%d/%d", writer, n)
		if err := s.Put(ctx, key, []byte(key), time.Now().Add(time.Hour)); err != nil {
			return err
		}
		if _, err := fmt.Printf("%s\n", key); err != nil {
			return err
		}
	}
}

// TestA80_KilledProcessLosesNothingAcknowledged kills a writing process again
// and again: what it reported as written is there, whole, each time.
func TestA80_KilledProcessLosesNothingAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	var entries []string
	counters := make(map[string]uint64)
	for round := range 5 {
		acks := killAfter(t, path, 150+100*round)
		for _, ack := range acks {
			key, count, isCounter := strings.Cut(ack, " ")
			if !isCounter {
				entries = append(entries, key)
				continue
			}
			n, err := strconv.ParseUint(count, 10, 64)
			require.NoError(t, err)
			counters[key] = max(counters[key], n)
		}
		requireAcknowledged(t, path, entries, counters)
	}
	require.NotEmpty(t, entries)
	require.Len(t, counters, crashWriters)
}

// killAfter runs the child until n lines came out of it, kills it, and returns
// all its whole lines.
func killAfter(t *testing.T, path string, n int) (acks []string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashFile+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())

	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		acks = append(acks, strings.TrimSuffix(line, "\n"))
		if len(acks) == n {
			require.NoError(t, child.Process.Kill())
		}
	}
	require.Error(t, child.Wait(), "it ends only by being killed")
	require.GreaterOrEqual(t, len(acks), n)
	return acks
}

func requireAcknowledged(t *testing.T, path string, entries []string, counters map[string]uint64) {
	t.Helper()
	s, err := Open(t.Context(), path, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for _, key := range entries {
		got, err := s.Get(t.Context(), key)
		require.NoError(t, err, key)
		require.Equal(t, key, string(got))
	}
	for key, acked := range counters {
		got, err := s.Get(t.Context(), key)
		require.NoError(t, err, key)
		require.GreaterOrEqual(t, binary.BigEndian.Uint64(got), acked, key)
	}
	requireIndexed(t, s)
}

// requireIndexed checks that entries and index were committed together: each
// entry that expires is found by a purge far in the future, and no other.
func requireIndexed(t *testing.T, s *Store) {
	t.Helper()
	all, err := s.Scan(t.Context(), "entry/", "", 1_000_000)
	require.NoError(t, err)
	future := &Store{db: s.db, now: func() time.Time { return time.Now().Add(2 * time.Hour) }}
	left, err := future.Scan(t.Context(), "", "", 1_000_000)
	require.NoError(t, err)
	require.Len(t, left, crashWriters, "only counters never expire")

	tx, err := s.db.Begin(false)
	require.NoError(t, err)
	places := expired(tx, future.now().UnixMilli(), 1_000_000)
	require.Len(t, places, len(all))
	for _, at := range places {
		e, ok := getEntry(tx, at[expiryLen:])
		require.True(t, ok)
		require.Equal(t, indexKey(e.expires, at[expiryLen:]), at)
	}
	require.NoError(t, tx.Rollback())
}

package authz

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

// reluctant is a store that counts writes, and can be made to refuse them.
type reluctant struct {
	store.Store
	writes int
	err    error
}

func (r *reluctant) Update(ctx context.Context, key string, fn store.UpdateFunc) error {
	r.writes++
	if r.err != nil {
		return r.err
	}
	return r.Store.Update(ctx, key, fn)
}

func (r *reluctant) Delete(ctx context.Context, key string) error {
	r.writes++
	return r.Store.Delete(ctx, key)
}

func newReluctant() (*reluctant, func() time.Time, func(time.Duration)) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	now := func() time.Time { return at }
	return &reluctant{Store: store.NewMemory(now)}, now, func(d time.Duration) { at = at.Add(d) }
}

const (
	alice = guessKey("account alice")
	here  = guessKey("address 192.0.2.1")
)

var thrice = Lockout{Guesses: 3, Window: time.Minute, Pause: time.Hour}

func begin(t *testing.T, g *guessLimiter, keys ...guessKey) *attempt {
	t.Helper()
	a, wait, err := g.attempt(t.Context(), thrice, keys...)
	require.NoError(t, err)
	require.Zero(t, wait)
	return a
}

func paused(t *testing.T, g *guessLimiter, keys ...guessKey) time.Duration {
	t.Helper()
	_, wait, err := g.attempt(t.Context(), thrice, keys...)
	require.ErrorIs(t, err, errLocked)
	return wait
}

func TestU9_WrongGuessesSurviveARestart(t *testing.T) {
	s, now, pass := newReluctant()
	for range thrice.Guesses {
		g := newGuessLimiter(s, now) // another process each time
		require.NoError(t, begin(t, g, alice, here).failed(t.Context()))
	}
	g := newGuessLimiter(s, now)
	assert.Equal(t, time.Hour, paused(t, g, alice))
	assert.Equal(t, time.Hour, paused(t, g, "account bob", here), "from the same address")
	begin(t, g, "account bob", "address 192.0.2.2").takeBack()
	pass(time.Hour)
	begin(t, g, alice, here).takeBack()
}

func TestU9_TheWindowPasses(t *testing.T) {
	s, now, pass := newReluctant()
	g := newGuessLimiter(s, now)
	for range 5 {
		for range thrice.Guesses - 1 {
			require.NoError(t, begin(t, g, alice).failed(t.Context()))
		}
		pass(thrice.Window)
	}
}

func TestU9_PausesOfASecondFactorGrowUntilARightGuess(t *testing.T) {
	s, now, pass := newReluctant()
	g := newGuessLimiter(s, now)
	const factor = guessKey(factorKey + "alice")
	for _, hours := range []time.Duration{1, 2, 4, 8, 16, 24, 24} {
		for range thrice.Guesses {
			pass(2 * thrice.Window) // they don't pass with a window
			require.NoError(t, begin(t, g, factor).failed(t.Context()))
		}
		require.Equal(t, hours*time.Hour, paused(t, g, factor))
		pass(hours * time.Hour)
	}
	require.NoError(t, begin(t, g, factor).succeed(t.Context()))
	for range thrice.Guesses {
		require.NoError(t, begin(t, g, factor).failed(t.Context()))
	}
	require.Equal(t, time.Hour, paused(t, g, factor), "from the start")
}

func TestU9_RightGuessesCostNoWrite(t *testing.T) {
	s, now, _ := newReluctant()
	g := newGuessLimiter(s, now)
	for range 2 * thrice.Guesses {
		require.NoError(t, begin(t, g, alice, here).succeed(t.Context()))
	}
	assert.Zero(t, s.writes)
	assert.Empty(t, g.underWay)
}

func TestU9_ARightGuessForgivesItsAccountOnly(t *testing.T) {
	s, now, _ := newReluctant()
	g := newGuessLimiter(s, now)
	for range 2 {
		require.NoError(t, begin(t, g, alice, here).failed(t.Context()))
	}
	require.NoError(t, begin(t, g, alice, here).succeed(t.Context()))
	require.NoError(t, begin(t, g, alice, here).failed(t.Context()))
	assert.Equal(t, time.Hour, paused(t, g, "account bob", here))
	begin(t, g, alice).takeBack()
}

func TestU9_ARightGuessForgivesEverySecretItWasCountedAt(t *testing.T) {
	s, now, _ := newReluctant()
	g := newGuessLimiter(s, now)
	guess := func() *attempt {
		a := begin(t, g, "name alice", here)
		require.NoError(t, a.admit(t.Context(), "1"))
		return a
	}
	for range 2 {
		require.NoError(t, guess().failed(t.Context()))
	}
	require.NoError(t, guess().succeed(t.Context()))
	for _, key := range []guessKey{"name alice", guessedPassword("1")} {
		_, err := g.wrong.Get(t.Context(), string(key))
		require.ErrorIs(t, err, store.ErrNotFound, key)
	}
	assert.Empty(t, g.underWay)
}

// Guesses by another name have paused the account: the name that is tried now is paused when nobody's would be.
func TestA75_APauseByOneNameDoesNotTellAnother(t *testing.T) {
	s, now, pass := newReluctant()
	g := newGuessLimiter(s, now)
	guess := func(name guessKey) error {
		a := begin(t, g, name)
		a.keys = append(a.keys, nobody)
		err := a.admit(t.Context(), "1")
		require.Len(t, a.keys, 2, "to keep it costs the same")
		require.NoError(t, a.failed(t.Context()))
		return err
	}
	for range thrice.Guesses {
		require.NoError(t, guess("name alice"))
	}
	for range thrice.Guesses {
		err := guess("name alice@example.com")
		require.ErrorIs(t, err, users.ErrCredentials, "all that the one who guesses is told")
		require.ErrorIs(t, err, errLocked, "what the audit is told")
	}
	assert.Equal(t, time.Hour, paused(t, g, "name alice@example.com"))
	known, err := g.wrong.Get(t.Context(), string(guessedPassword("1")))
	require.NoError(t, err)
	assert.Equal(t, thrice.Guesses, known.Wrong, "what is not checked doesn't prolong the pause")
	pass(time.Hour)
	require.NoError(t, guess("name alice@example.com"))
}

func TestU9_ManyGuessesAtOnce(t *testing.T) {
	s, now, pass := newReluctant()
	g := newGuessLimiter(s, now)
	var waiting []*attempt
	for range thrice.Guesses {
		waiting = append(waiting, begin(t, g, alice))
	}
	assert.Equal(t, soon, paused(t, g, alice), "what they come to is not known yet")
	waiting[0].takeBack()
	begin(t, g, alice).takeBack()
	for _, a := range waiting[1:] {
		require.NoError(t, a.failed(t.Context()))
	}
	begin(t, g, alice) // it never ends
	assert.Equal(t, soon, paused(t, g, alice))
	pass(thrice.Window)
	g.purge()
	assert.Empty(t, g.underWay)
}

func TestA80_AGuessThatTheStoreDoesNotTakeCounts(t *testing.T) {
	s, now, pass := newReluctant()
	g := newGuessLimiter(s, now)
	s.err = errors.New("disk full")
	for range thrice.Guesses {
		require.ErrorIs(t, begin(t, g, alice).failed(t.Context()), s.err)
	}
	paused(t, g, alice)
	pass(thrice.Window)
	begin(t, g, alice).takeBack()
}

func TestU9_HangingUpBuysNoGuess(t *testing.T) {
	s, now, _ := newReluctant()
	ctx, hangUp := context.WithCancel(t.Context())
	a, _, err := newGuessLimiter(s, now).attempt(ctx, thrice, alice)
	require.NoError(t, err)
	hangUp()
	require.NoError(t, a.failed(ctx))
	known, err := newGuessLimiter(s, now).wrong.Get(t.Context(), string(alice))
	require.NoError(t, err)
	assert.Equal(t, 1, known.Wrong)
}

func TestU9_NoRoomIsNoLicenceToGuess(t *testing.T) {
	s, now, pass := newReluctant()
	g := newGuessLimiter(s, now)
	for i := range maxUnderWay {
		g.underWay[guessKey(strconv.Itoa(i))] = &unsettled{count: 1, forget: now().Add(time.Second)}
	}
	assert.Equal(t, soon, paused(t, g, alice))
	pass(time.Second)
	begin(t, g, alice).takeBack()
}

package authz

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

// fill sets the defaults of U9.
func (l *Lockout) fill() {
	if l.Guesses == 0 {
		l.Guesses = 10
	}
	if l.Window == 0 {
		l.Window = 5 * time.Minute
	}
	if l.Pause == 0 {
		l.Pause = 5 * time.Minute
	}
}

// guessKey names what is guessed at, or where from.
type guessKey string

const (
	// factorKey begins the key of a second factor. Its digits are few, so that a pause now and then is not
	// enough: wrong guesses at it are remembered until a right one.
	factorKey  = "factor "
	addressKey = "address "
)

func (k guessKey) isFactor() bool { return strings.HasPrefix(string(k), factorKey) }

// isSecret: a right guess forgives the wrong ones at its secret, but not those of the address: an attacker's own
// account must not wash away guesses at others.
func (k guessKey) isSecret() bool { return !strings.HasPrefix(string(k), addressKey) }

const (
	// maxConsecutive is how many wrong guesses at a second factor there may be in a row (NIST SP 800-63B
	// §5.2.2). After that only Unlock and ResetSecondFactor help.
	maxConsecutive = 100
	// factorMemory is how long they are remembered.
	factorMemory = 365 * 24 * time.Hour
	// longestPause bounds how long pauses grow.
	longestPause = 24 * time.Hour
)

// errExhausted: the pause has no end.
var errExhausted = fmt.Errorf("%w in a row: an administrator has to unlock the account", errLocked)

// guessedName counts guesses at a password under the name that was typed, somebody's or nobody's.
func (s *Server) guessedName(username string) guessKey {
	return guessKey("name " + s.cfg.Users.Canonical(username))
}

// guessedPassword counts guesses at a password under its owner, whichever of their names was typed.
func guessedPassword(subject string) guessKey { return guessKey("account " + subject) }

// nobody stands in for the owner of a name that has none, or whose owner is paused: nothing comes of guesses at it,
// but keeping them takes as long as for any other name (A75).
const nobody guessKey = "nobody"

// guessedFactor counts guesses at a second factor apart: who knows the password must not wash them away
// with it.
func guessedFactor(subject string) guessKey { return guessKey(factorKey + subject) }

// guessedFrom counts guesses at anything that come from one network; "": nobody knows where this one is from.
func guessedFrom(ip string) guessKey {
	if ip == "" {
		return ""
	}
	return guessKey(addressKey + oauth.Network(ip))
}

// Unlock ends the pause of an account (U9), under all names that it has, and of a name that nobody has. What the
// guesses cost their address stays.
func (s *Server) Unlock(ctx context.Context, username string) error {
	keys := []guessKey{s.guessedName(username)}
	whose, err := s.cfg.Users.Identify(ctx, username)
	switch {
	case err == nil:
		keys = append(keys, guessedPassword(whose.Subject), guessedFactor(whose.Subject))
		for _, name := range whose.Names {
			keys = append(keys, s.guessedName(name))
		}
	case errors.Is(err, users.ErrNotFound):
		err = nil
	}
	if err := errors.Join(err, s.run.guesses.forget(ctx, keys...)); err != nil {
		return err
	}
	s.cfg.Observe(ctx, Event{Name: "unlocked", Issuer: s.cfg.Issuer, Account: oauth.Clip(username)})
	return nil
}

// maxUnderWay bounds how many accounts and addresses are guessed at in one moment.
const maxUnderWay = 1 << 16

// soon is how long to wait where others' guesses are being checked.
const soon = time.Second

// guessLimiter counts wrong guesses per account and per address (U9). It counts names nobody has as
// well, so that a pause doesn't tell which names exist (A75). Wrong guesses are in the store, so that a
// restart forgives none; right ones cost no write. It is safe for concurrent use.
type guessLimiter struct {
	now   func() time.Time
	wrong store.Records[wrongGuesses]

	mu sync.Mutex
	// underWay are the guesses of this process of which the store doesn't know: those that are being
	// checked, and wrong ones that it failed to take.
	underWay map[guessKey]*unsettled
}

// wrongGuesses end in a pause when there are too many.
type wrongGuesses struct {
	Wrong  int       `json:"wrong"`
	Paused time.Time `json:"paused"` // until then
	Forget time.Time `json:"forget"`
}

// add is one wrong guess more.
func (w *wrongGuesses) add(key guessKey, l Lockout, now time.Time) {
	w.Wrong++
	paused := w.Wrong%l.Guesses == 0
	if paused {
		w.Paused = now.Add(l.pause(w.Wrong / l.Guesses))
	}
	switch {
	case key.isFactor():
		w.Forget = now.Add(factorMemory)
	case paused:
		w.Forget = w.Paused
	case w.Wrong == 1:
		w.Forget = now.Add(l.Window)
	}
}

// pause is how long the nth in a row lasts: twice as long as the one before.
func (l *Lockout) pause(n int) time.Duration {
	pause := l.Pause
	for ; n > 1 && pause < longestPause; n-- {
		pause *= 2
	}
	return max(l.Pause, min(pause, longestPause))
}

type unsettled struct {
	count  int
	forget time.Time
}

func newGuessLimiter(s store.Store, now func() time.Time) *guessLimiter {
	return &guessLimiter{now: now, wrong: store.NewRecords[wrongGuesses](s, "guesses"), underWay: make(map[guessKey]*unsettled)}
}

// attempt is a guess that is being checked. It must end as failed, succeeded or taken back.
type attempt struct {
	limiter *guessLimiter
	lockout Lockout
	keys    []guessKey
	forgive []guessKey // those that have wrong guesses which a right one forgives
}

// attempt counts a guess before it is checked, so that many at once don't all slip through. The keys are whose
// secret is guessed at and where from, "" where nobody knows. The error is errLocked, with how long to wait,
// when there were too many guesses, or errExhausted.
func (g *guessLimiter) attempt(ctx context.Context, l Lockout, keys ...guessKey) (_ *attempt, wait time.Duration, err error) {
	a := &attempt{limiter: g, lockout: l}
	for _, key := range keys {
		left, err := a.count(ctx, key)
		if err != nil && left == 0 { // the wait for another key would not help
			a.takeBack()
			return nil, 0, err
		}
		wait = max(wait, left)
	}
	if wait > 0 {
		a.takeBack()
		return nil, wait, errLocked
	}
	return a, 0, nil
}

// count counts the guess under one key more. What it refuses is not counted there; errors are those of
// guessLimiter.attempt.
func (a *attempt) count(ctx context.Context, key guessKey) (wait time.Duration, err error) {
	if key == "" {
		return 0, nil
	}
	g := a.limiter
	under := a.begin(key)
	known, err := g.wrong.Get(ctx, string(key))
	if errors.Is(err, store.ErrNotFound) {
		known, err = new(wrongGuesses), nil
	}
	if err != nil {
		g.settled(key)
		return 0, fmt.Errorf("guesses: %w", err)
	}
	if wait, err = known.allow(key, under, a.lockout, g.now()); err != nil {
		g.settled(key)
		return wait, err
	}
	a.keys = append(a.keys, key)
	if key.isSecret() && known.Wrong > 0 {
		a.forgive = append(a.forgive, key)
	}
	return 0, nil
}

// allow tells whether the last of those that are under way may be checked.
func (w *wrongGuesses) allow(key guessKey, under int, l Lockout, now time.Time) (wait time.Duration, err error) {
	switch left := w.Paused.Sub(now); {
	case key.isFactor() && w.Wrong+under > maxConsecutive:
		return 0, errExhausted
	case left > 0:
		return left, errLocked
	case w.Wrong%l.Guesses+under > l.Guesses:
		return soon, errLocked
	}
	return 0, nil
}

// begin notes a guess for a key and returns how many are under way there, this one included.
func (a *attempt) begin(key guessKey) int {
	g := a.limiter
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	u := g.underWay[key]
	if u == nil || !now.Before(u.forget) {
		if len(g.underWay) >= maxUnderWay {
			g.dropForgotten(now)
		}
		if len(g.underWay) >= maxUnderWay {
			return a.lockout.Guesses + 1 // no room to count is no licence to guess
		}
		u = new(unsettled)
		g.underWay[key] = u
	}
	u.count++
	u.forget = now.Add(a.lockout.Window)
	return u.count
}

// settled takes a guess from those under way.
func (g *guessLimiter) settled(key guessKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.underWay[key]
	if u == nil {
		return
	}
	if u.count--; u.count <= 0 {
		delete(g.underWay, key)
	}
}

// failed keeps a wrong guess. One that the store does not take still counts in this process.
func (a *attempt) failed(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // hanging up must not buy another guess
	var errs []error
	for _, key := range a.keys {
		err := a.limiter.wrong.Update(ctx, string(key), func(old *wrongGuesses) (*wrongGuesses, time.Time, error) {
			var next wrongGuesses
			if old != nil {
				next = *old
			}
			next.add(key, a.lockout, a.limiter.now())
			return &next, next.Forget, nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("guesses: %w", err))
			continue
		}
		a.limiter.settled(key)
	}
	return errors.Join(errs...)
}

// succeed forgets the guesses at the secret that was right.
func (a *attempt) succeed(ctx context.Context) error {
	a.takeBack()
	return a.limiter.forget(ctx, a.forgive...)
}

// forget ends what the wrong guesses under some keys come to.
func (g *guessLimiter) forget(ctx context.Context, keys ...guessKey) error {
	var errs []error
	for _, key := range keys {
		if err := g.wrong.Delete(ctx, string(key)); err != nil {
			errs = append(errs, fmt.Errorf("guesses: %w", err))
		}
	}
	return errors.Join(errs...)
}

// takeBack undoes an attempt that was no guess.
func (a *attempt) takeBack() {
	for _, key := range a.keys {
		a.limiter.settled(key)
	}
}

func (g *guessLimiter) purge() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropForgotten(g.now())
}

func (g *guessLimiter) dropForgotten(now time.Time) {
	for key, u := range g.underWay {
		if !now.Before(u.forget) {
			delete(g.underWay, key)
		}
	}
}

// endAttempt ends an attempt by what checking it came to. A fault of the store of users is nobody's
// guess. A request that was cancelled is not believed: it would be a way to guess without being counted.
func (s *Server) endAttempt(ctx context.Context, a *attempt, wrong bool, err error) error {
	switch {
	case err == nil:
		return a.succeed(ctx)
	case !wrong && ctx.Err() == nil:
		a.takeBack()
		return err
	}
	if lost := a.failed(ctx); lost != nil {
		s.cfg.Logger.Error("a wrong guess could not be kept", zap.Error(lost))
	}
	return err
}

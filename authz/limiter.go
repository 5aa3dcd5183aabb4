package authz

import (
	"sync"
	"time"
)

// maxGuessers bounds how many accounts and addresses are remembered at once.
const maxGuessers = 1 << 16

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

// guessLimiter counts wrong guesses per account and per address (U9). It counts names nobody has as
// well, so that a pause doesn't tell which names exist (A75). It is safe for concurrent use.
type guessLimiter struct {
	now func() time.Time
	mu  sync.Mutex
	by  map[string]*guesses
}

type guesses struct {
	wrong  int
	first  time.Time // of this window
	forget time.Time // when the window or the pause is over
	paused bool
}

func newGuessLimiter(now func() time.Time) *guessLimiter {
	return &guessLimiter{now: now, by: make(map[string]*guesses)}
}

// attempt counts a guess before it is checked, so that many at once don't all slip through. It
// returns how long to wait when one of the keys is in its pause.
func (g *guessLimiter) attempt(l Lockout, keys ...string) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for _, key := range keys {
		if e := g.by[key]; e != nil && e.paused && now.Before(e.forget) {
			wait = max(wait, e.forget.Sub(now))
		}
	}
	if wait > 0 {
		return wait
	}
	for _, key := range keys {
		g.count(l, key, now)
	}
	return 0
}

func (g *guessLimiter) count(l Lockout, key string, now time.Time) {
	e := g.by[key]
	if e == nil || !now.Before(e.forget) {
		if e == nil && len(g.by) >= maxGuessers {
			g.evict(now)
		}
		e = &guesses{first: now, forget: now.Add(l.Window)}
		g.by[key] = e
	}
	e.wrong++
	if e.wrong >= l.Guesses {
		e.paused = true
		e.forget = now.Add(l.Pause)
	}
}

// succeed forgets the guesses of an account whose password was right, and takes this one off the
// address: an attacker's own account must not wash away guesses at others.
func (g *guessLimiter) succeed(l Lockout, account, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.by, account)
	g.uncount(l, address)
}

// takeBack undoes one attempt.
func (g *guessLimiter) takeBack(l Lockout, keys ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range keys {
		g.uncount(l, key)
	}
}

func (g *guessLimiter) uncount(l Lockout, key string) {
	e := g.by[key]
	if e == nil {
		return
	}
	e.wrong--
	if e.paused && e.wrong < l.Guesses {
		e.paused = false
		e.forget = e.first.Add(l.Window)
	}
}

func (g *guessLimiter) purge() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropExpired(g.now())
}

// evict makes room: what has expired goes, then what is not paused; a flood of names must not set the
// paused ones free.
func (g *guessLimiter) evict(now time.Time) {
	g.dropExpired(now)
	for _, evenPaused := range []bool{false, true} {
		for key, e := range g.by {
			if len(g.by) < maxGuessers {
				return
			}
			if evenPaused || !e.paused {
				delete(g.by, key)
			}
		}
	}
}

func (g *guessLimiter) dropExpired(now time.Time) {
	for key, e := range g.by {
		if !now.Before(e.forget) {
			delete(g.by, key)
		}
	}
}

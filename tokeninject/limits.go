package tokeninject

import (
	"math"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatewright/gatewright/authz/oauth"
)

const (
	// Each login costs a durable write, so an address may begin only so many: those of loginBurst seconds at once.
	defaultLoginRate = 1 // a second
	loginBurst       = 30
	// loginsAtOnce bounds what strangers of many addresses can fill the store with: so many begin at once, and as many
	// again while those expire.
	loginsAtOnce = 20_000
	// Each decryption with a private key costs as much as twenty signatures, so an address may bring only so
	// many tokens that were not made for it.
	undecryptableRate  = rate.Limit(1) // a second
	undecryptableBurst = 30
	// So many refused credentials are logged; of the others a number is.
	lineRate  = rate.Limit(10) // a second
	lineBurst = 100
	// maxAddresses and maxAttempts bound what is remembered of strangers.
	maxAddresses = 8192
	maxAttempts  = 8192

	// loopLogins in loopWindow, none of which gave a session that then passed, are a loop.
	loopLogins = 3
	loopWindow = time.Minute
)

// addressLimit limits what one client address may do.
type addressLimit struct {
	rate  rate.Limit // a second
	burst int

	mu       sync.Mutex
	limiters map[string]*rate.Limiter
}

// reserve counts one more and returns 0, or how long to wait for the next.
func (l *addressLimit) reserve(address string, now time.Time) time.Duration {
	key := oauth.Network(address)
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.limiters[key]
	if limiter == nil {
		if l.limiters == nil {
			l.limiters = map[string]*rate.Limiter{}
		}
		makeRoom(l.limiters, maxAddresses, func(idle *rate.Limiter) bool { return idle.TokensAt(now) >= float64(l.burst) })
		limiter = rate.NewLimiter(l.rate, l.burst)
		l.limiters[key] = limiter
	}
	return reserve(limiter, now)
}

// reserve takes one token and returns 0, or how long to wait for the next.
func reserve(limiter *rate.Limiter, now time.Time) time.Duration {
	if limiter.AllowN(now, 1) {
		return 0
	}
	return time.Duration((1 - limiter.TokensAt(now)) / float64(limiter.Limit()) * float64(time.Second))
}

// spent tells whether one more would be too many.
func (l *addressLimit) spent(address string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.limiters[oauth.Network(address)]
	return limiter != nil && limiter.TokensAt(now) < 1
}

// makeRoom drops entries from a full map: one that is idle if a few looks find it, else any.
func makeRoom[V any](m map[string]V, limit int, idle func(V) bool) {
	if len(m) < limit {
		return
	}
	victim, looked := "", 0
	for key, value := range m {
		victim = key
		if looked++; idle(value) || looked == 16 {
			break
		}
	}
	delete(m, victim)
}

// attempts counts logins that came to an end but whose session never passed the gate: the browser does not
// keep the cookie, or what the gate needs for it is not to be had. It would be sent to log in for ever.
type attempts struct {
	mu      sync.Mutex
	browser map[string]*attempt // by the fingerprint of the browser's cookie
}

type attempt struct {
	count int
	at    time.Time
	last  *liveSession
}

func (a *attempt) stale(now time.Time) bool {
	return a.last.passed.Load() || now.Sub(a.at) > loopWindow
}

// completed notes that a login gave a session.
func (a *attempts) completed(browser string, live *liveSession, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.browser[browser]
	if known == nil || known.stale(now) {
		if a.browser == nil {
			a.browser = map[string]*attempt{}
		}
		makeRoom(a.browser, maxAttempts, func(old *attempt) bool { return old.stale(now) })
		known = &attempt{}
		a.browser[browser] = known
	}
	known.count++
	known.at, known.last = now, live
}

// looping returns the session of the last login where another one would be of no use, else nil.
func (a *attempts) looping(browser string, now time.Time) *liveSession {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.browser[browser]
	if known == nil || known.count < loopLogins || known.stale(now) {
		return nil
	}
	return known.last
}

// forget lets a browser, by the secret in its cookie, begin afresh.
func (a *attempts) forget(secret string) {
	if secret == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.browser, oauth.Fingerprint(secret))
}

// seconds is a Retry-After value: whole seconds, at least one.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

package authz

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatewright/gatewright/authz/oauth"
)

// RateLimit bounds how many requests a second the endpoints take (G15), on each node; 0: any number.
// Metadata, keys and health are free. What is over it is answered by 429 and Retry-After.
type RateLimit struct {
	Total int
	// Client is for each client, of requests that it authenticated or that carry its token; and as many again
	// of those that only name it: anybody sends those, who brings somebody to sign in or has no secret to show.
	Client int
	// Address is for each network (oauth.Network) that requests come from.
	Address int
}

func (l RateLimit) check() error {
	if min(l.Total, l.Client, l.Address) < 0 {
		return errors.New("requests per second must not be negative")
	}
	return nil
}

// errTooMany is why a request is refused that came too soon.
var errTooMany = errors.New("too many requests")

// tooMany is errTooMany with how long to wait.
type tooMany struct{ wait time.Duration }

func (e *tooMany) Error() string { return errTooMany.Error() }
func (e *tooMany) Unwrap() error { return errTooMany }

// tooManyRequests has the one code that RFC 6749 §4.1.2.1 has for an overload.
func tooManyRequests(wait time.Duration) *oauth.Error {
	return oauth.Errorf(oauth.TemporarilyUnavailable, "too many requests").Because(&tooMany{wait})
}

// statusOf is the HTTP status of an error, and tells when it is worth trying again.
func statusOf(w http.ResponseWriter, e *oauth.Error) int {
	if busy, ok := errors.AsType[*tooMany](e); ok {
		setRetryAfter(w, busy.wait)
		return http.StatusTooManyRequests
	}
	return e.Code.Status()
}

// admit counts a request by where it comes from, then among all: one address must not use up what is there
// for the others.
func (s *Server) admit(r *http.Request, rt route) error {
	if rt.cors == corsPublic || s.relative(r.URL.Path) == pathHealth {
		return nil
	}
	limit, now := s.cfg.RateLimit, s.now()
	wait := s.run.rates.addresses.take(oauth.Network(s.clientIP(r)), limit.Address, now)
	if wait == 0 {
		wait = s.run.rates.total.take("", limit.Total, now)
	}
	if wait > 0 {
		return tooManyRequests(wait)
	}
	return nil
}

// admitClient counts a request that a client has proven to be its own.
func (s *Server) admitClient(id string) error { return s.admitBy(&s.run.rates.clients, id) }

// admitNamed counts a request that names a client and proves nothing: apart, or anybody could use up what is
// there for the client itself.
func (s *Server) admitNamed(id string) error { return s.admitBy(&s.run.rates.named, id) }

func (s *Server) admitBy(clients *limiters, id string) error {
	if wait := clients.take(id, s.cfg.RateLimit.Client, s.now()); wait > 0 {
		return tooManyRequests(wait)
	}
	return nil
}

// rates are the requests of late; they outlive a configuration.
type rates struct{ total, clients, named, addresses, registrations, strangers limiters }

func newRates() *rates {
	return &rates{
		total: newLimiters(), clients: newLimiters(), named: newLimiters(), addresses: newLimiters(), registrations: newLimiters(),
		strangers: newLimiters(),
	}
}

func (r *rates) purge(now time.Time) {
	for _, l := range []*limiters{&r.total, &r.clients, &r.named, &r.addresses, &r.registrations, &r.strangers} {
		l.mu.Lock()
		l.dropIdle(now)
		l.mu.Unlock()
	}
}

// maxLimiters bounds how many clients, or addresses, are remembered.
const maxLimiters = 1 << 16

// limiters has one rate.Limiter for each key. It is safe for concurrent use.
type limiters struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

func newLimiters() limiters { return limiters{by: make(map[string]*rate.Limiter)} }

// take counts a request, or returns how long to wait and counts nothing.
func (l *limiters) take(key string, perSecond int, now time.Time) (wait time.Duration) {
	if perSecond == 0 {
		return 0
	}
	return l.takeAt(key, rate.Limit(perSecond), perSecond, now)
}

// takeAt is take for any rate and burst.
func (l *limiters) takeAt(key string, limit rate.Limit, burst int, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.by[key]
	if one == nil {
		l.makeRoom(now)
		one = rate.NewLimiter(limit, burst)
		l.by[key] = one
	}
	if one.Burst() != burst { // the configuration has changed
		one.SetLimitAt(now, limit)
		one.SetBurstAt(now, burst)
	}
	reserved := one.ReserveN(now, 1)
	if wait = reserved.DelayFrom(now); wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

// makeRoom forgets some where there are too many: those that are idle, then any. Whoever can send from so
// many addresses is held by the total.
func (l *limiters) makeRoom(now time.Time) {
	if len(l.by) < maxLimiters {
		return
	}
	l.dropIdle(now)
	for key := range l.by {
		if len(l.by) < maxLimiters/4*3 {
			return
		}
		delete(l.by, key)
	}
}

// dropIdle forgets those that would allow as much as new ones.
func (l *limiters) dropIdle(now time.Time) {
	for key, one := range l.by {
		if one.TokensAt(now) >= float64(one.Burst()) {
			delete(l.by, key)
		}
	}
}

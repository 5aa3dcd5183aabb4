package caddymodule

import "sync/atomic"

// lease counts who still needs something: the config that made it, and every request that is in
// flight in it. Caddy runs Cleanup while old requests and streams go on, so what they use ends with
// the last of them and not with the config.
type lease struct {
	holders atomic.Int64
	end     func() // called once, by the last holder
}

// newLease has one holder, its maker.
func newLease(end func()) *lease {
	l := &lease{end: end}
	l.holders.Store(1)
	return l
}

// take adds a holder; false when the lease has ended.
func (l *lease) take() bool {
	for {
		n := l.holders.Load()
		if n == 0 {
			return false
		}
		if l.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// give ends one holder's share.
func (l *lease) give() {
	if l.holders.Add(-1) == 0 {
		l.end()
	}
}

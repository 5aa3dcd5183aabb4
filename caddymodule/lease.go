package caddymodule

import (
	"math"
	"sync/atomic"
)

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

// leaseEnded is a number of holders from which nobody gets back above 0.
const leaseEnded = math.MinInt64 / 2

// take adds a holder; false when the lease has ended.
func (l *lease) take() bool { return l.holders.Add(1) > 0 }

// give ends one holder's share.
func (l *lease) give() {
	if l.holders.Add(-1) == 0 && l.holders.CompareAndSwap(0, leaseEnded) {
		l.end()
	}
}

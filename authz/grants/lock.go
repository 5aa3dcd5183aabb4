package grants

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatewright/gatewright/authz/store"
)

// queue lets one goroutine of this process at a time change a user's grants, so that they don't make each
// other read again; nodes still do.
type queue struct {
	mu    sync.Mutex
	lines map[string]*line
}

type line struct {
	turn    chan struct{} // holds an element while somebody has the turn
	members int
}

// enter waits for the turn of user; leave gives it up.
func (q *queue) enter(ctx context.Context, user string) (leave func(), err error) {
	q.mu.Lock()
	l := q.lines[user]
	if l == nil {
		l = &line{turn: make(chan struct{}, 1)}
		q.lines[user] = l
	}
	l.members++
	q.mu.Unlock()
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn; q.quit(user, l) }, nil
	case <-ctx.Done():
		q.quit(user, l)
		return nil, context.Cause(ctx)
	}
}

func (q *queue) quit(user string, l *line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.members--; l.members == 0 {
		delete(q.lines, user)
	}
}

// leaseTime is how long a lock holds when its owner never gives it up. It is well above patience, in which
// an owner must be done.
const leaseTime = 3 * patience

// lease is a lock in the store.
type lease struct {
	Owner string `json:"owner"`
}

var errLocked = errors.New("grants: locked by another")

// lock waits until no other node changes the grants of user. It is for directories that can't compare.
func lock(ctx context.Context, leases store.Records[lease], user string, now func() time.Time) (unlock func(), err error) {
	mine := lease{Owner: rand.Text()}
	for wait := firstWait; ; {
		err := leases.Update(ctx, user, func(old *lease) (*lease, time.Time, error) {
			if old != nil {
				return nil, time.Time{}, errLocked
			}
			return &mine, now().Add(leaseTime), nil
		})
		if err == nil {
			break
		}
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if wait, err = pause(ctx, wait); err != nil {
			return nil, err
		}
	}
	return func() {
		// When this fails the lease runs out by itself.
		_ = leases.Update(context.WithoutCancel(ctx), user, func(old *lease) (*lease, time.Time, error) {
			if old != nil && *old != mine {
				return nil, time.Time{}, errLocked
			}
			return nil, time.Time{}, nil
		})
	}, nil
}

const (
	firstWait = 5 * time.Millisecond
	lastWait  = 200 * time.Millisecond
)

// pause waits for a random part of limit, and returns the next limit.
func pause(ctx context.Context, limit time.Duration) (next time.Duration, err error) {
	timer := time.NewTimer(jitter(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return min(2*limit, lastWait), nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// jitter is a random part of limit, at least half, so that nodes that collided don't again.
func jitter(limit time.Duration) time.Duration {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return limit/2 + time.Duration(binary.BigEndian.Uint32(b[:]))%(limit/2)
}

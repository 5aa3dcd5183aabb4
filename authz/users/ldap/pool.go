package ldap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxIdle is how long a connection may rest: firewalls forget it sooner or later, and a request that is
// sent into nothing waits.
const maxIdle = 2 * time.Minute

var (
	errBusy   = errors.New("every connection is in use")
	errClosed = errors.New("closed")
)

// pool keeps connections to one server for one purpose. The last one given back is the next one out.
type pool struct {
	dial  func(context.Context) (*conn, error)
	now   func() time.Time
	slots chan struct{} // holds one element for every connection in use

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func newPool(size int, now func() time.Time, dial func(context.Context) (*conn, error)) *pool {
	return &pool{dial: dial, now: now, slots: make(chan struct{}, size)}
}

// get waits for a connection until the context ends; errBusy tells that it was in vain. reused is one
// that may have been dropped since.
func (p *pool) get(ctx context.Context) (c *conn, reused bool, err error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, false, fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
	c, err = p.rested()
	if c == nil && err == nil {
		c, err = p.dial(ctx)
		if err != nil {
			<-p.slots
			return nil, false, err
		}
		return c, false, nil
	}
	if err != nil {
		<-p.slots
	}
	return c, true, err
}

// rested takes an idle connection that is still good, nil for none.
func (p *pool) rested() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.IsClosing() && p.now().Sub(c.used) < maxIdle {
			return c, nil
		}
		c.discard()
	}
	return nil, nil
}

// put gives a connection back; one that is not good any more is closed.
func (p *pool) put(c *conn, good bool) {
	defer func() { <-p.slots }()
	p.mu.Lock()
	keep := good && !p.closed && !c.IsClosing()
	if keep {
		c.used = p.now()
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.discard()
	}
}

// flush closes what rests: the server went, and they with it.
func (p *pool) flush() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.discard()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.flush()
}

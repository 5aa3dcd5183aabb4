package ldap

import (
	"context"
	"crypto/rand"
	"sync"
	"time"
)

// pace remembers how long binds of known names took, to let those of unknown names take as long.
type pace struct {
	mu    sync.Mutex
	took  [64]time.Duration
	noted int
}

func (p *pace) note(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[p.noted%len(p.took)] = took
	p.noted++
}

// one draws from what was noted, so that answers spread as those of known names do: an average would
// itself be a mark.
func (p *pace) one() time.Duration {
	var draw [1]byte
	_, _ = rand.Read(draw[:]) // never fails
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noted == 0 {
		return 0
	}
	return p.took[int(draw[0])%min(p.noted, len(p.took))]
}

// wait lasts until as much time has passed as one of the noted binds took, spent of it already.
func (p *pace) wait(ctx context.Context, spent time.Duration) {
	rest := p.one() - spent
	if rest <= 0 {
		return
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

package tokeninject

import (
	"context"
	"sync"
	"time"
)

const (
	// attributesFor is how long attributes are taken for current.
	attributesFor = time.Minute
	// attributesRetry is the pause after a failure.
	attributesRetry = 5 * time.Second
	maxAttributes   = 4096
)

// attributeCache keeps the attributes of people who were asked for lately.
type attributeCache struct {
	issuer Issuer
	now    func() time.Time

	mu     sync.Mutex
	people map[string]*attributeEntry
}

type attributeEntry struct {
	mu     sync.Mutex // held while the issuer is asked: one flight a person
	until  time.Time
	values map[string][]string
	err    error
}

func newAttributeCache(issuer Issuer, now func() time.Time) *attributeCache {
	return &attributeCache{issuer: issuer, now: now, people: map[string]*attributeEntry{}}
}

func (c *attributeCache) get(ctx context.Context, subject string) (map[string][]string, error) {
	entry := c.entry(subject)
	entry.mu.Lock()
	defer entry.mu.Unlock()
	if c.now().Before(entry.until) {
		return entry.values, entry.err
	}
	entry.values, entry.err = c.issuer.Attributes(ctx, subject)
	switch {
	case entry.err == nil:
		entry.until = c.now().Add(attributesFor)
	case ctx.Err() == nil: // a client that went away says nothing about the issuer
		entry.until = c.now().Add(attributesRetry)
	}
	return entry.values, entry.err
}

func (c *attributeCache) entry(subject string) *attributeEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.people[subject]
	if entry == nil {
		makeRoom(c.people, maxAttributes, func(*attributeEntry) bool { return false })
		entry = &attributeEntry{}
		c.people[subject] = entry
	}
	return entry
}

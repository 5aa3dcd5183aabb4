package tokeninject

import (
	"context"
	"sync"
	"time"
)

const (
	// personRetry is the pause after a failure.
	personRetry = 5 * time.Second
	maxPeople   = 4096
)

// peopleCache keeps the people who were asked for lately.
type peopleCache struct {
	issuer Issuer
	now    func() time.Time
	keep   time.Duration // Config.Refresh

	mu     sync.Mutex
	people map[string]*personEntry
}

type personEntry struct {
	mu     sync.Mutex // held while the issuer is asked: one flight a person
	until  time.Time
	person *Person
	err    error
}

func newPeopleCache(issuer Issuer, now func() time.Time, keep time.Duration) *peopleCache {
	return &peopleCache{issuer: issuer, now: now, keep: keep, people: map[string]*personEntry{}}
}

func (c *peopleCache) get(ctx context.Context, subject string) (*Person, error) {
	entry := c.entry(subject)
	entry.mu.Lock()
	defer entry.mu.Unlock()
	if c.now().Before(entry.until) {
		return entry.person, entry.err
	}
	entry.person, entry.err = c.issuer.Person(ctx, subject)
	switch {
	case entry.err == nil:
		entry.until = c.now().Add(c.keep)
	case ctx.Err() == nil: // a client that went away says nothing about the issuer
		entry.until = c.now().Add(personRetry)
	}
	return entry.person, entry.err
}

func (c *peopleCache) entry(subject string) *personEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.people[subject]
	if entry == nil {
		makeRoom(c.people, maxPeople, func(*personEntry) bool { return false })
		entry = &personEntry{}
		c.people[subject] = entry
	}
	return entry
}

package tokeninject

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// personRetry is the pause after a failure.
	personRetry = 5 * time.Second
	// personWait bounds one look-up.
	personWait = 10 * time.Second
	maxPeople  = 4096
)

// peopleCache keeps the people who were asked for lately.
type peopleCache struct {
	issuer Issuer
	now    func() time.Time
	keep   time.Duration // Config.Refresh
	asking singleflight.Group

	mu     sync.Mutex
	people map[string]knownPerson
}

// knownPerson is what the issuer said, for as long as it counts.
type knownPerson struct {
	until  time.Time
	person *Person
	err    error
}

func newPeopleCache(issuer Issuer, now func() time.Time, keep time.Duration) *peopleCache {
	return &peopleCache{issuer: issuer, now: now, keep: keep, people: map[string]knownPerson{}}
}

// get asks in one flight a person, which flies on for the others when a client goes away.
func (c *peopleCache) get(ctx context.Context, subject string) (*Person, error) {
	if known, ok := c.known(subject); ok {
		return known.person, known.err
	}
	answers := c.asking.DoChan(subject, func() (any, error) {
		if known, ok := c.known(subject); ok { // another flight has just landed
			return known.person, known.err
		}
		person, err := c.ask(context.WithoutCancel(ctx), subject)
		c.keepFor(subject, person, err)
		return person, err
	})
	select {
	case answer := <-answers:
		person, _ := answer.Val.(*Person)
		return person, answer.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask asks the issuer. A panic in there must not end the process from a goroutine of ours.
func (c *peopleCache) ask(ctx context.Context, subject string) (person *Person, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			person, err = nil, fmt.Errorf("look a person up: panic: %v", cause)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, personWait)
	defer cancel()
	return c.issuer.Person(ctx, subject)
}

func (c *peopleCache) known(subject string) (knownPerson, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.people[subject]
	return known, ok && c.now().Before(known.until)
}

func (c *peopleCache) keepFor(subject string, person *Person, err error) {
	keep := c.keep
	if err != nil {
		keep = personRetry
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.people[subject]; !ok {
		makeRoom(c.people, maxPeople, func(knownPerson) bool { return false })
	}
	// The subject may be a piece of a chunk of cached tokens, which would stay with it.
	c.people[strings.Clone(subject)] = knownPerson{c.now().Add(keep), person, err}
}

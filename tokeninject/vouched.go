package tokeninject

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
)

const (
	// maxVouching is how many questions about the tokens of open streams are under way at once, so that many streams
	// whose time comes together are no flood.
	maxVouching = 16
	// askWait bounds one question.
	askWait = 10 * time.Second
	// askRetry is the pause after one that had no answer, askBound how long a stream goes on without.
	askRetry = 5 * time.Second
	askBound = time.Minute
)

// lapsed tells whether the token of an open stream has ended. One that its issuer only vouches for is good for as
// long as the issuer goes on to: it is asked again whenever its word has run out (A69).
func (p *passage) lapsed(now time.Time) bool {
	again := p.flight.again.Load()
	if again == 0 {
		return now.UnixMilli() >= p.flight.ends
	}
	if now.Unix() < again {
		return false
	}
	select {
	case p.e.streams.asking <- struct{}{}:
		p.flight.again.Store(math.MaxInt64) // nobody else asks meanwhile
		go p.vouch(now)
	default: // at the next look
	}
	return false
}

// vouch asks the issuer again, and cuts the stream where it says no, or nothing for too long.
func (p *passage) vouch(now time.Time) {
	defer func() { <-p.e.streams.asking }()
	id, err := p.openAgain(now)
	switch {
	case err == nil:
		p.flight.ends, p.flight.known = id.Expires.UnixMilli(), id.again
		p.flight.again.Store(id.again)
	case unavailable(err) && now.Unix()-p.flight.known < int64(askBound/time.Second):
		p.flight.again.Store(now.Add(askRetry).Unix())
	default:
		p.e.streams.cut(p)
	}
}

// openAgain verifies the token as a new request with it would, which may have done so already.
func (p *passage) openAgain(now time.Time) (_ *Identity, err error) {
	defer func() {
		if cause := recover(); cause != nil { // it must not end the process from a goroutine of ours
			err = fmt.Errorf("%w: ask about a token: panic: %v", oauth.TemporarilyUnavailable, cause)
		}
	}()
	e := p.e
	id := new(Identity)
	seen, ok := e.verified.get(&p.caller, now, id)
	if !ok {
		// The request is another goroutine's, so this is done by a passage that has none and never passes.
		again := &passage{e: e, now: now, from: p.from, issuer: p.issuer, taken: p.taken, caller: p.caller}
		ctx, cancel := context.WithTimeout(context.Background(), askWait)
		defer cancel()
		again.epoch = p.issuer.feed.Epoch()
		payload, until, err := p.from.issuer.Open(ctx, p.taken.bearer, again.decryption())
		if err != nil {
			return nil, err
		}
		if id, err = again.examine(payload); err != nil {
			return nil, err
		}
		seen.judged = again.remember(id, until)
	}
	if seen.judged != p.judged {
		return nil, errNotSame
	}
	return id, nil
}

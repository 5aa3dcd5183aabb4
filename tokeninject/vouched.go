package tokeninject

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
)

const (
	// maxAsking is how many questions of a kind about open streams are under way at once, so that many streams whose time
	// comes together are no flood.
	maxAsking = 16
	// askWait bounds one question.
	askWait = 10 * time.Second
	// askRetry is the pause after one that had no answer, askBound how long a stream goes on without.
	askRetry = 5 * time.Second
	askBound = time.Minute
)

// expired tells whether the end of the request's credential has come that is known without asking anybody.
func (p *passage) expired(now time.Time) bool {
	if p.grownOld() {
		return true
	}
	if p.live == nil {
		return now.UnixMilli() >= p.flight.ends.Load()
	}
	return p.live.idleSince(now) >= min(p.live.idle, p.e.cfg.Session.Idle) || now.UnixMilli() >= p.live.expires.Load()
}

// lapsed tells whether the token of an open stream has ended. One that its issuer only vouches for is good for as
// long as the issuer goes on to: it is asked again whenever its word has run out (A69).
func (p *passage) lapsed(now time.Time) bool {
	if p.expired(now) || p.permitLapsed() {
		return true
	}
	again := p.flight.again.Load()
	if again == 0 || now.Unix() < again {
		return false
	}
	select {
	case p.e.streams.vouching <- struct{}{}:
		p.flight.again.Store(math.MaxInt64) // nobody else asks meanwhile
		go p.vouch(now)
		return false
	default: // at the next look
		return p.flight.unsure(now) >= askBound+askWait
	}
}

// vouched takes note of what the issuer says of the stream's token.
func (f *flight) vouched(id *Identity) {
	f.known = id.again
	f.ends.Store(id.ends())
	f.again.Store(id.again)
}

// unsure is how long ago the issuer's word ran out.
func (f *flight) unsure(now time.Time) time.Duration {
	return time.Duration(now.Unix()-f.known) * time.Second
}

// vouch asks the issuer again, and cuts the stream where it says no, or nothing for too long.
func (p *passage) vouch(now time.Time) {
	defer func() { <-p.e.streams.vouching }()
	id, err := p.openAgain(now)
	switch {
	case err == nil:
		p.flight.vouched(id)
	case unavailable(err) && p.flight.unsure(now) < askBound:
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
	if !p.stillMay(seen.judged, true) {
		return nil, errNotSame
	}
	return id, nil
}

// stillMay tells whether an open stream would be let through by what is known of its identity now. same tells that
// the identity itself is as it was.
func (p *passage) stillMay(now judgement, same bool) bool {
	rules := p.e.policy
	switch {
	case now.failed >= 0:
		return false
	case rules == nil, now.fits == p.judged.fits && (same || !rules.unsure):
		return true
	}
	return p.flight.noted && rules.permitsFit(now.fits, p.flight.fits)
}

// permitLapsed tells whether the policy may have permitted an open stream for a contract that has grown too old.
func (p *passage) permitLapsed() bool {
	rules := p.e.policy
	if rules == nil || !rules.timed {
		return false
	}
	fits := rules.inTime(p.from.issuer, p.proof, p.flight.fits)
	return fits != p.flight.fits && (!p.flight.noted || !rules.permitsFit(p.flight.fitsNow, fits))
}

// saysAs tells whether two sessions say the same of a person.
func (s *Session) saysAs(other *Session) bool {
	return slices.Equal(s.Roles, other.Roles) && slices.Equal(s.Scope, other.Scope) && bytes.Equal(s.Claims, other.Claims)
}

// sessionLapsed tells whether the session of an open stream has ended. The stream is no use of it, so that it ends with
// an idle one. What the person may is judged again whenever something new is known of them.
func (p *passage) sessionLapsed(now time.Time) bool {
	live := p.live
	switch session := live.session(); {
	case p.expired(now), p.permitLapsed():
		return true
	case session != p.flight.judged:
		id := new(Identity)
		live.read(id, p.from)
		judged := p.e.judgeSession(live, id)
		if !p.stillMay(judged, id.session.saysAs(p.flight.judged)) {
			return true
		}
		p.flight.judged, p.flight.fitsNow = id.session, judged.fits
	}
	if now.UnixMilli() < live.retry.Load() {
		return live.age(now) >= refreshBound // a request would be refused now
	}
	if live.refreshDue(now) {
		p.askForPerson(now)
	}
	return live.age(now) >= refreshBound+refreshWait // nobody got to ask, or has no answer
}

// askForPerson looks the person of an open stream up, as its next request would. Whoever is no more has no session then.
func (p *passage) askForPerson(now time.Time) {
	e, live := p.e, p.live
	select {
	case e.streams.lookUps <- struct{}{}:
	default: // at the next look
		return
	}
	if !live.lookup.TryLock() { // somebody does
		<-e.streams.lookUps
		return
	}
	handle := p.taken.session
	go func() {
		defer func() { <-e.streams.lookUps }()
		defer live.lookup.Unlock()
		e.lookUpAgain(handle, live, now)
	}()
}

// lookUpAgain is refresh for nobody's request. The caller holds the session's lock for that.
func (e *Enforcer) lookUpAgain(handle string, live *liveSession, now time.Time) {
	defer func() {
		if cause := recover(); cause != nil { // it must not end the process from a goroutine of ours
			e.cfg.Logger.Error("a session's person could not be looked up", zap.Any("panic", cause))
			live.retry.Store(e.cfg.Now().Add(refreshRetry).UnixMilli())
		}
	}()
	if !live.refreshDue(now) {
		return // somebody else did
	}
	if err := e.lookUpOnce(context.Background(), handle, live, now); errors.Is(err, ErrSessionEnded) {
		ctx, cancel := context.WithTimeout(context.Background(), renewedWait)
		defer cancel()
		e.endSession(ctx, handle, live)
	}
}

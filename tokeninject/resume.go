package tokeninject

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// refreshEvery is how often the person of a session in use is looked up.
	refreshEvery = time.Minute
	// refreshBound is how long a session goes on while that fails; then it waits for the directory.
	refreshBound = 5 * time.Minute
	// refreshRetry is the pause after a failure.
	refreshRetry = 5 * time.Second
	// refreshWait bounds one look-up, failingWait how long a request waits for one of an issuer that failed lately.
	refreshWait = 10 * time.Second
	failingWait = 2 * time.Second
	// renewedWait bounds storing what it brought.
	renewedWait = refreshWait / 2
)

// resume takes the session that the cookie names. No identity and no refusal: there is none that
// holds here and now.
func (p *passage) resume() *Refusal {
	e, handle := p.e, p.taken.session
	live, err := e.sessions.find(p.r.Context(), handle)
	if err != nil {
		return p.fault(fmt.Errorf("read the session: %w", err))
	}
	if live == nil || !p.fits(live) {
		return nil
	}
	if err = p.alive(p.r.Context(), live); err == nil && live.refreshDue(p.now) {
		err = e.refresh(p.detached(), handle, live, p.now)
	}
	switch {
	case errors.Is(err, ErrSessionEnded):
		e.endSession(p.detached(), handle, live)
		return nil
	case err != nil:
		return p.fault(fmt.Errorf("renew the session: %w", err))
	case !subset(e.needs, live.asked.list):
		// It began at a gate that asks for less. A login asks for what both want.
		if e.cfg.Optional {
			return nil
		}
		return p.signIn(union(live.asked.list, e.needs), false)
	}
	if live.use(p.now) {
		if err := e.sessions.noteUse(p.detached(), handle, live, p.now); errors.Is(err, ErrSessionEnded) {
			return nil
		} else if err != nil {
			e.cfg.Logger.Warn("the use of a session could not be stored", zap.Error(err))
		}
	}
	live.proven.Store(true)
	live.read(&p.read, e.sources[0])
	p.live, p.id = live, &p.read
	return nil
}

// detached is the context of what is to be finished even if the browser goes away, since it may write.
func (p *passage) detached() context.Context { return context.WithoutCancel(p.r.Context()) }

// fits tells whether a session is one of this issuer, client and site (A66), and still is one by this
// gate's own limits: those of the gate where it began may be wider.
func (p *passage) fits(live *liveSession) bool {
	e := p.e
	return live.issuer == e.cfg.Issuer.URL() && live.client == e.cfg.Session.ClientID &&
		strings.EqualFold(live.host, e.site(p.r)) && !live.ended.Load() &&
		p.now.Sub(live.began()) < e.cfg.Session.Absolute && p.now.UnixMilli() < live.expires.Load()
}

// alive asks for all that may have ended the session: idleness, and the revocation feed.
func (p *passage) alive(ctx context.Context, live *liveSession) error {
	e := p.e
	idle := min(live.idle, e.cfg.Session.Idle)
	if live.idleSince(p.now) >= idle {
		if err := e.sessions.recall(ctx, p.taken.session, live); err != nil {
			return err
		}
		if live.idleSince(p.now) >= idle {
			return ErrSessionEnded
		}
	}
	p.epoch = p.issuer.feed.Epoch()
	if live.epoch.Load() == p.epoch+1 { // 0 is a session that was never held against the feed
		return nil
	}
	if p.issuer.feed.Revoked(live.subject()) {
		return ErrSessionEnded
	}
	live.epoch.Store(p.epoch + 1)
	return nil
}

// refreshDue tells whether the person is to be looked up again.
func (l *liveSession) refreshDue(now time.Time) bool { return l.age(now) >= refreshEvery }

// age is how long ago the person was last looked up.
func (l *liveSession) age(now time.Time) time.Duration {
	return now.Sub(time.UnixMilli(l.refreshed.Load()))
}

// errPersonUnknown is a look-up that nobody could make for too long.
var errPersonUnknown = errors.New("the person could not be looked up a moment ago")

// refresh looks the person up again. One request does it; others go on with what is known while that is not too old,
// and else wait. Nobody waits long for an issuer that failed lately.
func (e *Enforcer) refresh(ctx context.Context, handle string, live *liveSession, now time.Time) error {
	unknown := errPersonUnknown
	if live.age(now) < refreshBound {
		unknown = nil
	}
	retry := time.UnixMilli(live.retry.Load())
	switch {
	case now.Before(retry):
		return unknown
	case now.Sub(retry) < refreshEvery:
		return e.lookUpBehind(handle, live, now, unknown)
	case unknown != nil:
		live.lookup.Lock()
	case !live.lookup.TryLock():
		return nil
	}
	defer live.lookup.Unlock()
	switch {
	case !live.refreshDue(now): // somebody else did, while we waited
		return nil
	case now.UnixMilli() < live.retry.Load(): // or failed
		return unknown
	}
	if err := e.lookUpOnce(ctx, handle, live, now); errors.Is(err, ErrSessionEnded) || unknown != nil {
		return err
	}
	return nil
}

// lookUpBehind looks the person up behind the requests, which wait a moment where they can't go on without.
func (e *Enforcer) lookUpBehind(handle string, live *liveSession, now time.Time, unknown error) error {
	done := e.failing.DoChan(handle, func() (any, error) {
		live.lookup.Lock()
		defer live.lookup.Unlock()
		e.lookUpAgain(handle, live, now)
		return nil, nil
	})
	if unknown == nil {
		return nil
	}
	select {
	case <-done:
	case <-time.After(failingWait):
	}
	switch {
	case live.ended.Load():
		return ErrSessionEnded
	case live.refreshDue(now):
		return unknown
	}
	return nil
}

// lookUpOnce is lookUp, with a pause after a failure. The caller holds the session's lock for that.
func (e *Enforcer) lookUpOnce(ctx context.Context, handle string, live *liveSession, now time.Time) error {
	err := e.lookUp(ctx, handle, live, now)
	switch {
	case err == nil:
		live.retry.Store(0)
	case !errors.Is(err, ErrSessionEnded):
		e.cfg.Logger.Warn("a session's person could not be looked up", zap.Duration("since", live.age(now)), zap.Error(err))
		live.retry.Store(e.cfg.Now().Add(refreshRetry).UnixMilli()) // a pause comes after a failure that took its time, too
	}
	return err
}

// lookUp asks the issuer, and takes over what it says.
func (e *Enforcer) lookUp(ctx context.Context, handle string, live *liveSession, now time.Time) error {
	asking, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	if err := e.mayRenew(asking, handle, live, now); err != nil {
		return err
	}
	before := live.session()
	session, err := e.cfg.Issuer.Refresh(asking, before)
	if err == nil && !validObject(session.Claims) {
		session, err = nil, errors.New("the issuer's claims are no JSON object")
	}
	if session == nil {
		return err
	}
	live.hold(*session)
	if err == nil {
		live.refreshed.Store(now.UnixMilli())
	}
	if session.Stamp != before.Stamp {
		// The issuer gave a new refresh token for the old one, which is dead: a restart must find the new, also
		// where the time to ask ran out after it came.
		storing, cancel := context.WithTimeout(ctx, renewedWait)
		defer cancel()
		if err := e.sessions.renewed(storing, handle, live, session); err != nil {
			return err
		}
	}
	return err
}

// mayRenew has this node be the only one that renews a session which needs it.
func (e *Enforcer) mayRenew(ctx context.Context, handle string, live *liveSession, now time.Time) error {
	issuer, ok := e.cfg.Issuer.(Renewer)
	for ok && issuer.Renews(live.session()) {
		if leased, err := e.sessions.lease(ctx, handle, live, now); leased || err != nil {
			return err
		}
	}
	return nil
}

// endSession ends a session that the issuer or a time-out has ended.
func (e *Enforcer) endSession(ctx context.Context, handle string, live *liveSession) {
	if err := e.sessions.end(ctx, handle, live); err != nil {
		e.cfg.Logger.Error("an ended session could not be removed from the store", zap.Error(err))
	}
}

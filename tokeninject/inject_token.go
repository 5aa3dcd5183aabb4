package tokeninject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
)

const (
	// mintWait bounds one minting.
	mintWait = 10 * time.Second
	// mintRetry is the pause after a failure: for so long, the old token serves if it is good, or the failure is the answer.
	mintRetry = 5 * time.Second

	callerShards = 16
	// shardCallers bounds the tokens held for callers that sent one of their own.
	shardCallers = 1024
)

// mintSlot holds the minted token of one session, or one caller, and one policy.
type mintSlot struct {
	policy string // of a session, which may have several
	held   atomic.Pointer[heldToken]

	mu     sync.Mutex
	flight *mintFlight // nil: none under way
	retry  int64       // Unix milliseconds
	failed error       // what is the matter until retry
}

// over tells whether there is nothing in a slot to keep: what filled it was in an earlier configuration.
func (s *mintSlot) over(now time.Time) bool {
	held := s.held.Load()
	return held != nil && now.UnixMilli() >= held.expires
}

type heldToken struct {
	header         string // "Bearer ..."
	renew, expires int64  // Unix milliseconds
}

// mintFlight is one minting that everybody waits for who needs its token.
type mintFlight struct {
	landed chan struct{}
	token  *heldToken
	err    error
}

// injectToken puts a token for the upstream into the request (W4).
func (p *passage) injectToken() *Refusal {
	if p.e.cfg.Token.Phantom && (p.live != nil || readable(p.taken.bearer)) {
		if p.live == nil {
			p.r.Header["Authorization"] = p.taken.authorization
		}
		return nil
	}
	slot := p.slot()
	held := slot.held.Load()
	if held == nil || p.now.UnixMilli() >= held.renew {
		var err error
		if held, err = p.renew(slot, held); err != nil {
			return p.unminted(err)
		}
	}
	p.r.Header["Authorization"] = []string{held.header}
	return nil
}

// readable tells whether a token that was verified is a JWT that is only signed.
func readable(raw string) bool { return strings.Count(raw, ".") == 2 }

// slot finds where this session's or caller's token is kept.
func (p *passage) slot() *mintSlot {
	if p.e.cfg.Token.ForGate {
		return &p.e.gateToken
	}
	if p.live == nil {
		return p.e.callers.slot(p.caller)
	}
	policy := p.e.mintPolicy
	p.live.mu.Lock()
	defer p.live.mu.Unlock()
	for _, slot := range p.live.minted {
		if slot.policy == policy {
			return slot
		}
	}
	slot := &mintSlot{policy: policy}
	p.live.minted = append(slices.DeleteFunc(p.live.minted, func(old *mintSlot) bool { return old.over(p.now) }), slot)
	return slot
}

// renew gets a new token. While the old one is good nobody waits for it.
func (p *passage) renew(slot *mintSlot, held *heldToken) (*heldToken, error) {
	good := held != nil && p.now.UnixMilli() < held.expires
	slot.mu.Lock()
	if current := slot.held.Load(); current != nil && p.now.UnixMilli() < current.renew {
		slot.mu.Unlock()
		return current, nil
	}
	if p.now.UnixMilli() < slot.retry {
		failed := slot.failed
		slot.mu.Unlock()
		if good && !final(failed) {
			return held, nil
		}
		return nil, failed
	}
	flight := slot.flight
	if flight == nil {
		flight = &mintFlight{landed: make(chan struct{})}
		slot.flight = flight
		// It flies on if this request's client goes away: others may wait for it.
		go p.e.mint(p.detached(), slot, flight, p.mintRequest(), p.notAfter())
	}
	slot.mu.Unlock()
	if good {
		return held, nil
	}
	select {
	case <-flight.landed:
		return flight.token, flight.err
	case <-p.r.Context().Done():
		return nil, p.r.Context().Err()
	}
}

func (p *passage) mintRequest() MintRequest {
	policy := p.e.cfg.Token
	m := MintRequest{ResourceServer: policy.ResourceServer, Scope: policy.Scope, Gate: p.e.cfg.Name, ForGate: policy.ForGate}
	switch {
	case policy.ForGate:
	case policy.Phantom:
		m.Caller, m.CallerIssuer, m.Gate, m.Phantom = p.id, p.from.issuer.URL(), "", true
	case p.live != nil:
		m.Session, m.SessionIssuer = p.id.session, p.live.issuer
	default:
		m.Caller, m.Raw, m.CallerIssuer = p.id, p.taken.bearer, p.from.issuer.URL()
	}
	return m
}

// notAfter is when what is minted here must be forgotten: with the caller's own token.
func (p *passage) notAfter() time.Time {
	if p.live != nil || p.e.cfg.Token.ForGate {
		return time.Time{}
	}
	return p.id.Expires
}

// mint makes the token and lands the flight.
func (e *Enforcer) mint(ctx context.Context, slot *mintSlot, flight *mintFlight, m MintRequest, notAfter time.Time) {
	flight.token, flight.err = e.minted(ctx, m, notAfter)
	slot.mu.Lock()
	defer slot.mu.Unlock()
	slot.flight = nil
	if flight.err == nil || final(flight.err) { // a no ends the old token's use as well
		slot.held.Store(flight.token)
	}
	if flight.err != nil {
		slot.retry, slot.failed = e.cfg.Now().Add(mintRetry).UnixMilli(), flight.err
	}
	close(flight.landed)
}

// final tells a no from a failure.
func final(err error) bool {
	return errors.Is(err, ErrSessionEnded) || errors.Is(err, oauth.InsufficientScope)
}

// minted asks the issuer. A panic in there must not end the process from a goroutine of ours.
func (e *Enforcer) minted(ctx context.Context, m MintRequest, notAfter time.Time) (held *heldToken, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			held, err = nil, fmt.Errorf("mint a token: panic: %v", cause)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, mintWait)
	defer cancel()
	token, err := e.cfg.Token.Issuer.Mint(ctx, m)
	if err != nil {
		return nil, err
	}
	now, expires := e.cfg.Now(), token.Expires
	if !notAfter.IsZero() && notAfter.Before(expires) {
		expires = notAfter
	}
	lifetime := expires.Sub(now)
	if lifetime <= 0 || !b64token(token.Token) {
		return nil, errors.New("the issuer minted a token that is of no use")
	}
	// Renewing earlier than half-way would mint at every request where renew_before is too long.
	early := min(e.cfg.Token.RenewBefore, lifetime/2)
	return &heldToken{header: "Bearer " + token.Token, renew: expires.Add(-early).UnixMilli(), expires: expires.UnixMilli()}, nil
}

// unminted says what the want of a token means for the request.
func (p *passage) unminted(err error) *Refusal {
	switch {
	case p.e.cfg.Token.ForGate: // what the gate may not have is nobody's fault who passes
	case errors.Is(err, ErrSessionEnded) && p.live != nil:
		p.e.endSession(p.detached(), p.taken.session, p.live)
		return p.signIn(p.e.needs, false)
	case errors.Is(err, ErrSessionEnded):
		p.e.verified.drop(&p.caller)
		return p.invalid(err)
	case errors.Is(err, oauth.InsufficientScope) && p.live != nil && !p.live.again && navigation(p.r):
		return p.signIn(union(p.live.asked.list, p.e.needs), true)
	case errors.Is(err, oauth.InsufficientScope):
		return p.challengeFor(oauth.FormatScope(p.e.cfg.Token.Scope), oauth.Errorf(oauth.InsufficientScope, "a scope is missing").Because(err))
	}
	return p.fault(fmt.Errorf("mint a token: %w", err))
}

// callerTokens holds the tokens minted for callers, by the hash of their own.
type callerTokens struct {
	shards [callerShards]callerShard
}

type callerShard struct {
	mu    sync.Mutex
	slots map[digest]*mintSlot
}

func (c *callerTokens) slot(hash digest) *mintSlot {
	shard := &c.shards[hash[0]%callerShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	slot := shard.slots[hash]
	if slot != nil {
		return slot
	}
	if shard.slots == nil {
		shard.slots = map[digest]*mintSlot{}
	}
	if len(shard.slots) >= shardCallers {
		shard.evict()
	}
	slot = &mintSlot{}
	shard.slots[hash] = slot
	return slot
}

// evict lets go of the one of a few whose token ends first.
func (s *callerShard) evict() {
	var victim digest
	var soonest int64
	looked := 0
	for hash, slot := range s.slots {
		var expires int64
		if held := slot.held.Load(); held != nil {
			expires = held.expires
		}
		if looked == 0 || expires < soonest {
			victim, soonest = hash, expires
		}
		if looked++; looked == 8 {
			break
		}
	}
	delete(s.slots, victim)
}

package tokeninject

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

const (
	// leeway is how far the clocks of issuer and gate may differ. It lets a token begin early; none
	// is taken after its end.
	leeway = 5 * time.Second
	// decryptWait is how long a token waits for its decryption before the gate calls itself busy.
	decryptWait = time.Second
)

var (
	errAudience = errors.New("the token is for another audience")
	errIssuer   = errors.New("the token is of another issuer")
	errBound    = errors.New("the token is bound to a key, and nothing proves that the client has it")
	errRevoked  = errors.New("the token is revoked")
	errSpent    = fmt.Errorf("%w: too many tokens of no use came from this address", ErrBusy)
	errBefore   = errors.New("refused a moment ago")
	errNotSame  = errors.New("the token is good, but no longer for what it was")
)

// verify finds out whether the bearer token is good (W1): from the cache where these bytes were seen
// before, else by its signature and claims.
func (p *passage) verify() *Refusal {
	e := p.e
	if len(p.taken.bearer) > token.MaxSize {
		return p.invalid(token.ErrMalformed)
	}
	p.caller.of(p.taken.bearer)
	if seen, ok := e.verified.get(&p.caller, p.now, &p.read); ok {
		if err := p.turnTo(e.sources[seen.source]); err != nil {
			return p.fault(err)
		}
		p.epoch = p.issuer.feed.Epoch()
		if seen.epoch != p.epoch && p.issuer.feed.Revoked(p.read.subject(p.from.issuer)) {
			e.verified.drop(&p.caller)
			return p.invalid(errRevoked)
		}
		if seen.epoch != p.epoch {
			e.verified.confirm(&p.caller, p.epoch)
		}
		p.accept(&p.read, seen.judged)
		return nil
	}
	if !b64token(p.taken.bearer) { // only now: what is remembered was looked at
		return p.malformedHeader()
	}
	if e.refused.has(&p.caller, p.now) {
		p.remembered = true
		return p.invalid(errBefore)
	}
	return p.verifyAfresh()
}

func (p *passage) accept(id *Identity, judged judgement) {
	id.from = p.from
	p.id, p.judged = id, judged
}

func (p *passage) verifyAfresh() *Refusal {
	e := p.e
	id, until, err := p.open()
	switch {
	case errors.Is(err, errSpent):
		return p.tooMany(time.Second, "too many tokens of no use came from your address")
	case err != nil && unavailable(err):
		return p.fault(err)
	case err != nil && p.decrypted:
		e.failed.reserve(e.cfg.Seen(p.r).ClientIP, p.now)
	}
	if err != nil {
		e.refused.add(&p.caller, p.now)
		return p.invalid(err)
	}
	p.accept(id, p.remember(id, until))
	return nil
}

// remember judges what was verified, and keeps it for as long as the issuer's word counts.
func (p *passage) remember(id *Identity, until time.Time) judgement {
	judged := p.e.judge(id)
	if !until.IsZero() && until.Before(id.Expires) {
		id.again = until.Unix()
	}
	p.e.verified.put(&p.caller, id, judged, p.epoch, until)
	return judged
}

// open finds the issuer whose token this is, and what it says. Where one of several can't answer, nobody can
// tell that the token is none of its.
func (p *passage) open() (id *Identity, until time.Time, err error) {
	err = errIssuer
	decrypt := p.decryption()
	var away error
	for _, from := range p.e.sourcesOf(p.taken.bearer) {
		var payload []byte
		if err = p.turnTo(from); err == nil {
			p.epoch = p.issuer.feed.Epoch()
			payload, until, err = from.issuer.Open(p.r.Context(), p.taken.bearer, decrypt)
		}
		switch {
		case err == nil:
			id, err = p.examine(payload)
			return id, until, err
		case away == nil && unavailable(err):
			away = err
		}
	}
	return nil, time.Time{}, cmp.Or(away, err)
}

// decryption undoes the token's encryption by the gate's own key, once for all issuers that it may be of;
// nil where there is nothing to undo.
func (p *passage) decryption() Decrypt {
	if p.e.decrypter == nil || !token.IsJWE(p.taken.bearer) {
		return nil
	}
	var done bool
	var signed string
	var err error
	return func(ctx context.Context) (string, error) {
		if !done {
			signed, err = p.decrypt(ctx)
			done = true
		}
		return signed, err
	}
}

// decrypt uses a resource server's private key, which costs as much as twenty signatures. So no more than
// half the machine is at it, and an address that keeps bringing tokens of no use has none decrypted for a while.
func (p *passage) decrypt(ctx context.Context) (string, error) {
	e := p.e
	if p.r != nil && e.failed.spent(e.cfg.Seen(p.r).ClientIP, p.now) { // an open stream's was good before
		return "", errSpent
	}
	waiting, cancel := context.WithTimeout(ctx, decryptWait)
	defer cancel()
	select {
	case e.decrypting <- struct{}{}:
		defer func() { <-e.decrypting }()
	case <-waiting.Done():
		return "", fmt.Errorf("%w: decryptions are waiting", ErrBusy)
	}
	p.decrypted = true
	return e.decrypter.Decrypt(p.taken.bearer)
}

// examine checks what an opened token says of itself: form, times, issuer, audience, revocation.
func (p *passage) examine(payload []byte) (*Identity, error) {
	t, err := token.ParseAccessToken(payload, p.now, leeway)
	switch {
	case err != nil:
		return nil, err
	case !t.ExpiresAt.After(p.now):
		return nil, token.ErrExpired
	case t.Issuer != p.from.issuer.URL():
		return nil, errIssuer
	case !slices.ContainsFunc(t.Audience, p.isAudience):
		return nil, errAudience
	case t.Extra["cnf"] != nil: // RFC 7800 §3.1: as a bearer token it would be worth more than was meant (A46)
		return nil, errBound
	}
	id := &Identity{
		Subject: t.Subject, ClientID: t.ClientID, Username: usernameOf(payload), SessionID: t.SessionID,
		GrantID: t.GrantID, TokenID: t.ID, Scope: oauth.FormatScope(t.Scope), IssuedAt: t.IssuedAt, Expires: t.ExpiresAt,
		claims: string(payload), from: p.from,
	}
	if p.issuer.feed.Revoked(id.subject(p.from.issuer)) {
		return nil, errRevoked
	}
	return id, nil
}

// isAudience compares exactly: a token for one resource server is worth nothing at another (A7).
func (p *passage) isAudience(audience string) bool {
	return slices.Contains(p.issuer.audiences, audience)
}

// invalid refuses the token. The client learns no more than whether a new one is worth fetching.
func (p *passage) invalid(cause error) *Refusal {
	description := "the access token is not valid here"
	if errors.Is(cause, token.ErrExpired) {
		description = "the access token has expired"
	}
	return p.challenge(oauth.Errorf(oauth.InvalidToken, "%s", description).Because(cause))
}

package tokeninject

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
)

// Leveler is an Issuer that knows how its contracts compare. Without it a contract is only ever equal
// to itself.
type Leveler interface {
	// Satisfies tells whether a login by the contract acr at some time is one by one of the wanted
	// contracts or by a higher one. maxAge, if not zero, says that it is, but was too long ago.
	Satisfies(wanted []string, acr string, at time.Time) (ok bool, maxAge time.Duration)
}

// satisfies compares how somebody signed in with what is wanted.
func satisfies(issuer Issuer, wanted []string, acr string, at time.Time) (ok bool, maxAge time.Duration) {
	if levels, compares := issuer.(Leveler); compares {
		return levels.Satisfies(wanted, acr, at)
	}
	return slices.Contains(wanted, acr), 0
}

// Login is by which contract the person signed in, and when, as the session or the token says (OpenID
// Connect Core §2, RFC 9068 §2.2.1).
func (id *Identity) Login() (acr string, at time.Time) {
	if id.session != nil {
		return id.session.ACR, id.session.AuthTime
	}
	value, _ := id.Claim("acr")
	acr, _ = value.(string)
	value, _ = id.Claim("auth_time")
	if number, ok := value.(json.Number); ok {
		if seconds, err := number.Int64(); err == nil {
			at = time.Unix(seconds, 0)
		}
	}
	return acr, at
}

// errContract is why somebody who is signed in is not signed in well enough, even after a login that
// asked for it.
var errContract = errors.New("the issuer signed the person in, but by none of the contracts that the gate wants")

// stepUp asks for a better login where the one at hand is by none of the gate's contracts (RFC 9470):
// a browser goes to login, everybody else is challenged. An issuer that doesn't give what it was asked
// for is not asked again and again.
func (p *passage) stepUp() *Refusal {
	wanted := p.e.cfg.Contracts
	if p.id == nil || len(wanted) == 0 {
		return nil
	}
	acr, at := p.id.Login()
	ok, maxAge := satisfies(p.from.issuer, wanted, acr, at)
	switch {
	case ok:
		p.proof = &proof{acr, at}
		return nil
	case p.live != nil && len(p.live.unmet) > 0 && subset(wanted, p.live.unmet):
		refusal := p.forbid(oauth.Errorf(oauth.AccessDenied, "you are signed in, but not in the way that this needs").Because(errContract))
		refusal.page = p.notForYou()
		return refusal
	case p.live != nil && navigation(p.r):
		return p.beginLogin(union(p.live.asked.list, p.e.needs), false)
	}
	p.maxAge = maxAge
	return p.challenge(oauth.Errorf(oauth.InsufficientUserAuthentication, "sign in by another contract, or again"))
}

// proof is by which contract somebody signed in, and when.
type proof struct {
	acr string
	at  time.Time
}

// grownOld tells whether the login is none any more that the gate's contracts want.
func (p *passage) grownOld() bool {
	wanted := p.e.cfg.Contracts
	if len(wanted) == 0 {
		return false
	}
	ok, _ := satisfies(p.from.issuer, wanted, p.proof.acr, p.proof.at)
	return !ok
}

// stepUpMembers are those of a challenge (RFC 9470 §3).
func (p *passage) stepUpMembers(c *oauth.Challenge) {
	c.ACRValues = oauth.FormatScope(p.e.cfg.Contracts)
	if p.maxAge > 0 {
		c.MaxAge = strconv.FormatInt(int64(p.maxAge/time.Second), 10)
	}
}

// notGiven are the contracts that a login asked for and didn't bring.
func (e *Enforcer) notGiven(asked []string, s *Session) []string {
	if len(asked) == 0 {
		return nil
	}
	ok, maxAge := satisfies(e.cfg.Issuer, asked, s.ACR, s.AuthTime)
	if ok || maxAge > 0 { // it took long, and has to be proven anew already
		return nil
	}
	return asked
}

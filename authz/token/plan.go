package token

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// masterSize is the size in bytes of the secret that Sealers derive from.
const masterSize = 32

// Plan is what a configuration wants of an issuer's keys. Its methods make new
// Keys of those that are there and of the time. Their result changed says
// whether next has to be stored before it is used; next is k itself where
// nothing is different. The master secret is the same in all of them.
type Plan struct {
	// Algorithms to have a key for, those of Files included.
	Algorithms []jose.SignatureAlgorithm
	// Files are the operator's own keys. The last one of an algorithm signs,
	// in place of a generated key, once it has been published for PublishAhead;
	// until then the one before it goes on, if it is at hand.
	Files []*FileKey
	// Interval is how long a generated key signs, or an encryption key
	// encrypts, until the next one does; 0: for ever.
	Interval time.Duration
	// Overlap is how long a key stays after that: the longest lifetime of what
	// is made with it, and PublishAhead.
	Overlap time.Duration
}

// Generate makes the keys of a new issuer. ErrAlgorithm for an algorithm that
// isn't RS, PS or ES with 256, 384 or 512, or EdDSA; ErrKey when there is none.
func (p *Plan) Generate(now time.Time) (*Keys, error) {
	if len(p.Algorithms) == 0 {
		return nil, refuse(ErrKey, "no signature algorithm")
	}
	master := make([]byte, masterSize)
	if _, err := rand.Read(master); err != nil {
		return nil, fmt.Errorf("master secret: %w", err)
	}
	server, err := generateServerKey("0", wholeSeconds(now))
	if err != nil {
		return nil, err
	}
	keys, _, err := p.Adopt(&Keys{server: []*serverKey{server}, master: master}, now)
	return keys, err
}

// Adopt makes the keys those of this plan, when a server starts: it takes the
// files in, makes what is missing, lets what is no longer wanted end, and sets
// the interval for all nodes. Then it does what Tend does. ErrKey when two
// algorithms would share a key (RFC 8725 §3.1).
func (p *Plan) Adopt(k *Keys, now time.Time) (next *Keys, changed bool, err error) {
	d := p.draft(k, now)
	d.addFiles()
	for _, alg := range p.Algorithms {
		if err := d.promote(alg); err != nil {
			return nil, false, err
		}
	}
	d.retire()
	if interval := p.Interval.Truncate(time.Second); d.interval != interval {
		d.interval, d.stale = interval, true
	}
	return d.tended(k)
}

// Tend does what is due as time goes on: it drops keys that nothing alive was
// made with, publishes successors ahead, and lets those begin whose time has
// come. Servers call it again and again. It goes by the interval that was
// adopted last, so that a server which is about to end, or a node that has an
// older configuration, doesn't fight the newer one.
func (p *Plan) Tend(k *Keys, now time.Time) (next *Keys, changed bool, err error) {
	return p.draft(k, now).tended(k)
}

// Rotate publishes successors of all generated keys and of the encryption key
// now, as Tend does when they are due; they begin after PublishAhead. A key
// whose successor is published already isn't given another. ErrKey when all
// eleven encryption keys are still needed: none can make room.
func (p *Plan) Rotate(k *Keys, now time.Time) (next *Keys, changed bool, err error) {
	d := p.draft(k, now)
	d.prune()
	if err := d.rotateServer(d.successorNow); err != nil {
		return nil, false, err
	}
	if err := d.rotateSigning(d.successorNow); err != nil {
		return nil, false, err
	}
	return d.tended(k)
}

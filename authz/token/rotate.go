package token

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// successor decides whether a key is to be given a successor, and from when on.
type successor func(key keyTimes) (since time.Time, wanted bool)

// successorDue keeps to the interval: the successor is published ahead.
func (d *draft) successorDue(key keyTimes) (time.Time, bool) {
	due := key.since.Add(d.interval)
	earliest := d.now.Add(PublishAhead)
	if d.interval == 0 || !key.begun(d.now) || due.After(earliest) {
		return time.Time{}, false
	}
	return earliest, true
}

// successorNow is for rotation by hand.
func (d *draft) successorNow(key keyTimes) (time.Time, bool) {
	return d.now.Add(PublishAhead), key.begun(d.now)
}

// rotateSigning gives successors to generated keys. One from a file has only
// the operator to succeed it.
func (d *draft) rotateSigning(next successor) error {
	for _, alg := range d.plan.Algorithms {
		i := d.last(alg, anyKey)
		if i < 0 || !generated(d.signing[i]) {
			continue
		}
		if since, wanted := next(d.signing[i].keyTimes); wanted {
			if err := d.generate(alg, since); err != nil {
				return err
			}
		}
	}
	return nil
}

// errBusy is that a kid is still needed. It is an ErrKey.
var errBusy = refuse(ErrKey, "all encryption keys of the server are still needed, so none can make room for another")

// rotateServer makes the next key for Encrypt, with the next kid of "0" to "10"
// in turn; errBusy while a key has it that tokens alive may be made with.
func (d *draft) rotateServer(next successor) error {
	last := d.server[len(d.server)-1]
	since, wanted := next(last.keyTimes)
	if !wanted {
		return nil
	}
	kid := nextServerKid(last.kid)
	if slices.ContainsFunc(d.server, func(key *serverKey) bool { return key.kid == kid }) {
		return errBusy
	}
	key, err := generateServerKey(kid, since)
	if err != nil {
		return err
	}
	d.server, d.stale = append(d.server, key), true
	return nil
}

// promise notes the overlap with every key that makes tokens now or later. A
// shorter one doesn't count: tokens of before it may be alive.
func (d *draft) promise() {
	for i, key := range d.signing {
		if key.private != nil && key.keep < d.overlap && !d.over(i) {
			d.edit(i).keep, d.stale = d.overlap, true
		}
	}
	for i, key := range d.server {
		if key.keep < d.overlap && (i+1 == len(d.server) || !d.server[i+1].begun(d.now)) {
			promised := *key
			promised.keep = d.overlap
			d.server[i], d.stale = &promised, true
		}
	}
}

// successorOf is the key that signs after the one at i; nil for none.
func (d *draft) successorOf(i int) *signingKey {
	for _, later := range d.signing[i+1:] {
		if later.algorithm == d.signing[i].algorithm {
			return later
		}
	}
	return nil
}

// over tells whether the key at i has ceased to sign.
func (d *draft) over(i int) bool {
	next := d.successorOf(i)
	return next != nil && next.begun(d.now)
}

// prune drops the keys that made nothing which is alive. Before that, a
// generated key loses its private half once all nodes sign with its successor:
// what isn't there can't be stolen. Keys of files stay as long as they are
// listed.
func (d *draft) prune() {
	kept := make([]*signingKey, 0, len(d.signing))
	for i, key := range d.signing {
		var successor time.Time
		if next := d.successorOf(i); next != nil {
			successor = next.since
			if generated(key) && generated(next) && next.since.Add(PublishAhead).Before(d.now) {
				key = d.edit(i)
				key.private, d.stale = nil, true
			}
		}
		if listed := key.imported && key.private != nil; listed || !key.gone(successor, d.now) {
			kept = append(kept, key)
		}
	}
	server := make([]*serverKey, 0, len(d.server))
	for i, key := range d.server {
		if i+1 == len(d.server) || !key.gone(d.server[i+1].since, d.now) {
			server = append(server, key)
		}
	}
	d.stale = d.stale || len(kept) < len(d.signing) || len(server) < len(d.server)
	d.signing, d.server = kept, server
}

func generateSigningKey(alg jose.SignatureAlgorithm) (*signingKey, error) {
	a, err := algorithmOf(alg)
	if err != nil {
		return nil, err
	}
	private, err := a.generate()
	if err != nil {
		return nil, fmt.Errorf("generate key for %s: %w", alg, err)
	}
	return newSigningKey(a, private)
}

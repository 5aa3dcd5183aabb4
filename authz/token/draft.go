package token

import (
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// draft is Keys in the making, for one plan and one time. It never alters a key
// in place, since the Keys that it came from have it too.
type draft struct {
	plan     *Plan
	now      time.Time
	overlap  time.Duration
	signing  []*signingKey
	server   []*serverKey
	interval time.Duration

	touched bool // something differs from the Keys
	stale   bool // and what is stored must say so
}

func (p *Plan) draft(k *Keys, now time.Time) *draft {
	d := &draft{
		plan: p, now: wholeSeconds(now), overlap: (p.Overlap + time.Second - 1).Truncate(time.Second),
		signing: slices.Clone(k.signing), server: slices.Clone(k.server), interval: k.interval,
	}
	for _, file := range p.Files {
		if i := d.find(file); i >= 0 && d.signing[i].private == nil {
			d.edit(i).private = file.key.private
		}
	}
	return d
}

// tended does what is due and ends the draft.
func (d *draft) tended(k *Keys) (next *Keys, changed bool, err error) {
	d.prune()
	if err := d.fill(); err != nil {
		return nil, false, err
	}
	if err := d.rotateSigning(d.successorDue); err != nil {
		return nil, false, err
	}
	if err := d.rotateServer(d.successorDue); err != nil && !errors.Is(err, errBusy) {
		return nil, false, err // a busy kid is free later
	}
	d.promise()
	if !d.touched && !d.stale {
		return k.At(d.now), false, nil
	}
	next = &Keys{signing: d.signing, server: d.server, interval: d.interval, master: k.master}
	next, err = next.freeze(d.now)
	return next, d.stale && err == nil, err
}

// find is the place of a file's key, -1 for none.
func (d *draft) find(file *FileKey) int {
	return slices.IndexFunc(d.signing, func(key *signingKey) bool {
		return key.kid == file.key.kid && key.algorithm == file.key.algorithm
	})
}

// last is the place of the key of an algorithm that signs last and that meets
// a condition, -1 for none.
func (d *draft) last(alg jose.SignatureAlgorithm, meets func(*signingKey) bool) int {
	for i, key := range slices.Backward(d.signing) {
		if key.algorithm.name == alg && meets(key) {
			return i
		}
	}
	return -1
}

func anyKey(*signingKey) bool        { return true }
func canSign(key *signingKey) bool   { return key.private != nil }
func generated(key *signingKey) bool { return key.private != nil && !key.imported }

// edit makes a copy of a key, in its place, to be altered.
func (d *draft) edit(i int) *signingKey {
	key := *d.signing[i]
	d.signing[i], d.touched = &key, true
	return &key
}

// start is when a new key of an algorithm can begin: at once where nothing else
// signs, else once everybody knows it.
func (d *draft) start(alg jose.SignatureAlgorithm) time.Time {
	if i := d.last(alg, canSign); i < 0 || d.over(i) {
		return d.now
	}
	return d.now.Add(PublishAhead)
}

// addFiles publishes the keys of the plan's files with their certificates.
func (d *draft) addFiles() {
	for _, file := range d.plan.Files {
		i := d.find(file)
		if i < 0 {
			key := *file.key
			key.since = d.start(file.Algorithm())
			d.signing, d.stale = append(d.signing, &key), true
			continue
		}
		old := d.signing[i]
		if old.imported && slices.EqualFunc(old.chain, file.key.chain, (*x509.Certificate).Equal) {
			continue
		}
		key := d.edit(i)
		key.chain, key.imported, d.stale = file.key.chain, true, true
	}
}

// promote makes the key last in its algorithm that the plan wants to sign: the
// last file's or, without files, a generated one.
func (d *draft) promote(alg jose.SignatureAlgorithm) error {
	wanted := d.last(alg, generated)
	for _, file := range d.plan.Files {
		if file.Algorithm() == alg {
			wanted = d.find(file)
		}
	}
	if wanted < 0 {
		return d.generate(alg, d.now) // a file that went away can't sign until then
	}
	if !d.signing[wanted].until.IsZero() {
		d.edit(wanted).until, d.stale = time.Time{}, true
	}
	if wanted == d.last(alg, anyKey) {
		return nil
	}
	// It is known already, and so may sign at once; unless it is new itself.
	key := *d.signing[wanted]
	if key.since.Before(d.now) {
		key.since = d.now
	}
	d.signing = append(slices.Delete(d.signing, wanted, wanted+1), &key)
	d.stale = true
	return nil
}

// retire ends the keys of algorithms that the plan doesn't want.
func (d *draft) retire() {
	for i, key := range d.signing {
		alg := key.algorithm.name
		if key.until.IsZero() && !slices.Contains(d.plan.Algorithms, alg) && i == d.last(alg, anyKey) {
			d.edit(i).until, d.stale = d.now, true
		}
	}
}

// fill makes a key for each algorithm that nothing at hand signs.
func (d *draft) fill() error {
	for _, alg := range d.plan.Algorithms {
		if d.last(alg, canSign) < 0 {
			if err := d.generate(alg, d.now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *draft) generate(alg jose.SignatureAlgorithm, since time.Time) error {
	key, err := generateSigningKey(alg)
	if err != nil {
		return err
	}
	key.since = since
	d.signing, d.stale = append(d.signing, key), true
	return nil
}

package token

import "time"

// PublishAhead is how long a new key is published before it signs or encrypts:
// twice the five minutes for which relying parties may keep a JWKS, and ample
// for the nodes of a cluster to learn of it. It also bounds how much longer than
// its successor's start a node may go on with a key.
const PublishAhead = 10 * time.Minute

// keyTimes is the life of a key. It is next until since, current until its
// successor begins or, where it gets none, until; then it is old, and dropped
// once keep has passed. Times are whole seconds, as they are stored.
type keyTimes struct {
	since time.Time // when it begins to sign or encrypt
	until time.Time // when the configuration ceased to want its algorithm; zero for not yet
	// keep is how long tokens may live that were made with the key, by the
	// longest lifetime configured while it was current.
	keep time.Duration
}

// begun tells whether the key is current or old.
func (t keyTimes) begun(now time.Time) bool { return !t.since.After(now) }

// gone tells whether nothing that the key made can be alive, given when its
// successor begins; zero for none.
func (t keyTimes) gone(successor, now time.Time) bool {
	if successor.IsZero() {
		successor = t.until
	}
	return !successor.IsZero() && successor.Add(t.keep).Before(now)
}

func wholeSeconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

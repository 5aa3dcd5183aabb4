package authz

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatewright/gatewright/authz/oauth"
)

// This file bounds what strangers have us keep (A53).

const (
	// maxSelfMetadata is the most that what a client says which registers itself may measure in the store, in
	// bytes.
	maxSelfMetadata = 4 << 10
	// unusedLife is how long a client that registered itself waits for its first user.
	unusedLife = 24 * time.Hour
)

// How many clients may register themselves, or change themselves: a burst, then one every so often, from
// one address and in all (A53). The fastest flood makes 87,000 clients until the first expire; each takes
// up to 5 KB, so they keep below 500 MB.
const (
	selfBurst    = 100
	selfBurstAll = 300
)

var (
	selfEvery    = rate.Every(3 * time.Second)
	selfEveryAll = rate.Every(time.Second)
)

// admitSelf counts a client that registers or changes itself.
func (s *Server) admitSelf(r *http.Request) error {
	now := s.now()
	wait := s.run.rates.registrations.takeAt(oauth.Network(s.clientIP(r)), selfEvery, selfBurst, now)
	if wait == 0 {
		wait = s.run.rates.registrations.takeAt("", selfEveryAll, selfBurstAll, now)
	}
	if wait > 0 {
		return tooManyRequests(wait)
	}
	return nil
}

// checkStored bounds what strangers have us keep, as the store has it: JSON writes some bytes as six.
func (rec *registration) checkStored() error {
	said := rec.Metadata
	said.Scope = "" // names that the server chose
	stored, err := json.Marshal(said)
	if err != nil {
		return invalidMetadata(err)
	}
	if rec.self() && len(stored) > maxSelfMetadata {
		return invalidMetadata(fmt.Errorf("what a client says of itself is longer than %d bytes", maxSelfMetadata))
	}
	return nil
}

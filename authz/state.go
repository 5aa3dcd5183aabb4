package authz

import (
	"context"
	"fmt"
	"time"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
)

// State is what one issuer must not lose in a reload: it lives as long as its store and is handed to
// each Server in turn.
type State struct {
	store    store.Store
	feed     *revocation.Feed
	grants   grants.Grants
	now      func() time.Time
	guesses  *guessLimiter
	rates    *rates
	codes    store.Records[codeRecord]
	sessions store.Records[sessionRecord]
	factors  store.Records[factorRecord] // by subject
	handles  store.Records[string]       // subjects, by the user handle of their passkeys
	families store.Records[familyState]
	kept     store.Records[sessionRecord]
	begun    store.Records[sessionFamilies] // by session
	terms    *catalogueOfTerms
	clients  store.Records[registration]  // registered ones, by their ID
	longest  store.Records[time.Duration] // one: the longest lifetime ever configured
	decided  store.Records[struct{}]      // consent forms and challenges that were answered
}

// NewState reads what was revoked and is not yet expired. The store is the issuer's own namespace;
// its owner closes it.
func NewState(ctx context.Context, s store.Store, now func() time.Time) (*State, error) {
	feed := revocation.New(s, now)
	if err := feed.Load(ctx); err != nil {
		return nil, fmt.Errorf("revocation feed: %w", err)
	}
	return &State{
		store:    s,
		feed:     feed,
		grants:   grants.NewStored(s, now),
		now:      now,
		guesses:  newGuessLimiter(s, now),
		rates:    newRates(),
		codes:    store.NewRecords[codeRecord](s, "code"),
		sessions: store.NewRecords[sessionRecord](s, "session"),
		factors:  store.NewRecords[factorRecord](s, "factor"),
		handles:  store.NewRecords[string](s, "passkey-handle"),
		families: store.NewRecords[familyState](s, "family"),
		kept:     store.NewRecords[sessionRecord](s, "persistent"),
		begun:    store.NewRecords[sessionFamilies](s, "session-families"),
		terms:    newCatalogueOfTerms(s),
		clients:  store.NewRecords[registration](s, "client"),
		longest:  store.NewRecords[time.Duration](s, "longest-lifetime"),
		decided:  store.NewRecords[struct{}](s, "decided"),
	}, nil
}

// keepLongest remembers the longest lifetime of all configurations: a shorter one must not forget
// revocations of what was issued before.
func (st *State) keepLongest(ctx context.Context, configured time.Duration) (longest time.Duration, err error) {
	err = st.longest.Update(ctx, "", func(old *time.Duration) (*time.Duration, time.Time, error) {
		longest = configured
		if old != nil {
			longest = max(longest, *old)
		}
		keep := longest
		return &keep, time.Time{}, nil
	})
	if err != nil {
		return 0, fmt.Errorf("longest lifetime: %w", err)
	}
	return longest, nil
}

// Purge drops what has expired from memory. The store's owner purges the store.
func (st *State) Purge() {
	st.feed.Purge()
	st.guesses.purge()
	st.rates.purge(st.now())
}

// Revocations is the feed that gates listen to.
func (st *State) Revocations() *revocation.Feed { return st.feed }

// Store is the issuer's namespace of the store.
func (st *State) Store() store.Store { return st.store }

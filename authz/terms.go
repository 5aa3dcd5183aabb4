package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

// terms are what many tokens have in common; binary tokens name them by number (R10).
type terms struct {
	ClientID string   `json:"client_id"`
	Resource string   `json:"resource"` // name of the resource server
	Audience string   `json:"aud"`
	Scope    []string `json:"scope"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`

	Claims *requestedClaims `json:"claims,omitempty"`
}

func (a *Authorization) terms() terms {
	t := terms{
		ClientID: a.client.ID, Resource: a.resource.Name, Audience: a.resource.audience, Scope: slices.Sorted(slices.Values(a.scope)),
		ACR: a.acr, AMR: a.amr,
	}
	if names := a.claims.userInfo(); len(names) > 0 {
		t.Claims = &requestedClaims{UserInfo: names}
	}
	return t
}

// fingerprint is the same for the same terms.
func (t terms) fingerprint() string {
	parts := []string{t.ClientID, t.Resource, t.Audience, oauth.FormatScope(t.Scope), t.ACR, oauth.FormatScope(t.AMR)}
	if t.Claims != nil {
		parts = append(parts, strings.Join(t.Claims.UserInfo, "\t"), strings.Join(t.Claims.IDToken, "\t"))
	}
	return oauth.Fingerprint(strings.Join(parts, "\n"))
}

// maxTerms bounds how many terms are kept in memory; the store has them all.
const maxTerms = 1 << 14

// catalogueOfTerms keeps terms for good under small numbers. It is safe for concurrent use.
type catalogueOfTerms struct {
	numbers store.Records[uint64] // fingerprint -> number
	terms   store.Records[terms]  // number -> terms
	next    store.Records[uint64] // one counter

	mu       sync.RWMutex
	byPrint  map[string]uint64
	byNumber map[uint64]*terms
}

func newCatalogueOfTerms(s store.Store) *catalogueOfTerms {
	return &catalogueOfTerms{
		numbers:  store.NewRecords[uint64](s, "terms-number"),
		terms:    store.NewRecords[terms](s, "terms"),
		next:     store.NewRecords[uint64](s, "terms-counter"),
		byPrint:  make(map[string]uint64),
		byNumber: make(map[uint64]*terms),
	}
}

// number finds the number of terms, or gives them one. A number is given only after its terms are
// stored, so none ever points nowhere.
func (c *catalogueOfTerms) number(ctx context.Context, t terms) (uint64, error) {
	fingerprint := t.fingerprint()
	c.mu.RLock()
	n, known := c.byPrint[fingerprint]
	c.mu.RUnlock()
	if known {
		return n, nil
	}
	n, err := c.stored(ctx, fingerprint, t)
	if err != nil {
		return 0, fmt.Errorf("terms: %w", err)
	}
	c.remember(fingerprint, n, &t)
	return n, nil
}

func (c *catalogueOfTerms) stored(ctx context.Context, fingerprint string, t terms) (uint64, error) {
	old, err := c.numbers.Get(ctx, fingerprint)
	if err == nil {
		return *old, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	var fresh uint64
	err = c.next.Update(ctx, "", func(last *uint64) (*uint64, time.Time, error) {
		fresh = 1
		if last != nil {
			fresh = *last + 1
		}
		next := fresh
		return &next, time.Time{}, nil
	})
	if err != nil {
		return 0, err
	}
	if err := c.terms.Put(ctx, strconv.FormatUint(fresh, 10), &t, time.Time{}); err != nil {
		return 0, err
	}
	won := fresh
	err = c.numbers.Update(ctx, fingerprint, func(old *uint64) (*uint64, time.Time, error) {
		won = fresh
		if old != nil {
			won = *old
		}
		next := won
		return &next, time.Time{}, nil
	})
	return won, err
}

func (c *catalogueOfTerms) get(ctx context.Context, number uint64) (*terms, error) {
	c.mu.RLock()
	t := c.byNumber[number]
	c.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	t, err := c.terms.Get(ctx, strconv.FormatUint(number, 10))
	if err != nil { // a number that we sealed has terms: this is a fault, and says nothing of the token
		return nil, oauth.Errorf(oauth.TemporarilyUnavailable, "the token could not be read").Because(err)
	}
	c.remember(t.fingerprint(), number, t)
	return t, nil
}

func (c *catalogueOfTerms) remember(fingerprint string, number uint64, t *terms) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byNumber) >= maxTerms {
		clear(c.byPrint)
		clear(c.byNumber)
	}
	c.byPrint[fingerprint] = number
	c.byNumber[number] = t
}

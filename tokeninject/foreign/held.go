package foreign

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/tokeninject"
)

const (
	// fresh is how old a document may be before a newer one is looked for.
	fresh = 5 * time.Minute
	// aged is how old it may be before who needs it waits for the newer one.
	aged = 2 * fresh
	// newerWait is how long that may take, and the look for a key that is not at hand: an issuer that doesn't answer at
	// all must not hold up everybody.
	newerWait = 2 * time.Second
	// staleBound is how long the last one serves while no newer one can be had.
	staleBound = 24 * time.Hour
	// retryAfter is the least time between two tries, however many ask.
	retryAfter = 10 * time.Second
)

// held is a document of the issuer's: fetched when it is first needed, and again as it ages. It is safe
// for concurrent use.
type held[T any] struct {
	fetch  func(context.Context) (T, error)
	now    func() time.Time
	flight chan struct{} // one place: who fetches

	mu      sync.Mutex
	value   T
	fetched time.Time // of value; zero: there is none yet
	tried   time.Time
	failure error // of the last try
}

func newHeld[T any](now func() time.Time, fetch func(context.Context) (T, error)) *held[T] {
	return &held[T]{fetch: fetch, now: now, flight: make(chan struct{}, 1)}
}

// get returns the document. One that ages is good for now, and whoever is first looks for a newer one. After a long
// silence, in which nobody looked, they wait for it.
func (h *held[T]) get(ctx context.Context) (T, error) {
	value, age, due := h.look(fresh)
	switch {
	case age < fresh || age < staleBound && !due:
		return value, nil
	case age < aged || age < staleBound && h.failed() != nil:
		select {
		case h.flight <- struct{}{}:
			go h.fly(context.WithoutCancel(ctx), fresh)
		default: // somebody is at it
		}
		return value, nil
	case age < staleBound:
		h.await(ctx, fresh)
	default:
		h.refresh(ctx, fresh)
	}
	if value, age, _ = h.look(fresh); age < staleBound {
		return value, nil
	}
	cause := h.failed()
	if cause == nil {
		cause = ctx.Err()
	}
	return value, fmt.Errorf("%w: %w", oauth.TemporarilyUnavailable, cause)
}

// failed is what went wrong with the last try.
func (h *held[T]) failed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failure
}

// errNotNewer is a document that would have to be newer than what can be had now. A flood of such fills no log.
var errNotNewer = fmt.Errorf("%w: a newer document of the issuer can't be had yet", tokeninject.ErrBusy)

// newer returns a document that was fetched less than retryAfter ago, for a key that is not in the one at hand; else
// errNotNewer. However many ask, the issuer is asked once in retryAfter (A5).
func (h *held[T]) newer(ctx context.Context) (T, error) {
	if _, _, due := h.look(retryAfter); due {
		h.await(ctx, retryAfter)
	}
	value, age, _ := h.look(retryAfter)
	if age >= retryAfter {
		return value, errNotNewer
	}
	return value, nil
}

// await is refresh for whoever has a document, and gets a better answer for it in a moment or goes on with it.
func (h *held[T]) await(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, newerWait)
	defer cancel()
	h.refresh(ctx, limit)
}

// look tells what is at hand, how old it is, and whether one younger than limit may be looked for.
func (h *held[T]) look(limit time.Duration) (value T, age time.Duration, due bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	age = staleBound
	if !h.fetched.IsZero() {
		age = min(now.Sub(h.fetched), staleBound)
	}
	return h.value, age, age >= limit && (h.tried.IsZero() || now.Sub(h.tried) >= retryAfter)
}

// refresh fetches the document in one flight, which others wait for who need it. It is for everybody, so it flies on
// when the first who asked goes away.
func (h *held[T]) refresh(ctx context.Context, limit time.Duration) {
	select {
	case h.flight <- struct{}{}:
	case <-ctx.Done():
		return
	}
	landed := make(chan struct{})
	go func() {
		defer close(landed)
		h.fly(context.WithoutCancel(ctx), limit)
	}()
	select {
	case <-landed:
	case <-ctx.Done():
	}
}

// fly is refresh for whoever has the place.
func (h *held[T]) fly(ctx context.Context, limit time.Duration) {
	defer func() { <-h.flight }()
	if _, _, due := h.look(limit); !due {
		return // somebody else's flight has just landed
	}
	began := h.now() // the answer is as old as the question
	bounded, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	value, err := h.fetch(bounded)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = err
	if err != nil {
		h.tried = h.now() // a pause comes after a failure that took its time, too
		return
	}
	h.value, h.fetched, h.tried = value, began, began
}

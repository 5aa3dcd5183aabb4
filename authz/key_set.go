package authz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/fetch"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// How key sets of resource servers and clients are fetched (R4, C6).
const (
	keysFresh   = 5 * time.Minute // then a new fetch looks for rotated keys
	keysStale   = time.Hour       // so long the last set serves a recipient that is away
	keysRetry   = 10 * time.Second
	keysTimeout = 5 * time.Second
	keysMax     = 64 << 10 // bytes
)

// keySet is what is made of the public keys of one resource server or client: they are given, or
// fetched from their URL when first needed and again as they age. It is safe for concurrent use.
type keySet[T any] struct {
	from keySource
	read func(jwks []byte) (*T, error)

	flight chan struct{} // one place: who fetches

	mu      sync.Mutex
	current *T
	fetched time.Time // of current
	tried   time.Time
	failure error // of the last try
	unfit   bool  // current lacks a key that something was signed with
}

// keySource is where public keys come from: they are given, or at a URL.
type keySource struct {
	jwks    []byte
	url     string
	fetcher *fetch.Fetcher
	now     func() time.Time
}

// newKeySet checks what can be checked without a network; exactly one of jwks and url is there.
func newKeySet[T any](from keySource, read func([]byte) (*T, error)) (*keySet[T], error) {
	k := &keySet[T]{from: from, read: read, flight: make(chan struct{}, 1)}
	if from.url == "" {
		var err error
		k.current, err = read(from.jwks)
		return k, err
	}
	if err := from.fetcher.CheckURL(from.url); err != nil {
		return nil, fmt.Errorf("jwks %q must be an https URL", from.url)
	}
	return k, nil
}

// newRecipientKeys are keys to encrypt to. enc may be left out: A256GCM.
func newRecipientKeys(from keySource, alg, enc string) (*keySet[token.Encrypter], error) {
	if (len(from.jwks) > 0) == (from.url != "") || alg == "" {
		return nil, errors.New("encryption needs jwks (one of inline, file, URL) and alg")
	}
	enc = cmp.Or(enc, string(jose.A256GCM))
	if err := token.CheckEncryption(alg, enc); err != nil {
		return nil, err
	}
	return newKeySet(from, func(jwks []byte) (*token.Encrypter, error) { return token.NewEncrypter(jwks, alg, enc) })
}

// get returns what is made of the present keys, or why there are none: then nothing is encrypted to
// them (A16) nor verified with them.
func (k *keySet[T]) get(ctx context.Context) (*T, error) {
	if k.from.url == "" {
		return k.current, nil
	}
	current, age, due := k.held()
	switch {
	case current != nil && !due:
		return current, nil
	case current != nil && age < keysStale: // good for now; whoever is first looks for newer ones
		go k.refresh(context.WithoutCancel(ctx), false)
		return current, nil
	}
	k.refresh(ctx, true)
	if current, age, _ = k.held(); current != nil && age < keysStale {
		return current, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return nil, fmt.Errorf("public keys: %w", errors.Join(k.failure, ctx.Err()))
}

// newer returns what is made of keys that were fetched after those of stale, nil where there are none: a
// signature names a key that stale doesn't have (A5: bounded by keysRetry). The error is why the last try to
// fetch them failed.
func (k *keySet[T]) newer(ctx context.Context, stale *T) (*T, error) {
	if k.from.url == "" {
		return nil, nil
	}
	k.mu.Lock()
	k.unfit = k.unfit || k.current == stale
	k.mu.Unlock()
	k.refresh(ctx, true)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != stale {
		return k.current, nil
	}
	return nil, k.failure
}

// held is the set in memory, its age, and whether it is time to look for a newer one.
func (k *keySet[T]) held() (current *T, age time.Duration, due bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.from.now()
	age = now.Sub(k.fetched)
	due = (k.current == nil || k.unfit || age >= keysFresh) && (k.tried.IsZero() || now.Sub(k.tried) >= keysRetry)
	return k.current, age, due
}

// refresh fetches the set in one flight, and waits for a flight under way if told to.
func (k *keySet[T]) refresh(ctx context.Context, wait bool) {
	select {
	case k.flight <- struct{}{}:
		defer func() { <-k.flight }()
	default:
		if !wait {
			return
		}
		select {
		case k.flight <- struct{}{}:
			defer func() { <-k.flight }()
		case <-ctx.Done():
			return
		}
	}
	if _, _, due := k.held(); !due {
		return // somebody else's flight has just landed
	}
	began := k.from.now() // the answer is as old as the question
	next, err := k.load(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.failure, k.unfit = began, err, false
	if err == nil {
		k.current, k.fetched = next, k.tried
	}
}

func (k *keySet[T]) load(ctx context.Context) (*T, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout) // the answer is for everybody
	defer cancel()
	body, err := k.from.fetcher.Get(ctx, k.from.url, keysMax)
	if err != nil {
		return nil, err
	}
	return k.read(body)
}

// verifyWith checks a signature. A key that is not known yet is looked for once more, since whoever signs
// rotates keys. Keys that can't be fetched now are temporarily_unavailable: they say nothing of the signature.
func verifyWith(ctx context.Context, keys *keySet[token.Verifier], raw string, typ ...string) ([]byte, error) {
	verifier, err := keys.get(ctx)
	if err != nil {
		return nil, errKeys.Because(err)
	}
	payload, err := verifier.Verify(raw, typ...)
	if !errors.Is(err, token.ErrUnknownKey) {
		return payload, err
	}
	newer, failure := keys.newer(ctx, verifier)
	switch {
	case failure != nil:
		return nil, errKeys.Because(failure)
	case newer != nil:
		return newer.Verify(raw, typ...)
	}
	return nil, err
}

// errKeys: whether a signature is right can't be told now.
var errKeys = oauth.Errorf(oauth.TemporarilyUnavailable, "the public keys can't be fetched now")

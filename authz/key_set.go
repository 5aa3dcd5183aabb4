package authz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

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
	url  string // "": given
	read func(jwks []byte) (*T, error)
	http *http.Client
	now  func() time.Time

	flight chan struct{} // one place: who fetches

	mu      sync.Mutex
	current *T
	fetched time.Time // of current
	tried   time.Time
	failure error // of the last try
	unfit   bool  // current lacks a key that something was signed with
}

// newKeySet checks what can be checked without a network; exactly one of jwks and jwksURL is there.
func newKeySet[T any](cfg *Config, jwks []byte, jwksURL string, read func([]byte) (*T, error)) (*keySet[T], error) {
	k := &keySet[T]{url: jwksURL, read: read, http: cfg.HTTP, now: cfg.Now, flight: make(chan struct{}, 1)}
	if k.url == "" {
		var err error
		k.current, err = read(jwks)
		return k, err
	}
	u, err := url.Parse(k.url)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !oauth.IsLoopback(u.Hostname())) {
		return nil, fmt.Errorf("jwks %q must be an https URL", k.url)
	}
	return k, nil
}

// newRecipientKeys are keys to encrypt to. enc may be left out: A256GCM.
func newRecipientKeys(cfg *Config, jwks []byte, jwksURL, alg, enc string) (*keySet[token.Encrypter], error) {
	if (len(jwks) > 0) == (jwksURL != "") || alg == "" {
		return nil, errors.New("encryption needs jwks (one of inline, file, URL) and alg")
	}
	enc = cmp.Or(enc, string(jose.A256GCM))
	if err := token.CheckEncryption(alg, enc); err != nil {
		return nil, err
	}
	return newKeySet(cfg, jwks, jwksURL, func(jwks []byte) (*token.Encrypter, error) { return token.NewEncrypter(jwks, alg, enc) })
}

// get returns what is made of the present keys, or why there are none: then nothing is encrypted to
// them (A16) nor verified with them.
func (k *keySet[T]) get(ctx context.Context) (*T, error) {
	if k.url == "" {
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

// newer returns what is made of keys that were fetched after those of stale, nil where none could be: a
// signature names a key that stale doesn't have (A5: bounded by keysRetry).
func (k *keySet[T]) newer(ctx context.Context, stale *T) *T {
	if k.url == "" {
		return nil
	}
	k.mu.Lock()
	k.unfit = k.unfit || k.current == stale
	k.mu.Unlock()
	k.refresh(ctx, true)
	if current, _, _ := k.held(); current != stale {
		return current
	}
	return nil
}

// held is the set in memory, its age, and whether it is time to look for a newer one.
func (k *keySet[T]) held() (current *T, age time.Duration, due bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
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
	began := k.now() // the answer is as old as the question
	next, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.failure, k.unfit = began, err, false
	if err == nil {
		k.current, k.fetched = next, k.tried
	}
}

func (k *keySet[T]) fetch(ctx context.Context) (*T, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout) // the answer is for everybody
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil) // #nosec G704 -- registered for the client or resource server
	if err != nil {
		return nil, err
	}
	resp, err := k.http.Do(req) // #nosec G704 -- registered for the client or resource server
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, keysMax+1))
	if err != nil {
		return nil, err
	}
	if len(body) > keysMax {
		return nil, errors.New("the key set is too large")
	}
	return k.read(body)
}

// plainClient follows no redirect: a key set is where the operator says, or nowhere.
func plainClient() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

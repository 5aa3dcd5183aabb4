package authz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// How key sets of resource servers are fetched (R4).
const (
	keysFresh   = 5 * time.Minute // then a new fetch looks for rotated keys
	keysStale   = time.Hour       // so long the last set serves a resource server that is away
	keysRetry   = 10 * time.Second
	keysTimeout = 5 * time.Second
	keysMax     = 64 << 10 // bytes
)

// resourceKeys are the public keys of one resource server: given, or fetched from its URL when a
// token first needs them and again as they age. It is safe for concurrent use.
type resourceKeys struct {
	url      string // "": given
	alg, enc string
	http     *http.Client
	now      func() time.Time

	mu      sync.Mutex // one flight
	current *token.Encrypter
	fetched time.Time // of current
	tried   time.Time
	failure error // of the last try
}

// newResourceKeys checks what can be checked without a network.
func newResourceKeys(cfg *Config, rs *ResourceServer) (*resourceKeys, error) {
	k := &resourceKeys{url: rs.JWKSURL, alg: rs.KeyAlgorithm, enc: rs.ContentEncryption, http: cfg.HTTP, now: cfg.Now}
	if k.url == "" {
		var err error
		k.current, err = token.NewEncrypter(rs.JWKS, k.alg, k.enc)
		return k, err
	}
	u, err := url.Parse(k.url)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !oauth.IsLoopback(u.Hostname())) {
		return nil, fmt.Errorf("jwks %q must be an https URL", k.url)
	}
	return k, token.CheckEncryption(k.alg, k.enc)
}

// encrypter returns what encrypts to the resource server's present key, or why there is none: then no
// token is issued (A16).
func (k *resourceKeys) encrypter(ctx context.Context) (*token.Encrypter, error) {
	if k.url == "" {
		return k.current, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.current != nil && now.Sub(k.fetched) < keysFresh {
		return k.current, nil
	}
	if k.tried.IsZero() || now.Sub(k.tried) >= keysRetry {
		k.tried = now
		if next, err := k.fetch(ctx); err == nil {
			k.current, k.fetched, k.failure = next, now, nil
		} else {
			k.failure = err
		}
	}
	if k.current != nil && now.Sub(k.fetched) < keysStale {
		return k.current, nil
	}
	return nil, fmt.Errorf("keys of the resource server: %w", k.failure)
}

func (k *resourceKeys) fetch(ctx context.Context) (*token.Encrypter, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout) // the answer is for everybody
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil) // #nosec G704 -- the operator wrote the address
	if err != nil {
		return nil, err
	}
	resp, err := k.http.Do(req) // #nosec G704 -- the operator wrote the address
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
	return token.NewEncrypter(body, k.alg, k.enc)
}

// plainClient follows no redirect: a key set is where the operator says, or nowhere.
func plainClient() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

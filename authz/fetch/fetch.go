package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
)

const (
	// MaxDocument is the most that most documents may measure, in bytes.
	MaxDocument = 5 << 10
	// Timeout is how long one request may take, from the name's resolution to the last byte.
	Timeout = 10 * time.Second
	// maxUnderWay bounds how many requests run at once: each may hold a connection for all of Timeout.
	maxUnderWay = 128
	// maxHeader is the most that an answer's header may measure, in bytes.
	maxHeader = 16 << 10
)

var (
	// ErrTarget says that a URL is none to fetch from, or leads to an address that is not public.
	ErrTarget = errors.New("fetch: not an https URL of a public host")
	// ErrBusy says that too many requests are under way.
	ErrBusy = errors.New("fetch: too many requests under way")
	// ErrSize says that a document is larger than it may be.
	ErrSize = errors.New("fetch: the document is too large")
)

// Config is what an operator says about fetching.
type Config struct {
	// AllowHosts are hosts, or host:port, that may have an address that is not public.
	AllowHosts []string
	// Roots are the certificate authorities to trust; nil: the system's.
	Roots *x509.CertPool
}

// Fetcher makes requests to URLs of others. It is safe for concurrent use.
type Fetcher struct {
	http     *http.Client
	trusting *Fetcher
	anyHost  bool
	underWay []chan struct{} // a request takes a place in each
}

// New checks the configuration.
func New(cfg Config) (*Fetcher, error) {
	allowed, err := parseHosts(cfg.AllowHosts)
	if err != nil {
		return nil, err
	}
	guarded := newFetcher(cfg, guardedDial(allowed))
	guarded.trusting = newFetcher(cfg, nil)
	guarded.trusting.anyHost = true
	return guarded, nil
}

func newFetcher(cfg Config, dial dialContext) *Fetcher {
	return &Fetcher{
		underWay: []chan struct{}{make(chan struct{}, maxUnderWay)},
		http: &http.Client{
			Timeout:       Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{ // no Proxy: it would resolve names in our place
				DialContext:            dial,
				TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
				DisableKeepAlives:      true, // no stranger's connection stays open
				MaxResponseHeaderBytes: maxHeader,
			},
		},
	}
}

// Trusting is the same without the look at addresses, for URLs that the operator wrote: a resource
// server's keys may well be in a private network. It takes http as well, to a loopback host.
func (f *Fetcher) Trusting() *Fetcher { return f.trusting }

// Apart is the same with a bound of its own on how many requests run at once: whoever exhausts the one
// doesn't touch the other.
func (f *Fetcher) Apart() *Fetcher {
	apart := *f
	apart.underWay = []chan struct{}{make(chan struct{}, maxUnderWay)}
	return &apart
}

// Share is a part of the fetcher for one who asks, of which at most n requests run at once.
func (f *Fetcher) Share(n int) *Fetcher {
	share := *f
	share.underWay = append(slices.Clip(f.underWay), make(chan struct{}, n))
	return &share
}

// CheckURL tells whether a URL may be fetched at all, without asking the network.
func (f *Fetcher) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return ErrTarget
	case u.Scheme == "https", u.Scheme == "http" && f.anyHost && oauth.IsLoopback(u.Hostname()):
		return nil
	}
	return ErrTarget
}

// Get returns the document at a URL, of at most limit bytes: a 200 answer and nothing else.
func (f *Fetcher) Get(ctx context.Context, rawURL string, limit int) ([]byte, error) {
	return f.do(ctx, http.MethodGet, rawURL, "", limit)
}

// PostForm posts a form, for which the answer is 200 or 204; what else it says is left unread.
func (f *Fetcher) PostForm(ctx context.Context, rawURL string, form url.Values) error {
	_, err := f.do(ctx, http.MethodPost, rawURL, form.Encode(), 0)
	return err
}

func (f *Fetcher) do(ctx context.Context, method, rawURL, form string, limit int) ([]byte, error) {
	if err := f.CheckURL(rawURL); err != nil {
		return nil, err
	}
	for _, places := range f.underWay {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			return nil, ErrBusy
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, rawURL, strings.NewReader(form))
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	req.Header.Set("User-Agent", "Gatewright")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := f.http.Do(req) // #nosec G704 -- the point of this package: see guardedDial
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	return read(resp, method, limit)
}

func read(resp *http.Response, method string, limit int) ([]byte, error) {
	switch {
	case resp.StatusCode == http.StatusNoContent && method == http.MethodPost:
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("fetch: status %d", resp.StatusCode)
	case method == http.MethodPost:
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	if len(body) > limit {
		return nil, ErrSize
	}
	return body, nil
}

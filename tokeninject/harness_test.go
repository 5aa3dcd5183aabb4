package tokeninject

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/token"
)

const (
	testURL      = "https://id.example"
	testAudience = "https://orders.example"
)

// clock is a time that tests move.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// testKeys are made once: RSA keys take their time.
var testKeys = sync.OnceValue(func() *token.Keys {
	keys, err := token.GenerateKeys([]jose.SignatureAlgorithm{jose.RS256, jose.ES256}, newClock().now())
	if err != nil {
		panic(err)
	}
	return keys
})

// testIssuer is an issuer made of the real keys, feed and claims, with faults to order.
type testIssuer struct {
	clock *clock
	keys  *token.Keys
	feed  *revocation.Feed

	mu       sync.Mutex
	logins   map[string]LoginRequest // by code
	session  Session                 // what a login gives
	started  []LoginRequest
	ended    []Session
	mints    []MintRequest
	refresh  func(s *Session) (*Session, error)
	mint     func(m MintRequest) (*MintedToken, error)
	endError error
	notReady error
	attrs    func(subject string) (map[string][]string, error)

	opened, refreshed atomic.Int64
}

func newTestIssuer(c *clock) *testIssuer {
	return &testIssuer{
		clock: c, keys: testKeys(), feed: revocation.New(store.NewMemory(c.now), c.now), logins: map[string]LoginRequest{},
		session: Session{
			Subject: "alice-id", Username: "alice", ClientID: "gate", SessionID: "sid-1", GrantID: "grant-1",
			Roles: []string{"employee", "boss"}, Claims: json.RawMessage(`{"sub":"alice-id","email":"alice@example.com","level":3}`),
			AuthTime: c.now(),
		},
	}
}

func (i *testIssuer) URL() string { return testURL }

func (i *testIssuer) Ready(context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.notReady
}

func (i *testIssuer) Account(subject string) string { return subject }

func (i *testIssuer) NamesItself() bool { return true }

func (i *testIssuer) Open(ctx context.Context, raw string, decrypt Decrypt) ([]byte, time.Time, error) {
	i.opened.Add(1)
	payload, err := i.verify(ctx, raw, decrypt)
	return payload, time.Time{}, err
}

func (i *testIssuer) verify(ctx context.Context, raw string, decrypt Decrypt) ([]byte, error) {
	if token.IsJWE(raw) {
		plain, err := i.keys.Decrypt(raw)
		if errors.Is(err, token.ErrNotOurs) && decrypt != nil {
			plain, err = decrypt(ctx)
		}
		if err != nil {
			return nil, err
		}
		raw = plain
	}
	return i.keys.Verifier().Verify(raw, token.TypeAccessToken)
}

func (i *testIssuer) Audience(name string) (string, error) {
	if name != "orders" {
		return "", ErrUnknownResource
	}
	return testAudience, nil
}

func (i *testIssuer) Revocations() *revocation.Feed { return i.feed }

func (i *testIssuer) BeginLogin(_ context.Context, l LoginRequest) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	code := "code-" + l.State
	i.logins[code] = l
	i.started = append(i.started, l)
	return testURL + "/authorize?request_uri=" + url.QueryEscape(code), nil
}

func (i *testIssuer) RedeemLogin(_ context.Context, code string, l LoginRequest) (*Session, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	begun, ok := i.logins[code]
	if !ok || begun.Verifier != l.Verifier || begun.Nonce != l.Nonce || begun.RedirectURI != l.RedirectURI {
		return nil, oauth.Errorf(oauth.InvalidGrant, "no such code")
	}
	delete(i.logins, code)
	s := i.session
	s.Scope = l.Scope
	return &s, nil
}

func (i *testIssuer) Refresh(_ context.Context, s *Session) (*Session, error) {
	i.refreshed.Add(1)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refresh != nil {
		return i.refresh(s)
	}
	return s, nil
}

func (i *testIssuer) EndSession(_ context.Context, s *Session) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = append(i.ended, *s)
	return "", i.endError
}

func (i *testIssuer) Mint(_ context.Context, m MintRequest) (*MintedToken, error) {
	i.mu.Lock()
	i.mints = append(i.mints, m)
	mint := i.mint
	i.mu.Unlock()
	if mint != nil {
		return mint(m)
	}
	return &MintedToken{Token: "minted-" + oauth.NewSecret(), Expires: i.clock.now().Add(10 * time.Minute)}, nil
}

func (i *testIssuer) Person(_ context.Context, subject string) (*Person, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.attrs == nil {
		return nil, errors.New("no directory")
	}
	attributes, err := i.attrs(subject)
	return &Person{Username: strings.TrimSuffix(subject, "-id"), Attributes: attributes}, err
}

func (i *testIssuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *testIssuer) minted() []MintRequest {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]MintRequest(nil), i.mints...)
}

func (i *testIssuer) begun() []LoginRequest {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]LoginRequest(nil), i.started...)
}

// accessToken is a good token with changes.
func (i *testIssuer) accessToken(t testing.TB, change func(*token.AccessToken)) string {
	t.Helper()
	now := i.clock.now()
	a := &token.AccessToken{
		Issuer: testURL, Subject: "bob-id", ClientID: "shop", ID: oauth.NewSecret()[:16], GrantID: "grant-b", SessionID: "sid-b",
		Audience: []string{testAudience}, Scope: []string{"orders.read", "orders.list"},
		IssuedAt: now, ExpiresAt: now.Add(10 * time.Minute), Roles: []string{"buyer"},
		Extra: map[string]any{"claims": []string{"read"}, "preferred_username": "bob", "level": 7, "vip": true},
	}
	if change != nil {
		change(a)
	}
	return i.sign(t, a)
}

func (i *testIssuer) sign(t testing.TB, a *token.AccessToken) string {
	t.Helper()
	payload, err := a.Marshal()
	require.NoError(t, err)
	raw, err := i.keys.Sign(jose.ES256, token.TypeAccessToken, payload)
	require.NoError(t, err)
	return raw
}

// arrived is a request as the upstream saw it.
type arrived struct {
	method, uri string
	header      http.Header
	trailer     http.Header
	body        string
}

// site is a gate before an upstream, served for real.
type site struct {
	t        *testing.T
	clock    *clock
	issuer   *testIssuer
	store    *store.Memory
	enforcer *Enforcer
	server   *httptest.Server
	requests chan arrived
	upstream http.HandlerFunc // nil: answers "hello"
}

// newSite serves a gate on loopback. configure may change what is the default: bearer tokens of
// "orders".
func newSite(t *testing.T, configure func(*Config)) *site {
	t.Helper()
	c := newClock()
	s := &site{t: t, clock: c, issuer: newTestIssuer(c), store: store.NewMemory(c.now), requests: make(chan arrived, 256)}
	s.enforcer = s.gate(configure)
	backend := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(backend.Close)
	target, err := url.Parse(backend.URL)
	require.NoError(t, err)
	s.server = serve(t, guard(s.enforcer, proxyTo(target)))
	return s
}

// serve serves a handler as a host does that keeps connections.
func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnContext = KeepConnection
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// gate makes another gate of the same issuer and store.
func (s *site) gate(configure func(*Config)) *Enforcer {
	s.t.Helper()
	cfg := Config{
		Issuer: s.issuer, Name: "test-gate", ResourceServer: "orders", Store: s.store, Now: s.clock.now, Logger: zap.NewNop(),
		KnownHost: anyHost,
	}
	if configure != nil {
		configure(&cfg)
	}
	e, err := New(cfg)
	require.NoError(s.t, err)
	return e
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.requests <- arrived{r.Method, r.RequestURI, r.Header.Clone(), r.Trailer.Clone(), string(body)}
	if s.upstream != nil {
		s.upstream(w, r)
		return
	}
	_, _ = io.WriteString(w, "hello")
}

func proxyTo(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1,
	}
}

// verdictKey is where guard keeps the verdict of the gate in front.
type verdictKey struct{}

// guard is what a host does with a gate.
func guard(e *Enforcer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		front, _ := r.Context().Value(verdictKey{}).(Verdict)
		verdict := e.Check(w, r, front)
		switch {
		case verdict.Pass:
			defer verdict.Done()
			ctx := context.WithValue(verdict.Request.Context(), verdictKey{}, verdict)
			next.ServeHTTP(verdict.Writer, verdict.Request.WithContext(ctx))
			if verdict.Abort() {
				panic(http.ErrAbortHandler)
			}
		case verdict.Refusal != nil:
			e.Deny(w, r, verdict.Refusal)
		}
	})
}

// last is the request that the upstream saw last; it fails where there was none.
func (s *site) last() arrived {
	s.t.Helper()
	select {
	case request := <-s.requests:
		return request
	default:
		require.FailNow(s.t, "nothing reached the upstream")
		return arrived{}
	}
}

func (s *site) nothingArrived() {
	s.t.Helper()
	require.Empty(s.t, s.requests, "something reached the upstream")
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request with headers given as "Name: value" and without following redirects.
func (s *site) do(client *http.Client, method, path string, headers ...string) answer {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+path, nil)
	require.NoError(s.t, err)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Add(name, value)
	}
	response, err := client.Do(request)
	require.NoError(s.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return answer{response.StatusCode, response.Header, string(body)}
}

// get sends an API request.
func (s *site) get(path string, headers ...string) answer {
	s.t.Helper()
	return s.do(newBrowser(s.t), http.MethodGet, path, headers...)
}

const asNavigation = "Sec-Fetch-Mode: navigate"

// newBrowser is a client with a jar that shows every redirect.
func newBrowser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// begin navigates to a page and returns the login that this begins.
func (s *site) begin(browser *http.Client, path string) LoginRequest {
	s.t.Helper()
	got := s.do(browser, http.MethodGet, path, asNavigation)
	require.Equal(s.t, http.StatusFound, got.status, got.body)
	code, err := url.QueryUnescape(strings.TrimPrefix(got.header.Get("Location"), testURL+"/authorize?request_uri="))
	require.NoError(s.t, err)
	s.issuer.mu.Lock()
	defer s.issuer.mu.Unlock()
	return s.issuer.logins[code]
}

// answerPath is where a successful login comes back to.
func (s *site) answerPath(l LoginRequest) string {
	s.t.Helper()
	return strings.TrimPrefix(l.RedirectURI, s.server.URL) + "?" + queryOf(l)
}

// queryOf is what a successful login brings back.
func queryOf(l LoginRequest) string {
	return url.Values{
		"code": {"code-" + l.State}, "state": {l.State}, "iss": {testURL},
	}.Encode()
}

// signIn logs a browser in at a page.
func (s *site) signIn(browser *http.Client, path string) {
	s.t.Helper()
	l := s.begin(browser, path)
	got := s.do(browser, http.MethodGet, s.answerPath(l), asNavigation)
	require.Equal(s.t, http.StatusSeeOther, got.status, got.body)
	require.Equal(s.t, s.server.URL+path, got.header.Get("Location"))
}

// raw speaks HTTP by hand: lines are sent as they are, and the answer's status and body come back.
func (s *site) raw(request string) (status int, body string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, conn.Close()) }()
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	request = strings.ReplaceAll(request, "HOST", s.server.Listener.Addr().String())
	_, err = io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n"))
	require.NoError(s.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(s.t, err)
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response.StatusCode, string(content)
}

// fixed is a value that is always there.
func fixed(value string) Value {
	return func(context.Context, *http.Request, *Identity) (string, bool) { return value, true }
}

// absent is a value that never is.
func absent(context.Context, *http.Request, *Identity) (string, bool) { return "", false }

// subject is the value that most gates inject.
func subject(_ context.Context, _ *http.Request, id *Identity) (string, bool) {
	return id.Subject, true
}

// anyHost is the KnownHost of a gate that has no strangers.
func anyHost(*http.Request) bool { return true }

// withSession lets browsers sign in.
func withSession(cfg *Config) { cfg.Session = &SessionConfig{Scope: []string{"openid", "profile"}} }

// record sends a request to a handler without a network, as a client of host would.
func record(t *testing.T, handler http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

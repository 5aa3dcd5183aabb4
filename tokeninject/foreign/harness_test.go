package foreign

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/token"
)

// clock is a time that tests move.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// server is an issuer for faults: what each endpoint answers is a test's to say. Real ones are in e2e.
type server struct {
	*httptest.Server
	t     *testing.T
	clock *clock
	keys  *token.Keys

	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by path
	calls   map[string]int
	forms   []map[string]string // of the token endpoint and its like
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, clock: new(clock), calls: map[string]int{}}
	s.clock.nanos.Store(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC).UnixNano())
	s.rotate()
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	s.answers = map[string]http.HandlerFunc{
		"/.well-known/openid-configuration": s.json(func() any { return s.document() }),
		"/jwks":                             func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.keys.JWKS()) },
	}
	return s
}

// rotate gives the issuer new keys, and takes the old ones out of its set.
func (s *server) rotate() {
	keys, err := token.GenerateKeys([]jose.SignatureAlgorithm{jose.RS256, jose.ES256}, s.clock.now())
	require.NoError(s.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

func (s *server) document() map[string]any {
	return map[string]any{
		"issuer": s.URL, "jwks_uri": s.URL + "/jwks", "authorization_endpoint": s.URL + "/authorize",
		"token_endpoint": s.URL + "/token", "userinfo_endpoint": s.URL + "/userinfo",
		"introspection_endpoint": s.URL + "/introspect", "revocation_endpoint": s.URL + "/revoke",
		"end_session_endpoint": s.URL + "/end", "authorization_response_iss_parameter_supported": true,
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	form := map[string]string{}
	for name := range r.PostForm {
		form[name] = r.PostForm.Get(name)
	}
	if user, password, ok := r.BasicAuth(); ok {
		form["basic"] = user + ":" + password
	}
	s.mu.Lock()
	s.calls[r.URL.Path]++
	if r.Method == http.MethodPost {
		s.forms = append(s.forms, form)
	}
	answer := s.answers[r.URL.Path]
	s.mu.Unlock()
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	answer(w, r)
}

func (s *server) on(path string, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

// hold has an endpoint answer once it is released, at the test's end at the latest.
func (s *server) hold(path string, answer http.HandlerFunc) (release func()) {
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	s.t.Cleanup(release)
	s.on(path, func(w http.ResponseWriter, r *http.Request) {
		<-held
		answer(w, r)
	})
	return release
}

func (s *server) called(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

func (s *server) lastForm() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(s.t, s.forms)
	return s.forms[len(s.forms)-1]
}

func (s *server) json(answer func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer())
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// issuer is the code under test, speaking to the server.
func (s *server) issuer(change func(*Config)) *Issuer {
	s.t.Helper()
	cfg := Config{URL: s.URL, Client: Client{"gate", "gate-secret"}, Now: s.clock.now}
	if change != nil {
		change(&cfg)
	}
	i, err := New(cfg)
	require.NoError(s.t, err)
	return i
}

func (s *server) sign(typ string, claims map[string]any) string {
	s.t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(s.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, err := s.keys.Sign(jose.ES256, typ, payload)
	require.NoError(s.t, err)
	return raw
}

// accessToken is a good one with changes.
func (s *server) accessToken(change map[string]any) string {
	now := s.clock.now().Unix()
	return s.sign(token.TypeAccessToken, with(map[string]any{
		"iss": s.URL, "sub": "alice", "aud": "https://api.example", "client_id": "shop", "jti": "1", "iat": now, "exp": now + 600,
	}, change))
}

// with changes claims; nil takes one out.
func with(claims, change map[string]any) map[string]any {
	for name, value := range change {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

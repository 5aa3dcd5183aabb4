package tokeninject

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/token"
)

// cutWithin is A69's second, in which an open stream has to end.
const cutWithin = time.Second

// askedWithin bounds how long a test waits for a question about an open stream, for which there is no deadline.
const askedWithin = 5 * time.Second

// events answers with an event stream that sends one event and stays open until the gate ends it.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	_, _ = io.WriteString(w, "data: 1\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// endless answers with a download that has no end of its own either, but is no event stream.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.WriteString(w, "data: 1\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// open begins a streaming request and waits for its first bytes. ended is closed when it is cut.
func (s *site) open(browser *http.Client, headers map[string]string) (ended <-chan struct{}) {
	s.t.Helper()
	return s.openAt("/events", browser, headers)
}

func (s *site) openAt(path string, browser *http.Client, headers map[string]string) (ended <-chan struct{}) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+path, nil)
	require.NoError(s.t, err)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := browser.Do(request) //nolint:bodyclose // closed where it is read to its end
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, response.StatusCode)
	reader := bufio.NewReader(response.Body)
	_, err = reader.ReadString('\n')
	require.NoError(s.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, reader)
		_ = response.Body.Close()
	}()
	return done
}

func requireCut(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(cutWithin):
		require.FailNow(t, "the stream is still open a second later")
	}
}

func requireOpen(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
		require.FailNow(t, "the stream was cut")
	case <-time.After(2 * watchEvery):
	}
}

func (s *site) bearer(change func(*token.AccessToken)) map[string]string {
	return map[string]string{"Authorization": "Bearer " + s.issuer.accessToken(s.t, change)}
}

func TestA69_EventStreamEndsWithItsRevocation(t *testing.T) {
	s := newSite(t, nil)
	s.upstream = events
	mine := s.open(newBrowser(t), s.bearer(nil))
	other := s.open(newBrowser(t), s.bearer(func(a *token.AccessToken) { a.GrantID = "another" }))
	require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
	requireCut(t, mine)
	requireOpen(t, other)
}

func TestA69_EventStreamEndsWithItsToken(t *testing.T) {
	s := newSite(t, nil)
	s.upstream = events
	ended := s.open(newBrowser(t), s.bearer(nil))
	s.clock.advance(10*time.Minute - time.Second)
	requireOpen(t, ended)
	s.clock.advance(time.Second)
	requireCut(t, ended)
}

func TestA69_DownloadEndsWithARevocationButNotWithItsToken(t *testing.T) {
	s := newSite(t, nil)
	s.upstream = endless
	ended := s.open(newBrowser(t), s.bearer(nil))
	s.clock.advance(time.Hour)
	requireOpen(t, ended)
	require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Session, "sid-b", time.Time{}))
	requireCut(t, ended)
}

func TestA69_StreamOfASessionEndsWithIt(t *testing.T) {
	ends := map[string]func(s *site, browser *http.Client){
		"revoked": func(s *site, _ *http.Client) {
			require.NoError(s.t, s.issuer.feed.Revoke(s.t.Context(), revocation.Session, "sid-1", time.Time{}))
		},
		"logged out": func(s *site, browser *http.Client) {
			require.Equal(s.t, http.StatusOK, s.do(browser, http.MethodPost, "/.authz/logout").status)
		},
		"idle":     func(s *site, _ *http.Client) { s.clock.advance(defaultIdle + time.Second) },
		"absolute": func(s *site, _ *http.Client) { s.clock.advance(defaultAbsolute) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, withSession)
			browser := newBrowser(t)
			s.signIn(browser, "/app")
			s.upstream = events
			ended := s.open(browser, nil)
			end(s, browser)
			requireCut(t, ended)
		})
	}
}

// sayOf has the issuer answer so when it is asked about a session's person.
func (s *site) sayOf(answer func(s *Session) (*Session, error)) {
	s.issuer.mu.Lock()
	defer s.issuer.mu.Unlock()
	s.issuer.refresh = answer
}

func TestA69_StreamOfASessionEndsWithItsPerson(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		cfg.Require = []Requirement{{Kind: RequireRole, Values: []string{"boss"}}}
	})
	demoted := func(s *Session) (*Session, error) {
		next := *s
		next.Roles = []string{"employee"}
		return &next, nil
	}
	for name, answer := range map[string]func(s *Session) (*Session, error){
		"disabled": func(*Session) (*Session, error) { return nil, ErrSessionEnded },
		"demoted":  demoted,
	} {
		t.Run(name, func(t *testing.T) {
			s.upstream = events
			s.sayOf(nil)
			browser := newBrowser(t)
			s.signIn(browser, "/app")
			mine, second := s.open(browser, nil), s.open(browser, nil)
			before := s.issuer.refreshed.Load()
			for range 3 { // nothing new is known
				s.clock.advance(refreshEvery)
				before++
				require.Eventually(t, func() bool { return s.issuer.refreshed.Load() == before }, askedWithin, time.Millisecond)
			}
			requireOpen(t, mine)
			require.Equal(t, before, s.issuer.refreshed.Load(), "once for both, and not again")
			s.sayOf(answer)
			s.clock.advance(refreshEvery)
			requireCut(t, mine)
			requireCut(t, second)
		})
	}
}

// Another role is no end, only what the policy makes of it.
func TestA69_StreamOfASessionGoesOnWhileItsPolicyPermitsIt(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		withSession(cfg)
		withPolicy(
			deny(when(IfRole, "banned")), permit(when(IfRole, "boss")), permit(when(IfPath, "/free/*")).at(2),
			permit(when(IfRole, "guest"), when(IfPath, "/guests/*")).at(3),
		)(cfg)
	})
	s.upstream = events
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	events := map[string]string{"Accept": "text/event-stream"}
	app, free, guests := s.open(browser, events), s.openAt("/free/events", browser, events), s.openAt("/guests/events", browser, events)
	unannounced := s.openAt("/free/events", browser, nil)
	become := func(roles ...string) {
		s.sayOf(func(s *Session) (*Session, error) {
			next := *s
			next.Roles = roles
			return &next, nil
		})
		s.clock.advance(refreshEvery)
	}
	become("boss", "guest")
	requireCut(t, unannounced)
	requireOpen(t, app)
	become("guest")
	requireCut(t, app)
	requireOpen(t, free)
	requireOpen(t, guests)
	become()
	requireCut(t, guests)
	requireOpen(t, free)
	become("banned")
	requireCut(t, free)
}

// What a rule makes of the two together is not asked again while the request is under way.
func TestA69_StreamOfASessionEndsWhereTheRulesCanNotTell(t *testing.T) {
	many := []Rule{permit(when(IfRole, "nobody"))}
	for range maxJudged {
		many = append(many, permit(when(IfRole, "nobody")))
	}
	for name, rules := range map[string][]Rule{
		"an expression":                 {permit(when(IfExpression, `"boss" in roles && method == "GET"`))},
		"an expression before a permit": {deny(when(IfExpression, `"banned" in roles && path == "/events"`)), permit(always)},
		"a rule beyond those judged":    append(many, permit(when(IfRole, "boss")).at(2)),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(cfg *Config) { withSession(cfg); withPolicy(rules...)(cfg) })
			s.upstream = events
			browser := newBrowser(t)
			s.signIn(browser, "/app")
			ended := s.open(browser, nil)
			s.sayOf(func(s *Session) (*Session, error) { same := *s; return &same, nil })
			s.clock.advance(refreshEvery)
			requireOpen(t, ended)
			s.sayOf(func(s *Session) (*Session, error) {
				next := *s
				next.Roles = []string{"banned"}
				return &next, nil
			})
			s.clock.advance(refreshEvery)
			requireCut(t, ended)
		})
	}
}

func TestA69_StreamOfASessionWaitsForTheDirectoryAsRequestsDo(t *testing.T) {
	s := newSite(t, withSession)
	browser := newBrowser(t)
	s.signIn(browser, "/app")
	s.upstream = events
	ended := s.open(browser, nil)
	for _, answer := range []func(s *Session) (*Session, error){
		func(*Session) (*Session, error) { return nil, errors.New("the directory is away") },
		func(*Session) (*Session, error) { panic("the directory is away") },
	} {
		s.sayOf(answer)
		before := s.issuer.refreshed.Load()
		s.clock.advance(refreshEvery)
		require.Eventually(t, func() bool { return s.issuer.refreshed.Load() > before }, askedWithin, time.Millisecond)
		requireOpen(t, ended)
	}
	s.clock.advance(refreshBound)
	requireCut(t, ended)
}

// full takes every place for questions of a kind, as a directory or an issuer does that hangs.
func full(places chan struct{}) {
	for range cap(places) {
		places <- struct{}{}
	}
}

func TestA69_AStreamWhoseTurnToBeAskedAboutNeverComesEnds(t *testing.T) {
	t.Run("of a session", func(t *testing.T) {
		s := newSite(t, withSession)
		browser := newBrowser(t)
		s.signIn(browser, "/app")
		s.upstream = events
		ended := s.open(browser, nil)
		full(s.enforcer.streams.lookUps)
		s.clock.advance(refreshBound)
		requireOpen(t, ended)
		s.clock.advance(refreshWait)
		requireCut(t, ended)
	})
	t.Run("of a token that its issuer vouches for", func(t *testing.T) {
		s, _ := newVouched(t, time.Hour)
		ended := s.open(newBrowser(t), map[string]string{"Authorization": "Bearer thing"})
		full(s.enforcer.streams.vouching)
		s.clock.advance(time.Minute + askBound)
		requireOpen(t, ended)
		s.clock.advance(askWait)
		requireCut(t, ended)
	})
	t.Run("of a token that has ended", func(t *testing.T) {
		s, _ := newVouched(t, time.Minute+2*time.Second)
		ended := s.open(newBrowser(t), map[string]string{"Authorization": "Bearer thing"})
		full(s.enforcer.streams.vouching)
		s.clock.advance(time.Minute)
		requireOpen(t, ended)
		s.clock.advance(2 * time.Second)
		requireCut(t, ended)
	})
}

// faulty is an issuer in which something is broken.
type faulty struct {
	*testIssuer
	broken atomic.Bool
}

func (f *faulty) Account(subject string) string {
	if f.broken.Load() {
		panic("broken")
	}
	return f.testIssuer.Account(subject)
}

func TestA69_AStreamThatCanNotBeLookedAtEnds(t *testing.T) {
	issuer := &faulty{testIssuer: newTestIssuer(newClock())}
	s := newSite(t, func(cfg *Config) { cfg.Issuer, cfg.Now = issuer, issuer.clock.now })
	s.upstream = events
	ended := s.open(newBrowser(t), map[string]string{"Authorization": "Bearer " + issuer.accessToken(t, nil)})
	issuer.broken.Store(true)
	require.NoError(t, issuer.feed.Revoke(t.Context(), revocation.Family, "another", time.Time{}))
	requireCut(t, ended)
}

// A client that sends its next request early keeps net/http from seeing whether it is still there. It gets no more
// all the same, whether the upstream goes on sending or is silent.
func TestA69_EventStreamEndsThoughTheClientPipelines(t *testing.T) {
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for err := error(nil); err == nil; {
			if _, err = io.WriteString(w, "data: 1\n\n"); err == nil {
				err = http.NewResponseController(w).Flush()
			}
		}
	}
	for name, upstream := range map[string]http.HandlerFunc{"busy": busy, "silent": events} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			over := make(chan struct{})
			s.upstream = func(w http.ResponseWriter, r *http.Request) {
				defer close(over)
				upstream(w, r)
			}
			conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", s.bearer(nil)["Authorization"])
			require.NoError(t, err)
			_, err = conn.Read(make([]byte, 1))
			require.NoError(t, err)
			_, err = io.WriteString(conn, "GET /next")
			require.NoError(t, err)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = io.Copy(io.Discard, conn)
			}()
			requireOpen(t, ended)
			require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
			requireCut(t, ended)
			select {
			case <-over:
			case <-time.After(5 * time.Second):
				require.FailNow(t, "the upstream is still asked for an answer that nobody gets")
			}
		})
	}
}

// deaf is a handler that never looks at the request's context, and copies for as long as it can.
func deaf(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.Copy(w, forever{})
}

// forever can be read without end.
type forever struct{}

func (forever) Read(b []byte) (int, error) { return copy(b, "data: 1\n\n"), nil }

func TestA69_EveryKindOfRequestIsCut(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{"waits": events, "deaf": deaf} {
		for _, protocol := range []int{1, 2} {
			for _, body := range []string{"", "body"} {
				t.Run(fmt.Sprintf("%s, HTTP/%d, body %q", name, protocol, body), func(t *testing.T) {
					s := newSite(t, nil)
					server := httptest.NewUnstartedServer(guard(s.enforcer, handler))
					server.Config.ConnContext = KeepConnection
					server.EnableHTTP2 = protocol == 2
					server.StartTLS()
					t.Cleanup(server.Close)
					s.server = server
					response := s.post(server.Client(), body) //nolint:bodyclose // closed where it is read to its end
					require.Equal(t, protocol, response.ProtoMajor)
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						_, _ = io.Copy(io.Discard, response.Body)
						_ = response.Body.Close()
					}()
					requireOpen(t, ended)
					require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
					requireCut(t, ended)
				})
			}
		}
	}
}

// A body that never ends must not keep net/http waiting for the rest of it.
func TestA69_AnUploadIsCut(t *testing.T) {
	s := newSite(t, nil)
	began := make(chan struct{})
	s.server = serve(t, guard(s.enforcer, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	})))
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: 1000\r\n\r\nhalf", s.bearer(nil)["Authorization"])
	require.NoError(t, err)
	<-began
	require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(cutWithin)))
	_, err = io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// post sends a body with a good token.
func (s *site) post(client *http.Client, body string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.server.URL, strings.NewReader(body))
	require.NoError(s.t, err)
	r.Header.Set("Authorization", s.bearer(nil)["Authorization"])
	response, err := client.Do(r)
	require.NoError(s.t, err)
	return response
}

// send sends a body that may be under way for long.
func (s *site) send(headers map[string]string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.server.URL, body)
	if err != nil {
		return nil, err
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return http.DefaultClient.Do(r)
}

func TestW7_NoLaterRequestSuffersForACut(t *testing.T) {
	s := newSite(t, nil)
	ended := make(chan struct{})
	server := serve(t, guard(s.enforcer, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "ok")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/cut" {
			<-r.Context().Done()
			close(ended)
		}
	})))
	get := func(path, authorization string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", authorization)
		response, err := server.Client().Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "ok", string(body))
	}
	get("/cut", s.bearer(nil)["Authorization"])
	require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
	<-ended
	get("/later", s.bearer(func(a *token.AccessToken) { a.GrantID = "another" })["Authorization"])
}

// upgraded is an upstream that speaks a protocol of its own after an upgrade: it echoes lines.
func upgraded(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(conn, buffered)
}

// upgrade opens an upgraded connection by hand and proves that it echoes.
func (s *site) upgrade(bearer string) (ended <-chan struct{}) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\nAuthorization: %s\r\n\r\n",
		s.server.Listener.Addr(), bearer)
	require.NoError(s.t, err)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // a 101 has none
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusSwitchingProtocols, response.StatusCode)
	_, err = io.WriteString(conn, "ping\n")
	require.NoError(s.t, err)
	line, err := reader.ReadString('\n')
	require.NoError(s.t, err)
	require.Equal(s.t, "ping\n", line)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, reader)
	}()
	return done
}

func TestA69_UpgradedConnectionEndsWithItsCredential(t *testing.T) {
	s := newSite(t, nil)
	s.upstream = upgraded
	revoked := s.upgrade(s.bearer(nil)["Authorization"])
	expired := s.upgrade(s.bearer(func(a *token.AccessToken) { a.GrantID = "another" })["Authorization"])
	require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
	requireCut(t, revoked)
	requireOpen(t, expired)
	s.clock.advance(10 * time.Minute)
	requireCut(t, expired)
}

func TestW7_ClosedGateKeepsWatching(t *testing.T) {
	s := newSite(t, nil)
	s.upstream = events
	ended := s.open(newBrowser(t), s.bearer(nil))
	s.enforcer.Close()
	got := s.get("/", "Authorization: "+s.bearer(nil)["Authorization"])
	require.Equal(t, http.StatusServiceUnavailable, got.status, "but nothing new goes through")
	requireOpen(t, ended)
	require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
	requireCut(t, ended)
}

func TestW7_NothingRunsWhereNothingIsInFlight(t *testing.T) {
	s := newSite(t, nil)
	s.check(s.issuer.accessToken(t, nil))
	require.True(t, s.enforcer.streams.watching.Load())
	require.Eventually(t, func() bool { return !s.enforcer.streams.watching.Load() }, 5*time.Second, 10*time.Millisecond)
	verdict := s.check(s.issuer.accessToken(t, nil))
	require.True(t, s.enforcer.streams.watching.Load(), "and again")
	verdict.Done() // a second time: nothing happens
	require.True(t, s.enforcer.streams.empty())
}

func TestW7_RevokedWhileBeingLetThrough(t *testing.T) {
	s := newSite(t, nil)
	s.upstream = events
	p := s.passageOf("Authorization: " + s.bearer(nil)["Authorization"])
	require.NoError(t, s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{}))
	verdict := p.forward() // its credential was checked before
	defer verdict.Done()
	select {
	case <-verdict.Request.Context().Done():
	case <-time.After(cutWithin):
		require.FailNow(t, "it slipped through")
	}
	require.True(t, verdict.Abort(), "its answer must come to no good end")
}

// watched is the writer of a request that passed with a good token.
func (s *site) watched(recorder *httptest.ResponseRecorder) *watchedWriter {
	s.t.Helper()
	p := s.passageOf("Authorization: " + s.bearer(nil)["Authorization"])
	p.w = recorder
	return (*watchedWriter)(p)
}

func TestWatchedWriterPassesEverythingOn(t *testing.T) {
	recorder := httptest.NewRecorder()
	w := newSite(t, nil).watched(recorder)
	w.Header().Set("Content-Type", "text/event-stream")
	require.True(t, w.look(http.StatusEarlyHints))
	require.False(t, w.flight.stream.Load(), "not the answer's header yet")
	n, err := io.Copy(w, strings.NewReader("data: 1"))
	require.NoError(t, err)
	require.EqualValues(t, 7, n)
	require.True(t, w.flight.stream.Load())
	require.NoError(t, http.NewResponseController(w).Flush())
	require.True(t, recorder.Flushed)
	require.Equal(t, "data: 1", recorder.Body.String())
}

func TestA69_NothingIsTakenAfterACut(t *testing.T) {
	recorder := httptest.NewRecorder()
	w := newSite(t, nil).watched(recorder)
	(*passage)(w).cut()
	w.WriteHeader(http.StatusTeapot)
	require.Equal(t, http.StatusOK, recorder.Code)
	_, err := w.Write([]byte("late"))
	require.ErrorIs(t, err, errCut)
	_, err = w.ReadFrom(strings.NewReader("late"))
	require.ErrorIs(t, err, errCut)
	require.ErrorIs(t, http.NewResponseController(w).Flush(), errCut)
	require.False(t, recorder.Flushed)
	require.Empty(t, recorder.Body.String())
	w.r.Body = io.NopCloser(strings.NewReader("late"))
	n, err := (*watchedBody)(w).Read(make([]byte, 4))
	require.Zero(t, n)
	require.ErrorIs(t, err, context.Canceled, "a proxy that sends it must not take the upstream for dead")
}

// timed is a writer that notes deadlines.
type timed struct {
	http.ResponseWriter
	read, write time.Time
}

func (w *timed) SetReadDeadline(at time.Time) error  { w.read = at; return nil }
func (w *timed) SetWriteDeadline(at time.Time) error { w.write = at; return nil }

// wrapping is a server's writer around that of net/http.
type wrapping struct{ timed }

func (w *wrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestA69_ACutFreesWhoeverReadsOrWrites(t *testing.T) {
	inner := &timed{ResponseWriter: httptest.NewRecorder()}
	outer := &wrapping{timed{ResponseWriter: inner}}
	p := (*passage)(newSite(t, nil).watched(nil))
	p.w = outer
	p.cut()
	require.True(t, outer.read.Before(time.Now()) && !outer.read.IsZero(), "Caddy's own writer would set a later one before it reads on")
	require.True(t, inner.write.Before(time.Now()) && !inner.write.IsZero())
	require.Zero(t, outer.write, "which is the request's goroutine's")
}

func TestA69_AStreamThatWouldBeginAfterItsTokenIsNoAnswer(t *testing.T) {
	s := newSite(t, nil)
	began, answer := make(chan struct{}), make(chan struct{})
	s.upstream = func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-answer
		events(w, r)
	}
	failed := make(chan error, 1)
	go func() {
		response, err := s.send(s.bearer(nil), nil)
		if err == nil {
			_ = response.Body.Close()
		}
		failed <- err
	}()
	<-began
	s.clock.advance(10 * time.Minute)
	close(answer)
	require.ErrorIs(t, <-failed, io.EOF, "not even its header")
}

// Of a call of gRPC the request tells that it may have no end, long before there is an answer.
func TestA69_ACallOfGRPCEndsWithItsTokenThoughThereIsNoAnswerYet(t *testing.T) {
	s := newSite(t, nil)
	began, ended := make(chan struct{}), make(chan struct{})
	s.server = serve(t, guard(s.enforcer, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})))
	headers := s.bearer(nil)
	headers["Content-Type"] = "application/grpc+proto"
	body, sending := io.Pipe()
	defer func() { require.NoError(t, sending.Close()) }()
	go func() {
		if response, err := s.send(headers, body); err == nil {
			_ = response.Body.Close()
		}
	}()
	<-began
	s.clock.advance(10*time.Minute - time.Second)
	requireOpen(t, ended)
	s.clock.advance(time.Second)
	requireCut(t, ended)
}

func TestA69_AStreamIsToldByItsType(t *testing.T) {
	for contentType, want := range map[string]bool{
		"text/event-stream": true, "TEXT/Event-Stream;charset=utf-8": true, "text/event-stream ": true,
		"application/grpc": true, "application/grpc+proto": true, "application/grpc-web": true, "multipart/x-mixed-replace; boundary=x": true,
		"text/event-streams": false, "text/html": false, "": false,
	} {
		require.Equal(t, want, isStream(contentType), contentType)
	}
}

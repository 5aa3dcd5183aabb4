package tokeninject

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	streamShards = 16
	// watchEvery is how often requests in flight are looked at where no revocation asks for it. An
	// expired stream has to be cut within a second (A69).
	watchEvery = 250 * time.Millisecond
)

// errCut is what a request's body and answer say after its credential's end. It counts as the client's, as the end of a
// context does: a proxy must not take it for a fault of the upstream.
var errCut = fmt.Errorf("%w: the credential was revoked or has expired", context.Canceled)

// streams watches requests in flight: a revoked credential ends them all at once, an expired one ends
// those that would go on for ever. One goroutine does it, and only while something is in flight.
type streams struct {
	now      func() time.Time
	sources  []*source
	vouching chan struct{} // one place for each question about a stream's token
	lookUps  chan struct{} // one for each about a session's person
	shards   [streamShards]streamShard
	watching atomic.Bool
}

// streamShard is a ring of passages, so that joining needs no memory of its own.
type streamShard struct {
	mu   sync.Mutex
	root passage
}

// flight is a passage's place in the ring, and what is known of its answer.
type flight struct {
	shard      *streamShard
	next, prev *passage
	conn       *keptConn          // that a cut closes; nil: it is not the request's alone
	cancel     context.CancelFunc // of the request's own context, where there is no conn
	again      atomic.Int64       // Identity.again, as it moves on; whoever asks the issuer moves it out of the way
	known      int64              // the last one that was the issuer's word, the asker's
	ends       atomic.Int64       // of a token, in Unix milliseconds
	judged     *Session           // that was judged last; the watcher's
	fits       uint64             // the rules of the policy that a stream's request fits, as policy.fitsRequest says
	fitsNow    uint64             // and its identity, as policy.judge says; the watcher's
	noted      bool               // fits is that; else it is the rules whose contracts were in time
	over       atomic.Bool        // it was cut
	told       atomic.Bool        // and the client knows, so that its answer can come to no good end
	stream     atomic.Bool        // it has no end of its own: an event stream, an upgraded connection
}

func newStreams(now func() time.Time, sources []*source) *streams {
	s := &streams{
		now: now, sources: sources, vouching: make(chan struct{}, maxAsking), lookUps: make(chan struct{}, maxAsking),
	}
	for i := range s.shards {
		root := &s.shards[i].root
		root.flight.next, root.flight.prev = root, root
	}
	return s
}

// forward lets the request through, under watch.
func (p *passage) forward() Verdict {
	if p.id == nil {
		return Verdict{Pass: true, Request: withoutTrailers(p.r), Writer: p.w, passage: p}
	}
	if p.live != nil && !p.live.passed.Load() {
		p.live.passed.Store(true)
		p.e.logins.attempts.forget(p.browser())
	}
	p.flight.vouched(p.id)
	p.flight.judged = p.id.session
	asked := p.asksForStream()
	if rules := p.e.policy; rules != nil && (asked || acceptsEvents(p.r.Header)) {
		p.flight.noted, p.flight.fits = true, rules.fitsRequest(facts{p.id, p})
	}
	if asked {
		p.becomeStream()
	}
	v := Verdict{Pass: true, Identity: p.id, Writer: (*watchedWriter)(p), passage: p}
	if p.flight.conn = p.connection(); p.flight.conn == nil {
		var ctx context.Context
		ctx, p.flight.cancel = context.WithCancel(p.r.Context())
		v.Request = p.r.WithContext(ctx)
		v.Request.Trailer = nil
	} else {
		v.Request = withoutTrailers(p.r)
	}
	if p.r.ContentLength != 0 {
		v.Request.Body = (*watchedBody)(p)
	}
	p.e.streams.join(p)
	return v
}

// asksForStream tells whether the request has no end of its own, whatever the answer is.
func (p *passage) asksForStream() bool {
	return len(p.r.Header["Upgrade"]) > 0 || p.r.Method == http.MethodConnect || p.r.ContentLength != 0 && hasStream(p.r.Header)
}

// acceptsEvents tells whether a request may become an event stream, as that of a browser's EventSource says.
func acceptsEvents(header http.Header) bool {
	accept := header["Accept"]
	return len(accept) == 1 && strings.HasPrefix(accept[0], "text/event-stream")
}

// becomeStream has the watcher look at more than revocations, and leaves what it needs for that. Of an answer that comes
// without notice, what the request was is known no more: whoever came after the gate may have changed it.
func (p *passage) becomeStream() {
	if rules := p.e.policy; rules != nil && rules.timed {
		acr, at := p.id.Login()
		p.proof, p.flight.fitsNow = &proof{acr, at}, p.judged.fits
		if !p.flight.noted {
			p.flight.fits = rules.inTime(p.from.issuer, p.proof, math.MaxUint64)
		}
	}
	p.flight.stream.Store(true)
}

// withoutTrailers is a request as it goes on. What net/http reads after a body lands in the request that it made
// itself, so one with a body goes on as a copy (A56).
func withoutTrailers(r *http.Request) *http.Request {
	if r.ContentLength != 0 {
		r = r.WithContext(r.Context())
	}
	r.Trailer = nil
	return r
}

// connection is what a cut closes: the connection, where it is this request's alone. A context of its own would cost
// the request as much as all the rest of the gate.
func (p *passage) connection() *keptConn {
	if p.r.ProtoMajor != 1 {
		return nil
	}
	return connectionOf(p.r.Context())
}

// cut ends the request. The caller holds the lock of the shard that the passage is in: once it has left, the
// connection is another request's.
func (p *passage) cut() {
	p.flight.over.Store(true)
	if p.flight.conn != nil {
		p.flight.told.Store(true)
		p.flight.conn.close()
	}
	if p.flight.cancel != nil {
		p.flight.told.Store(p.endTransfer() == nil && p.r.ProtoMajor == 2)
		p.flight.cancel()
	}
}

// endTransfer frees whoever reads the request's body or writes its answer: the context does not, and a client that
// neither sends nor reads would hold both, unless its whole connection is stuck. HTTP/2 tells the client at once. An
// error says that there are no deadlines, and that the context has to do.
func (p *passage) endTransfer() error {
	past := time.Unix(1, 0)
	// A server's own writer may set later deadlines as the body is read, so it has to know. Of writes it is not to be
	// told but by the request's goroutine.
	_ = http.NewResponseController(p.w).SetReadDeadline(past)
	return http.NewResponseController(innermost(p.w)).SetWriteDeadline(past)
}

// unwrapper is a writer around another, as http.ResponseController knows it.
type unwrapper interface{ Unwrap() http.ResponseWriter }

// innermost is net/http's own writer.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(unwrapper)
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}

// done takes the request out of the watch.
func (p *passage) done() {
	p.e.streams.leave(p)
	if p.flight.cancel != nil {
		p.flight.cancel()
	}
	if p.flight.over.Load() {
		p.e.cfg.Logger.Info("request cut, since its credential has ended",
			zap.String("method", p.r.Method), zap.String("host", p.r.Host), zap.String("path", p.r.URL.Path))
	}
}

func (s *streams) join(p *passage) {
	shard := &s.shards[p.now.Nanosecond()/128%streamShards] // any of them; a counter would be one for all cores
	p.flight.shard = shard
	shard.mu.Lock()
	last := shard.root.flight.prev
	p.flight.prev, p.flight.next = last, &shard.root
	last.flight.next, shard.root.flight.prev = p, p
	shard.mu.Unlock()
	if !s.watching.Load() && s.watching.CompareAndSwap(false, true) {
		go s.watch()
	}
}

func (s *streams) leave(p *passage) {
	shard := p.flight.shard
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if p.flight.next == nil {
		return
	}
	p.flight.prev.flight.next, p.flight.next.flight.prev = p.flight.next, p.flight.prev
	p.flight.next, p.flight.prev = nil, nil
}

// watch runs while something is in flight. Feeds are shared by the whole process, so its subscriptions go
// as the watcher does. The feed of an issuer that gets ready later is looked at with every tick.
func (s *streams) watch() {
	wake := make(chan struct{}, 1)
	for _, from := range s.sources {
		if state := from.state.Load(); state != nil {
			defer state.feed.Subscribe(func() {
				select {
				case wake <- struct{}{}:
				default: // it is awake already
				}
			})()
		}
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		s.sweep()
		select {
		case <-wake:
		case <-ticker.C:
			if s.empty() && s.rest() {
				return
			}
		}
	}
}

// empty tells whether nothing is in flight.
func (s *streams) empty() bool {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		empty := shard.root.flight.next == &shard.root
		shard.mu.Unlock()
		if !empty {
			return false
		}
	}
	return true
}

// rest ends the watch unless a request came in meanwhile: either it saw that nobody watches, or we
// see it here, and one of the two takes up the watch.
func (s *streams) rest() bool {
	s.watching.Store(false)
	return s.empty() || !s.watching.CompareAndSwap(false, true)
}

// cut ends one request, unless it has ended meanwhile.
func (s *streams) cut(p *passage) {
	shard := p.flight.shard
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if p.flight.next != nil {
		p.cut()
	}
}

func (s *streams) sweep() {
	now := s.now()
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		for p := shard.root.flight.next; p != &shard.root; p = p.flight.next {
			if !p.flight.over.Load() && p.ended(now) {
				p.cut()
			}
		}
		shard.mu.Unlock()
	}
}

// ended tells whether the request may not go on. Where asking panics, it may not: the policy is asked as well, and this
// is a goroutine of ours, in which a panic would end the process.
func (p *passage) ended(now time.Time) (over bool) {
	defer func() {
		if cause := recover(); cause != nil {
			p.e.cfg.Logger.Error("a request in flight could not be looked at, and is cut", zap.Any("panic", cause))
			over = true
		}
	}()
	if epoch := p.issuer.feed.Epoch(); p.epoch != epoch {
		if p.issuer.feed.Revoked(p.id.subject(p.from.issuer)) {
			return true
		}
		p.epoch = epoch
	}
	stream := p.flight.stream.Load()
	if p.live == nil {
		return stream && p.lapsed(now)
	}
	return p.live.ended.Load() || stream && p.sessionLapsed(now)
}

// watchedBody is a passage's body. After a cut its reader must not take what ended it for a fault of its own.
type watchedBody passage

// Read implements io.Reader.
func (b *watchedBody) Read(into []byte) (int, error) {
	n, err := b.r.Body.Read(into)
	if b.flight.over.Load() {
		return 0, errCut
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error { return b.r.Body.Close() }

// watchedWriter is a passage's answer. It notes whether that is an event stream, and takes nothing after a cut: not
// every handler looks at the request's context.
type watchedWriter passage

// Header implements http.ResponseWriter.
func (w *watchedWriter) Header() http.Header { return w.w.Header() }

// WriteHeader implements http.ResponseWriter. After a cut only the server's log sees the status.
func (w *watchedWriter) WriteHeader(status int) {
	if w.look(status) || w.flight.told.Load() {
		w.w.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (w *watchedWriter) Write(b []byte) (int, error) {
	if !w.look(http.StatusOK) {
		return 0, errCut
	}
	return w.w.Write(b)
}

// ReadFrom implements io.ReaderFrom, or answers would no longer be copied by the kernel. Where closing the connection
// doesn't end that, the answer goes piece by piece.
func (w *watchedWriter) ReadFrom(src io.Reader) (int64, error) {
	switch {
	case !w.look(http.StatusOK):
		return 0, errCut
	case w.flight.conn == nil:
		return io.Copy(struct{ io.Writer }{w}, src)
	default:
		return io.Copy(w.w, src)
	}
}

// FlushError sends the header, so it has to look at it first; http.ResponseController calls it.
func (w *watchedWriter) FlushError() error {
	if !w.look(http.StatusOK) {
		return errCut
	}
	return http.NewResponseController(w.w).Flush()
}

// Unwrap lets http.ResponseController reach hijacking and deadlines.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.w }

// look tells whether the answer may go on. A stream may not begin after its credential's end either.
func (w *watchedWriter) look(status int) bool {
	if !w.wrote && (status < 100 || status >= 200 || status == http.StatusSwitchingProtocols) {
		w.wrote = true
		if p := (*passage)(w); hasStream(w.Header()) {
			if !p.flight.stream.Load() {
				p.becomeStream()
			}
			if p.expired(w.e.streams.now()) {
				w.e.streams.cut(p)
			}
		}
	}
	return !w.flight.over.Load()
}

// streamTypes are the media types of requests and answers that go on for as long as they like. Of gRPC, calls with one
// message look the same; usually they are over before their token is.
var streamTypes = []string{"text/event-stream", "application/grpc", "multipart/x-mixed-replace"}

func hasStream(header http.Header) bool {
	contentType := header["Content-Type"]
	return len(contentType) > 0 && isStream(contentType[0])
}

func isStream(contentType string) bool {
	for _, want := range streamTypes {
		if len(contentType) < len(want) || !strings.EqualFold(contentType[:len(want)], want) {
			continue
		}
		if len(contentType) == len(want) || strings.IndexByte("; +-", contentType[len(want)]) >= 0 { // application/grpc+proto, grpc-web
			return true
		}
	}
	return false
}

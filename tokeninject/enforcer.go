package tokeninject

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// gates counts the gates that were made.
var gates atomic.Uint64

// Enforcer is one gate. It is safe for concurrent use; make one with New.
type Enforcer struct {
	cfg           Config
	serial        uint64 // tells gates of this process apart
	owned         *owned
	cookiePrefix  string // of the cookies' names
	decrypter     *token.Decrypter
	requiredScope string
	documents     []document // of the protected resource
	policy        *policy    // nil: the `require` lines say all
	needs         []string   // scopes of a session that serves this gate

	fillsAuthorization bool // for the upstream, so that a gate in front does it in vain

	verified   *tokenCache
	refused    *refusedTokens
	decrypting chan struct{} // one place per decryption under way
	failed     addressLimit  // decryptions
	lines      *rate.Limiter // of the log, about refused credentials
	unsaid     atomic.Int64  // lines that were too many
	sessions   *Sessions
	failing    singleflight.Group // look-ups of people that failed lately, by session
	logins     *logins
	callers    *callerTokens
	gateToken  mintSlot  // of a policy whose token is the gate's own
	sources    []*source // whose tokens are taken; people sign in at the first
	byAsking   []*source // the same, those last that show tokens to somebody
	injectors  []func(*passage) *Refusal
	mintPolicy string // tells apart what is minted for one session
	streams    *streams
	look       look
	closed     atomic.Bool
}

// New checks the configuration and makes the gate. It does no input or output and starts nothing: the
// issuer is first spoken to by the first request.
func New(cfg Config) (*Enforcer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("tokeninject: %w", err)
	}
	e := &Enforcer{
		cfg:        cfg,
		serial:     gates.Add(1),
		owned:      newOwned(cfg),
		verified:   newTokenCache(),
		refused:    &refusedTokens{},
		decrypting: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		failed:     addressLimit{rate: undecryptableRate, burst: undecryptableBurst},
		lines:      rate.NewLimiter(lineRate, lineBurst),
		sources:    newSources(cfg),
		callers:    &callerTokens{},
		look:       newLook(cfg.Brand),
	}
	e.streams = newStreams(cfg.Now, e.sources)
	if cfg.DecryptKey != nil {
		decrypter, err := token.NewDecrypter(cfg.DecryptKey)
		if err != nil {
			return nil, fmt.Errorf("tokeninject: decrypt_key: %w", err)
		}
		e.decrypter = decrypter
	}
	var scopes []string
	for _, require := range cfg.Require {
		if require.Kind == RequireScope {
			scopes = union(scopes, require.Values)
		}
	}
	e.requiredScope = oauth.FormatScope(scopes)
	var err error
	if e.policy, err = newPolicy(cfg.Policy); err != nil {
		return nil, fmt.Errorf("tokeninject: %w", err)
	}
	e.owned.addOverrides(e.policy)
	e.fillsAuthorization = cfg.fillsAuthorization()
	if e.documents, err = newDocuments(cfg, scopes); err != nil {
		return nil, fmt.Errorf("tokeninject: %w", err)
	}
	e.byAsking = byAsking(e.sources)
	e.injectors = newInjectors(cfg)
	if cfg.Token != nil {
		t := cfg.Token
		e.mintPolicy = strings.Join([]string{t.Issuer.URL(), t.Client, t.ResourceServer, oauth.FormatScope(t.Scope)}, "\n")
	}
	e.initSession()
	return e, nil
}

func (e *Enforcer) initSession() {
	if e.cfg.Session == nil {
		return
	}
	e.cookiePrefix = cookiePrefix(e.cfg.Issuer.URL(), e.cfg.Session.ClientID)
	e.needs = union(e.cfg.Session.Scope)
	if e.cfg.Token != nil {
		e.needs = union(e.needs, e.cfg.Token.Scope)
	}
	e.sessions = e.cfg.Sessions
	if e.sessions == nil {
		e.sessions = NewSessions(e.cfg.Store, e.cfg.Now)
	}
	e.logins = newLogins(e.sessions.store, e.cfg.Session.LoginRate)
}

// Close ends the gate after the last configuration that uses it: new requests are refused, while
// requests in flight keep being watched until they end.
func (e *Enforcer) Close() { e.closed.Store(true) }

// Verdict is what the gate says of a request.
type Verdict struct {
	// Pass tells whether the request goes on to the upstream. If not, Refusal says why, or is nil
	// where the answer (a redirect, the logout page) is already written.
	Pass    bool
	Refusal *Refusal

	// Identity is who passes; nil: nobody, at an optional gate.
	Identity *Identity
	// Request and Writer are what to go on with. When the credential is revoked or, for streams, has expired, the
	// request's context ends, or the connection that it came over is closed.
	Request *http.Request
	Writer  http.ResponseWriter

	passage *passage
}

// Done must be called once the answer to a request that passed is complete.
func (v Verdict) Done() {
	if v.Identity != nil {
		v.passage.done()
	}
}

// Abort tells whether the request was cut, and its answer would come to a good end all the same once its handler has
// returned: panic with http.ErrAbortHandler then.
func (v Verdict) Abort() bool {
	return v.Identity != nil && v.passage.flight.over.Load() && !v.passage.flight.told.Load()
}

// passage is one request on its way through the gate.
type passage struct {
	e      *Enforcer
	w      http.ResponseWriter
	r      *http.Request
	now    time.Time
	from   *source      // whose word counts
	issuer *issuerState // of from
	taken  credentials
	id     *Identity
	read   Identity     // room for id, where it stands in the cache
	live   *liveSession // where the credential is a session
	caller digest       // hash of the token, where the credential is one
	judged judgement
	path   string // as it goes on to the upstream, where the policy looks at paths
	flight flight
	epoch  uint64        // of the feed when the credential was last checked; the watcher's while the request goes on
	maxAge time.Duration // of the login, where that is too old; else 0
	proof  *proof        // where a contract is wanted, by the gate or, of streams, its policy

	malformed     bool // what the client presented
	decrypted     bool // by the gate's own key
	unknownClient bool // nobody presented anything
	remembered    bool // refused before, and logged then
	wrote         bool // the answer's header
}

// Check takes the request through the gate. That it came over TLS, or never left this machine, is for
// the host to see to (P2). Check changes the request's header and URL in place: owned
// names are gone from them, whatever the verdict. front is the verdict of the gate that the request passed
// last, the zero Verdict where this is the first.
func (e *Enforcer) Check(w http.ResponseWriter, r *http.Request, front Verdict) Verdict {
	p := &passage{e: e, w: w, r: r, now: e.cfg.Now(), judged: judgement{failed: -1}}
	p.take(front.passage)
	steps := [...]func(*passage) *Refusal{
		(*passage).plain, (*passage).admit, (*passage).own, (*passage).identify, (*passage).authorize, (*passage).stepUp,
		(*passage).permitted, (*passage).inject,
	}
	for _, step := range steps {
		switch refusal := step(p); refusal {
		case nil:
		case answered:
			return Verdict{}
		default:
			p.log(refusal)
			return Verdict{Refusal: refusal}
		}
	}
	return p.forward()
}

// admit sees to it that the gate can decide at all: it is open, and the issuer is ready. Where there
// are several, one that is away must not keep out who brings a token of another.
func (p *passage) admit() *Refusal {
	if p.e.closed.Load() {
		return p.fault(errors.New("the gate is closed"))
	}
	if p.taken.bearer != "" && len(p.e.sources) > 1 {
		return nil
	}
	return p.turnToFirst()
}

// turnToFirst makes the issuer where people sign in the one whose word counts.
func (p *passage) turnToFirst() *Refusal {
	if err := p.turnTo(p.e.sources[0]); err != nil {
		return p.fault(err)
	}
	return nil
}

// own answers what is the gate's own business.
func (p *passage) own() *Refusal {
	if document := p.document(); document != nil {
		return p.describe(document)
	}
	session := p.e.cfg.Session
	if session == nil || p.from == nil {
		return nil
	}
	switch path := p.r.URL.Path; {
	case path == session.Logout:
		return p.logout()
	case path == session.Login && path != "": // "GET http://host" has no path
		return p.login()
	}
	if session.Callback != "" {
		return p.callback()
	}
	return p.loginReturn(p.r.URL.RawQuery)
}

// identify finds out who this is. A bearer token goes before a session: it was sent on purpose, the
// cookie came by itself.
func (p *passage) identify() *Refusal {
	if p.malformed {
		return p.malformedHeader()
	}
	if p.taken.bearer != "" && tokenInQuery(p.r.URL.RawQuery) { // RFC 6750 §2
		return p.challenge(oauth.Errorf(oauth.InvalidRequest, "there is a second access token in the query"))
	}
	if p.taken.bearer != "" && p.e.takesTokens() {
		return p.verify()
	}
	if p.taken.bearer != "" && !b64token(p.taken.bearer) {
		return p.malformedHeader()
	}
	if p.from == nil {
		if refusal := p.turnToFirst(); refusal != nil {
			return refusal
		}
	}
	if p.e.cfg.Session != nil && p.taken.session != "" {
		if refusal := p.resume(); refusal != nil || p.id != nil {
			return refusal
		}
	}
	if p.e.cfg.Optional {
		return nil
	}
	return p.signIn(p.e.needs, false)
}

func (p *passage) malformedHeader() *Refusal {
	return p.challenge(oauth.Errorf(oauth.InvalidRequest, "the Authorization header is malformed or repeated"))
}

// signIn asks for a credential: a browser goes to login, everybody else is challenged.
func (p *passage) signIn(scope []string, again bool) *Refusal {
	if p.e.cfg.Session != nil && navigation(p.r) {
		return p.beginLogin(scope, again)
	}
	if p.taken.bearer != "" {
		return p.challenge(oauth.Errorf(oauth.InvalidToken, "no access tokens are taken here"))
	}
	p.unknownClient = true
	return p.challenge(&oauth.Error{})
}

// takesTokens tells whether the gate says whose tokens it takes (R13).
func (e *Enforcer) takesTokens() bool { return len(e.cfg.Audiences) > 0 || e.cfg.ResourceServer != "" }

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

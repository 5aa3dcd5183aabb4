package tokeninject

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
)

const (
	sessionShards = 16
	// shardSessions bounds the live sessions of a shard; more are read from the store again.
	shardSessions = 4096
)

// Sessions holds the browser sessions of gates. The cookie is a random handle and nothing else:
// sealing the session into it would leave nothing to look up, but a session that was ended here must
// be dead everywhere at once, so it is looked up anyway, and a handle has nothing in it to tamper
// with. The store has the record under the handle's hash; what is live is held in memory, too.
type Sessions struct {
	store   store.Store
	records store.Records[sessionRecord]
	now     func() time.Time
	node    string // tells those apart that share a store
	shards  [sessionShards]sessionShard
	scope   atomic.Pointer[scopes] // of a session, which most others have as well
	logins  *rate.Limiter          // that begin, at all gates
}

type sessionShard struct {
	mu   sync.RWMutex
	live map[digest]*liveSession
}

// sessionRecord is a session at rest.
type sessionRecord struct {
	Session Session `json:"session"`          // without its Stamp
	Sealed  string  `json:"sealed,omitempty"` // the Stamp
	Issuer  string  `json:"issuer"`
	Client  string  `json:"client,omitempty"` // as the gate's configuration names it
	Host    string  `json:"host"`             // with its port: the one site whose session this is; or *.domain
	// Asked is what the login asked for; Again says that it asked for consent anew.
	Asked     []string      `json:"asked,omitempty"`
	Unmet     []string      `json:"unmet,omitempty"` // contracts that the login asked for and didn't bring
	Again     bool          `json:"again,omitempty"`
	Idle      time.Duration `json:"idle"`
	Created   time.Time     `json:"created"`
	Used      time.Time     `json:"used"`
	Refreshed time.Time     `json:"refreshed"` // when the person was last looked up
	Expires   time.Time     `json:"expires"`
	// Renewals counts the Stamps before this one. Renewer is the node that may get the next, until LeaseEnds.
	Renewals  int64     `json:"renewals,omitempty"`
	Renewer   string    `json:"renewer,omitempty"`
	LeaseEnds time.Time `json:"lease_ends,omitzero"`
}

// until is when the record may go. It knows of the last use only so well.
func (r *sessionRecord) until() time.Time {
	if idle := r.Used.Add(r.Idle + writeEvery(r.Idle)); idle.Before(r.Expires) {
		return idle
	}
	return r.Expires
}

// writeEvery is how often the store learns of a session's use.
func writeEvery(idle time.Duration) time.Duration {
	return min(max(idle/10, time.Second), time.Minute)
}

// liveSession is a session in memory, shared by every request that presents it.
type liveSession struct {
	issuer, client, host string
	asked                *scopes
	unmet                []string
	again                bool
	idle                 time.Duration
	created              int64 // Unix nanoseconds

	held      atomic.Pointer[heldSession]
	policy    atomic.Pointer[policyResult] // of the gate that asked last
	expires   atomic.Int64                 // this and what follows in Unix milliseconds
	used      atomic.Int64
	written   atomic.Int64 // when the store last learned of the use
	refreshed atomic.Int64
	renewals  atomic.Int64 // of the session's Stamp, see sessionRecord
	retry     atomic.Int64 // not before this is a failed look-up tried again; 0: the last one was good
	epoch     atomic.Uint64
	ended     atomic.Bool
	proven    atomic.Bool // the browser has sent the cookie back
	passed    atomic.Bool // a gate has let a request of it through
	lookup    sync.Mutex  // held while the person is looked up

	mu     sync.Mutex
	minted []*mintSlot // one per policy
}

// NewSessions returns the sessions that s keeps. now is the clock; nil: time.Now.
func NewSessions(s store.Store, now func() time.Time) *Sessions {
	if now == nil {
		now = time.Now
	}
	return &Sessions{
		store: s, records: store.NewRecords[sessionRecord](s, "gate-session"), now: now, node: oauth.NewID(),
		logins: rate.NewLimiter(rate.Limit(loginsAtOnce/loginLifetime.Seconds()), loginsAtOnce),
	}
}

func (s *Sessions) newLive(r *sessionRecord) *liveSession {
	live := &liveSession{
		issuer: r.Issuer, client: r.Client, host: r.Host, asked: s.shared(r.Asked), unmet: r.Unmet, again: r.Again, idle: r.Idle,
		created: r.Created.UnixNano(),
	}
	live.expires.Store(r.Expires.UnixMilli())
	live.used.Store(r.Used.UnixMilli())
	live.written.Store(r.Used.UnixMilli())
	live.take(r)
	return live
}

// scopes is a scope as a list, and as a token has it.
type scopes struct {
	list []string
	text string
}

// shared returns a scope in the memory of the last one, if that was the same.
func (s *Sessions) shared(scope []string) *scopes {
	if last := s.scope.Load(); last != nil && slices.Equal(last.list, scope) {
		return last
	}
	shared := &scopes{scope, oauth.FormatScope(scope)}
	s.scope.Store(shared)
	return shared
}

// take takes over what the record says of the person.
func (l *liveSession) take(r *sessionRecord) {
	l.hold(r.Session)
	l.refreshed.Store(r.Refreshed.UnixMilli())
	l.renewals.Store(r.Renewals)
}

// heldSession is what is known of the person.
type heldSession struct {
	Session
	scope string // the Session's, as a token has it
}

// hold makes this what is known of the person. It takes a copy: a pointer into a record would keep all of it.
func (l *liveSession) hold(session Session) {
	held := &heldSession{Session: session, scope: l.asked.text}
	if slices.Equal(session.Scope, l.asked.list) {
		held.Scope = l.asked.list
	} else {
		held.scope = oauth.FormatScope(session.Scope)
	}
	l.held.Store(held)
}

// session is what is known of the person. It is not to be changed.
func (l *liveSession) session() *Session { return &l.held.Load().Session }

// began is when the session began here.
func (l *liveSession) began() time.Time { return time.Unix(0, l.created) }

// read makes the session's identity, by the word of the issuer of the gate that asks.
func (l *liveSession) read(id *Identity, from *source) {
	s := l.held.Load()
	*id = Identity{
		Subject: s.Subject, ClientID: s.ClientID, Username: s.Username, SessionID: s.SessionID, GrantID: s.GrantID,
		Scope: s.scope, IssuedAt: l.began(), Expires: time.UnixMilli(l.expires.Load()),
		session: &s.Session, from: from,
	}
}

// subject is what the revocation feed wants to know. It goes by when the session began here, not by
// when the person signed in at the issuer: that may be long before, and yet not be cut off.
func (l *liveSession) subject() revocation.Subject {
	s := l.session()
	return revocation.Subject{
		Family: s.GrantID, Session: s.SessionID, User: s.Subject, Client: s.ClientID, IssuedAt: l.began(),
	}
}

// dead tells whether nobody can use the session any more.
func (l *liveSession) dead(now time.Time) bool {
	return l.ended.Load() || now.UnixMilli() >= l.expires.Load() || l.idleSince(now) >= l.idle+writeEvery(l.idle)
}

func (l *liveSession) idleSince(now time.Time) time.Duration {
	return now.Sub(time.UnixMilli(l.used.Load()))
}

func (s *Sessions) shard(key *digest) *sessionShard { return &s.shards[key[0]%sessionShards] }

// create stores a new session and returns its handle's live form.
func (s *Sessions) create(ctx context.Context, handle string, r *sessionRecord) (*liveSession, error) {
	rest := *r
	rest.keep(handle, &r.Session)
	if err := s.records.Put(ctx, handle, &rest, r.until()); err != nil {
		return nil, err
	}
	return s.hold(digestOf(handle), r), nil
}

// find returns the session of a handle, or nil.
func (s *Sessions) find(ctx context.Context, handle string) (*liveSession, error) {
	key := digestOf(handle)
	shard := s.shard(&key)
	shard.mu.RLock()
	live := shard.live[key]
	shard.mu.RUnlock()
	if live != nil {
		return live, nil
	}
	record, err := s.records.Get(ctx, handle)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := record.open(handle); err != nil {
		return nil, err
	}
	return s.hold(key, record), nil
}

// hold keeps a session in memory, unless another request was faster.
func (s *Sessions) hold(key digest, record *sessionRecord) *liveSession {
	shard := s.shard(&key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if live := shard.live[key]; live != nil {
		return live
	}
	if shard.live == nil {
		shard.live = map[digest]*liveSession{}
	}
	shard.tidy(s.now())
	live := s.newLive(record)
	shard.live[key] = live
	return live
}

// tidy looks at a few sessions whenever one is added. It lets go of the dead, so that they never grow
// to be many, and where there is no room, of the longest unused. What the store doesn't know yet of
// that one's use, writeEvery at most, is lost.
func (s *sessionShard) tidy(now time.Time) {
	var oldest digest
	var used int64
	looked := 0
	for key, live := range s.live {
		if live.dead(now) {
			delete(s.live, key)
		} else if at := live.used.Load(); used == 0 || at < used {
			oldest, used = key, at
		}
		if looked++; looked == 8 {
			break
		}
	}
	if len(s.live) >= shardSessions {
		delete(s.live, oldest)
	}
}

// end ends a session: at once in memory, then in the store. An error says that the store still has it.
func (s *Sessions) end(ctx context.Context, handle string, live *liveSession) error {
	live.ended.Store(true)
	if err := s.records.Delete(ctx, handle); err != nil {
		return err // the dead session stays in memory, where it refuses the handle
	}
	key := digestOf(handle)
	shard := s.shard(&key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.live[key] == live {
		delete(shard.live, key)
	}
	return nil
}

// use takes note of a use, and tells whether it is time that the store learns of it.
func (l *liveSession) use(now time.Time) bool {
	millis := now.UnixMilli()
	l.used.Store(millis)
	written := l.written.Load()
	return millis-written >= writeEvery(l.idle).Milliseconds() && l.written.CompareAndSwap(written, millis)
}

// noteUse has the store learn of a use; there it also turns out when another node has ended the session.
func (s *Sessions) noteUse(ctx context.Context, handle string, live *liveSession, now time.Time) error {
	// The reverse of the order in which a look-up stores them: the session is no older than what is said of it.
	renewals, refreshed := live.renewals.Load(), time.UnixMilli(live.refreshed.Load())
	session := live.session()
	return s.update(ctx, handle, live, func(next *sessionRecord) {
		next.Used = now
		if next.Renewals == renewals && !refreshed.Before(next.Refreshed) { // else another node knows better
			next.keep(handle, session)
			next.Refreshed = refreshed
		}
	})
}

// retire lets a session that was replaced live on only for requests that are on their way.
func (s *Sessions) retire(ctx context.Context, handle string, live *liveSession, now time.Time) error {
	end := now.Add(30 * time.Second)
	if end.UnixMilli() >= live.expires.Load() {
		return nil
	}
	live.expires.Store(end.UnixMilli())
	return s.update(ctx, handle, live, func(next *sessionRecord) { next.Expires = end })
}

// update changes the record; ErrSessionEnded where it is gone, and then it is not brought back.
func (s *Sessions) update(ctx context.Context, handle string, live *liveSession, change func(*sessionRecord)) error {
	err := s.records.Update(ctx, handle, func(old *sessionRecord) (*sessionRecord, time.Time, error) {
		if old == nil {
			return nil, time.Time{}, ErrSessionEnded
		}
		next := *old
		change(&next)
		return &next, next.until(), nil
	})
	if errors.Is(err, ErrSessionEnded) {
		live.ended.Store(true)
	}
	return err
}

// recall asks the store whether a session that looks idle here was used elsewhere.
func (s *Sessions) recall(ctx context.Context, handle string, live *liveSession) error {
	record, err := s.records.Get(ctx, handle)
	if errors.Is(err, store.ErrNotFound) {
		return ErrSessionEnded
	}
	if err == nil && record.Used.UnixMilli() > live.used.Load() {
		live.used.Store(record.Used.UnixMilli())
	}
	return err
}

package tokeninject

import (
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// The cache of verified tokens has next to no pointers: entries are plain numbers, and places in chunks of text. The
// garbage collector has nothing to walk there, however many tokens it holds. Chunks are filled one after the other;
// when a shard has all it may have, the oldest is let go with what it holds. What was written into a chunk
// stays as it is, so that identities share its text instead of having copies. One cache belongs to one gate, since an
// entry also says what that gate's requirements made of the token.
const (
	cacheShards = 16
	chunkSize   = 16 << 10 // of text
	shardChunks = 128      // at most 32 MiB of text in all: more than 60 000 tokens of 700 bytes
	maxEntry    = 16 << 10 // what is larger is verified each time
	tokenFields = 7        // of an Identity
)

type tokenCache struct {
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu     sync.RWMutex
	index  map[uint64]place // of the hash's first 8 bytes
	chunks []*cacheChunk
	at     int // chunk that is being filled
}

// place is where an entry is.
type place struct{ chunk, entry uint16 }

type cacheChunk struct {
	entries []cachedToken
	text    strings.Builder
}

// cachedToken is a verified token, but for its text.
type cachedToken struct {
	hash            digest
	expires, issued int64  // Unix seconds, as until
	until           int64  // when the issuer has to be asked again
	epoch           uint64 // of the feed that it was last held against
	fits            uint64 // of the judgement, as failed
	failed          int32
	text            uint32 // where its text begins; claims and fields are places in that
	claims          uint16 // length
	source          uint8
	fields          [tokenFields][2]uint16 // place and length
}

func newTokenCache() *tokenCache { return &tokenCache{} }

func (c *tokenCache) shard(hash *digest) *cacheShard { return &c.shards[hash[15]%cacheShards] }

// cacheHit is what the cache knows of a token besides its identity.
type cacheHit struct {
	judged judgement
	epoch  uint64 // of the feed that it was last held against
	source uint8
}

// get reads the identity of a token whose end is still to come, but for whose word it is: see source.
func (c *tokenCache) get(hash *digest, now time.Time, id *Identity) (seen cacheHit, ok bool) {
	s := c.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	chunk, entry := s.find(hash)
	if entry == nil || now.Unix() >= entry.until {
		return cacheHit{}, false
	}
	entry.read(chunk.text.String()[entry.text:], id)
	return cacheHit{judgement{int(entry.failed), entry.fits}, entry.epoch, entry.source}, true
}

func (s *cacheShard) find(hash *digest) (*cacheChunk, *cachedToken) {
	at, ok := s.index[binary.LittleEndian.Uint64(hash[:])]
	if !ok {
		return nil, nil
	}
	chunk := s.chunks[at.chunk]
	entry := &chunk.entries[at.entry]
	if entry.hash != *hash {
		return nil, nil
	}
	return chunk, entry
}

// put remembers a verified token to its end, or to until if that is not zero and comes first.
func (c *tokenCache) put(hash *digest, id *Identity, judged judgement, epoch uint64, until time.Time) {
	if until.IsZero() || id.Expires.Before(until) {
		until = id.Expires
	}
	entry := cachedToken{
		hash: *hash, expires: id.Expires.Unix(), issued: id.IssuedAt.Unix(), until: until.Unix(), epoch: epoch,
		fits: judged.fits, failed: int32(judged.failed), source: id.from.index, //nolint:gosec // a small index or -1
	}
	text := entry.write(id)
	if len(text) > maxEntry {
		return
	}
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	chunk := s.room(len(text))
	entry.text = uint32(chunk.text.Len()) //nolint:gosec // a chunk is small
	chunk.text.WriteString(text)
	chunk.entries = append(chunk.entries, entry)
	s.index[entry.key()] = place{uint16(s.at), uint16(len(chunk.entries) - 1)} //nolint:gosec // few chunks; a chunk's text bounds its entries
}

func (t *cachedToken) key() uint64 { return binary.LittleEndian.Uint64(t.hash[:]) }

// room returns a chunk that so much text fits in: the one that is being filled, else the next, a new one while there
// may be more, then one that takes the place of the oldest.
func (s *cacheShard) room(text int) *cacheChunk {
	if s.index == nil {
		s.index, s.at = map[uint64]place{}, -1
	} else if chunk := s.chunks[s.at]; chunk.text.Cap()-chunk.text.Len() >= text {
		return chunk
	}
	chunk := &cacheChunk{entries: make([]cachedToken, 0, 16)}
	chunk.text.Grow(chunkSize)
	if s.at = (s.at + 1) % shardChunks; s.at == len(s.chunks) {
		s.chunks = append(s.chunks, chunk)
		return chunk
	}
	for i := range s.chunks[s.at].entries {
		key := s.chunks[s.at].entries[i].key()
		if s.index[key] == (place{uint16(s.at), uint16(i)}) { //nolint:gosec // as in put
			delete(s.index, key)
		}
	}
	s.chunks[s.at] = chunk
	return chunk
}

// drop forgets a token.
func (c *tokenCache) drop(hash *digest) {
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, entry := s.find(hash); entry != nil {
		delete(s.index, entry.key())
	}
}

// confirm notes that a token was not among those revoked at an epoch.
func (c *tokenCache) confirm(hash *digest, epoch uint64) {
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, entry := s.find(hash); entry != nil {
		entry.epoch = epoch
	}
}

// write returns an identity's text: the claims, and those fields that don't stand in the claims as they are. The entry
// learns where they are, if the text is not too large to keep.
func (t *cachedToken) write(id *Identity) string {
	text := id.claims
	for i, field := range id.fields() {
		at := strings.Index(text, *field)
		if at < 0 {
			at = len(text)
			text += *field
		}
		if len(text) > maxEntry {
			break
		}
		t.fields[i] = [2]uint16{uint16(at), uint16(len(*field))} //nolint:gosec // below maxEntry
	}
	t.claims = uint16(min(len(id.claims), maxEntry))
	return text
}

// read is write's other half.
func (t *cachedToken) read(text string, id *Identity) {
	*id = Identity{
		Expires: time.Unix(t.expires, 0), IssuedAt: time.Unix(t.issued, 0), claims: text[:t.claims],
	}
	if t.until < t.expires {
		id.again = t.until
	}
	for i, field := range id.fields() {
		at, length := t.fields[i][0], t.fields[i][1]
		*field = text[at : at+length]
	}
}

// fields are the texts that an entry keeps places of.
func (id *Identity) fields() [tokenFields]*string {
	return [...]*string{&id.Subject, &id.ClientID, &id.Username, &id.SessionID, &id.GrantID, &id.TokenID, &id.Scope}
}

const (
	// refusedFor is how long a refused token is remembered: long enough to make a flood cheap, short
	// enough for a key that the issuer is about to publish.
	refusedFor   = 5 * time.Second
	refusedSlots = 4096
)

// refusedTokens remembers tokens that were refused a moment ago (A5). It never grows: a newer token
// takes the place of an older one.
type refusedTokens struct {
	mu    sync.Mutex
	slots [refusedSlots]refusedToken
}

type refusedToken struct {
	hash  digest
	until int64 // Unix milliseconds
}

func (t *refusedTokens) slot(hash *digest) *refusedToken {
	return &t.slots[binary.LittleEndian.Uint16(hash[8:])%refusedSlots]
}

func (t *refusedTokens) has(hash *digest, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := t.slot(hash)
	return now.UnixMilli() < slot.until && slot.hash == *hash
}

func (t *refusedTokens) add(hash *digest, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*t.slot(hash) = refusedToken{hash: *hash, until: now.Add(refusedFor).UnixMilli()}
}

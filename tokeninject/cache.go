package tokeninject

import (
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// The cache of verified tokens keeps no pointers: entries are bytes in chunks, found by an index of
// plain numbers. The garbage collector has nothing to walk there, however many tokens it holds.
// Chunks are filled one after the other; when a shard has all it may have, the oldest is filled
// anew and what it held is forgotten. One cache belongs to one gate, since an entry also says what
// that gate's requirements made of the token.
const (
	cacheShards = 16
	chunkSize   = 64 << 10
	shardChunks = 32               // at most 32 MiB in all: more than 40 000 tokens of 700 bytes
	maxEntry    = chunkSize / 4    // what is larger is verified each time
	entryAlign  = 8                // lets a position in a shard fit 32 bits
	entryHead   = 32 + 5*8 + 4*2*8 // hash; expiry, issue, epoch, end, fits; length, failed and source, 8 places of fields
)

type tokenCache struct {
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu     sync.RWMutex
	index  map[uint64]uint32 // of the hash's first 8 bytes: position / entryAlign
	chunks [][]byte
	used   [shardChunks]int
	at     int // chunk that is being filled
}

func newTokenCache() *tokenCache { return &tokenCache{} }

func (c *tokenCache) shard(hash *[32]byte) *cacheShard { return &c.shards[hash[31]%cacheShards] }

// get returns the identity of a token whose end is still to come, what the gate makes of it, and the
// epoch of the feed that it was last held against.
func (c *tokenCache) get(hash *[32]byte, now time.Time) (id *Identity, judged judgement, epoch uint64) {
	s := c.shard(hash)
	s.mu.RLock()
	entry := s.find(hash)
	if entry == nil || now.Unix() >= int64(binary.LittleEndian.Uint64(entry[56:])) { //nolint:gosec // put made it from an int64
		s.mu.RUnlock()
		return nil, judgement{}, 0
	}
	var head [entryHead]byte
	copy(head[:], entry)
	text := string(entry[entryHead : entryHead+int(binary.LittleEndian.Uint32(head[72:]))])
	s.mu.RUnlock()
	return decodeEntry(&head, text)
}

func (s *cacheShard) find(hash *[32]byte) []byte {
	position, ok := s.index[binary.LittleEndian.Uint64(hash[:])]
	if !ok {
		return nil
	}
	at := int(position) * entryAlign
	entry := s.chunks[at/chunkSize][at%chunkSize:]
	if [32]byte(entry) != *hash {
		return nil
	}
	return entry
}

// put remembers a verified token to its end, or to until if that is not zero and comes first.
func (c *tokenCache) put(hash *[32]byte, id *Identity, judged judgement, epoch uint64, until time.Time) {
	entry := encodeEntry(hash, id, judged, epoch, until)
	if entry == nil {
		return
	}
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index == nil {
		s.index, s.chunks = map[uint64]uint32{}, [][]byte{make([]byte, chunkSize)}
	}
	if s.used[s.at]+len(entry) > chunkSize {
		s.advance()
	}
	at := s.at*chunkSize + s.used[s.at]
	copy(s.chunks[s.at][s.used[s.at]:], entry)
	s.used[s.at] += len(entry)
	s.index[binary.LittleEndian.Uint64(hash[:])] = uint32(at / entryAlign) //nolint:gosec // at most shardChunks*chunkSize
}

// advance goes to the next chunk, a new one while there may be more, else the oldest.
func (s *cacheShard) advance() {
	s.at = (s.at + 1) % shardChunks
	if s.at == len(s.chunks) {
		s.chunks = append(s.chunks, make([]byte, chunkSize))
		return
	}
	chunk := s.chunks[s.at]
	for offset := 0; offset < s.used[s.at]; {
		key := binary.LittleEndian.Uint64(chunk[offset:])
		if s.index[key] == uint32((s.at*chunkSize+offset)/entryAlign) { //nolint:gosec // as in put
			delete(s.index, key)
		}
		offset += entrySize(int(binary.LittleEndian.Uint32(chunk[offset+72:])))
	}
	s.used[s.at] = 0
}

// drop forgets a token.
func (c *tokenCache) drop(hash *[32]byte) {
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(hash) != nil {
		delete(s.index, binary.LittleEndian.Uint64(hash[:]))
	}
}

// confirm notes that a token was not among those revoked at an epoch.
func (c *tokenCache) confirm(hash *[32]byte, epoch uint64) {
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry := s.find(hash); entry != nil {
		binary.LittleEndian.PutUint64(entry[48:], epoch)
	}
}

func entrySize(text int) int { return (entryHead + text + entryAlign - 1) / entryAlign * entryAlign }

// encodeEntry writes an entry: the head, the claims, and those fields that don't stand in the claims
// as they are. nil: it is too large.
func encodeEntry(hash *[32]byte, id *Identity, judged judgement, epoch uint64, until time.Time) []byte {
	if until.IsZero() || id.Expires.Before(until) {
		until = id.Expires
	}
	head := make([]byte, entryHead, entryHead+len(id.claims)+64)
	copy(head, hash[:])
	binary.LittleEndian.PutUint64(head[32:], uint64(id.Expires.Unix()))  //nolint:gosec // get turns it back
	binary.LittleEndian.PutUint64(head[40:], uint64(id.IssuedAt.Unix())) //nolint:gosec // get turns it back
	binary.LittleEndian.PutUint64(head[48:], epoch)
	binary.LittleEndian.PutUint64(head[64:], judged.fits)
	binary.LittleEndian.PutUint64(head[56:], uint64(until.Unix()))                         //nolint:gosec // get turns it back
	binary.LittleEndian.PutUint32(head[76:], uint32(judged.failed+1)<<8|uint32(id.source)) //nolint:gosec // a small index or -1
	text := id.claims
	for i, field := range id.fields() {
		place := strings.Index(text, *field)
		if place < 0 {
			place = len(text)
			text += *field
		}
		if entrySize(len(text)) > maxEntry {
			return nil
		}
		binary.LittleEndian.PutUint16(head[80+4*i:], uint16(place))         //nolint:gosec // below maxEntry
		binary.LittleEndian.PutUint16(head[80+4*i+2:], uint16(len(*field))) //nolint:gosec // below maxEntry
	}
	binary.LittleEndian.PutUint16(head[entryHead-4:], uint16(len(id.claims))) //nolint:gosec // below maxEntry
	binary.LittleEndian.PutUint32(head[72:], uint32(len(text)))               //nolint:gosec // below maxEntry
	entry := append(head, text...)
	return append(entry, make([]byte, entrySize(len(text))-len(entry))...)
}

// decodeEntry is encodeEntry's other half. All texts of the identity share one piece of memory.
func decodeEntry(head *[entryHead]byte, text string) (id *Identity, judged judgement, epoch uint64) {
	id = &Identity{
		Expires:  time.Unix(int64(binary.LittleEndian.Uint64(head[32:])), 0), //nolint:gosec // see encodeEntry
		IssuedAt: time.Unix(int64(binary.LittleEndian.Uint64(head[40:])), 0), //nolint:gosec // see encodeEntry
		source:   head[76],
		claims:   text[:binary.LittleEndian.Uint16(head[entryHead-4:])],
	}
	if until := int64(binary.LittleEndian.Uint64(head[56:])); until < id.Expires.Unix() { //nolint:gosec // see encodeEntry
		id.again = until
	}
	for i, field := range id.fields() {
		place, length := binary.LittleEndian.Uint16(head[80+4*i:]), binary.LittleEndian.Uint16(head[80+4*i+2:])
		*field = text[place : place+length]
	}
	judged = judgement{int(binary.LittleEndian.Uint32(head[76:])>>8) - 1, binary.LittleEndian.Uint64(head[64:])}
	return id, judged, binary.LittleEndian.Uint64(head[48:])
}

// fields are the texts that an entry keeps places of.
func (id *Identity) fields() [7]*string {
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
	hash  [16]byte
	until int64 // Unix milliseconds
}

func (t *refusedTokens) slot(hash *[32]byte) *refusedToken {
	return &t.slots[binary.LittleEndian.Uint16(hash[16:])%refusedSlots]
}

func (t *refusedTokens) has(hash *[32]byte, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := t.slot(hash)
	return now.UnixMilli() < slot.until && slot.hash == [16]byte(hash[:16])
}

func (t *refusedTokens) add(hash *[32]byte, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*t.slot(hash) = refusedToken{hash: [16]byte(hash[:16]), until: now.Add(refusedFor).UnixMilli()}
}

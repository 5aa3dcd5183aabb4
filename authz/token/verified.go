package token

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

const (
	// verifiedShards and shardVerified bound what a Verifier remembers of good
	// signatures: 4096 of them in 128 KB, however many tokens there are.
	verifiedShards = 16
	shardVerified  = 256
)

// verifiedTokens remembers which tokens had a good signature. The arithmetic of
// one costs fifty times a hash, and the same token comes again and again to
// whoever introspects it. It holds the hash of the whole token, whose bytes can
// neither change nor verify otherwise under keys that never change; what the
// token says of its time is judged anew each time. A newer one takes the place
// of an older, and a bad signature never gets in, so a flood of forgeries
// neither grows it nor drives anything out.
type verifiedTokens struct {
	shards [verifiedShards]verifiedShard
}

type verifiedShard struct {
	mu     sync.RWMutex
	hashes [shardVerified][sha256.Size]byte
}

func (v *verifiedTokens) has(hash *[sha256.Size]byte) bool {
	shard, slot := v.place(hash)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return *slot == *hash
}

func (v *verifiedTokens) add(hash *[sha256.Size]byte) {
	shard, slot := v.place(hash)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	*slot = *hash
}

func (v *verifiedTokens) place(hash *[sha256.Size]byte) (*verifiedShard, *[sha256.Size]byte) {
	shard := &v.shards[hash[0]%verifiedShards]
	return shard, &shard.hashes[binary.LittleEndian.Uint16(hash[1:])%shardVerified]
}

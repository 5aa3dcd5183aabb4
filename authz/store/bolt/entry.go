package bolt

import (
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// expiryLen is how many bytes an expiry takes, before a value and before a key
// of the index.
const expiryLen = 8

// entry is one entry as it lies in the file. The value is bbolt's memory: it is
// valid within the transaction and must not be changed.
type entry struct {
	expires int64 // as store.Millis gives it
	value   []byte
}

// parseEntry reads an entry; a damaged one reads as long expired.
func parseEntry(raw []byte) entry {
	if len(raw) < expiryLen {
		return entry{expires: 1}
	}
	//nolint:gosec // G115: written from a non-negative int64.
	return entry{expires: int64(binary.BigEndian.Uint64(raw)), value: raw[expiryLen:]}
}

// copyValue returns the value as the caller's own bytes, never nil.
func (e entry) copyValue() []byte {
	return append(make([]byte, 0, len(e.value)), e.value...)
}

// getEntry returns the entry under key, live or not.
func getEntry(tx *bbolt.Tx, key []byte) (entry, bool) {
	raw := tx.Bucket(entriesBucket).Get(key)
	if raw == nil {
		return entry{}, false
	}
	return parseEntry(raw), true
}

// putEntry sets the entry under key and moves its place in the index.
func putEntry(tx *bbolt.Tx, key, value []byte, expires int64) error {
	old, ok := getEntry(tx, key)
	if ok && old.expires != expires {
		if err := unindex(tx, key, old.expires); err != nil {
			return err
		}
	}
	if expires != 0 && (!ok || old.expires != expires) {
		if err := tx.Bucket(expiryBucket).Put(indexKey(expires, key), nil); err != nil {
			return err
		}
	}
	return tx.Bucket(entriesBucket).Put(key, append(appendExpiry(make([]byte, 0, expiryLen+len(value)), expires), value...))
}

// deletion returns the change that removes the entry under key with its place in
// the index, nil when there is none: then nothing needs a commit.
func deletion(tx *bbolt.Tx, key []byte) change {
	old, ok := getEntry(tx, key)
	if !ok {
		return nil
	}
	return func() error {
		if err := unindex(tx, key, old.expires); err != nil {
			return err
		}
		return tx.Bucket(entriesBucket).Delete(key)
	}
}

// expired returns the places in the index of at most limit entries that expired
// by now, soonest first.
func expired(tx *bbolt.Tx, now int64, limit int) [][]byte {
	var places [][]byte
	c := tx.Bucket(expiryBucket).Cursor()
	for at, _ := c.First(); at != nil && len(places) < limit; at, _ = c.Next() {
		//nolint:gosec // G115: written from a non-negative int64.
		if int64(binary.BigEndian.Uint64(at)) > now {
			break
		}
		places = append(places, append([]byte(nil), at...))
	}
	return places
}

// deleteExpired removes the entries at these places of the index.
func deleteExpired(tx *bbolt.Tx, places [][]byte) error {
	for _, at := range places {
		if err := tx.Bucket(expiryBucket).Delete(at); err != nil {
			return err
		}
		if err := tx.Bucket(entriesBucket).Delete(at[expiryLen:]); err != nil {
			return err
		}
	}
	return nil
}

func unindex(tx *bbolt.Tx, key []byte, expires int64) error {
	if expires == 0 {
		return nil
	}
	return tx.Bucket(expiryBucket).Delete(indexKey(expires, key))
}

func indexKey(expires int64, key []byte) []byte {
	return append(appendExpiry(make([]byte, 0, expiryLen+len(key)), expires), key...)
}

func appendExpiry(b []byte, expires int64) []byte {
	//nolint:gosec // G115: store.Millis is never negative.
	return binary.BigEndian.AppendUint64(b, uint64(expires))
}

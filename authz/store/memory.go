package store

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// Memory is a Store that forgets everything when the process ends. It is meant
// for tests and development: one lock guards it. Make one with [NewMemory].
type Memory struct {
	now func() time.Time

	mu     sync.RWMutex
	items  map[string]item
	keys   sortedSet // every key, for Scan
	expiry sortedSet // expiryKey of every entry that expires, for Purge
	closed bool
}

// item is one entry; its value is never changed in place.
type item struct {
	value   []byte
	expires int64 // as Millis gives it
}

// NewMemory returns an empty store whose expiry follows now; nil means
// time.Now.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now, items: make(map[string]item)}
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkOp(ctx, key); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	value := m.live(key)
	if value == nil {
		return nil, ErrNotFound
	}
	return value, nil
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, key string, value []byte, expires time.Time) error {
	value = clone(value)
	return m.Update(ctx, key, func([]byte) ([]byte, time.Time, error) { return value, expires, nil })
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, key string) error {
	return m.Update(ctx, key, func([]byte) ([]byte, time.Time, error) { return nil, time.Time{}, nil })
}

// Update implements Store. fn runs with the store locked.
func (m *Memory) Update(ctx context.Context, key string, fn UpdateFunc) error {
	if err := checkOp(ctx, key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	next, expires, err := fn(m.live(key))
	if err != nil {
		return err
	}
	m.remove(key)
	if next != nil {
		m.add(key, item{value: clone(next), expires: Millis(expires)})
	}
	return nil
}

// Scan implements Store. Its cost grows with the entries it visits and the
// logarithm of those it does not.
func (m *Memory) Scan(ctx context.Context, prefix, from string, n int) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	var entries []Entry
	m.keys.ascend(max(prefix, from), func(key string) bool {
		if len(entries) >= n || !strings.HasPrefix(key, prefix) {
			return false
		}
		if value := m.live(key); value != nil && (from == "" || key > from) {
			entries = append(entries, Entry{Key: key, Value: value, Expires: Expiry(m.items[key].expires)})
		}
		return true
	})
	return entries, nil
}

// Purge implements Store.
func (m *Memory) Purge(ctx context.Context, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, ErrClosed
	}
	var dead []string
	m.expiry.ascend("", func(entry string) bool {
		key := entry[8:]
		if len(dead) >= limit || Live(m.items[key].expires, m.now()) {
			return false
		}
		dead = append(dead, key)
		return true
	})
	for _, key := range dead {
		m.remove(key)
	}
	return len(dead), nil
}

// Ping implements Store.
func (m *Memory) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ErrClosed
	}
	return nil
}

// Close implements Store and frees the entries.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.items, m.keys, m.expiry = nil, sortedSet{}, sortedSet{}
	return nil
}

// live returns a copy of the value under key, nil when there is none.
func (m *Memory) live(key string) []byte {
	it, ok := m.items[key]
	if !ok || !Live(it.expires, m.now()) {
		return nil
	}
	return clone(it.value)
}

// add puts an entry where none is.
func (m *Memory) add(key string, it item) {
	m.items[key] = it
	m.keys.insert(key)
	if it.expires != 0 {
		m.expiry.insert(expiryKey(it.expires, key))
	}
}

// remove drops the entry under key, live or not.
func (m *Memory) remove(key string) {
	it, ok := m.items[key]
	if !ok {
		return
	}
	delete(m.items, key)
	m.keys.remove(key)
	if it.expires != 0 {
		m.expiry.remove(expiryKey(it.expires, key))
	}
}

// expiryKey orders entries by their expiry, then by key.
func expiryKey(millis int64, key string) string {
	//nolint:gosec // G115: Millis is never negative.
	return string(binary.BigEndian.AppendUint64(nil, uint64(millis))) + key
}

// clone copies a value; an absent one becomes empty, because nil means absent.
func clone(value []byte) []byte {
	return append(make([]byte, 0, len(value)), value...)
}

// checkOp refuses what no store may begin.
func checkOp(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return CheckKey(key)
}

var _ Store = (*Memory)(nil)

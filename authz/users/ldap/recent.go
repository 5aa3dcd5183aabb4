package ldap

import "sync"

// recent is a map that holds at least the last max keys and at most twice as many.
type recent[V any] struct {
	mu         sync.Mutex
	max        int
	young, old map[string]V
}

func newRecent[V any](limit int) *recent[V] {
	return &recent[V]{max: limit, young: make(map[string]V)}
}

func (r *recent[V]) get(key string) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.young[key]; ok {
		return v, true
	}
	v, ok := r.old[key]
	if ok {
		r.keep(key, v)
	}
	return v, ok
}

func (r *recent[V]) put(key string, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(key, v)
}

func (r *recent[V]) keep(key string, v V) {
	if len(r.young) >= r.max {
		r.young, r.old = make(map[string]V), r.young
	}
	r.young[key] = v
}

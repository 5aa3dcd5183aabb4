package revocation

import "sync"

// Subscribe has fn called after each change of the feed, on the goroutine that
// revoked; fn must not block. The calls of concurrent revocations may overlap.
// After cancel no new call begins, though one under way may still end.
func (f *Feed) Subscribe(fn func()) (cancel func()) {
	f.watchersMu.Lock()
	defer f.watchersMu.Unlock()
	f.lastWatcher++
	id := f.lastWatcher
	f.watchers[id] = fn
	return sync.OnceFunc(func() {
		f.watchersMu.Lock()
		defer f.watchersMu.Unlock()
		delete(f.watchers, id)
	})
}

// notify calls the subscribers with no lock held, so that one may use the feed.
func (f *Feed) notify() {
	f.watchersMu.Lock()
	fns := make([]func(), 0, len(f.watchers))
	for _, fn := range f.watchers {
		fns = append(fns, fn)
	}
	f.watchersMu.Unlock()
	for _, fn := range fns {
		fn()
	}
}

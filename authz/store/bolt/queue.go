package bolt

import (
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/gatewright/gatewright/authz/store"
)

// batchLen bounds the operations of one commit, and so how long the first of
// them waits for the rest.
const batchLen = 1024

// change is what an operation does to the file once nothing can refuse it any
// more; nil is no change. When it fails, so does the whole transaction.
type change func() error

// op is one write on its way through the queue.
type op struct {
	// plan reads, decides, and returns the change; it changes nothing itself.
	plan func(*bbolt.Tx) (change, error)
	// claimed goes true once: by the writer that runs the op, or by the caller
	// that withdraws it.
	claimed  atomic.Bool
	result   error // of plan
	panicked any   // value of a panic in plan
	err      error // what the caller gets, valid once done is closed
	done     chan struct{}
}

// withdraw takes the op out of the queue; false means that it is too late.
func (o *op) withdraw() bool { return o.claimed.CompareAndSwap(false, true) }

// decide runs plan and keeps its failure; the change is nil then. A panic is kept for the caller, since
// here it would end the writer, and the process with it, for everyone.
func (o *op) decide(tx *bbolt.Tx) (apply change) {
	defer func() {
		if p := recover(); p != nil {
			apply, o.panicked = nil, p
		}
	}()
	apply, o.result = o.plan(tx)
	if o.result != nil {
		return nil
	}
	return apply
}

// queue holds the writes that wait for the next commit. Each is a caller that
// waits too, so it needs no bound of its own.
type queue struct {
	mu      sync.Mutex
	filled  sync.Cond // signals waiting or closed
	waiting []*op
	closed  bool
	drained chan struct{} // closed when the writer has ended
}

func (q *queue) init() {
	q.filled.L = &q.mu
	q.drained = make(chan struct{})
}

// push appends an op, or answers store.ErrClosed.
func (q *queue) push(o *op) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return store.ErrClosed
	}
	q.waiting = append(q.waiting, o)
	q.filled.Signal()
	return nil
}

// next waits for ops and claims all there are, up to batchLen. It returns false
// when the queue is closed and empty.
func (q *queue) next() ([]*op, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.waiting) == 0 {
			if q.closed {
				return nil, false
			}
			q.filled.Wait()
		}
		if batch := q.claim(); len(batch) > 0 {
			return batch, true
		}
	}
}

// claim takes up to batchLen ops out of the queue and drops withdrawn ones.
func (q *queue) claim() []*op {
	n := min(len(q.waiting), batchLen)
	batch := make([]*op, 0, n)
	for _, o := range q.waiting[:n] {
		if o.claimed.CompareAndSwap(false, true) {
			batch = append(batch, o)
		}
	}
	rest := len(q.waiting) - n
	copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	return batch
}

// close refuses further ops; those that wait are still committed.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Signal()
}

package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz"
)

// issuer is one authorization server in one generation of the config: ours, or another process's whose
// logins and sessions our gates keep. A reload makes a new one over the same state; the old one lives on
// until its last request has ended.
type issuer struct {
	name     string
	url      string
	config   uint64        // serial of the config that made it
	replaced atomic.Bool   // that config has ended
	server   *authz.Server // nil: another process's
	storage  Storage
	where    string       // what storage calls its place
	gates    *gateState   // shared with other generations
	runner   Runner       // the store of users, where it has something to run; else nil
	probe    *grantsProbe // nil where people's grants are in the store
	locks    lateStore    // what issuers of one store share
	parts    []Examined   // what doctor looks at
	warnings []Finding    // what doctor repeats of the configuration's warnings
	log      *zap.Logger

	lease *lease
	ready chan struct{} // closed by start
	atEnd []func()      // what end does, in this order
}

// newIssuer makes an issuer that start lets go. It opens nothing.
func newIssuer(name, url string, storage Storage, log *zap.Logger) (*issuer, error) {
	where, err := storage.Key(url)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	is := &issuer{name: name, url: url, storage: storage, where: where, log: log, ready: make(chan struct{})}
	gates, release, err := acquire("gates "+is.stateKey(), newGateState)
	if err != nil {
		return nil, err
	}
	is.gates = gates
	is.lease = newLease(is.end)
	is.finally(func() { is.tell(release()) })
	return is, nil
}

// stateKey names the issuer's state among all that the process holds.
func (is *issuer) stateKey() string { return is.where + " " + is.url }

// start opens the state, or takes a share in it, and begins to serve.
func (is *issuer) start(ctx context.Context) error {
	state, release, err := acquire("state "+is.stateKey(), func() (*sharedState, error) {
		return openState(ctx, is.where, is.storage, is.url, is.log)
	})
	if err != nil {
		return err
	}
	is.finally(func() { is.tell(release()) })
	is.gates.store.set(state.Store())
	is.locks.set(state.locks)
	if is.runner != nil {
		is.runner.Start()
		is.finally(is.runner.Close)
	}
	if is.probe != nil {
		stop, err := is.probe.start(ctx)
		if err != nil {
			return err
		}
		is.finally(stop)
	}
	if is.server != nil {
		if err := is.server.Start(ctx, state.State); err != nil {
			return err
		}
		is.finally(is.server.Stop)
	}
	close(is.ready)
	return nil
}

// finally adds something to do once nobody uses this generation any more. It is for the time in
// which a config is provisioned and started, which is one goroutine.
func (is *issuer) finally(do func()) { is.atEnd = append(is.atEnd, do) }

func (is *issuer) end() {
	for _, do := range is.atEnd {
		do()
	}
}

func (is *issuer) tell(err error) {
	if err != nil {
		is.log.Error("closing state failed", zap.Error(err))
	}
}

// startWait bounds how long a request waits for a config that is starting.
const startWait = 10 * time.Second

var (
	errStarting = errors.New("the authorization server is not ready yet")
	errEnded    = errors.New("the config of this request has ended")
)

// use begins a request: it waits, bounded, until the issuer serves. Without an error the caller must
// give the lease back when the request has ended; until then all that the issuer needs stays open.
func (is *issuer) use(ctx context.Context) error {
	if !is.lease.take() {
		return errEnded
	}
	if err := is.await(ctx); err != nil {
		is.lease.give()
		return err
	}
	return nil
}

func (is *issuer) await(ctx context.Context) error {
	select {
	case <-is.ready:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWait, errStarting)
	defer cancel()
	select {
	case <-is.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

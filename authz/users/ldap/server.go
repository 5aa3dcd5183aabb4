package ldap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/users"
)

// server is one server of the directory: its connections, and whether it answers.
type server struct {
	endpoint endpoint
	cfg      *Config
	searches *pool // bound as the service account
	binds    *pool // bound as whoever was last checked
	layout   atomic.Pointer[layout]

	failed chan struct{} // has one element when it went down since watch last looked

	mu    sync.Mutex
	cause error     // why it is down, nil while it is up
	since time.Time // when it went down
}

func newServer(cfg *Config, e endpoint) *server {
	s := &server{endpoint: e, cfg: cfg, failed: make(chan struct{}, 1)}
	s.searches = newPool(cfg.Pool, cfg.Now, s.dialBound)
	s.binds = newPool(cfg.Pool, cfg.Now, e.dial)
	return s
}

// dialBound connects and binds the service account. The first connection also learns the layout.
func (s *server) dialBound(ctx context.Context) (*conn, error) {
	c, err := s.endpoint.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.signOn(ctx, c); err != nil {
		c.discard()
		return nil, err
	}
	return c, nil
}

func (s *server) signOn(ctx context.Context, c *conn) error {
	if s.cfg.BindDN != "" {
		if _, err := c.bind(ctx, s.cfg.BindDN, s.cfg.Password); err != nil {
			return fmt.Errorf("bind of the service account: %w", err)
		}
	}
	if s.layout.Load() != nil {
		return nil
	}
	l, err := readLayout(ctx, c, s.cfg)
	if err != nil {
		return err
	}
	s.layout.Store(l)
	return nil
}

// run lets op use a connection of a pool within Timeout. A connection that was dropped while it rested
// costs one more try. A server that gives no answer is taken out.
func (s *server) run(caller context.Context, p *pool, op func(context.Context, *conn) error) error {
	ctx, cancel := context.WithTimeout(caller, s.cfg.Timeout)
	defer cancel()
	for {
		c, reused, err := p.get(ctx)
		if err != nil {
			return s.unavailable(caller, err)
		}
		err = op(ctx, c)
		answered, dropped := !errors.Is(err, errLost), c.IsClosing()
		p.put(c, answered)
		if answered {
			return err
		}
		if !reused || !dropped {
			return s.unavailable(caller, err)
		}
		p.flush() // its siblings were dropped, too: the second try is on a new one
	}
}

// unavailable takes the server out, unless it was this side that couldn't or wouldn't wait.
func (s *server) unavailable(caller context.Context, err error) error {
	if !errors.Is(err, errBusy) && !errors.Is(err, errClosed) && caller.Err() == nil {
		s.fail(err)
	}
	return fmt.Errorf("%w: %s: %w", users.ErrUnavailable, s.endpoint.url, err)
}

func (s *server) fail(err error) {
	s.mu.Lock()
	was := s.cause
	s.cause = err
	if was == nil {
		s.since = s.cfg.Now()
	}
	s.mu.Unlock()
	if was == nil {
		s.cfg.Logger.Warn("directory server is down", zap.String("server", s.endpoint.url), zap.Error(err))
		select {
		case s.failed <- struct{}{}:
		default:
		}
	}
	s.searches.flush()
	s.binds.flush()
}

// down tells since when the server doesn't answer, and why; no error when it does.
func (s *server) down() (since time.Time, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, s.cause
}

// probe asks the server for its root DSE on a connection of its own, and takes it in or out by that.
func (s *server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	c, err := s.dialBound(ctx)
	if err == nil {
		_, err = c.search(ctx, rootDSE("vendorName"))
		c.discard()
	}
	if err != nil {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.fail(err)
		}
		return fmt.Errorf("%s: %w", s.endpoint.url, err)
	}
	s.mu.Lock()
	was := s.cause
	s.cause = nil
	s.mu.Unlock()
	if was != nil {
		s.cfg.Logger.Info("directory server is back", zap.String("server", s.endpoint.url))
	}
	return nil
}

func (s *server) close() {
	s.searches.close()
	s.binds.close()
}

package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/users"
)

// Directory is people in an LDAP directory. It is safe for concurrent use.
type Directory struct {
	cfg     Config
	servers []*server // for reading, in the order of preference
	writers []*server // may be the same ones

	roles *recent[cachedRoles] // by subject
	pace  pace

	writing struct {
		mu      sync.Mutex
		current int // which of writers has the writes
	}
	stop context.CancelFunc
	done sync.WaitGroup
}

var _ users.Store = (*Directory)(nil)

// maxKnown bounds how many people's roles are remembered.
const maxKnown = 1 << 15

// New checks a configuration. It connects to nothing; the Directory works from now on, and Start lets it
// find servers that come back.
func New(cfg Config) (*Directory, error) {
	d := &Directory{cfg: cfg, roles: newRecent[cachedRoles](maxKnown)}
	if err := d.complete(); err != nil {
		return nil, fmt.Errorf("ldap: %w", err)
	}
	return d, nil
}

func (d *Directory) complete() error {
	if err := d.cfg.complete(); err != nil {
		return err
	}
	if d.cfg.Filter != "" {
		if _, err := parseLoginFilter(d.cfg.Filter); err != nil {
			return err
		}
	}
	if err := d.cfg.Roles.complete(d.cfg.Base); err != nil {
		return err
	}
	return d.addServers()
}

func (d *Directory) addServers() error {
	roots, err := d.cfg.roots()
	if err != nil {
		return err
	}
	trust := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	known := make(map[string]*server)
	add := func(list []*server, url string) ([]*server, error) {
		s := known[url]
		if s == nil {
			e, err := parseEndpoint(url, trust, d.cfg.StartTLS)
			if err != nil {
				return nil, err
			}
			if e.clear() {
				d.cfg.Logger.Warn("passwords reach the directory unencrypted: use ldaps:// or StartTLS", zap.String("server", url))
			}
			s = newServer(&d.cfg, e)
			known[url] = s
		}
		if slices.Contains(list, s) {
			return nil, fmt.Errorf("server %q is named twice", url)
		}
		return append(list, s), nil
	}
	for _, url := range d.cfg.Servers {
		if d.servers, err = add(d.servers, url); err != nil {
			return err
		}
	}
	for _, url := range d.cfg.WriteServers {
		if d.writers, err = add(d.writers, url); err != nil {
			return err
		}
	}
	return nil
}

// all are the servers for reading and writing, each once.
func (d *Directory) all() []*server {
	list := slices.Clone(d.servers)
	for _, s := range d.writers {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// How often servers are probed: one that is down soon and then ever less often; one that is up now and
// then, to learn that it hangs before people do; one that refuses the service account's password hardly
// at all, or the directory locks the account for it.
const (
	probeSoon    = time.Second
	probeSeldom  = 15 * time.Second
	probeRefused = 5 * time.Minute
)

// Start probes every server until the context ends or Close is called. A directory that can't be reached
// is no error: it is found when it comes up.
func (d *Directory) Start(ctx context.Context) {
	ctx, d.stop = context.WithCancel(ctx)
	for _, s := range d.all() {
		d.done.Go(func() { s.watch(ctx) })
	}
}

// watch probes one server for as long as the context lasts.
func (s *server) watch(ctx context.Context) {
	wait := probeSoon
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failed: // a request found it down: don't wait for the probe of a server that is up
			wait = probeSoon
			timer.Reset(wait)
			continue
		case <-timer.C:
		}
		err := s.probe(ctx)
		select {
		case <-s.failed: // no news: the probe itself has seen it
		default:
		}
		switch {
		case err == nil:
			wait = probeSoon
			timer.Reset(probeSeldom)
		case isCode(err, ldap.LDAPResultInvalidCredentials):
			timer.Reset(probeRefused)
		default:
			timer.Reset(wait)
			wait = min(2*wait, probeSeldom)
		}
	}
}

// Close ends every connection. Calls after it fail with users.ErrUnavailable.
func (d *Directory) Close() {
	if d.stop != nil {
		d.stop()
	}
	d.done.Wait()
	for _, s := range d.all() {
		s.close()
	}
}

// Health probes all servers at once. It returns nil when one for reading and the current one for writing
// answer, else what the servers said.
func (d *Directory) Health(ctx context.Context) error {
	all := d.all()
	found := make([]error, len(all))
	var probes sync.WaitGroup
	for i, s := range all {
		probes.Go(func() { found[i] = s.probe(ctx) })
	}
	probes.Wait()
	reading := slices.ContainsFunc(d.servers, func(s *server) bool { return found[slices.Index(all, s)] == nil })
	if _, err := d.writer(); !reading || err != nil {
		return fmt.Errorf("ldap: %w", errors.Join(append(found, err)...))
	}
	return nil
}

// read lets op use a connection for searches to the first server that answers.
func (d *Directory) read(ctx context.Context, op func(context.Context, *conn, *layout) error) error {
	return d.first(ctx, func(s *server) error {
		return s.run(ctx, s.searches, func(ctx context.Context, c *conn) error { return op(ctx, c, s.layout.Load()) })
	})
}

// first tries servers in their order until one answers.
func (d *Directory) first(ctx context.Context, try func(*server) error) error {
	var failures []error
	for _, s := range d.servers {
		if _, cause := s.down(); cause != nil {
			failures = append(failures, fmt.Errorf("%s: %w", s.endpoint.url, cause))
			continue
		}
		err := try(s)
		if !errors.Is(err, users.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		failures = append(failures, err)
	}
	return fmt.Errorf("%w: %w", users.ErrUnavailable, errors.Join(failures...))
}

// writer is the one server that has the writes now. When it has been down for ReplicaLag, the next
// one gets them, and keeps them: a server that came back may lack what was written meanwhile.
func (d *Directory) writer() (*server, error) {
	d.writing.mu.Lock()
	defer d.writing.mu.Unlock()
	current := d.writers[d.writing.current]
	since, cause := current.down()
	if cause == nil {
		return current, nil
	}
	if d.cfg.Now().Sub(since) >= d.cfg.ReplicaLag {
		for i, s := range d.writers {
			if _, down := s.down(); down == nil {
				d.writing.current = i
				d.cfg.Logger.Warn("another directory server has the writes now", zap.String("server", s.endpoint.url))
				return s, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: write server %s: %w", users.ErrUnavailable, current.endpoint.url, cause)
}

// update lets op use a connection to the write server.
func (d *Directory) update(ctx context.Context, op func(context.Context, *conn, *layout) error) error {
	s, err := d.writer()
	if err != nil {
		return err
	}
	return s.run(ctx, s.searches, func(ctx context.Context, c *conn) error { return op(ctx, c, s.layout.Load()) })
}

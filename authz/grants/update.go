package grants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

// contents are what a value of the attribute is worth.
type contents struct {
	doc     *document
	record  *Record
	refused []clientElement // with a bad seal
}

// Load implements Grants. It reads a replica, unless this server wrote of late.
func (g *directory) Load(ctx context.Context, user string) (*Record, error) {
	e, err := g.remembered(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("grants: load: %w", err)
	}
	read := g.cfg.Attribute.ReadReplica
	if g.cfg.Now().Before(e.Written.Add(g.cfg.ReplicaLag)) {
		read = g.cfg.Attribute.Read
	}
	raw, err := read(ctx, user)
	if errors.Is(err, users.ErrNotFound) {
		raw, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("grants: load: %w", err)
	}
	c, err := g.open(ctx, user, raw, e)
	if err != nil {
		return nil, fmt.Errorf("grants: load: %w", err)
	}
	g.reportTampered(ctx, user, c.refused)
	return c.record, nil
}

// Update implements Grants. It reads and writes on the write server.
func (g *directory) Update(ctx context.Context, user string, fn func(*Record) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, ErrBusy)
	defer cancel()
	if err := g.inTurn(ctx, user, fn); err != nil {
		return fmt.Errorf("grants: update: %w", err)
	}
	return nil
}

// inTurn makes a change when no other of this process is under way, nor of any where they can't compare.
func (g *directory) inTurn(ctx context.Context, user string, fn func(*Record) error) error {
	leave, err := g.queue.enter(ctx, user)
	if err != nil {
		return err
	}
	defer leave()
	swap, unlock, err := g.swapper(ctx, user)
	if err != nil {
		return err
	}
	defer unlock()
	var lost *change
	for wait := firstWait; ; {
		c, err := g.prepare(ctx, user, fn, lost)
		if err != nil || c == nil {
			return err
		}
		if !c.made {
			err = swap(ctx, user, c.old, c.next)
		}
		if err == nil {
			return g.remember(ctx, user, c)
		}
		if !errors.Is(err, g.cfg.Conflict) {
			return err
		}
		g.cfg.Logger.Debug("grants were changed meanwhile, reading again", zap.String("issuer", g.cfg.Issuer))
		lost = c
		if wait, err = pause(ctx, wait); err != nil {
			return err
		}
	}
}

// change is a value to write and what it changes.
type change struct {
	old, next     []byte
	before, after *Record
	made          bool // it is there already
}

// prepare reads the entry and makes of fn what is to be written, nil for nothing. lost is the change that
// met a conflict before.
func (g *directory) prepare(ctx context.Context, user string, fn func(*Record) error, lost *change) (*change, error) {
	raw, err := g.cfg.Attribute.Read(ctx, user)
	if err != nil {
		return nil, err
	}
	if lost != nil && bytes.Equal(raw, lost.next) {
		// The change was made and the answer lost; what says conflict is its repetition. fn must not see
		// its own change: a withdrawal would find nothing to end, and its caller nothing to revoke.
		lost.made = true
		return lost, nil
	}
	e, err := g.remembered(ctx, user)
	if err != nil {
		return nil, err
	}
	c, err := g.open(ctx, user, raw, e)
	if err != nil {
		return nil, err
	}
	if lost == nil {
		g.reportTampered(ctx, user, c.refused)
	}
	after := c.record.clone()
	if err := fn(after); err != nil {
		return nil, err
	}
	after.Prune(g.cfg.Now())
	holdLastUse(c.record, after)
	next, changed, err := g.compose(user, c, after)
	if err != nil || !changed {
		return nil, err
	}
	return &change{old: raw, next: next, before: c.record, after: after}, nil
}

// compose writes the value that a record makes of the document; changed is false when the record is what
// it was.
func (g *directory) compose(user string, c *contents, after *Record) (value []byte, changed bool, err error) {
	was, err := encodeClients(c.record.Clients)
	if err != nil {
		return nil, false, err
	}
	texts, err := encodeClients(after.Clients)
	if err != nil || maps.Equal(was, texts) {
		return nil, false, err
	}
	for id, text := range texts {
		texts[id] = sealed(text, g.cfg.Sealer.MAC(g.sealedParts(user, id, text)...))
	}
	value, err = c.doc.compose(texts, c.refused)
	return value, err == nil, err
}

type swapFunc func(ctx context.Context, user string, old, next []byte) error

// swapper is how a user's value is changed: by comparing, or, where the directory can't, by a replace under
// a lock that unlock gives up.
func (g *directory) swapper(ctx context.Context, user string) (swap swapFunc, unlock func(), err error) {
	replacer, ok := g.cfg.Attribute.(Replacer)
	if !ok {
		return g.cfg.Attribute.Swap, func() {}, nil
	}
	able, err := replacer.Comparable(ctx)
	if err != nil {
		return nil, nil, err
	}
	if able {
		return g.cfg.Attribute.Swap, func() {}, nil
	}
	unlock, err = lock(ctx, g.leases, user, g.cfg.Now)
	replace := func(ctx context.Context, user string, _, next []byte) error { return replacer.Replace(ctx, user, next) }
	return replace, unlock, err
}

// remembered returns what has ended of a user's grants.
func (g *directory) remembered(ctx context.Context, user string) (*ended, error) {
	e, err := g.ended.Get(ctx, user)
	if errors.Is(err, store.ErrNotFound) {
		return &ended{}, nil
	}
	return e, err
}

// remember notes what a change ended. That the caller has gone must not stop it: the directory has changed.
func (g *directory) remember(ctx context.Context, user string, c *change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return g.ended.Update(ctx, user, func(e *ended) (*ended, time.Time, error) {
		if e == nil {
			e = &ended{}
		}
		e.note(c.before, c.after, g.cfg.Now())
		return e, e.expires(g.cfg.ReplicaLag), nil
	})
}

// open takes a value apart: what is sealed, has not ended and not expired is granted.
func (g *directory) open(ctx context.Context, user string, raw []byte, e *ended) (*contents, error) {
	doc, err := parseDocument(raw, g.cfg.Issuer)
	if err != nil {
		g.cfg.Logger.Error("grants: attribute is not ours to overwrite", zap.String("subject", user), zap.Error(err))
		g.cfg.Audit(ctx, AuditEvent{Name: AuditForeign, Subject: user})
		return nil, err
	}
	c := &contents{doc: doc, record: &Record{Clients: make(map[string]*Client), frame: doc.frameSize()}}
	times := make(map[string]int)
	for _, element := range doc.clients {
		times[element.id]++
	}
	for _, element := range doc.clients {
		// We write a client once: of two, one was put there, and which is an old value nobody knows.
		if times[element.id] > 1 || !g.genuine(user, element) {
			c.refused = append(c.refused, element)
			continue
		}
		c.record.Clients[element.id] = element.client
	}
	e.apply(c.record)
	c.record.Prune(g.cfg.Now())
	return c, nil
}

// genuine reports whether this server sealed an element for this user.
func (g *directory) genuine(user string, e clientElement) bool {
	if e.client == nil {
		return false
	}
	text, err := encodeClient(e.id, e.client)
	return err == nil && g.cfg.Sealer.CheckMAC(e.seal, g.sealedParts(user, e.id, text)...)
}

// sealedParts are what a seal binds together.
func (g *directory) sealedParts(user, client, text string) []string {
	return []string{Version, g.cfg.Issuer, user, client, text}
}

func (g *directory) reportTampered(ctx context.Context, user string, refused []clientElement) {
	for _, e := range refused {
		g.cfg.Logger.Warn("grants: altered or copied, grants nothing", zap.String("subject", user), zap.String("client", e.id))
		g.cfg.Audit(ctx, AuditEvent{Name: AuditTampered, Subject: user, Client: e.id})
	}
}

// holdLastUse takes back a last use that is not yet worth a write.
func holdLastUse(before, after *Record) {
	for id, c := range after.Clients {
		for i := range c.Families {
			f := &c.Families[i]
			old := before.Family(id, f.ID)
			if old == nil {
				continue
			}
			if known := later(old.LastUsed, old.Issued); f.LastUsed.After(known) && f.LastUsed.Sub(known) < lastUseGrain {
				f.LastUsed = old.LastUsed
			}
		}
	}
}

package grants

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	// rememberConsent is how long a consent that was taken back is remembered at least. Consents don't
	// expire, so this is how old a value may be that replication or a backup brings back.
	rememberConsent = 30 * 24 * time.Hour
	// maxEnded is how many ended families of a client are remembered one by one.
	maxEnded = 256
)

// ended is what the store remembers beside a document: when it was last written and what of it ended.
// The directory may show an older value at any time; ended wins. It never makes a grant, it only takes
// away.
type ended struct {
	Written time.Time               `json:"written"`
	Clients map[string]*endedClient `json:"clients,omitempty"`
}

type endedClient struct {
	NotBefore     time.Time `json:"not_before,omitzero"` // as in Client
	KeepNotBefore time.Time `json:"keep_not_before,omitzero"`

	Consents map[string]mark `json:"consents,omitempty"` // by scope
	Families map[string]mark `json:"families,omitempty"` // by id

	// Before and Spared are what becomes of the oldest families when there are too many: all that were
	// issued up to Before ended, except those spared.
	Before mark     `json:"before,omitzero"`
	Spared []string `json:"spared,omitempty"`
}

// mark says that what was granted at this time has ended, and until when to remember it.
type mark struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"` // zero is for ever
}

// apply takes from a record what has ended.
func (e *ended) apply(r *Record) {
	for id, m := range e.Clients {
		c := r.Clients[id]
		if c == nil {
			if m.NotBefore.IsZero() {
				continue
			}
			c = r.client(id)
		}
		c.NotBefore, c.KeepNotBefore = later(c.NotBefore, m.NotBefore), later(c.KeepNotBefore, m.KeepNotBefore)
		maps.DeleteFunc(c.Consents, m.consentEnded)
		c.Families = slices.DeleteFunc(c.Families, m.familyEnded)
	}
}

func (m *endedClient) consentEnded(scope string, at time.Time) bool {
	mark, ok := m.Consents[scope]
	return ok && !at.After(mark.At)
}

func (m *endedClient) familyEnded(f Family) bool {
	if _, ok := m.Families[f.ID]; ok {
		return true
	}
	return m.collapsed(f) && !slices.Contains(m.Spared, f.ID)
}

// collapsed reports whether a family is of those that Before speaks of.
func (m *endedClient) collapsed(f Family) bool {
	return !m.Before.At.IsZero() && !f.Issued.After(m.Before.At)
}

// note remembers what a change of a record ended, and forgets what it granted anew. It notes no more than
// the change itself: those of two nodes may come here in the other order.
func (e *ended) note(before, after *Record, now time.Time) {
	e.Written = later(e.Written, now)
	for id, old := range before.Clients {
		next := after.Clients[id]
		if next == nil {
			next = &Client{}
		}
		e.client(id).noteEnded(old, next, now)
	}
	for id, next := range after.Clients {
		old := before.Clients[id]
		if old == nil {
			old = &Client{}
		}
		e.client(id).noteGranted(old, next)
	}
	e.prune(now)
}

func (e *ended) client(id string) *endedClient {
	if e.Clients == nil {
		e.Clients = make(map[string]*endedClient)
	}
	m := e.Clients[id]
	if m == nil {
		m = &endedClient{}
		e.Clients[id] = m
	}
	return m
}

func (m *endedClient) noteEnded(old, next *Client, now time.Time) {
	for scope, at := range old.Consents {
		if _, kept := next.Consents[scope]; !kept {
			if m.Consents == nil {
				m.Consents = make(map[string]mark)
			}
			m.Consents[scope] = mark{At: at, Until: later(now.Add(rememberConsent), next.KeepNotBefore)}
		}
	}
	for _, f := range old.Families {
		if next.index(f.ID) < 0 {
			m.endFamily(f)
		}
	}
	if len(m.Families) > maxEnded {
		m.collapse(next)
	}
}

func (m *endedClient) endFamily(f Family) {
	if m.collapsed(f) {
		m.Spared = slices.DeleteFunc(m.Spared, func(id string) bool { return id == f.ID })
		m.Before.Until = longer(m.Before.Until, f.Expires)
		return
	}
	if m.Families == nil {
		m.Families = make(map[string]mark)
	}
	m.Families[f.ID] = mark{At: f.Issued, Until: f.Expires}
}

func (m *endedClient) noteGranted(old, next *Client) {
	m.NotBefore, m.KeepNotBefore = later(m.NotBefore, next.NotBefore), later(m.KeepNotBefore, next.KeepNotBefore)
	for scope, at := range next.Consents {
		if was, had := old.Consents[scope]; (!had || !was.Equal(at)) && m.consentEnded(scope, at) {
			delete(m.Consents, scope) // of the same instant, or by a clock that is behind
		}
	}
	for _, f := range next.Families {
		if old.index(f.ID) >= 0 {
			continue
		}
		delete(m.Families, f.ID)
		if m.familyEnded(f) {
			m.Spared = append(m.Spared, f.ID)
		}
	}
}

// collapse puts the older half of the ended families under Before. It spares those that live, of which it
// knows from a record that may be older than the marks.
func (m *endedClient) collapse(living *Client) {
	marks := slices.SortedFunc(maps.Values(m.Families), func(a, b mark) int { return a.At.Compare(b.At) })
	before := marks[len(marks)/2].At
	var spared []string
	for _, f := range living.Families {
		if !f.Issued.After(before) && !m.familyEnded(f) {
			spared = append(spared, f.ID)
		}
	}
	until := m.Before.Until
	if m.Before.At.IsZero() {
		until = marks[0].Until
	}
	maps.DeleteFunc(m.Families, func(_ string, ended mark) bool {
		if ended.At.After(before) {
			return false
		}
		until = longer(until, ended.Until)
		return true
	})
	m.Before, m.Spared = mark{At: before, Until: until}, spared
}

// prune forgets what would have expired by now.
func (e *ended) prune(now time.Time) {
	past := func(_ string, m mark) bool { return m.past(now) }
	maps.DeleteFunc(e.Clients, func(_ string, m *endedClient) bool {
		maps.DeleteFunc(m.Consents, past)
		maps.DeleteFunc(m.Families, past)
		if m.Before.past(now) {
			m.Before, m.Spared = mark{}, nil
		}
		if !now.Before(m.KeepNotBefore) {
			m.NotBefore, m.KeepNotBefore = time.Time{}, time.Time{}
		}
		return len(m.Consents)+len(m.Families) == 0 && m.Before.At.IsZero() && m.NotBefore.IsZero()
	})
}

func (m mark) past(now time.Time) bool { return !m.Until.IsZero() && !now.Before(m.Until) }

// expires is when nothing is left to remember, the zero time for never; lag is how long a write counts.
func (e *ended) expires(lag time.Duration) time.Time {
	last := e.Written.Add(lag)
	for _, m := range e.Clients {
		last = longer(last, m.expires())
	}
	return last
}

func (m *endedClient) expires() time.Time {
	last := cmp.Or(m.KeepNotBefore, time.Unix(0, 0))
	if !m.Before.At.IsZero() {
		last = longer(last, m.Before.Until)
	}
	for _, marks := range []map[string]mark{m.Consents, m.Families} {
		for _, mark := range marks {
			last = longer(last, mark.Until)
		}
	}
	return last
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// longer is the later of two ends, of which the zero time is none.
func longer(a, b time.Time) time.Time {
	if a.IsZero() || b.IsZero() {
		return time.Time{}
	}
	return later(a, b)
}

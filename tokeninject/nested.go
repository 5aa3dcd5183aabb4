package tokeninject

import (
	"context"
	"net/http"
	"slices"
)

// A gate may stand behind another one: a `token_inject` in a `handle`, below that of the whole site. The
// one in front has taken the credentials out of the request, so it hands them on in the context. What a
// request carries then was put there by a gate, and is none of the client's credentials.

// passageKey is the key of the gate that a request passed last.
type passageKey struct{}

// handedOn is the context of a request that passed a gate.
type handedOn struct {
	context.Context
	p *passage
}

// Value implements context.Context.
func (h *handedOn) Value(key any) any {
	if _, ok := key.(passageKey); ok {
		return h.p
	}
	return h.Context.Value(key)
}

// inFront returns the passage through the gate in front of this one, or nil.
func inFront(r *http.Request) *passage {
	p, _ := r.Context().Value(passageKey{}).(*passage)
	return p
}

// fillsAuthorization tells whether the gate itself sets the upstream's Authorization. Where it doesn't, what
// a gate in front injected there stays.
func (c *Config) fillsAuthorization() bool {
	is := func(name string) bool { return normalised(name) == "authorization" }
	return c.Basic != nil || c.Token != nil || c.PassToken ||
		slices.ContainsFunc(c.Headers, func(h HeaderInjection) bool { return is(h.Name) }) ||
		slices.ContainsFunc(c.HeaderLists, func(l ListInjection) bool { return is(l.Name) }) ||
		slices.ContainsFunc(c.Tags, func(t TagInjection) bool { return is(t.Header) })
}

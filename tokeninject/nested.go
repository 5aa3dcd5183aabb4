package tokeninject

import "slices"

// A gate may stand behind another one: a `token_inject` in a `handle`, below that of the whole site. The
// one in front has taken the credentials out of the request, so the host hands its verdict on to Check. What a
// request carries then was put there by a gate, and is none of the client's credentials.

// fillsAuthorization tells whether the gate itself sets the upstream's Authorization. Where it doesn't, what
// a gate in front injected there stays.
func (c *Config) fillsAuthorization() bool {
	is := func(name string) bool { return normalised(name) == "authorization" }
	return c.Basic != nil || c.Token != nil || c.PassToken ||
		slices.ContainsFunc(c.Headers, func(h HeaderInjection) bool { return is(h.Name) }) ||
		slices.ContainsFunc(c.HeaderLists, func(l ListInjection) bool { return is(l.Name) }) ||
		slices.ContainsFunc(c.Tags, func(t TagInjection) bool { return is(t.Header) })
}

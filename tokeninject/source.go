package tokeninject

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/token"
)

// source is one issuer whose tokens a gate takes. What it says never counts for another one: it has
// keys, a feed and people of its own.
type source struct {
	issuer Issuer
	index  uint8  // among the gate's sources; the first one is where people sign in
	roles  string // the claim that has them
	people *peopleCache
	state  atomic.Pointer[issuerState]
}

// issuerState is what a gate asks of an issuer once, when it is ready.
type issuerState struct {
	feed      *revocation.Feed
	audiences []string
}

func newSources(cfg Config) []*source {
	sources := make([]*source, 0, 1+len(cfg.Others))
	for i, issuer := range append([]Issuer{cfg.Issuer}, cfg.Others...) {
		from := &source{issuer: issuer, index: uint8(i), roles: "roles", people: newPeopleCache(issuer, cfg.Now, cfg.Refresh)}
		if named, ok := issuer.(RolesNamer); ok {
			from.roles = named.RolesClaim()
		}
		sources = append(sources, from)
	}
	return sources
}

// ready waits for an issuer, and asks it what this gate needs to know.
func (e *Enforcer) ready(ctx context.Context, from *source) (*issuerState, error) {
	if state := from.state.Load(); state != nil {
		return state, nil
	}
	if err := from.issuer.Ready(ctx); err != nil {
		return nil, fmt.Errorf("%w: the issuer is not ready: %w", oauth.TemporarilyUnavailable, err)
	}
	state := &issuerState{feed: from.issuer.Revocations(), audiences: e.cfg.Audiences}
	if len(state.audiences) == 0 && e.cfg.ResourceServer != "" {
		audience, err := from.issuer.Audience(e.cfg.ResourceServer)
		if err != nil {
			return nil, fmt.Errorf("%w: the audience of resource server %q: %w", oauth.TemporarilyUnavailable, e.cfg.ResourceServer, err)
		}
		state.audiences = []string{audience}
	}
	from.state.Store(state)
	return state, nil
}

// turnTo makes a source the one whose word counts for this request.
func (p *passage) turnTo(from *source) error {
	state, err := p.e.ready(p.r.Context(), from)
	if err == nil {
		p.from, p.issuer = from, state
	}
	return err
}

// sourcesOf are the issuers whose token this may be. A signed one says whose it is, and is held against
// that issuer's keys and no other's. One that does not say, being encrypted or opaque, is tried by each
// in turn: first those that can tell by themselves, since asking an issuer shows the token to it.
func (e *Enforcer) sourcesOf(raw string) []*source {
	if len(e.sources) == 1 {
		return e.sources
	}
	claims, ok := unverified(raw)
	if !ok {
		return e.byAsking
	}
	var iss string
	if value, ok := jsonMember(claims, "iss"); ok && json.Unmarshal(value, &iss) == nil {
		for i, from := range e.sources {
			if from.issuer.URL() == iss {
				return e.sources[i : i+1]
			}
		}
	}
	return nil
}

// RolesNamer is an Issuer whose tokens have roles in another claim than "roles".
type RolesNamer interface{ RolesClaim() string }

// Introspector is an Issuer that shows tokens which it can't read itself to somebody else (RFC 7662).
type Introspector interface{ Introspects() bool }

func introspects(from *source) bool {
	i, ok := from.issuer.(Introspector)
	return ok && i.Introspects()
}

// byAsking orders sources: those that ask come last.
func byAsking(sources []*source) []*source {
	ordered := slices.Clone(sources)
	slices.SortStableFunc(ordered, func(a, b *source) int {
		switch {
		case introspects(a) == introspects(b):
			return 0
		case introspects(a):
			return 1
		}
		return -1
	})
	return ordered
}

// unverified reads the payload of a compact JWS without believing it.
func unverified(raw string) ([]byte, bool) {
	if strings.Count(raw, ".") != 2 || len(raw) > token.MaxSize {
		return nil, false
	}
	payload, _, _ := strings.Cut(raw[strings.IndexByte(raw, '.')+1:], ".")
	claims, err := base64.RawURLEncoding.DecodeString(payload)
	return claims, err == nil
}

package tokeninject

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
)

// judgement is what one gate makes of an identity alone.
type judgement struct {
	failed int    // index of the first requirement that it doesn't meet, or -1
	fits   uint64 // the rules of the policy that it fits, as policy.judge says
}

// policyResult is what one gate made of a session. It names the gate and does not hold it: sessions
// outlive gates.
type policyResult struct {
	gate    uint64
	session *Session
	judgement
}

func (e *Enforcer) judge(id *Identity) judgement {
	j := judgement{failed: e.unmet(id)}
	if e.policy != nil {
		j.fits = e.policy.judge(id)
	}
	return j
}

// judgeSession is judge for a session's identity, remembered with the session until the person is looked up again.
func (e *Enforcer) judgeSession(live *liveSession, id *Identity) judgement {
	result := live.policy.Load()
	if result == nil || result.gate != e.serial || result.session != id.session {
		result = &policyResult{e.serial, id.session, e.judge(id)}
		live.policy.Store(result)
	}
	return result.judgement
}

// authorize checks the `require` lines. What a token's identity comes to is remembered in the cache.
func (p *passage) authorize() *Refusal {
	if p.id == nil || len(p.e.cfg.Require) == 0 && p.e.policy == nil {
		return nil
	}
	if p.live != nil {
		p.judged = p.e.judgeSession(p.live, p.id)
	}
	if p.judged.failed < 0 {
		return nil
	}
	var refusal *Refusal
	if p.e.cfg.Require[p.judged.failed].Kind == RequireScope {
		refusal = p.challenge(oauth.Errorf(oauth.InsufficientScope, "a scope is missing"))
	} else {
		refusal = p.forbid(oauth.Errorf(oauth.AccessDenied, "you are signed in, but this is not for you"))
	}
	refusal.page = p.notForYou()
	return refusal
}

// notForYou is the page for somebody who is known and may not pass. Whoever has another account gets a
// way to it, where the logout path leads to this gate.
func (p *passage) notForYou() page {
	content := pageForbidden
	if here := p.e.cfg.Seen(p.r).URL; p.live != nil && p.e.cfg.SeesLogout() && here.Path == p.r.URL.Path {
		content.button = textOther
		content.action = p.e.cfg.Session.Logout + "?" + url.Values{returnTo: {here.RequestURI()}}.Encode()
	}
	return content
}

// unmet returns the index of the first requirement that id doesn't meet, or -1.
func (e *Enforcer) unmet(id *Identity) int {
	return slices.IndexFunc(e.cfg.Require, func(require Requirement) bool { return !require.met(id) })
}

func (q Requirement) met(id *Identity) bool {
	switch q.Kind {
	case RequireScope:
		return !slices.ContainsFunc(q.Values, func(scope string) bool { return !hasScope(id.Scope, scope) })
	case RequireRole:
		return anyOf(id.Roles(), q.Values)
	case RequireClaim:
		raw, ok := id.member(q.Name)
		if !ok {
			return false
		}
		// Most claims are plain strings, which need no decoding.
		if len(raw) >= 2 && raw[0] == '"' && strings.IndexByte(raw, '\\') < 0 {
			return slices.Contains(q.Values, raw[1:len(raw)-1])
		}
		value, _ := id.Claim(q.Name)
		return anyOf(stringsOf(value), q.Values)
	}
	return false
}

func anyOf(have, want []string) bool {
	return slices.ContainsFunc(want, func(value string) bool { return slices.Contains(have, value) })
}

// union of scope lists, each scope once, in the order of first mention.
func union(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		for _, scope := range list {
			if !slices.Contains(all, scope) {
				all = append(all, scope)
			}
		}
	}
	return all
}

// subset tells whether have has everything of want.
func subset(want, have []string) bool {
	return !slices.ContainsFunc(want, func(scope string) bool { return !slices.Contains(have, scope) })
}

// validObject tells whether raw is one JSON object, which a session's claims must be.
func validObject(raw json.RawMessage) bool {
	return json.Valid(raw) && strings.HasPrefix(strings.TrimSpace(string(raw)), "{")
}

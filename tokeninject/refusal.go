package tokeninject

import (
	"errors"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
)

// Refusal is why a request may not pass.
type Refusal struct {
	Status int
	// Header has what the answer must carry: WWW-Authenticate (RFC 6750 §3), Retry-After.
	Header http.Header
	// Err has the code and a description for the client.
	Err *oauth.Error
	// Navigation is set where a person looks at the answer: it should be a page.
	Navigation bool
	// Reference stands in the answer and in the log; "" where nothing was logged that needs one.
	Reference string

	page page
	bare bool // the client sent no credential, and its answer has no code (RFC 6750 §3.1)
}

// Error makes a Refusal an error for logs.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap makes errors.Is find the code and the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// answered is what a step returns that has written the whole answer.
var answered = &Refusal{}

// challenge refuses for want of a credential that will do (RFC 6750 §3). An empty code is for a
// request that had none at all: RFC 6750 §3.1 wants no error code then.
func (p *passage) challenge(err *oauth.Error) *Refusal { return p.challengeFor(p.e.requiredScope, err) }

// challengeFor is a challenge that names the scope which would do.
func (p *passage) challengeFor(scope string, err *oauth.Error) *Refusal {
	c := oauth.Challenge{Realm: p.r.Host, Code: err.Code, Description: err.Description, ResourceMetadata: p.metadataURL()}
	refusal := p.refuse(http.StatusUnauthorized, err)
	switch err.Code {
	case "":
		if p.e.cfg.Session == nil {
			refusal.page = pagePrograms
		}
		c.Scope = scope
		refusal.Err = &oauth.Error{Code: oauth.InvalidToken, Description: "sign in or send an access token"}
		refusal.bare = true
	case oauth.InsufficientScope:
		c.Scope = scope
		refusal.Status = http.StatusForbidden
	case oauth.InsufficientUserAuthentication:
		p.stepUpMembers(&c)
	case oauth.InvalidRequest:
		refusal.Status = http.StatusBadRequest
	}
	refusal.Header.Set("WWW-Authenticate", c.String())
	return refusal
}

// forbid refuses a person who is known and has a scope, but not the role or claim: RFC 6750 has no
// code for that, so the challenge has none.
func (p *passage) forbid(err *oauth.Error) *Refusal {
	refusal := p.refuse(http.StatusForbidden, err)
	refusal.Header.Set("WWW-Authenticate", oauth.Challenge{Realm: p.r.Host, ResourceMetadata: p.metadataURL()}.String())
	return refusal
}

// fault refuses because something of ours, or behind us, does not work: nothing is decided, so
// nothing is let through.
func (p *passage) fault(err error) *Refusal {
	refusal := p.refuse(http.StatusServiceUnavailable, &oauth.Error{
		Code: oauth.TemporarilyUnavailable, Description: "try again in a moment", Cause: err,
	})
	refusal.Header.Set("Retry-After", "5")
	return refusal
}

// refuse is any other refusal; a reference is made where a person may quote it or the log needs it.
func (p *passage) refuse(status int, err *oauth.Error) *Refusal {
	refusal := &Refusal{Status: status, Header: http.Header{}, Err: err, Navigation: wantsPage(p.r)}
	if refusal.Navigation || status >= http.StatusInternalServerError {
		refusal.Reference = oauth.NewID()[:8]
	}
	return refusal
}

// log tells of a refusal: a fault loudly, a bad credential quietly, a missing one hardly. A flood of bad ones
// fills no disk.
func (p *passage) log(refusal *Refusal) {
	level := zap.InfoLevel
	var unsaid []zap.Field
	switch {
	case p.unknownClient && refusal.Status == http.StatusUnauthorized, p.remembered:
		level = zap.DebugLevel
	case refusal.strangers() && !p.e.lines.AllowN(p.now, 1):
		p.e.unsaid.Add(1)
		level = zap.DebugLevel
	case refusal.strangers():
		if n := p.e.unsaid.Swap(0); n > 0 {
			unsaid = append(unsaid, zap.Int64("not_logged_before", n))
		}
	case refusal.Status >= http.StatusInternalServerError:
		level = zap.ErrorLevel
	}
	if entry := p.e.cfg.Logger.Check(level, "request refused"); entry != nil {
		entry.Write(append(unsaid, zap.Int("status", refusal.Status), zap.String("host", p.r.Host), zap.String("path", p.r.URL.Path),
			zap.String("reference", refusal.Reference), zap.Error(refusal.Err))...)
	}
}

// strangers tells whether anybody can have as many refusals of this kind as they like.
func (r *Refusal) strangers() bool {
	return r.Status == http.StatusUnauthorized || r.Status == http.StatusTooManyRequests || errors.Is(r.Err, ErrBusy)
}

// unavailable tells an issuer that can't answer now from one that says no.
func unavailable(err error) bool {
	return errors.Is(err, oauth.TemporarilyUnavailable) || errors.Is(err, oauth.ServerError) || isContext(err)
}

// navigation tells whether a browser asked for this as the page of a tab or frame: only that can be
// sent to a login. Anything that scripts fetch, and every API call, gets a 401 instead (A68).
func navigation(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && wantsPage(r)
}

// wantsPage tells whether a person will look at the answer.
func wantsPage(r *http.Request) bool {
	switch {
	case len(r.Header["Upgrade"]) > 0 || r.Method == http.MethodConnect:
		return false
	case strings.EqualFold(r.Header.Get("X-Requested-With"), "XMLHttpRequest"):
		return false
	case len(r.Header["Sec-Fetch-Mode"]) > 0:
		return r.Header.Get("Sec-Fetch-Mode") == "navigate"
	case len(r.Header["Sec-Fetch-Dest"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0:
		return false
	}
	for _, accept := range r.Header["Accept"] {
		if strings.Contains(accept, "text/html") {
			return true
		}
	}
	return false
}

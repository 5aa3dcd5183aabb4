package tokeninject

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

// statePrefix begins the state of every login of a gate. An application behind the gate may be a
// client of the same issuer: its own answers have another state, and stay its own.
const statePrefix = "gw-"

func wellFormedState(s string) bool {
	secret, ok := strings.CutPrefix(s, statePrefix)
	return ok && wellFormedSecret(secret)
}

// loginReturn takes the answer of a login that this browser began here. A code and state of anything
// else are the application's own and stay in the request.
func (p *passage) loginReturn(query string) *Refusal {
	if p.r.Method != http.MethodGet || !strings.Contains(query, "state="+statePrefix) {
		return nil
	}
	params, err := oauth.ParseQuery(&http.Request{URL: &url.URL{RawQuery: query}})
	if err != nil || !params.Has("code") && !params.Has("error") || !wellFormedState(params.Get("state")) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.r.Context()), loginWait)
	defer cancel()
	record, err := p.e.logins.records.Get(ctx, params.Get("state"))
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return p.fault(fmt.Errorf("read a login: %w", err))
	case record != nil && !p.isFor(record):
		return nil // of a gate behind this one
	}
	p.adoptTab(record, params.Get("state"))
	if !p.begun(record) {
		return p.stray(ctx, params, record)
	}
	err = p.e.logins.finish(ctx, params.Get("state"))
	switch {
	case errors.Is(err, errDone): // the same answer came twice, the other one won
		return p.stray(ctx, params, record)
	case err != nil:
		return p.fault(fmt.Errorf("take a login: %w", err))
	case !p.answersHere(params):
		return p.loginPage(http.StatusBadRequest, pageFailed.to(record.URL), errors.New("the login came back from another issuer"))
	case params.Has("error"):
		return p.loginRefused(record, oauth.Code(params.Get("error")))
	}
	return p.finishLogin(ctx, record, params.Get("code"))
}

// isFor tells whether a login was begun by this gate, or one that shares its sessions.
func (p *passage) isFor(record *loginRecord) bool {
	return record.Issuer == p.e.cfg.Issuer.URL() && record.Login.ClientID == p.e.cfg.Session.ClientID &&
		record.Cookie == p.e.cookieNames(p.r).session.String()
}

// browser is the secret that binds logins to the browser, "" where it has none yet.
func (p *passage) browser() string {
	if p.taken.tab != "" {
		return p.taken.tab
	}
	return p.e.cookieNames(p.r).browser.value(p.taken.cookies)
}

// adoptTab takes the cookie of the one login for the browser's, where another tab's took its place.
func (p *passage) adoptTab(record *loginRecord, state string) {
	tab := p.e.cookieNames(p.r).tab(state).value(p.taken.cookies)
	if record != nil && tab != "" && oauth.SameSecret(oauth.Fingerprint(tab), record.Browser) {
		p.taken.tab = tab
	}
}

// answersHere tells whether an answer is of the issuer that the gate asks (RFC 9207 §2.4). One that never
// says who it is can't be told from others; the state still can.
func (p *passage) answersHere(params oauth.Params) bool {
	issuer := p.e.cfg.Issuer
	return params.Get("iss") == issuer.URL() || !params.Has("iss") && !issuer.NamesItself()
}

// begun tells whether a login is one that this browser began on this page, and that is not over.
// Somebody else's was planted here (A27).
func (p *passage) begun(record *loginRecord) bool {
	return record != nil && !record.Done && p.e.cfg.KnownHost(p.r) && p.ofBrowser(record) &&
		record.Login.RedirectURI == p.redirectURI()
}

func (p *passage) ofBrowser(record *loginRecord) bool {
	browser := p.browser()
	return browser != "" && oauth.SameSecret(oauth.Fingerprint(browser), record.Browser)
}

// finish takes a login, once: errDone for everybody but the first.
func (l *logins) finish(ctx context.Context, state string) error {
	return l.records.Update(ctx, state, func(old *loginRecord) (*loginRecord, time.Time, error) {
		if old == nil || old.Done {
			return nil, time.Time{}, errDone
		}
		over := &loginRecord{Issuer: old.Issuer, Cookie: old.Cookie, URL: old.URL, Browser: old.Browser, Expires: old.Expires, Done: true}
		over.Login.ClientID, over.Login.RedirectURI = old.Login.ClientID, old.Login.RedirectURI
		return over, over.Expires, nil
	})
}

// stray answers what came back from our issuer and is no login under way of this browser: an answer
// that came twice or too late, or somebody else's. It has a code, so it goes neither to the upstream
// nor round through another login: whoever is signed in goes on to the page, all others get to choose.
func (p *passage) stray(ctx context.Context, params oauth.Params, record *loginRecord) *Refusal {
	if !p.answersHere(params) || !wantsPage(p.r) {
		return p.unanswered(record)
	}
	if !p.e.cfg.KnownHost(p.r) {
		return p.loginPage(http.StatusForbidden, pageHost, errHost)
	}
	page := p.pageBehind(record)
	live, err := p.session(ctx)
	switch {
	case err != nil:
		return p.fault(fmt.Errorf("read the session: %w", err))
	case live != nil && page != pageURL(p.e.cfg.Seen(p.r).URL, true): // a rewrite may have put the answer there
		p.redirect(http.StatusSeeOther, page)
		return answered
	}
	refusal := p.unanswered(record)
	if refusal == nil {
		refusal = p.loginPage(http.StatusBadRequest, pageStale, errors.New("what came back is no login under way of this browser"))
	}
	refusal.page.link = page
	return refusal
}

// unanswered refuses a browser that has begun the login and keeps no cookies: without this page it
// would go round for ever. Of anything else it says nothing.
func (p *passage) unanswered(record *loginRecord) *Refusal {
	if record == nil || record.Done || p.browser() != "" || !p.e.cfg.KnownHost(p.r) ||
		record.Login.RedirectURI != p.redirectURI() {
		return nil
	}
	return p.loginPage(http.StatusForbidden, pageCookies, errors.New("the login came back without the browser's cookie"))
}

// pageBehind is the page that an answer came back to: the one that the browser had asked for where
// that is known, else this one without the answer.
func (p *passage) pageBehind(record *loginRecord) string {
	seen := p.e.cfg.Seen(p.r).URL
	if record != nil && p.ofBrowser(record) && record.Login.RedirectURI == p.redirectURI() {
		return record.URL
	}
	if p.e.cfg.Session.Callback != "" {
		return pageURL(url.URL{Scheme: seen.Scheme, Host: seen.Host}, false)
	}
	members := strings.Split(seen.RawQuery, "&")
	seen.RawQuery = strings.Join(slices.DeleteFunc(members, ofAnswer), "&")
	return pageURL(seen, true)
}

// ofAnswer tells whether a member of a query is part of an issuer's answer (RFC 6749 §4.1.2, RFC 9207
// §2).
func ofAnswer(member string) bool {
	name, _, _ := strings.Cut(member, "=")
	name, err := url.QueryUnescape(name)
	return err == nil && slices.Contains([]string{"code", "state", "iss", "error", "error_description", "error_uri"}, name)
}

// session is the session of the browser that holds here and now, or nil.
func (p *passage) session(ctx context.Context) (*liveSession, error) {
	if p.taken.session == "" {
		return nil, nil
	}
	live, err := p.e.sessions.find(ctx, p.taken.session)
	if err != nil || live == nil || !p.fits(live) {
		return nil, err
	}
	if err = p.alive(ctx, live); errors.Is(err, ErrSessionEnded) {
		return nil, nil
	}
	return live, err
}

package tokeninject

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
)

// logoutWait bounds what the issuer is asked when a session ends.
const logoutWait = 10 * time.Second

// logout ends the session here and at the issuer (W5). Another site may not do that to a person: its
// request gets a page with a button.
func (p *passage) logout() *Refusal {
	if refusal := p.loginReturn(p.r.URL.RawQuery); refusal != nil { // of a login that begins below
		return refusal
	}
	switch p.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		refusal := p.refuse(http.StatusMethodNotAllowed, oauth.Errorf(oauth.InvalidRequest, "use GET or POST"))
		refusal.Header.Set("Allow", "GET, HEAD, POST")
		return refusal
	}
	if !p.meant() {
		p.e.writePage(p.w, p.r, http.StatusOK, pageLogout)
		return answered
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.r.Context()), logoutWait)
	defer cancel()
	if err := p.endHere(ctx); err != nil {
		return p.fault(err)
	}
	back := p.back()
	p.forgetBrowser(back != "")
	next, err := p.endThere(ctx)
	remains := errors.Is(err, ErrSessionRemains)
	switch {
	case err != nil && !remains:
		p.e.writePage(p.w, p.r, http.StatusBadGateway, pageHalfOut)
	case back != "": // the issuer may still know who it was
		return p.beginLoginTo(back, wanted{scope: p.e.needs, another: true})
	case next != "":
		p.goOn(http.StatusSeeOther, next)
	case remains:
		p.e.writePage(p.w, p.r, http.StatusOK, pageOutHere)
	default:
		p.e.writePage(p.w, p.r, http.StatusOK, pageLoggedOut)
	}
	return answered
}

// forgetBrowser takes the gate's cookies from the browser, but for what another login needs.
func (p *passage) forgetBrowser(another bool) {
	names := p.e.cookieNames(p.r)
	http.SetCookie(p.w, names.cookie(names.session, "", -1))
	if browser := p.browser(); browser != "" {
		p.e.logins.attempts.forget(browser)
		if !another {
			http.SetCookie(p.w, names.cookie(names.browser, "", -1))
		}
	}
}

// endThere ends the session at the issuer. next is where that goes on, if it does.
func (p *passage) endThere(ctx context.Context) (next string, err error) {
	if p.live == nil {
		return "", ErrSessionRemains // there may be one, which nobody here knows of
	}
	next, err = p.e.cfg.Issuer.EndSession(ctx, p.live.session())
	switch {
	case err == nil, errors.Is(err, ErrSessionEnded):
		return next, nil
	case errors.Is(err, ErrSessionRemains):
		return "", err
	}
	p.e.cfg.Logger.Error("a session ended at the gate, but not wholly at the issuer", zap.Error(err))
	if next != "" {
		return next, nil // the rest ends there
	}
	return "", err
}

// returnTo is the parameter with the page of this site to come back to as somebody else.
const returnTo = "return"

// back is that page, as our form names it; "" where none is, or one of another site.
func (p *passage) back() string {
	if p.r.Method != http.MethodPost {
		return ""
	}
	u, err := url.Parse(p.r.URL.Query().Get(returnTo))
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") {
		return ""
	}
	here := p.e.cfg.Seen(p.r).URL
	u.Scheme, u.Host = here.Scheme, here.Host
	return pageURL(*u, true)
}

// goOn opens another page. A form may not lead to another site, be it by redirects (CSP form-action): a page does that.
func (p *passage) goOn(status int, target string) {
	if p.r.Method != http.MethodPost {
		p.redirect(status, target)
		return
	}
	p.w.Header().Set("Refresh", "0; url="+target)
	p.e.writePage(p.w, p.r, http.StatusOK, pageOnward.to(target))
}

// meant tells whether the person wanted to sign out: followed a link of this site, typed the address, or
// pressed the button. A page of another site, an image and a prefetch have nobody's word for it.
func (p *passage) meant() bool {
	h, method := p.r.Header, p.r.Method
	switch h.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return method == http.MethodPost ||
			method == http.MethodGet && h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Purpose") == ""
	case "": // a browser of before 2023, or none
		return method != http.MethodHead && p.isOfHere(h.Get("Origin")) && p.isOfHere(h.Get("Referer"))
	}
	return false
}

// isOfHere tells whether an Origin or Referer names this site. Our own page has no referrer, and "null" for
// its origin.
func (p *passage) isOfHere(from string) bool {
	if from == "" || from == "null" {
		return true
	}
	u, err := url.Parse(from)
	here := p.e.cfg.Seen(p.r).URL
	return err == nil && u.Scheme == here.Scheme && strings.EqualFold(u.Host, here.Host)
}

// endHere ends the session that the cookie names, and leaves it in p.live for the issuer.
func (p *passage) endHere(ctx context.Context) error {
	if p.taken.session == "" {
		return nil
	}
	live, err := p.e.sessions.find(ctx, p.taken.session)
	if err != nil || live == nil || !p.fits(live) {
		return err
	}
	p.live = live
	return p.e.sessions.end(ctx, p.taken.session, live)
}

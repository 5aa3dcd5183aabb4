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
	names := p.e.cookieNames(p.r)
	http.SetCookie(p.w, names.cookie(names.session, "", -1))
	if browser := p.browser(); browser != "" {
		p.e.logins.attempts.forget(browser)
		http.SetCookie(p.w, names.cookie(names.browser, "", -1))
	}
	if p.live != nil {
		next, err := p.e.cfg.Issuer.EndSession(ctx, p.live.session())
		failed := err != nil && !errors.Is(err, ErrSessionEnded)
		if failed {
			p.e.cfg.Logger.Error("a session ended at the gate, but not wholly at the issuer", zap.Error(err))
		}
		switch {
		case next != "":
			p.goOn(next)
			return answered
		case failed:
			p.e.writePage(p.w, p.r, http.StatusBadGateway, pageHalfOut)
			return answered
		}
	}
	if back := p.wayBack(); back != "" {
		p.goOn(back)
		return answered
	}
	p.e.writePage(p.w, p.r, http.StatusOK, pageLoggedOut)
	return answered
}

// returnTo is the parameter with the page of this site to open after signing out, there to sign in as somebody else.
const returnTo = "return"

// wayBack is that page, as the form names it; "" where none is, or one of another site.
func (p *passage) wayBack() string {
	if p.r.Method != http.MethodPost {
		return ""
	}
	u, err := url.Parse(p.r.URL.Query().Get(returnTo))
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") {
		return ""
	}
	return u.RequestURI()
}

// goOn opens another page. A form may not lead to another site, be it by redirects (CSP form-action): a page does that.
func (p *passage) goOn(target string) {
	if p.r.Method != http.MethodPost {
		p.redirect(http.StatusSeeOther, target)
		return
	}
	content := pageOnward
	content.link = target
	p.w.Header().Set("Refresh", "0; url="+target)
	p.e.writePage(p.w, p.r, http.StatusOK, content)
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

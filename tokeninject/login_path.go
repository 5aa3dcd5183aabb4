package tokeninject

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// DefaultLogin is the path that signs in at an optional gate where the configuration names none.
const DefaultLogin = "/.authz/login"

// login signs in who asks for it by a link, which is the only way at a gate that lets everybody pass,
// and goes back to the page that the link was on.
func (p *passage) login() *Refusal {
	if refusal := p.loginReturn(p.r.URL.RawQuery); refusal != nil {
		return refusal
	}
	if !navigation(p.r) {
		return p.signIn(p.e.needs, false) // it challenges
	}
	live, err := p.session(p.r.Context())
	switch {
	case err != nil:
		return p.fault(fmt.Errorf("read the session: %w", err))
	case live == nil:
		return p.beginLoginTo(p.pageOfLink(), wanted{scope: p.e.needs})
	case !subset(p.e.needs, live.asked.list):
		return p.beginLoginTo(p.pageOfLink(), wanted{scope: union(live.asked.list, p.e.needs)})
	}
	p.redirect(http.StatusSeeOther, p.pageOfLink())
	return answered
}

// pageOfLink is the page of this site that the browser comes from, else the site's first page.
func (p *passage) pageOfLink() string {
	here := p.e.cfg.Seen(p.r).URL
	from, err := url.Parse(p.r.Header.Get("Referer"))
	ours := []string{here.Path, p.e.cfg.Session.Login, p.e.cfg.Session.Logout}
	if err != nil || from.Scheme != here.Scheme || from.Host != here.Host || slices.Contains(ours, from.Path) {
		return pageURL(url.URL{Scheme: here.Scheme, Host: here.Host}, false)
	}
	return pageURL(*from, true)
}

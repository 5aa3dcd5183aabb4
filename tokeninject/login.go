package tokeninject

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

const (
	// loginLifetime is how long a person may take to sign in: longer than an issuer keeps its pages
	// open, so that the way back is known as long as anybody can take it.
	loginLifetime = 45 * time.Minute
	// loginWait bounds what the issuer is asked on the way.
	loginWait = 20 * time.Second
	// maxURL is the longest URL that a login comes back to, in bytes; a longer one loses its query. It is kept twice
	// for whoever asks, so a path that is longer begins no login.
	maxURL = 2 << 10
)

// loginRecord is a login under way, kept under its state. Where it comes back to is here and never in
// the request (A67), and so is the browser that began it (A27). Once it has ended, what stays tells a
// browser that comes back a second time where it wanted to go.
type loginRecord struct {
	Login   LoginRequest `json:"login"`
	Issuer  string       `json:"issuer"`
	Cookie  string       `json:"cookie"`  // of the session that it is for
	URL     string       `json:"url"`     // the page that was asked for, with its query
	Browser string       `json:"browser"` // fingerprint of the browser's cookie
	Again   bool         `json:"again,omitempty"`
	Expires time.Time    `json:"expires"`
	Done    bool         `json:"done,omitempty"` // an answer was taken; of Login only the way back is left
}

// logins are the logins of one gate under way.
type logins struct {
	records   store.Records[loginRecord]
	addresses addressLimit
	attempts  attempts
}

func newLogins(s store.Store, perSecond int) *logins {
	return &logins{
		records:   store.NewRecords[loginRecord](s, "gate-login"),
		addresses: addressLimit{rate: rate.Limit(perSecond), burst: perSecond * loginBurst},
	}
}

// errHost is the cause in the log, so it says what an operator can do.
var errHost = errors.New("the gate does not know this host as its own, and signs nobody in on it: the site's address or session { host } has to name it")

// errDone ends a login that has ended already.
var errDone = errors.New("the login has ended already")

// beginLogin sends the browser to the issuer (W5), to come back to the page that it asks for.
func (p *passage) beginLogin(scope []string, again bool) *Refusal {
	return p.beginLoginTo(pageURL(p.e.cfg.Seen(p.r).URL, true), wanted{scope: scope, again: again})
}

// wanted is what a login is to do.
type wanted struct {
	scope   []string
	again   bool // consent is asked anew
	another bool // so is who signs in
}

// redirectURI is where a login comes back to: the path that was asked for, without its query (decision
// 9), since a gate sees no other path for certain; or the one that a foreign issuer knows.
func (p *passage) redirectURI() string {
	seen := p.e.cfg.Seen(p.r).URL
	if callback := p.e.cfg.Session.Callback; callback != "" {
		seen.Path, seen.RawPath = callback, ""
	}
	return pageURL(seen, false)
}

// beginLoginTo begins a login that ends at page.
func (p *passage) beginLoginTo(page string, want wanted) *Refusal {
	e, seen := p.e, p.e.cfg.Seen(p.r)
	if !e.cfg.KnownHost(p.r) {
		return p.loginPage(http.StatusForbidden, pageHost, errHost)
	}
	if seen.URL.RawQuery != p.r.URL.RawQuery {
		// A rewrite took the query away. It may have been a login's answer, and would be asked for for ever.
		if refusal := p.loginReturn(seen.URL.RawQuery); refusal != nil {
			return refusal
		}
	}
	if len(page) > maxURL || len(p.redirectURI()) > maxURL {
		return p.refuse(http.StatusRequestURITooLong, oauth.Errorf(oauth.InvalidRequest, "the URL is too long to sign in at"))
	}
	if wait := e.logins.addresses.reserve(seen.ClientIP, p.now); wait > 0 {
		return p.tooMany(wait, "too many sign-ins from your address")
	}
	if wait := reserve(e.sessions.logins, p.now); wait > 0 {
		return p.tooMany(wait, "too many sign-ins in all")
	}
	browser := p.browser()
	unknown := browser == ""
	if unknown {
		browser = oauth.NewSecret()
	} else if last := e.logins.attempts.looping(oauth.Fingerprint(browser), p.now); last != nil {
		if last.proven.Load() {
			return p.loginPage(http.StatusForbidden, pageLoop, errors.New("several logins gave no session that passes"))
		}
		return p.loginPage(http.StatusForbidden, pageCookies, errors.New("several logins gave no session that the browser came back with"))
	}
	login := LoginRequest{
		ClientID: e.cfg.Session.ClientID, ClientSecret: e.cfg.Session.ClientSecret, RedirectURI: p.redirectURI(),
		State: statePrefix + oauth.NewSecret(), Nonce: oauth.NewSecret(), Verifier: oauth.NewSecret(), Scope: want.scope,
		ACRValues: e.cfg.Contracts, Another: want.another,
	}
	names := e.cookieNames(p.r)
	record := &loginRecord{
		Login: login, Issuer: e.cfg.Issuer.URL(), Cookie: names.session.String(), URL: page,
		Browser: oauth.Fingerprint(browser), Again: want.again, Expires: p.now.Add(loginLifetime),
	}
	ctx, cancel := context.WithTimeout(p.r.Context(), loginWait)
	defer cancel()
	target, err := e.cfg.Issuer.BeginLogin(ctx, login)
	if err == nil {
		err = e.logins.records.Put(ctx, login.State, record, record.Expires)
	}
	if err != nil {
		return p.fault(fmt.Errorf("begin a login: %w", err))
	}
	http.SetCookie(p.w, names.cookie(names.browser, browser, int(loginLifetime/time.Second)))
	if unknown {
		// Of tabs that open at once in a new browser each comes here, and one cookie of that name stays.
		http.SetCookie(p.w, names.cookie(names.tab(login.State), browser, int(loginLifetime/time.Second)))
	}
	p.goOn(http.StatusFound, target)
	return answered
}

// pageURL is the page that the client asked for, absolute: a path of "//evil" leads nowhere else.
func pageURL(u url.URL, query bool) string {
	page := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if page.Path == "" {
		page.Path = "/"
	}
	if query {
		page.RawQuery = u.RawQuery
		if full := page.String(); len(full) <= maxURL {
			return full
		}
		page.RawQuery = ""
	}
	return page.String()
}

func (p *passage) redirect(status int, target string) {
	p.w.Header().Set("Location", target)
	p.w.Header().Set("Cache-Control", "no-store")
	p.w.Header().Set("Referrer-Policy", "no-referrer") // the query may hold a code
	p.w.WriteHeader(status)
}

func (p *passage) tooMany(wait time.Duration, why string) *Refusal {
	refusal := p.refuse(http.StatusTooManyRequests, oauth.Errorf(oauth.TemporarilyUnavailable, "%s", why))
	refusal.Header.Set("Retry-After", seconds(wait))
	return refusal
}

// loginRefused shows why the issuer signs nobody in. It is a page, never another redirect to login:
// the person decides whether to try again.
func (p *passage) loginRefused(record *loginRecord, code oauth.Code) *Refusal {
	kind, status := pageFailed, http.StatusBadGateway
	if code == oauth.AccessDenied || code == oauth.ConsentRequired || code == oauth.InteractionRequired || code == oauth.LoginRequired {
		kind, status = pageDenied, http.StatusForbidden
	}
	return p.loginPage(status, kind.to(record.URL), fmt.Errorf("the issuer answers %q", string(code)))
}

// finishLogin makes a session of the code and goes back to the page that was asked for.
func (p *passage) finishLogin(ctx context.Context, record *loginRecord, code string) *Refusal {
	e := p.e
	login := record.Login
	login.ClientSecret = e.cfg.Session.ClientSecret
	session, err := e.cfg.Issuer.RedeemLogin(ctx, code, login)
	if err == nil && (session.Subject == "" || !validObject(session.Claims)) {
		err = errors.New("the issuer gave no subject or no claims")
	}
	if err != nil && unavailable(err) {
		return p.fault(fmt.Errorf("redeem a login: %w", err))
	}
	if err != nil {
		return p.loginPage(http.StatusBadRequest, pageFailed.to(record.URL), fmt.Errorf("redeem a login: %w", err))
	}
	handle := oauth.NewSecret()
	live, err := e.sessions.create(ctx, handle, &sessionRecord{
		Session: *session, Issuer: e.cfg.Issuer.URL(), Client: e.cfg.Session.ClientID, Host: e.site(p.r),
		Asked: login.Scope, Unmet: e.notGiven(login.ACRValues, session), Again: record.Again, Idle: e.cfg.Session.Idle,
		Created: p.now, Used: p.now, Refreshed: p.now, Expires: p.now.Add(e.cfg.Session.Absolute),
	})
	if err != nil {
		return p.fault(fmt.Errorf("store the session: %w", err))
	}
	p.replaceSession(ctx)
	e.logins.attempts.completed(record.Browser, live, p.now)
	names := e.cookieNames(p.r)
	http.SetCookie(p.w, names.cookie(names.session, handle, 0))
	if tab := names.tab(login.State); tab.value(p.taken.cookies) != "" {
		http.SetCookie(p.w, names.cookie(tab, "", -1))
	}
	p.redirect(http.StatusSeeOther, record.URL)
	return answered
}

// replaceSession ends the session that the browser had before, soon: another tab may be using it.
func (p *passage) replaceSession(ctx context.Context) {
	if p.taken.session == "" {
		return
	}
	old, err := p.e.sessions.find(ctx, p.taken.session)
	if err == nil && old != nil && p.fits(old) {
		err = p.e.sessions.retire(ctx, p.taken.session, old, p.now)
	}
	if err != nil && !errors.Is(err, ErrSessionEnded) {
		p.e.cfg.Logger.Warn("a replaced session lives on until it expires", zap.Error(err))
	}
}

// loginPage refuses on the way through a login; a person always sees it as a page.
func (p *passage) loginPage(status int, kind page, cause error) *Refusal {
	refusal := p.refuse(status, oauth.Errorf(oauth.AccessDenied, "%s", kind.text).Because(cause))
	refusal.page = kind
	return refusal
}

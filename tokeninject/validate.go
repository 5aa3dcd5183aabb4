package tokeninject

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/publicsuffix"

	"github.com/gatewright/gatewright/authz/oauth"
)

// Defaults of Config.
const (
	defaultIdle        = time.Hour
	defaultAbsolute    = 12 * time.Hour
	defaultRenewBefore = time.Minute
	defaultRefresh     = time.Minute
)

// DefaultLogout is the path that signs out where the configuration names none.
const DefaultLogout = "/.authz/logout"

// withDefaults fills in what was left out, in copies of what it changes.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Seen == nil {
		c.Seen = seenDirectly
	}
	if c.OverTLS == nil {
		seen := c.Seen
		c.OverTLS = func(r *http.Request) bool { return seen(r).URL.Scheme == "https" }
	}
	if c.Reached == nil {
		c.Reached = func(string) bool { return false }
	}
	if c.SeesLogout == nil {
		c.SeesLogout = func() bool { return false }
	}
	if c.Missing == "" {
		c.Missing = MissingSkip
	}
	if c.Session != nil {
		session := *c.Session
		setDefault(&session.Idle, defaultIdle)
		setDefault(&session.Absolute, defaultAbsolute)
		setDefault(&session.Logout, DefaultLogout)
		setDefault(&session.LoginRate, defaultLoginRate)
		if c.Optional {
			setDefault(&session.Login, DefaultLogin)
		}
		c.Session = &session
	}
	setDefault(&c.Refresh, defaultRefresh)
	if c.Token != nil {
		policy := *c.Token
		setDefault(&policy.RenewBefore, defaultRenewBefore)
		if policy.Issuer == nil {
			policy.Issuer = c.Issuer
		}
		c.Token = &policy
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check finds what can't work, with everything that is wrong in one error.
func (c Config) check() error {
	errs := []error{c.checkSession(), c.checkRequirements(), c.checkHeaders(), c.checkLists(), c.checkToken()}
	if err := c.checkIssuers(); err != nil {
		errs = append(errs, err)
	}
	if c.Missing != MissingSkip && c.Missing != MissingEmpty && c.Missing != MissingDeny {
		errs = append(errs, fmt.Errorf("missing: %q is none of skip, empty, deny", c.Missing))
	}
	if slices.Contains(c.Audiences, "") {
		errs = append(errs, errors.New("audience: empty"))
	}
	return errors.Join(errs...)
}

// checkDomain wants a name that somebody can own: browsers take no cookie for all of "com" (RFC 6265 §5.3).
func checkDomain(domain string) error {
	if domain == "" {
		return nil
	}
	suffix, _ := publicsuffix.PublicSuffix(domain)
	if suffix == domain || strings.Trim(domain, ".") != domain || net.ParseIP(domain) != nil || !httpguts.ValidHostHeader(domain) || strings.Contains(domain, ":") {
		return fmt.Errorf("domain %q is none that could share a session", domain)
	}
	return nil
}

// maxIssuers bounds those of one gate.
const maxIssuers = 16

func (c Config) checkIssuers() error {
	seen, asking := map[string]bool{}, 0
	for _, issuer := range append([]Issuer{c.Issuer}, c.Others...) {
		switch {
		case issuer == nil || issuer.URL() == "":
			return errors.New("an issuer with a URL is needed")
		case seen[issuer.URL()]:
			return fmt.Errorf("the issuer %s is named twice", issuer.URL())
		}
		seen[issuer.URL()] = true
		if i, ok := issuer.(Introspector); ok && i.Introspects() {
			asking++
		}
	}
	for _, named := range c.Policy.issuers() {
		if !seen[named] {
			return fmt.Errorf("policy: %q is no issuer of this gate", named)
		}
	}
	switch {
	case len(seen) > maxIssuers:
		return fmt.Errorf("more than %d issuers", maxIssuers)
	case asking > 1:
		return errors.New("introspect: at most one issuer can be asked, or each would see the tokens of the others")
	}
	return nil
}

func (c Config) checkSession() error {
	if c.Session == nil {
		return nil
	}
	var errs []error
	if c.Store == nil && c.Sessions == nil {
		errs = append(errs, errors.New("session: a store is needed"))
	}
	if c.KnownHost == nil {
		errs = append(errs, errors.New("session: KnownHost is needed"))
	}
	if c.Session.Idle < time.Second || c.Session.Absolute < c.Session.Idle {
		errs = append(errs, errors.New("session: idle must be a second or more, and absolute not shorter than idle"))
	}
	if c.Session.LoginRate < 1 {
		errs = append(errs, errors.New("session: login_rate must be one or more"))
	}
	if !strings.HasPrefix(c.Session.Logout, "/") {
		errs = append(errs, errors.New("session: logout must be a path"))
	}
	if login := c.Session.Login; login != "" && (!strings.HasPrefix(login, "/") || login == c.Session.Logout) {
		errs = append(errs, errors.New("session: login must be a path, and not the one of logout"))
	}
	if callback := c.Session.Callback; callback != "" && (!strings.HasPrefix(callback, "/") || callback == c.Session.Logout || callback == c.Session.Login) {
		errs = append(errs, errors.New("session: callback must be a path, and not the one of logout or login"))
	}
	if err := checkDomain(c.Session.Domain); err != nil {
		errs = append(errs, fmt.Errorf("session: %w", err))
	}
	if name := c.Session.Cookie; name != "" && !httpguts.ValidHeaderFieldName(name) {
		errs = append(errs, fmt.Errorf("session: %q can't be a cookie's name", name))
	}
	for _, scope := range c.Session.Scope {
		if !oauth.ValidScopeToken(scope) {
			errs = append(errs, fmt.Errorf("session: %q is no scope", scope))
		}
	}
	return errors.Join(errs...)
}

func (c Config) checkRequirements() error {
	var errs []error
	for _, require := range c.Require {
		switch {
		case require.Kind != RequireScope && require.Kind != RequireRole && require.Kind != RequireClaim:
			errs = append(errs, fmt.Errorf("require: %q is none of scope, role, claim", require.Kind))
		case len(require.Values) == 0:
			errs = append(errs, fmt.Errorf("require %s: no value", require.Kind))
		case require.Kind == RequireClaim && require.Name == "":
			errs = append(errs, errors.New("require claim: no name"))
		case require.Kind == RequireScope && !allScopes(require.Values):
			errs = append(errs, fmt.Errorf("require scope: %q is no list of scopes", require.Values))
		}
	}
	return errors.Join(errs...)
}

func allScopes(list []string) bool {
	return !slices.ContainsFunc(list, func(scope string) bool { return !oauth.ValidScopeToken(scope) })
}

// reservedHeaders are the connection's business, or have an injection of their own, or a proxy behind the gate says them
// anew. By X-Forwarded-Proto the gate itself tells whether a request came over TLS.
var reservedHeaders = newNameSet(
	"Host", "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length",
	"Proxy-Connection", "Cookie", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
)

func (c Config) checkHeaders() error {
	var errs []error
	seen := map[string]string{} // normalised name -> which kind of injection fills it
	claim := func(kind, name string) {
		if !httpguts.ValidHeaderFieldName(name) || reservedHeaders.has(name) {
			errs = append(errs, fmt.Errorf("inject %s: %q can't be injected as a header", kind, name))
			return
		}
		key := normalised(name)
		if key == "" {
			errs = append(errs, fmt.Errorf("inject %s: %q has neither letter nor digit", kind, name))
			return
		}
		if earlier, taken := seen[key]; taken && (kind != "tag" || earlier != "tag") {
			errs = append(errs, fmt.Errorf("inject %s: inject %s fills %q already", kind, earlier, name))
		}
		seen[key] = kind
	}
	for _, h := range c.Headers {
		claim("header", h.Name)
	}
	for _, h := range c.HeaderLists {
		claim("header", h.Name)
	}
	for _, t := range c.Tags {
		claim("tag", t.Header)
		if t.Tag == "" || strings.ContainsAny(t.Tag, ";=, \t") || !headerText(t.Tag) {
			errs = append(errs, fmt.Errorf("inject tag: %q can't be a tag", t.Tag))
		}
	}
	if c.Basic != nil {
		claim("basic", "Authorization")
	}
	if c.Token != nil && c.Token.Phantom {
		claim("phantom", "Authorization")
	} else if c.Token != nil {
		claim("token", "Authorization")
	}
	if c.PassToken {
		claim("pass_token", "Authorization")
	}
	return errors.Join(errs...)
}

// checkLists looks at cookies and query parameters.
func (c Config) checkLists() error {
	var errs []error
	unique := func(kind string, names []string, valid func(string) bool) {
		seen := map[string]bool{}
		for _, name := range names {
			key := normalised(name)
			if key == "" || seen[key] || !valid(name) {
				errs = append(errs, fmt.Errorf("inject %s: %q is no name, or is injected twice", kind, name))
			}
			seen[key] = true
		}
	}
	var cookies, parameters []string
	for _, injection := range c.Cookies {
		cookies = append(cookies, injection.Name)
	}
	for _, injection := range c.Query {
		parameters = append(parameters, injection.Name)
	}
	for _, injection := range c.QueryLists {
		parameters = append(parameters, injection.Name)
	}
	unique("cookie", cookies, func(name string) bool {
		return httpguts.ValidHeaderFieldName(name) && !strings.Contains(name, "%") && !ownCookie(name)
	})
	unique("query", parameters, func(name string) bool {
		// A login comes back by these.
		login := []string{"code", "state", "iss", "error", "error_description"}
		return !strings.ContainsAny(name, "[]%") && (c.Session == nil || !slices.Contains(login, normalised(name)))
	})
	return errors.Join(errs...)
}

func (c Config) checkToken() error {
	switch {
	case c.Token == nil:
		return nil
	case !allScopes(c.Token.Scope):
		return fmt.Errorf("inject token: %q is no list of scopes", c.Token.Scope)
	case c.Token.RenewBefore < 0:
		return errors.New("inject token: renew_before is negative")
	}
	return nil
}

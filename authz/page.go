package authz

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
)

//go:embed page/*.html page/style.css
var pageFiles embed.FS

//go:embed page/passkey.js
var passkeyScript []byte

// autoSubmit is the only script inside a page: it sends the form of form_post at once (OAuth 2.0 Form
// Post Response Mode §2). It asks the prototype, since a field named "submit" would hide the method.
const autoSubmit = "HTMLFormElement.prototype.submit.call(document.forms[0])"

// clientView is what a page shows of the application that sent the person.
type clientView struct {
	Name, Host          string // Host: where it sends the person back to
	Logo, Policy, Terms string
	Contacts            []string
	Unverified          bool // it registered itself: its logo is not loaded (A36)
}

// loginForm is what every step of a login sends along.
type loginForm struct {
	Client            clientView
	Action            string
	Interaction, CSRF string
}

type loginView struct {
	loginForm
	Username   string
	Recover    bool // a recovery code comes next
	Enrol      bool // they are signed in, and a factor is to be set up
	Error      messageKey
	RetryAfter time.Duration // of msgLocked; 0: unknown
}

// codeView asks for a code of an authenticator app or, with Recover, for a recovery code.
type codeView struct {
	loginForm
	Recover    bool
	Username   string
	Error      messageKey
	RetryAfter time.Duration // of msgLocked; 0: unknown
}

// passkeyView asks for a passkey or, with Enrol, for making one.
type passkeyView struct {
	loginForm
	Enrol      bool
	Options    []byte // of the ceremony, as JSON
	Script     string // URL
	Error      messageKey
	RetryAfter time.Duration // of msgLocked; 0: unknown
}

// OptionsText is for an attribute.
func (v passkeyView) OptionsText() string { return string(v.Options) }

// anotherView offers another passkey, and shows recovery codes once.
type anotherView struct {
	loginForm
	Codes   []string // nil: none are new
	Lost    bool     // the person came in by a recovery code
	Options []byte   // of the ceremony, as JSON
	Script  string   // where it is
	Error   messageKey
}

// OptionsText is for an attribute.
func (v anotherView) OptionsText() string { return string(v.Options) }

// enrolView has somebody set up an authenticator app.
type enrolView struct {
	loginForm
	Username string
	Secret   string
	QR       qrCode
	Error    messageKey
}

// recoveryView shows recovery codes, once.
type recoveryView struct {
	loginForm
	Codes []string
}

type consentScope struct {
	Name, Description string
	Optional, Checked bool
}

type consentView struct {
	Client                    clientView
	Action, Interaction, CSRF string
	Username                  string
	Scopes                    []consentScope
}

type logoutView struct {
	Action, Interaction, CSRF string
	Clients                   []string // which end with the session
	Username                  string
}

type loggedOutView struct {
	Stayed bool // the person chose to stay signed in
}

type errorView struct {
	Code      oauth.Code
	Message   messageKey // "": what fits the code
	Reference string     // the log has it too
	Client    *clientView
	Back      *backView // to the client; nil: there is none
}

// backView is the way back to a client: a link or, for form_post, a form. One that no client could have
// registered is not shown.
type backView struct {
	URI, Mode string // the registered redirect URI, and the response mode
	Values    url.Values
}

// oobView shows a code to a person who carries it to the application by hand.
type oobView struct {
	Client clientView
	Code   string
}

// formPostView carries an authorization response to the client in a form.
type formPostView struct {
	Action string
	Fields [][2]string
}

func newFormPost(action string, values url.Values) formPostView {
	view := formPostView{Action: action}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		view.Fields = append(view.Fields, [2]string{name, values.Get(name)})
	}
	return view
}

// pageOptions is what a page needs to know beyond its view.
type pageOptions struct {
	UILocales string
	// FormAction are the redirect URIs, or their origins or schemes, to which a redirect may lead after
	// the form: browsers apply form-action to it as well. The page's own origin is always allowed.
	FormAction []string
	// ImageOrigin is the origin the client's logo may come from; without it the logo is not shown.
	ImageOrigin string
}

// pages renders everything that a person sees of the server. It is safe for concurrent use.
type pages struct {
	brand, logo string
	logoOrigin  string
	style       template.CSS
	styleHash   string
	scriptHash  string
	templates   map[string]*template.Template
}

// newPages parses the templates. issuerHost is shown when the brand has no name. A color or logo that
// cannot be used is an error.
func newPages(b Brand, issuerHost string) (*pages, error) {
	theme, err := themeCSS(b.Color)
	if err != nil {
		return nil, err
	}
	sheet, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		return nil, fmt.Errorf("read style sheet: %w", err)
	}
	style := theme + string(sheet)
	p := &pages{
		brand:      b.Name,
		style:      template.CSS(style), //nolint:gosec // ours, save for the color that themeCSS has checked
		styleHash:  cspHash(style),
		scriptHash: cspHash(autoSubmit),
		templates:  map[string]*template.Template{},
	}
	if p.brand == "" {
		p.brand = issuerHost
	}
	if b.Logo != "" {
		p.logo = b.Logo
		if p.logoOrigin = imageSource(b.Logo); p.logoOrigin == "" {
			return nil, errors.New("brand: the logo must be an https URL on a host with a name")
		}
	}
	for _, name := range []string{"login", "code", "enrol", "recovery", "passkey", "another", "consent", "logout", "logged_out", "error", "oob", "form_post"} {
		t, err := template.ParseFS(pageFiles, "page/layout.html", "page/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
		p.templates[name] = t
	}
	return p, nil
}

// page is what a template is given.
type page struct {
	Lang, Title  string
	Words        *words
	Brand, Logo  string
	Style        template.CSS
	Script       template.JS
	View         any
	Client       shownClient
	Notice       *message
	BadInput     bool // the notice is about what was typed
	BackLink     template.URL
	BackForm     *formPostView
	FixedScopes  []string
	AskedScopes  []consentScope
	template     string
	scriptSource string // of a script of the server's own; "": it has none
	referrer     string
	formTargets  []string // sources of form-action
	imageOrigins []string
}

// render writes the page of a view with the status. The body is complete before the first byte goes
// out, so a failure is a page as well.
func (p *pages) render(w http.ResponseWriter, r *http.Request, status int, view any, opts pageOptions) {
	words := wordsFor(opts.UILocales, r)
	pg, err := p.prepare(view, words, opts)
	var body bytes.Buffer
	if err == nil {
		err = p.templates[pg.template].Execute(&body, pg)
	}
	if err != nil {
		if failed, ok := view.(errorView); ok && failed.Code == oauth.ServerError {
			http.Error(w, words.message(msgServerError, 0).Title, http.StatusInternalServerError)
			return
		}
		p.render(w, r, http.StatusInternalServerError, errorView{Code: oauth.ServerError}, opts)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", pg.Lang)
	h.Add("Vary", "Accept-Language")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", p.policy(pg))
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors (A29)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Referrer-Policy", pg.referrer)
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the person has gone away: nobody is left to tell
}

// prepare decides which template a view gets and checks everything in it that would leave the page:
// links, images, form targets.
func (p *pages) prepare(view any, w *words, opts pageOptions) (*page, error) {
	pg := &page{
		Lang: w.tag.String(), Words: w, Brand: p.brand, Logo: p.logo, Style: p.style, View: view,
		// no-referrer would make browsers send "Origin: null" with our own forms.
		referrer:    "same-origin",
		formTargets: []string{"'self'"},
	}
	for _, origin := range []string{p.logoOrigin, imageSource(opts.ImageOrigin)} {
		if origin != "" && !slices.Contains(pg.imageOrigins, origin) {
			pg.imageOrigins = append(pg.imageOrigins, origin)
		}
	}
	for _, target := range opts.FormAction {
		pg.allowForm(target)
	}
	switch v := view.(type) {
	case loginView:
		pg.showStep("login", w.SignIn, v.loginForm)
		pg.showProblem(v.Error, v.RetryAfter)
	case codeView:
		pg.showStep("code", w.CodeHeading(v), v.loginForm)
		pg.showProblem(v.Error, v.RetryAfter)
	case enrolView:
		pg.showStep("enrol", w.EnrolTitle, v.loginForm)
		pg.showProblem(v.Error, 0)
	case passkeyView:
		pg.showStep("passkey", w.PasskeyHeading(v), v.loginForm)
		pg.scriptSource = pathSource.Replace(v.Script)
		pg.showProblem(v.Error, v.RetryAfter)
	case anotherView:
		pg.showStep("another", w.AnotherHeading(v), v.loginForm)
		pg.scriptSource = pathSource.Replace(v.Script)
		pg.showProblem(v.Error, 0)
	case recoveryView:
		pg.showStep("recovery", w.RecoveryTitle, v.loginForm)
	case consentView:
		pg.template, pg.Title = "consent", w.ConsentTitle
		pg.showClient(v.Client)
		pg.showScopes(v.Scopes)
	case logoutView:
		pg.template, pg.Title = "logout", w.LogoutTitle
	case loggedOutView:
		pg.template, pg.Title = "logged_out", w.LoggedOutTitle
		if v.Stayed {
			pg.Title = w.StayedTitle
		}
	case errorView:
		pg.showError(v)
	case oobView:
		pg.template, pg.Title = "oob", w.CodeTitle
		pg.showClient(v.Client)
	case formPostView:
		return pg, pg.showFormPost(v)
	default:
		return nil, fmt.Errorf("no page for %T", view)
	}
	return pg, nil
}

// showStep is a page of the login.
func (pg *page) showStep(template, title string, form loginForm) {
	pg.template, pg.Title = template, title
	pg.showClient(form.Client)
}

// Focus tells whether the field for a code gets the cursor at once: not where there is something to do
// before it.
func (pg *page) Focus() bool { return pg.template == "code" || pg.BadInput }

// showProblem tells what went wrong with a form; "" is nothing.
func (pg *page) showProblem(key messageKey, wait time.Duration) {
	if key == "" {
		return
	}
	m := pg.Words.message(key, wait)
	pg.BadInput = key == msgWrongCredentials || key == msgWrongCode || key == msgWrongRecovery
	pg.Notice, pg.Title = &m, pg.Words.ErrorPrefix+m.Title
}

func (pg *page) showError(v errorView) {
	if v.Message == "" {
		v.Message = messageFor(v.Code)
	}
	m := pg.Words.message(v.Message, 0)
	pg.template, pg.Title, pg.Notice = "error", m.Title, &m
	if v.Client != nil {
		pg.showClient(*v.Client)
	}
	if v.Back != nil {
		pg.showBack(*v.Back)
	}
}

func (pg *page) showBack(v backView) {
	switch {
	case v.URI == oauth.OOB || oauth.CheckRedirectURI(v.URI, true) != nil:
	case v.Mode == "form_post" && link(v.URI) != "":
		form := newFormPost(v.URI, v.Values)
		pg.BackForm = &form
		pg.allowFormPost(v.URI)
	default:
		pg.BackLink = template.URL(appendParams(v.URI, v.Values, v.Mode == "fragment")) //nolint:gosec // a redirect URI, whose scheme may be an application's own
	}
}

func (pg *page) showFormPost(v formPostView) error {
	if link(v.Action) == "" {
		return errors.New("form_post needs an https redirect URI")
	}
	pg.template, pg.Title, pg.Script = "form_post", pg.Words.FormPostTitle, autoSubmit
	pg.allowFormPost(v.Action)
	return nil
}

// allowFormPost lets the client check that its answer comes from the issuer: it gets the origin, and no more.
func (pg *page) allowFormPost(action string) {
	pg.allowForm(action)
	pg.referrer = "strict-origin"
}

// showScopes parts what comes with the consent from what the person may leave out (S5).
func (pg *page) showScopes(scopes []consentScope) {
	for _, s := range scopes {
		if text, known := scopeText(s.Name, pg.Lang); known {
			s.Description = text
		}
		if s.Description == "" {
			s.Description = s.Name
		}
		if s.Optional {
			pg.AskedScopes = append(pg.AskedScopes, s)
		} else {
			pg.FixedScopes = append(pg.FixedScopes, s.Description)
		}
	}
}

// shownClient is a clientView of which nothing is left that must not be shown.
type shownClient struct {
	Name, Host, Logo, Policy, Terms string
	Contacts                        []string // addresses that are safe behind mailto:
	Unverified                      bool
}

// mailAddress is the plain kind of address: no quotes, comments, or headers to smuggle into mailto.
var mailAddress = regexp.MustCompile(`^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,253}$`)

func (pg *page) showClient(c clientView) {
	pg.Client = shownClient{
		Name: c.Name, Host: c.Host, Unverified: c.Unverified,
		Policy: link(c.Policy), Terms: link(c.Terms),
	}
	if pg.Client.Name == "" {
		pg.Client.Name = c.Host
	}
	if origin := imageSource(c.Logo); !c.Unverified && slices.Contains(pg.imageOrigins, origin) {
		pg.Client.Logo = c.Logo
	}
	for _, contact := range c.Contacts {
		if mailAddress.MatchString(contact) {
			pg.Client.Contacts = append(pg.Client.Contacts, contact)
		}
	}
}

// link returns a URI that may be followed, else "" (A20).
func link(raw string) string {
	if oauth.CheckLink(raw) != nil {
		return ""
	}
	return raw
}

func (pg *page) allowForm(target string) {
	if source := formSource(target); source != "" && !slices.Contains(pg.formTargets, source) {
		pg.formTargets = append(pg.formTargets, source)
	}
}

// policy is the Content-Security-Policy of a page (CSP Level 3).
func (p *pages) policy(pg *page) string {
	directives := []string{"default-src 'none'", "style-src " + p.styleHash}
	switch {
	case pg.Script != "":
		directives = append(directives, "script-src "+p.scriptHash)
	case pg.scriptSource != "":
		directives = append(directives, "script-src "+pg.scriptSource) // and nothing else that the host may have
	}
	if len(pg.imageOrigins) > 0 {
		directives = append(directives, "img-src "+strings.Join(pg.imageOrigins, " "))
	}
	return strings.Join(append(directives,
		"form-action "+strings.Join(pg.formTargets, " "), "frame-ancestors 'none'", "base-uri 'none'"), "; ")
}

func cspHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// cspHost is what a host-source may hold besides a port: no wildcard, nothing that ends a directive.
var cspHost = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$`)

// pathSource writes a URL as a CSP source: what would end it is escaped (CSP Level 3 §2.3.1).
var pathSource = strings.NewReplacer(";", "%3B", ",", "%2C")

// formSource is the CSP source that allows a form's redirect to a redirect URI: its origin, or its
// scheme when it is an application's own or the host cannot be written in CSP (an IPv6 address). ""
// is returned for everything that no client may register.
func formSource(target string) string {
	u, err := url.Parse(target)
	if err != nil || target == oauth.OOB || oauth.CheckRedirectURI(target, true) != nil {
		return ""
	}
	web := u.Scheme == "https" || u.Scheme == "http"
	switch {
	case web && cspHost.MatchString(u.Host):
		return u.Scheme + "://" + u.Host
	case web && !strings.HasPrefix(u.Host, "["):
		return ""
	default:
		return u.Scheme + ":" // url.Parse lets nothing but letters, digits and +-. be a scheme
	}
}

// imageSource is the CSP source of an image, "" when it must not be loaded.
func imageSource(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || oauth.CheckLink(raw) != nil || !cspHost.MatchString(u.Host) {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

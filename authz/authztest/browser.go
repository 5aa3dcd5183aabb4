package authztest

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// Browser is a browser driven by code: it keeps cookies, follows redirects to the server and stops
// at those that lead elsewhere.
type Browser struct {
	t      testing.TB
	client *http.Client
	base   *url.URL
}

// Page is what a Browser sees.
type Page struct {
	Status   int
	Header   http.Header
	URL      *url.URL
	Location *url.URL // of a redirect that led elsewhere, else nil
	Body     string
	root     *html.Node
}

// NewBrowser is a browser without cookies.
func (f *Fixture) NewBrowser() *Browser {
	f.t.Helper()
	return NewBrowser(f.t, f.Client(), f.URL)
}

// NewBrowser is a browser without cookies for the server at a URL. It takes over the client, which
// follows no redirects.
func NewBrowser(t testing.TB, client *http.Client, server string) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	base, err := url.Parse(server)
	require.NoError(t, err)
	client.Jar = jar
	return &Browser{t: t, client: client, base: base}
}

// Get opens a URL.
func (b *Browser) Get(raw string) *Page {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, raw, nil)
	require.NoError(b.t, err)
	return b.Do(req)
}

// Do sends a request as it is and follows what comes of it.
func (b *Browser) Do(req *http.Request) *Page {
	b.t.Helper()
	for range 10 {
		page := b.send(req)
		if page.Status < 300 || page.Status > 399 {
			return page
		}
		target, err := page.URL.Parse(page.Header.Get("Location"))
		require.NoError(b.t, err)
		if target.Host != b.base.Host {
			page.Location = target
			return page
		}
		req, err = http.NewRequest(http.MethodGet, target.String(), nil)
		require.NoError(b.t, err)
	}
	require.Fail(b.t, "too many redirects")
	return nil
}

func (b *Browser) send(req *http.Request) *Page {
	b.t.Helper()
	resp, err := b.client.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	root, err := html.Parse(strings.NewReader(string(body)))
	require.NoError(b.t, err)
	return &Page{Status: resp.StatusCode, Header: resp.Header, URL: req.URL, Body: string(body), root: root}
}

// Submit posts the form of a page: its hidden fields and checked boxes, changed by pairs of name and
// value.
func (b *Browser) Submit(p *Page, pairs ...string) *Page {
	b.t.Helper()
	action, fields := p.Form()
	require.NotNil(b.t, action, "the page has no form:\n%s", p.Body)
	Set(fields, pairs...)
	req, err := http.NewRequest(http.MethodPost, action.String(), strings.NewReader(fields.Encode()))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", p.URL.Scheme+"://"+p.URL.Host)
	return b.Do(req)
}

// SignIn opens an authorization URL and signs in.
func (b *Browser) SignIn(authorizeURL, username string) *Page {
	b.t.Helper()
	page := b.Get(authorizeURL)
	require.Equal(b.t, "login", page.ID(), "%d %s", page.Status, page.Body)
	return b.Submit(page, "username", username, "password", Password)
}

// Authorize goes all the way to the client: signs in where asked, allows everything, and returns the
// parameters of the redirect.
func (b *Browser) Authorize(authorizeURL, username string) url.Values {
	b.t.Helper()
	page := b.Get(authorizeURL)
	if page.ID() == "login" {
		page = b.Submit(page, "username", username, "password", Password)
	}
	if page.ID() == "consent" {
		page = b.Submit(page, "decision", "allow")
	}
	require.NotNil(b.t, page.Location, "no redirect to the client: %d %s", page.Status, page.Body)
	return page.Location.Query()
}

// Cookies are what the browser would send to the server.
func (b *Browser) Cookies() []*http.Cookie { return b.client.Jar.Cookies(b.base) }

// Take takes over another browser's cookies for the server, as one that the server set last.
func (b *Browser) Take(other *Browser) { b.client.Jar.SetCookies(b.base, other.Cookies()) }

// ID is the id of the page's <main>, "" when it is no page.
func (p *Page) ID() string {
	if main := p.find("main"); main != nil {
		return attribute(main, "id")
	}
	return ""
}

// Form is where the page's form goes, nil without one, and what it would send as it is.
func (p *Page) Form() (action *url.URL, fields url.Values) {
	fields = url.Values{}
	form := p.find("form")
	if form == nil {
		return nil, fields
	}
	action, err := p.URL.Parse(attribute(form, "action"))
	if err != nil {
		return nil, fields
	}
	walk(form, func(n *html.Node) {
		name := attribute(n, "name")
		if n.Data != "input" || name == "" {
			return
		}
		if attribute(n, "type") == "checkbox" && !has(n, "checked") {
			return
		}
		fields.Add(name, attribute(n, "value"))
	})
	return action, fields
}

// Attribute is an attribute of the page's form, "" when it has none.
func (p *Page) Attribute(name string) string {
	if form := p.find("form"); form != nil {
		return attribute(form, name)
	}
	return ""
}

// Text is what a person reads in the page's <main>.
func (p *Page) Text() string {
	var words []string
	if main := p.find("main"); main != nil {
		walk(main, func(n *html.Node) {
			if n.Type == html.TextNode {
				words = append(words, strings.Fields(n.Data)...)
			}
		})
	}
	return strings.Join(words, " ")
}

func (p *Page) find(tag string) (found *html.Node) {
	walk(p.root, func(n *html.Node) {
		if found == nil && n.Type == html.ElementNode && n.Data == tag {
			found = n
		}
	})
	return found
}

func walk(n *html.Node, visit func(*html.Node)) {
	visit(n)
	for child := range n.ChildNodes() {
		walk(child, visit)
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

package authz

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/oauth"
)

var shop = clientView{
	Name: "The shop", Host: "shop.example.com",
	Logo:   "https://img.example.com/shop.png",
	Policy: "https://shop.example.com/privacy", Terms: "https://shop.example.com/terms",
	Contacts: []string{"help@shop.example.com"},
}

const ownScript = "https://login.example.com/a;b/passkey.js"

// every view once, by the id of its main element, and a word more where several have one.
func sampleViews() map[string]any {
	return map[string]any{
		"login":      loginView{loginForm: loginForm{Client: shop, Action: "/login", Interaction: "i-1", CSRF: "c-1"}},
		"login code": codeView{loginForm: loginForm{Client: shop, Action: "/login", Interaction: "i-1", CSRF: "c-1"}, Username: "alice"},
		"login enrol": enrolView{
			loginForm: loginForm{Client: shop, Action: "/login", Interaction: "i-1", CSRF: "c-1"}, Secret: "ABCD EFGH", QR: qrCode{Size: 9, Path: "M4 4h1v1h-1z"},
		},
		"login passkey": passkeyView{loginForm: loginForm{Client: shop, Action: "/login"}, Options: []byte(`{"publicKey":{}}`), Script: ownScript},
		"login another": anotherView{
			loginForm: loginForm{Client: shop, Action: "/login"}, Options: []byte(`{"publicKey":{}}`), Script: ownScript, Codes: []string{"1234-5678-9012"},
		},
		"login lost":     anotherView{loginForm: loginForm{Client: shop, Action: "/login"}, Options: []byte(`{"publicKey":{}}`), Script: ownScript, Lost: true},
		"login recover":  codeView{loginForm: loginForm{Client: shop, Action: "/login"}, Username: "alice", Recover: true},
		"login recovery": recoveryView{loginForm: loginForm{Client: shop, Action: "/login", Interaction: "i-1", CSRF: "c-1"}, Codes: []string{"1234-5678-9012"}},
		"consent":        consentView{Client: shop, Action: "/consent", Interaction: "i-1", CSRF: "c-1", Username: "alice", Scopes: sampleScopes},
		"logout":         logoutView{Action: "/logout", CSRF: "c-1", Interaction: "i-1", Clients: []string{"The shop"}, Username: "alice"},
		"logged-out":     loggedOutView{},
		"error":          errorView{Code: oauth.InvalidRequest, Message: msgRedirectMismatch, Reference: "ref-1", Client: &shop},
		"oob":            oobView{Client: shop, Code: "code-1"},
		"form-post":      formPostView{Action: "https://shop.example.com/callback", Fields: [][2]string{{"code", "code-1"}, {"state", "s-1"}}},
	}
}

var sampleScopes = []consentScope{
	{Name: "openid"},
	{Name: "orders.read", Description: "See your orders"},
	{Name: "staff", Description: "Your departments", Optional: true, Checked: true},
	{Name: "bare", Optional: true},
}

func newTestPages(t *testing.T, b Brand) *pages {
	t.Helper()
	p, err := newPages(b, "id.example.com")
	require.NoError(t, err)
	return p
}

func show(t *testing.T, p *pages, view any, opts pageOptions, acceptLanguage string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://id.example.com/login", nil)
	r.Header.Set("Accept-Language", acceptLanguage)
	w := httptest.NewRecorder()
	p.render(w, r, http.StatusOK, view, opts)
	return w
}

func showBody(t *testing.T, view any, opts pageOptions) string {
	t.Helper()
	return show(t, newTestPages(t, Brand{}), view, opts, "en").Body.String()
}

func hashOf(html, element string) string {
	_, rest, _ := strings.Cut(html, "<"+element+">")
	content, _, _ := strings.Cut(rest, "</"+element+">")
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func TestA29_EveryPageHasAStrictPolicy(t *testing.T) {
	p := newTestPages(t, Brand{Logo: "https://cdn.example.com/logo.png"})
	for id, view := range sampleViews() {
		t.Run(id, func(t *testing.T) {
			res := show(t, p, view, pageOptions{
				FormAction:  []string{"https://shop.example.com/callback?a=b"},
				ImageOrigin: "https://img.example.com",
			}, "en")
			html := res.Body.String()
			script := ""
			switch id {
			case "form-post":
				script = "script-src " + hashOf(html, "script") + "; "
			case "login passkey", "login another", "login lost":
				script = "script-src https://login.example.com/a%3Bb/passkey.js; "
				require.Contains(t, html, `<script src="`+ownScript+`" defer></script>`)
			default:
				require.NotContains(t, html, "<script")
			}
			require.Equal(t, "default-src 'none'; style-src "+hashOf(html, "style")+"; "+script+
				"img-src https://cdn.example.com https://img.example.com; "+
				"form-action 'self' https://shop.example.com; frame-ancestors 'none'; base-uri 'none'",
				res.Header().Get("Content-Security-Policy"))
			require.Equal(t, http.StatusOK, res.Code)
			require.Equal(t, "text/html; charset=utf-8", res.Header().Get("Content-Type"))
			require.Equal(t, "no-store", res.Header().Get("Cache-Control"))
			require.Equal(t, "DENY", res.Header().Get("X-Frame-Options"))
			require.Equal(t, "nosniff", res.Header().Get("X-Content-Type-Options"))
			require.Equal(t, "noindex", res.Header().Get("X-Robots-Tag"))
			require.Equal(t, "Accept-Language", res.Header().Get("Vary"))
			require.Regexp(t, `<title>[^<]+ · id\.example\.com</title>`, html)
			require.Contains(t, html, `<html lang="en">`)
			require.Contains(t, html, `<main id="`+strings.Fields(id)[0]+`">`)
			require.NotContains(t, html, "ZgotmplZ")
			require.NotRegexp(t, `\s(style|on[a-z]+)=`, html, "the policy would refuse it")
		})
	}
}

func TestReferrerPolicyKeepsTheOriginOfForms(t *testing.T) {
	p := newTestPages(t, Brand{})
	for id, view := range sampleViews() {
		want := "same-origin"
		if id == "form-post" {
			want = "strict-origin"
		}
		require.Equal(t, want, show(t, p, view, pageOptions{}, "en").Header().Get("Referrer-Policy"), id)
	}
}

func TestPolicyTakesOnlyOriginsAndSchemes(t *testing.T) {
	for target, want := range map[string]string{
		"https://shop.example.com/callback":  "https://shop.example.com",
		"https://shop.example.com:8443/":     "https://shop.example.com:8443",
		"http://127.0.0.1:51234/cb":          "http://127.0.0.1:51234",
		"http://[::1]:51234/cb":              "http:",
		"com.example.app:/callback":          "com.example.app:",
		"com.example.app:":                   "com.example.app:",
		"https://a.example; script-src *":    "",
		"https://a.example;script-src":       "",
		"https://*.example.com/":             "",
		"https://a.example,b.example/":       "",
		"https://'unsafe-inline'/":           "",
		"http://shop.example.com/":           "",
		"javascript:alert(1)":                "",
		"data:text/html,x":                   "",
		"https:":                             "",
		"*":                                  "",
		"'unsafe-inline'":                    "",
		"":                                   "",
		oauth.OOB:                            "",
		"https://user@shop.example.com/back": "",
	} {
		require.Equal(t, want, formSource(target), target)
	}
	for raw, want := range map[string]string{
		"https://img.example.com/a.png":    "https://img.example.com",
		"https://img.example.com":          "https://img.example.com",
		"http://localhost:8080/a.png":      "http://localhost:8080",
		"http://img.example.com/a.png":     "",
		"https://img.example.com;x/a.png":  "",
		"https://*.example.com/a.png":      "",
		"data:image/svg+xml,<svg/>":        "",
		"//img.example.com/a.png":          "",
		"https://img.example.com /a.png":   "",
		"https://img.example.com\r\nX: y/": "",
	} {
		require.Equal(t, want, imageSource(raw), raw)
	}
}

func TestPolicyDropsWhatIsNotASource(t *testing.T) {
	res := show(t, newTestPages(t, Brand{}), loginView{}, pageOptions{
		FormAction:  []string{"https://a.example; script-src *", "com.example.app:/cb", "com.example.app:/other"},
		ImageOrigin: "https://*.example.com",
	}, "en")
	require.Equal(t, "default-src 'none'; style-src "+hashOf(res.Body.String(), "style")+
		"; form-action 'self' com.example.app:; frame-ancestors 'none'; base-uri 'none'", res.Header().Get("Content-Security-Policy"))
}

func TestLoginForm(t *testing.T) {
	html := showBody(t, sampleViews()["login"], pageOptions{})
	require.Contains(t, html, `<form method="post" action="/login">`)
	require.Contains(t, html, `<input type="hidden" name="interaction" value="i-1">`)
	require.Contains(t, html, `<input type="hidden" name="csrf" value="c-1">`)
	require.Regexp(t, `<label for="username">[^<]+</label>\s*<input [^>]*id="username" name="username" value=""[^>]*autocomplete="username"[^>]* autofocus>`, html)
	require.Regexp(t, `<label for="password">[^<]+</label>\s*<input type="password" id="password" name="password" autocomplete="current-password" required>`, html)
	require.Equal(t, 1, strings.Count(html, `type="submit"`))
	require.Contains(t, html, `to continue to <strong><bdi>The shop</bdi></strong>`)
	require.Contains(t, html, `Afterwards you return to <bdi>shop.example.com</bdi>.`)
	require.NotContains(t, html, `role="alert"`)
	require.NotContains(t, html, " aria-invalid=")
}

func TestLoginKeepsTheNameAndTiesTheErrorToItsFields(t *testing.T) {
	html := showBody(t, loginView{loginForm: loginForm{Client: shop}, Username: "alice", Error: msgWrongCredentials}, pageOptions{})
	require.Contains(t, html, `<title>Error: That did not work · `)
	require.Regexp(t, `<input [^>]*name="username" value="alice"[^>]*aria-describedby="notice" aria-invalid="true">`, html)
	require.Regexp(t, `<input [^>]*name="password"[^>]*aria-describedby="notice" aria-invalid="true" autofocus>`, html)
	require.Regexp(t, `name="password"[^>]*>\s*</div>\s*<div class="notice" id="notice" role="alert">`, html)
}

func TestLoginTellsHowLongAnAccountIsLocked(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		0: "Wait a few minutes,", time.Second: "Wait 1 minute,", time.Minute: "Wait 1 minute,",
		61 * time.Second: "Wait 2 minutes,", 5 * time.Minute: "Wait 5 minutes,",
	} {
		html := showBody(t, loginView{Error: msgLocked, RetryAfter: wait}, pageOptions{})
		require.Contains(t, html, want)
		require.Contains(t, html, `aria-describedby="notice"`)
		require.NotContains(t, html, " aria-invalid=", "nothing that was typed is wrong")
	}
}

func TestS5_ConsentOffersOptionalScopes(t *testing.T) {
	html := showBody(t, sampleViews()["consent"], pageOptions{})
	require.Contains(t, html, `<li><span>Know which account you sign in with</span></li>`)
	require.Contains(t, html, `<li><span>See your orders</span></li>`)
	require.Contains(t, html, `<input type="checkbox" name="scope" value="staff" checked> <span>Your departments</span>`)
	require.Contains(t, html, `<input type="checkbox" name="scope" value="bare"> <span>bare</span>`)
	require.Equal(t, 2, strings.Count(html, `name="scope"`))
	require.Contains(t, html, `<input type="hidden" name="interaction" value="i-1">`)
	require.Contains(t, html, `<input type="hidden" name="csrf" value="c-1">`)
	deny, allow := strings.Index(html, `name="decision" value="deny"`), strings.Index(html, `name="decision" value="allow"`)
	require.Positive(t, deny)
	require.Greater(t, allow, deny, "the Enter key presses the first button")
}

func TestC9_ConsentShowsWhoAsks(t *testing.T) {
	html := showBody(t, sampleViews()["consent"], pageOptions{ImageOrigin: "https://img.example.com"})
	require.Contains(t, html, `<strong><bdi>The shop</bdi></strong> asks for access`)
	require.Contains(t, html, `<img src="https://img.example.com/shop.png" alt=""`)
	require.Contains(t, html, `href="https://shop.example.com/privacy"`)
	require.Contains(t, html, `href="https://shop.example.com/terms"`)
	require.Contains(t, html, `<a href="mailto:help@shop.example.com">help@shop.example.com</a>`)
}

func TestLogoutForm(t *testing.T) {
	html := showBody(t, sampleViews()["logout"], pageOptions{})
	require.Contains(t, html, `<input type="hidden" name="csrf" value="c-1">`)
	require.Contains(t, html, `<input type="hidden" name="interaction" value="i-1">`)
	require.Contains(t, html, `<li><bdi>The shop</bdi></li>`)
	require.Contains(t, html, `name="decision" value="logout"`)
	require.Contains(t, html, `name="decision" value="stay"`)
}

func TestErrorPageLeadsOnlyToSafeLinks(t *testing.T) {
	show := func(uri, mode string) string {
		values := url.Values{"error": {"access_denied"}, "state": {"a&b"}}
		return showBody(t, errorView{Back: &backView{URI: uri, Mode: mode, Values: values}}, pageOptions{})
	}
	for uri, want := range map[string]string{
		"https://shop.example.com/bye?a=1": "https://shop.example.com/bye?a=1&amp;error=access_denied&amp;state=a%26b",
		"com.example.app:/cb":              "com.example.app:/cb?error=access_denied&amp;state=a%26b",
		"http://127.0.0.1:8000/cb":         "http://127.0.0.1:8000/cb?error=access_denied&amp;state=a%26b",
	} {
		require.Contains(t, show(uri, ""), `<a class="button" href="`+want+`">`)
	}
	require.Contains(t, show("https://shop.example.com/", "fragment"), `href="https://shop.example.com/#error=access_denied&amp;state=a%26b"`)
	require.NotContains(t, showBody(t, errorView{}, pageOptions{}), "<a ")
	for _, unsafe := range []string{"", "javascript:alert(1)", "http://shop.example.com/", "/relative", oauth.OOB} {
		for _, mode := range []string{"query", "fragment", "form_post"} {
			require.NotContains(t, show(unsafe, mode), "<a ", unsafe)
			require.NotContains(t, show(unsafe, mode), "<form ", unsafe)
		}
	}
}

func TestG17_ErrorPageSpeaksPlainly(t *testing.T) {
	html := showBody(t, sampleViews()["error"], pageOptions{})
	require.Contains(t, html, "<h1>You cannot be sent back safely</h1>")
	require.Contains(t, html, `<code id="reference">ref-1</code>`)
	require.Contains(t, html, "<code>invalid_request</code>")
	require.Contains(t, html, "<bdi>The shop</bdi>")

	for code, title := range map[oauth.Code]string{
		oauth.ServerError:            english.messages[msgServerError].Title,
		oauth.TemporarilyUnavailable: english.messages[msgTemporarilyUnavailable].Title,
		oauth.AccessDenied:           english.messages[msgAccessDenied].Title,
		oauth.InvalidClient:          english.messages[msgUnknownClient].Title,
		oauth.UnauthorizedClient:     english.messages[msgNotAllowed].Title,
		oauth.InvalidScope:           english.messages[msgInvalidRequest].Title,
	} {
		require.Contains(t, showBody(t, errorView{Code: code}, pageOptions{}), "<h1>"+title+"</h1>", code)
	}
}

func TestG17_AViewThatCannotBeShownIsAnErrorPage(t *testing.T) {
	p := newTestPages(t, Brand{})
	for name, view := range map[string]any{
		"unknown view":             42,
		"form_post to a script":    formPostView{Action: "javascript:alert(1)"},
		"form_post to plain http":  formPostView{Action: "http://shop.example.com/cb"},
		"form_post to own scheme":  formPostView{Action: "com.example.app:/cb"},
		"form_post to nowhere":     formPostView{},
		"form_post to a CSP trick": formPostView{Action: "https://a.example; script-src *"},
	} {
		res := show(t, p, view, pageOptions{}, "en")
		require.Equal(t, http.StatusInternalServerError, res.Code, name)
		require.Contains(t, res.Body.String(), `<main id="error">`, name)
	}
}

func TestOOBPageShowsTheCode(t *testing.T) {
	require.Regexp(t, `<output id="code" [^>]*>code-1</output>`, showBody(t, sampleViews()["oob"], pageOptions{}))
}

func TestFormPostNeedsNoScript(t *testing.T) {
	res := show(t, newTestPages(t, Brand{}), sampleViews()["form-post"], pageOptions{}, "en")
	require.Contains(t, res.Header().Get("Content-Security-Policy"), "form-action 'self' https://shop.example.com;")
	html := res.Body.String()
	require.Contains(t, html, `<form method="post" action="https://shop.example.com/callback">`)
	require.Contains(t, html, `<input type="hidden" name="code" value="code-1">`)
	require.Contains(t, html, `<input type="hidden" name="state" value="s-1">`)
	require.Contains(t, html, `<button type="submit">Continue</button>`)
	require.Contains(t, html, "<script>"+autoSubmit+"</script>")
}

func TestA36_NamesOfClientsAreOnlyText(t *testing.T) {
	const evil = `"><script>alert(1)</script><b x='`
	for id, view := range map[string]any{
		"login": loginView{
			loginForm: loginForm{Client: clientView{Name: evil, Host: evil, Contacts: []string{evil}}, Action: evil, Interaction: evil, CSRF: evil},
			Username:  evil, Error: messageKey(evil),
		},
		"login code":     codeView{loginForm: loginForm{Client: clientView{Name: evil}, Action: evil}, Username: evil, Error: messageKey(evil)},
		"login enrol":    enrolView{loginForm: loginForm{Client: clientView{Name: evil}, Action: evil}, Secret: evil, QR: qrCode{Path: evil}},
		"login recovery": recoveryView{loginForm: loginForm{Action: evil}, Codes: []string{evil}},
		"consent": consentView{
			Client: clientView{Name: evil, Host: evil}, Action: evil, Username: evil,
			Scopes: []consentScope{{Name: evil}, {Name: evil, Description: evil, Optional: true}},
		},
		"logout": logoutView{Interaction: evil, Clients: []string{evil}, Username: evil},
		"error":  errorView{Code: oauth.Code(evil), Reference: evil, Client: &clientView{Name: evil}},
		"oob":    oobView{Client: clientView{Name: evil}, Code: evil},
	} {
		html := showBody(t, view, pageOptions{})
		require.Contains(t, html, `<main id="`+strings.Fields(id)[0]+`">`)
		require.NotContains(t, html, "<script", id)
		require.NotContains(t, html, "<b ", id)
		require.Contains(t, html, "&lt;script&gt;", id)
	}
	html := showBody(t, formPostView{Action: "https://shop.example.com/cb", Fields: [][2]string{{evil, evil}}}, pageOptions{})
	require.Equal(t, 1, strings.Count(html, "<script"))
	html = show(t, newTestPages(t, Brand{Name: evil}), loggedOutView{}, pageOptions{}, "en").Body.String()
	require.NotContains(t, html, "<script")
}

func TestA36_UnverifiedClientsAreMarkedAndLoadNothing(t *testing.T) {
	c := shop
	c.Unverified = true
	html := showBody(t, consentView{Client: c}, pageOptions{ImageOrigin: "https://img.example.com"})
	require.NotContains(t, html, "<img")
	require.Contains(t, html, english.Unverified)

	require.NotContains(t, showBody(t, consentView{Client: shop}, pageOptions{}), "<img", "nobody allowed the logo's origin")
	require.NotContains(t, showBody(t, consentView{Client: shop}, pageOptions{ImageOrigin: "https://other.example"}), "<img")
}

func TestA20_LinksOfClientsAreChecked(t *testing.T) {
	html := showBody(t, consentView{Client: clientView{
		Name: "x", Logo: "JaVaScRiPt:alert(1)", Policy: "javascript:alert(1)", Terms: "http://shop.example.com/terms",
		Contacts: []string{
			"a@b.example?bcc=all@b.example", "javascript:alert(1)", "not an address", `"a b"@c.example`,
			"a@b.example\r\nBcc: c@d.example", "https://shop.example.com/contact",
		},
	}}, pageOptions{ImageOrigin: "https://img.example.com"})
	require.NotContains(t, html, "<a ")
	require.NotContains(t, html, "<img")
}

func TestPagesSpeakTheLanguageOfThePerson(t *testing.T) {
	p := newTestPages(t, Brand{})
	for _, tt := range []struct{ name, uiLocales, accept, want string }{
		{"nothing said", "", "", "en"},
		{"header", "", "de-AT,de;q=0.9,en;q=0.8", "de"},
		{"header by weight", "", "de;q=0.2,en;q=0.8", "en"},
		{"header without a match", "", "fr,ja", "en"},
		{"second choice of the header", "", "fr,de;q=0.5", "de"},
		{"ui_locales first", "de", "en", "de"},
		{"ui_locales in order", "fr-CA de en", "en", "de"},
		{"ui_locales without a match", "fr", "de", "de"},
		{"region", "de-CH-1996", "en", "de"},
		{"broken ui_locales", "\"><script> !!", "de", "de"},
		{"broken header", "", ";;;q=x,,", "en"},
		{"endless ui_locales", strings.Repeat("x ", 5000) + "de", "en", "en"},
		{"endless header", "", strings.Repeat("de,", 5000), "en"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := show(t, p, loginView{loginForm: loginForm{Client: shop}}, pageOptions{UILocales: tt.uiLocales}, tt.accept)
			require.Equal(t, tt.want, res.Header().Get("Content-Language"))
			want := map[string]*words{"en": &english, "de": &german}[tt.want]
			html := res.Body.String()
			require.Contains(t, html, `<html lang="`+tt.want+`">`)
			require.Contains(t, html, "<h1>"+want.SignIn+"</h1>")
		})
	}
}

// allMessages reads the constants from the source, so that a new one cannot be forgotten here.
func allMessages(t *testing.T) []messageKey {
	t.Helper()
	source, err := os.ReadFile("page_text.go")
	require.NoError(t, err)
	var keys []messageKey
	for _, m := range messageConstants.FindAllStringSubmatch(string(source), -1) {
		keys = append(keys, messageKey(m[1]))
	}
	require.GreaterOrEqual(t, len(keys), 15)
	return keys
}

var messageConstants = regexp.MustCompile(`\n\tmsg\w+\s+messageKey = "(\w+)"`)

func TestEveryTextExistsInEveryLanguage(t *testing.T) {
	keys := allMessages(t)
	for _, w := range languages {
		t.Run(w.tag.String(), func(t *testing.T) {
			require.Len(t, w.messages, len(keys))
			for _, key := range keys {
				require.NotEmpty(t, w.messages[key].Title, key)
				require.NotEmpty(t, w.messages[key].Text, key)
			}
			require.Contains(t, w.messages[msgLocked].Text, "{wait}")
			require.Contains(t, w.Minutes, "%d")
			v := reflect.ValueOf(*w)
			for i := range v.NumField() {
				require.False(t, v.Field(i).IsZero(), v.Type().Field(i).Name)
			}
			for _, scope := range []string{"openid", "profile", "email", "address", "phone", "offline_access"} {
				text, known := scopeText(scope, w.tag.String())
				require.True(t, known, scope)
				require.NotEmpty(t, text, scope)
			}
		})
	}
	_, known := scopeText("orders.read", "en")
	require.False(t, known)
	_, known = scopeText("openid", "tlh")
	require.False(t, known)
}

func TestO7_BrandIsShown(t *testing.T) {
	html := show(t, newTestPages(t, Brand{Name: "Acme & Sons", Logo: "https://cdn.example.com/l.svg", Color: " #AB1234 "}),
		loggedOutView{}, pageOptions{}, "en").Body.String()
	require.Contains(t, html, "Acme &amp; Sons</bdi>")
	require.Contains(t, html, `<img src="https://cdn.example.com/l.svg" alt="">`)
	require.Contains(t, html, "--brand:#ab1234;--accent:#ab1234;--on-accent:#ffffff;")
	require.Contains(t, showBody(t, loggedOutView{}, pageOptions{}), "<bdi>id.example.com</bdi>")
}

func TestO7_BrandIsChecked(t *testing.T) {
	for _, color := range []string{"", "#abc", "#abcd", "#0f6a5b", "#0f6a5bcc", "navy", "RebeccaPurple", "rgb(1 2 3 / 50%)", "hsl(120deg,50%,50%)", "oklch(0.6 0.1 200)"} {
		_, err := newPages(Brand{Color: color}, "id.example.com")
		require.NoError(t, err, color)
	}
	for _, color := range []string{
		"#12", "#12345", "#ggg", "red;}", "red}body{display:none", "url(https://evil.example)", "rgb(1,2,3);--x:1",
		"var(--text)", "rgb(calc(1))", "</style>", "expression(alert(1))", "red/**/", "image-set(x)", `"red"`,
	} {
		_, err := newPages(Brand{Color: color}, "id.example.com")
		require.ErrorContains(t, err, "brand: the color", color)
	}
	for _, logo := range []string{"http://cdn.example.com/l.png", "javascript:alert(1)", "data:image/png;base64,xx", "/logo.png", "https://a;b/l.png"} {
		_, err := newPages(Brand{Logo: logo}, "id.example.com")
		require.ErrorContains(t, err, "brand: the logo", logo)
	}
}

func TestO7_AnyColorStaysLegible(t *testing.T) {
	sheet, err := pageFiles.ReadFile("page/style.css")
	require.NoError(t, err)
	require.Contains(t, string(sheet), "--card: "+cardLight+";")
	require.Contains(t, string(sheet), "--card: "+cardDark+";")

	properties := regexp.MustCompile(`^:root\{--brand:.*;--accent:(#.{6});--on-accent:(#.{6});--link-light:(#.{6});--link-dark:(#.{6})\}\n$`)
	for i := range 16 * 16 * 16 {
		theme, err := themeCSS(fmt.Sprintf("#%02x%02x%02x", i>>8*17, i>>4&15*17, i&15*17))
		require.NoError(t, err)
		m := properties.FindStringSubmatch(theme)
		require.NotNil(t, m, theme)
		require.GreaterOrEqual(t, contrast(parseHex(m[1]), parseHex(m[2])), 4.5, theme)
		require.GreaterOrEqual(t, contrast(parseHex(m[3]), parseHex(cardLight)), 4.5, theme)
		require.GreaterOrEqual(t, contrast(parseHex(m[4]), parseHex(cardDark)), 4.5, theme)
	}
	require.InDelta(t, 21, contrast(parseHex("#000"), parseHex("#fff")), 0.001)
	require.InDelta(t, 4.54, contrast(parseHex("#767676"), parseHex("#ffffff")), 0.01)
}

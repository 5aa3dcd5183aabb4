package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
)

// The pair of RFC 7636 Appendix B.
const (
	rfcVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfcChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestE1_CodeFlowWithPKCE(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	answer := f.NewBrowser().Authorize(f.AuthorizeURL("code_challenge", rfcChallenge, "code_challenge_method", "S256", "nonce", "n-1"), "alice")
	assert.Equal(t, "the-state", answer.Get("state"))
	assert.Equal(t, f.URL, answer.Get("iss"), "RFC 9207")

	tokens := f.Redeem("shop", answer.Get("code"), "code_verifier", rfcVerifier)
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	assert.Equal(t, "Bearer", tokens.Get("token_type"))
	assert.Equal(t, "openid orders.read", tokens.Get("scope"))
	assert.InDelta(t, 600, tokens.JSON["expires_in"], 0)
	assert.Equal(t, "no-store", tokens.Header.Get("Cache-Control"))
	assert.NotEmpty(t, tokens.Get("refresh_token"))

	id := f.Claims(tokens.Get("id_token"))
	assert.Equal(t, "alice", id["sub"])
	assert.Equal(t, "shop", id["aud"])
	assert.Equal(t, "n-1", id["nonce"])
	assert.NotEmpty(t, id["at_hash"])

	access := f.Claims(tokens.Get("access_token"))
	assert.Equal(t, "https://orders.example.com", access["aud"], "R13: the only resource server whose scopes are asked for")
	assert.Equal(t, []any{"read"}, access["claims"], "S3")
}

func TestA22_PKCE(t *testing.T) {
	spa := func(pairs ...string) []string {
		return append([]string{"client_id", "spa", "redirect_uri", "https://spa.example.com/callback", "code_challenge", rfcChallenge, "code_challenge_method", "S256"}, pairs...)
	}
	for name, c := range map[string]struct {
		request []string
		want    oauth.Code
	}{
		"RFC 7636 §4.3 S256":                              {spa(), ""},
		"RFC 9700 §2.1.1 missing from a public client":    {spa("code_challenge", "", "code_challenge_method", ""), oauth.InvalidRequest},
		"RFC 7636 §4.3 plain where not configured":        {spa("code_challenge_method", "plain"), oauth.InvalidRequest},
		"RFC 7636 §4.3 method left out means plain":       {spa("code_challenge_method", ""), oauth.InvalidRequest},
		"RFC 7636 §4.2 challenge too short":               {spa("code_challenge", "short"), oauth.InvalidRequest},
		"RFC 7636 §4.4.1 method without challenge":        {spa("code_challenge", ""), oauth.InvalidRequest},
		"a confidential client may leave it out":          {nil, ""},
		"RFC 7636 §4.2 challenge with a wrong character ": {spa("code_challenge", strings.Repeat("+", 43)), oauth.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, authztest.Config())
			page := f.NewBrowser().Get(f.AuthorizeURL(c.request...))
			if c.want == "" {
				assert.Equal(t, "login", page.ID(), page.Body)
				return
			}
			require.NotNil(t, page.Location)
			assert.Equal(t, string(c.want), page.Location.Query().Get("error"))
		})
	}
}

func TestA22_VerifierMustFit(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	for name, c := range map[string]struct{ challenge, verifier string }{
		"downgrade: challenge sent and verifier missing": {rfcChallenge, ""},
		"verifier without challenge":                     {"", rfcVerifier},
		"another verifier":                               {rfcChallenge, strings.Repeat("a", 43)},
		"verifier shorter than 43":                       {rfcChallenge, rfcVerifier[:42]},
		"verifier longer than 128":                       {rfcChallenge, strings.Repeat("a", 129)},
	} {
		t.Run(name, func(t *testing.T) {
			method := ""
			if c.challenge != "" {
				method = "S256"
			}
			code := browser.Authorize(f.AuthorizeURL("code_challenge", c.challenge, "code_challenge_method", method), "alice").Get("code")
			refused := f.Redeem("shop", code, "code_verifier", c.verifier)
			assert.Equal(t, "invalid_grant", refused.Get("error"))
			again := f.Redeem("shop", code, "code_verifier", rfcVerifier)
			assert.Equal(t, "invalid_grant", again.Get("error"), "A25: the code stays unusable")
		})
	}
}

func TestA18_RedirectURIIsMatchedByteForByte(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	for _, uri := range []string{
		"https://shop.example.com/callback/",
		"https://shop.example.com/callback?extra=1",
		"https://shop.example.com/callback#frag",
		"https://shop.example.com/Callback",
		"https://SHOP.example.com/callback",
		"https://shop.example.com/x/../callback",
		"https://shop.example.com/%63allback",
		"https://shop.example.com%2ecallback",
		"https://shop.example.com\\@evil.example/callback",
		"https://shop.example.com@evil.example/callback",
		"https://a@b@shop.example.com/callback",
		"https://shop.example.com./callback",
		"https://shop.example.com:443/callback",
		"http://shop.example.com/callback",
		"https://shop.example.com/callback\t",
		"https://shop.example.com/call\nback",
		"https://shop.example.com/",
		"//shop.example.com/callback",
		"javascript:alert(1)",
	} {
		t.Run(uri, func(t *testing.T) {
			page := f.NewBrowser().Get(f.AuthorizeURL("redirect_uri", uri))
			assert.Nil(t, page.Location)
			assert.Equal(t, "error", page.ID())
			assert.Equal(t, http.StatusBadRequest, page.Status)
		})
	}
	page := f.NewBrowser().Get(f.AuthorizeURL("redirect_uri", ""))
	assert.Equal(t, "login", page.ID(), "may be left out where exactly one is registered")
}

func TestA21_DuplicateParametersAreRefused(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	for _, name := range []string{"client_id", "redirect_uri", "scope", "code_challenge", "state", "response_type"} {
		page := f.NewBrowser().Get(f.AuthorizeURL(name, "x") + "&" + name + "=y")
		assert.Equal(t, "error", page.ID(), name)
		assert.Equal(t, http.StatusBadRequest, page.Status, name)
	}
	page := f.NewBrowser().Get(f.AuthorizeURL() + "&resource=https%3A%2F%2Forders.example.com&resource=https%3A%2F%2Forders.example.com")
	assert.Equal(t, "login", page.ID(), "RFC 8707 §2: resource may repeat")
}

func TestE1_RequestErrorsGoToTheClient(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"RFC 6749 §4.1.2.1 response_type missing":    {[]string{"response_type", ""}, "invalid_request"},
		"RFC 6749 §4.1.2.1 response_type unknown":    {[]string{"response_type", "magic"}, "unsupported_response_type"},
		"RFC 6749 §3.3 malformed scope":              {[]string{"scope", "open\"id"}, "invalid_scope"},
		"OIDC Core §6.1 request":                     {[]string{"request", "x"}, "invalid_request_object"},
		"OIDC Core §6.2 request_uri":                 {[]string{"request_uri", "https://x"}, "invalid_request_uri"},
		"OIDC Core §6 both":                          {[]string{"request", "x", "request_uri", "https://x"}, "invalid_request"},
		"OIDC Core §7.2.1 registration":              {[]string{"registration", "{}"}, "registration_not_supported"},
		"OIDC Core §3.1.2.1 prompt none not alone":   {[]string{"prompt", "none login"}, "invalid_request"},
		"OIDC Core §3.1.2.1 prompt unknown":          {[]string{"prompt", "dance"}, "invalid_request"},
		"OIDC Core §3.1.2.6 prompt none, no session": {[]string{"prompt", "none"}, "login_required"},
		"OIDC Core §3.1.2.1 max_age is a number":     {[]string{"max_age", "soon"}, "invalid_request"},
		"response_mode unknown":                      {[]string{"response_mode", "pigeon"}, "invalid_request"},
		"R13 resource unknown":                       {[]string{"resource", "https://nobody.example"}, "invalid_target"},
		"R13 resourceServer unknown":                 {[]string{"resourceServer", "nobody"}, "invalid_target"},
		"R13 two different ones":                     {[]string{"resourceServer", "issuer", "resource", "https://orders.example.com"}, "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) {
			page := f.NewBrowser().Get(f.AuthorizeURL(c.pairs...))
			require.NotNil(t, page.Location, page.Body)
			got := page.Location.Query()
			assert.Equal(t, c.want, got.Get("error"))
			assert.Equal(t, "the-state", got.Get("state"))
			assert.Equal(t, f.URL, got.Get("iss"))
		})
	}
}

func TestE1_ResponseModes(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("response_mode", "fragment"), "alice")
	require.NotNil(t, page.Location)
	fragment, err := url.ParseQuery(page.Location.Fragment)
	require.NoError(t, err)
	assert.NotEmpty(t, fragment.Get("code"))
	assert.Empty(t, page.Location.RawQuery)

	page = browser.Get(f.AuthorizeURL("response_mode", "form_post"))
	action, fields := page.Form()
	require.NotNil(t, action)
	assert.Equal(t, "https://shop.example.com/callback", action.String())
	assert.NotEmpty(t, fields.Get("code"))
	assert.Equal(t, "the-state", fields.Get("state"))
}

func TestE1_PromptAndMaxAge(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")

	silent := browser.Get(f.AuthorizeURL("prompt", "none"))
	require.NotNil(t, silent.Location)
	assert.NotEmpty(t, silent.Location.Query().Get("code"), "a session is enough for prompt=none")

	again := browser.Get(f.AuthorizeURL("prompt", "login"))
	require.Equal(t, "login", again.ID())
	f.Clock.Advance(2 * time.Second)
	done := browser.Submit(again, "username", "alice", "password", authztest.Password)
	require.NotNil(t, done.Location)
	id := f.Claims(f.Redeem("shop", done.Location.Query().Get("code")).Get("id_token"))
	assert.InDelta(t, f.Clock.Now().Unix(), id["auth_time"], 0, "A35: auth_time proves the fresh login")

	f.Clock.Advance(2 * time.Minute)
	assert.Equal(t, "login", browser.Get(f.AuthorizeURL("max_age", "60")).ID())
	assert.NotNil(t, browser.Get(f.AuthorizeURL("max_age", "600")).Location)
	silent = browser.Get(f.AuthorizeURL("max_age", "60", "prompt", "none"))
	assert.Equal(t, "login_required", silent.Location.Query().Get("error"))
}

func TestS8_ScopesTheClientMayNotHaveAreIgnored(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	code := f.NewBrowser().Authorize(f.AuthorizeURL("client_id", "rotating", "redirect_uri", "https://rotating.example.com/callback",
		"scope", "openid orders.read orders.write nonsense"), "alice").Get("code")
	assert.Equal(t, "openid orders.read", f.Redeem("rotating", code).Get("scope"))
}

func TestE1_PostedRequests(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	post := func(pairs ...string) *http.Request {
		query, err := url.Parse(f.AuthorizeURL(pairs...))
		require.NoError(t, err)
		req, err := http.NewRequest(http.MethodPost, f.URL+"/authorize", strings.NewReader(query.RawQuery))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req
	}
	page := browser.Do(post())
	require.NotNil(t, page.Location, page.Body)
	assert.NotEmpty(t, page.Location.Query().Get("code"), "oidcc-ensure-post-request-succeeds")

	// A form of another site comes without SameSite=Lax cookies: the session shows after a redirect.
	answer := f.Do(post("prompt", "none"))
	require.Equal(t, http.StatusSeeOther, answer.Status)
	page = browser.Get(f.URL + answer.Header.Get("Location"))
	require.NotNil(t, page.Location, page.Body)
	assert.NotEmpty(t, page.Location.Query().Get("code"))

	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"not a form":           {func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, http.StatusBadRequest},
		"without a type":       {func(r *http.Request) { r.Header.Del("Content-Type") }, http.StatusBadRequest},
		"in the URL as well":   {func(r *http.Request) { r.URL.RawQuery = "state=2" }, http.StatusBadRequest},
		"another method":       {func(r *http.Request) { r.Method = http.MethodPut }, http.StatusMethodNotAllowed},
		"an unknown client":    {func(r *http.Request) { *r = *post("client_id", "nobody") }, http.StatusBadRequest},
		"another redirect URI": {func(r *http.Request) { *r = *post("redirect_uri", "https://evil.example") }, http.StatusBadRequest},
		"too large":            {func(r *http.Request) { *r = *post("x", strings.Repeat("x", 70<<10)) }, http.StatusBadRequest},
	} {
		t.Run("G17 "+name, func(t *testing.T) {
			req := post()
			c.change(req)
			page := f.NewBrowser().Do(req)
			assert.Equal(t, c.status, page.Status)
			assert.Equal(t, "error", page.ID(), "a person looks at it")
			assert.Equal(t, "no-store", page.Header.Get("Cache-Control"))
		})
	}
}

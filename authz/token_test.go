package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users/static"
)

// rotatingURL is an authorization request of the client that rotates.
func rotatingURL(f *authztest.Fixture) string {
	return f.AuthorizeURL("client_id", "rotating", "redirect_uri", "https://rotating.example.com/callback")
}

func refresh(f *authztest.Fixture, clientID, token string, pairs ...string) authztest.Answer {
	return f.Token(clientID, append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
}

func active(f *authztest.Fixture, token string) bool {
	answer := f.Post("/introspect", "robot", url.Values{"token": {token}})
	return answer.JSON["active"] == true
}

func TestE2_ClientCredentials(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	tokens := f.Token("robot", "grant_type", "client_credentials")
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	assert.Equal(t, "orders.read", tokens.Get("scope"), "S6: scopes that need consent are left out")
	assert.Empty(t, tokens.Get("refresh_token"))
	assert.Empty(t, tokens.Get("id_token"))
	claims := f.Claims(tokens.Get("access_token"))
	assert.Equal(t, "robot", claims["sub"], "RFC 9068 §2.2")
	assert.Equal(t, "robot", claims["client_id"])
}

func TestA42_ClientAuthentication(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	post := func(edit func(url.Values, *http.Request)) authztest.Answer {
		form := url.Values{"grant_type": {"client_credentials"}}
		req, err := http.NewRequest(http.MethodPost, f.URL+"/token", nil)
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		edit(form, req)
		withBody, err := http.NewRequest(http.MethodPost, req.URL.String(), strings.NewReader(form.Encode()))
		require.NoError(t, err)
		withBody.Header = req.Header
		return f.Do(withBody)
	}
	for name, c := range map[string]struct {
		edit   func(url.Values, *http.Request)
		status int
		want   string
	}{
		"RFC 6749 §2.3.1 basic": {func(_ url.Values, r *http.Request) { r.SetBasicAuth("robot", authztest.Secret) }, 200, ""},
		"RFC 6749 §2.3.1 post": {func(v url.Values, _ *http.Request) {
			v.Set("client_id", "robot")
			v.Set("client_secret", authztest.Secret)
		}, 200, ""},
		"two at once": {func(v url.Values, r *http.Request) {
			r.SetBasicAuth("robot", authztest.Secret)
			v.Set("client_secret", authztest.Secret)
		}, 400, "invalid_request"},
		"another client_id in the body": {func(v url.Values, r *http.Request) {
			r.SetBasicAuth("robot", authztest.Secret)
			v.Set("client_id", "shop")
		}, 400, "invalid_request"},
		"A43 wrong secret":   {func(_ url.Values, r *http.Request) { r.SetBasicAuth("robot", "wrong") }, 401, "invalid_client"},
		"A43 unknown client": {func(_ url.Values, r *http.Request) { r.SetBasicAuth("nobody", "wrong") }, 401, "invalid_client"},
		"none for a confidential client": {func(v url.Values, _ *http.Request) {
			v.Set("client_id", "robot")
		}, 401, "invalid_client"},
		"nothing": {func(url.Values, *http.Request) {}, 401, "invalid_client"},
		"secret in the query": {func(_ url.Values, r *http.Request) {
			r.URL.RawQuery = "client_id=robot&client_secret=" + authztest.Secret
		}, 400, "invalid_request"},
		"JSON body": {func(_ url.Values, r *http.Request) {
			r.SetBasicAuth("robot", authztest.Secret)
			r.Header.Set("Content-Type", "application/json")
		}, 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := post(c.edit)
			assert.Equal(t, c.status, answer.Status, answer.JSON)
			assert.Equal(t, c.want, answer.Get("error"))
			assert.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
			if c.status == http.StatusUnauthorized {
				assert.Contains(t, answer.Header.Get("WWW-Authenticate"), "Basic")
			}
		})
	}
	unknown := post(func(_ url.Values, r *http.Request) { r.SetBasicAuth("nobody", "x") })
	wrong := post(func(_ url.Values, r *http.Request) { r.SetBasicAuth("robot", "x") })
	assert.Equal(t, unknown.JSON, wrong.JSON, "A43: the same body")
}

func TestE2_TokenRequestErrors(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"RFC 6749 §5.2 grant_type missing":             {nil, "invalid_request"},
		"RFC 6749 §5.2 grant_type unknown":             {[]string{"grant_type", "magic"}, "unsupported_grant_type"},
		"RFC 6749 §5.2 grant_type of others":           {[]string{"grant_type", "authorization_code", "code", "x"}, "unauthorized_client"},
		"RFC 6749 §5.2 scope malformed":                {[]string{"grant_type", "client_credentials", "scope", "a\"b"}, "invalid_scope"},
		"RFC 8707 §2 resource unknown":                 {[]string{"grant_type", "client_credentials", "resource", "https://x"}, "invalid_target"},
		"RFC 8707 §2 resource relative":                {[]string{"grant_type", "client_credentials", "resource", "/orders"}, "invalid_target"},
		"R13 resourceServer and resource differ":       {[]string{"grant_type", "client_credentials", "resourceServer", "issuer", "resource", "https://orders.example.com"}, "invalid_target"},
		"client assertion":                             {[]string{"client_assertion", "x", "grant_type", "client_credentials"}, "invalid_request"},
		"RFC 6749 §3.2 parameter with a NUL character": {[]string{"grant_type", "client_credentials", "scope", "a\x00b"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, f.Token("robot", c.pairs...).Get("error"))
		})
	}
	req, err := http.NewRequest(http.MethodGet, f.URL+"/token", nil)
	require.NoError(t, err)
	answer := f.Do(req)
	assert.Equal(t, http.StatusMethodNotAllowed, answer.Status)
	assert.Equal(t, "POST", answer.Header.Get("Allow"))
}

func TestR13_ResourceServerOfAToken(t *testing.T) {
	cfg := authztest.Config()
	cfg.ResourceServers = append(cfg.ResourceServers, authz.ResourceServer{
		Name: "stock", Encryption: authz.EncryptionNone, Scopes: []authz.Scope{{Name: "stock.read"}},
	})
	cfg.Clients[3].Scopes = append(cfg.Clients[3].Scopes, "stock.read")
	own := cfg.Clients[3]
	own.ID, own.ResourceServer = "own", "stock"
	cfg.Clients = append(cfg.Clients, own)
	for name, c := range map[string]struct {
		client    string
		pairs     []string
		byDefault bool
		aud       string
		want      string
	}{
		"named by resourceServer (R5)":            {client: "robot", pairs: []string{"scope", "orders.read", "resourceServer", "stock"}, aud: "/rs/stock"},
		"named by resource (RFC 8707)":            {client: "robot", pairs: []string{"scope", "stock.read", "resource", "https://orders.example.com"}, aud: "https://orders.example.com"},
		"the client's own (C20)":                  {client: "own", pairs: []string{"scope", "orders.read"}, aud: "/rs/stock"},
		"named wins over the client's own":        {client: "own", pairs: []string{"scope", "orders.read", "resourceServer", "orders"}, aud: "https://orders.example.com"},
		"the client's own wins over the default":  {client: "own", byDefault: true, pairs: []string{"scope", "orders.read"}, aud: "/rs/stock"},
		"the default":                             {client: "robot", byDefault: true, pairs: []string{"scope", "stock.read"}, aud: "https://orders.example.com"},
		"the only one whose scopes are asked for": {client: "robot", pairs: []string{"scope", "stock.read"}, aud: "/rs/stock"},
		"several": {client: "robot", pairs: []string{"scope", "stock.read orders.read"}, want: "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.ResourceServers[0].Default = c.byDefault
			f := authztest.New(t, cfg)
			answer := f.Token(c.client, append([]string{"grant_type", "client_credentials"}, c.pairs...)...)
			require.Equal(t, c.want, answer.Get("error"), answer.JSON)
			if c.want == "" {
				want := c.aud
				if strings.HasPrefix(want, "/") {
					want = f.URL + want
				}
				assert.Equal(t, want, f.Claims(answer.Get("access_token"))["aud"])
			}
		})
	}
	t.Run("the issuer itself, encrypted with its own key (R2)", func(t *testing.T) {
		f := authztest.New(t, cfg)
		answer := f.Token("robot", "grant_type", "client_credentials", "scope", "orders.read", "resourceServer", "issuer")
		assert.Equal(t, 4, strings.Count(answer.Get("access_token"), "."), "R3: a JWE")
		assert.True(t, active(f, answer.Get("access_token")), "R11: the server takes its own JWE")
	})
}

func TestR1_ResourceServersEachWithTheirMode(t *testing.T) {
	key := newResourceKey("rs1-key")
	cfg := authztest.Config()
	cfg.ResourceServers = []authz.ResourceServer{
		{Name: "plain", Encryption: authz.EncryptionNone, Scopes: []authz.Scope{{Name: "plain.use"}}},
		{Name: "sealed", Scopes: []authz.Scope{{Name: "sealed.use"}}},
		resourceKeyServer("keyed", "keyed.use", key, t),
	}
	cfg.Clients = cfg.Clients[3:]
	cfg.Clients[0].Scopes = []string{"plain.use", "sealed.use", "keyed.use"}
	f := authztest.New(t, cfg)
	mint := func(name string) string {
		answer := f.Token("robot", "grant_type", "client_credentials", "scope", name+".use")
		assert.Equal(t, "Bearer", answer.Get("token_type"), "C21: every token response says it")
		return answer.Get("access_token")
	}
	assert.Equal(t, f.URL+"/rs/plain", f.Claims(mint("plain"))["aud"])
	assert.Equal(t, "A256KW", f.JWEHeader(mint("sealed"))["alg"], "R3: server_key is the default")
	assert.Equal(t, f.URL+"/rs/keyed", f.Claims(key.decrypt(t, mint("keyed")))["aud"])
}

func TestC21_AccessTokenTypeIsBearer(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	assert.Equal(t, "Bearer", tokens.Get("token_type"))
	assert.Equal(t, "Bearer", refresh(f, "shop", tokens.Get("refresh_token")).Get("token_type"))
}

func TestA23_CodeReplayEndsItsTokens(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
	tokens := f.Redeem("shop", code)
	require.True(t, active(f, tokens.Get("access_token")))

	assert.Equal(t, "invalid_grant", f.Redeem("shop", code).Get("error"))
	assert.False(t, active(f, tokens.Get("access_token")))
	assert.Equal(t, "invalid_grant", refresh(f, "shop", tokens.Get("refresh_token")).Get("error"))
	assert.Equal(t, http.StatusUnauthorized, f.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token")).Status)
}

func TestA24_OneOfManyRedeemersWins(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
	var wg sync.WaitGroup
	statuses := make(chan int, 20)
	for range cap(statuses) {
		wg.Go(func() { statuses <- f.Redeem("shop", code).Status })
	}
	wg.Wait()
	close(statuses)
	won := 0
	for status := range statuses {
		if status == http.StatusOK {
			won++
		}
	}
	assert.Equal(t, 1, won)
}

func TestA25_CodeOfAnotherClient(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	code := browser.Authorize(f.AuthorizeURL(), "alice").Get("code")
	assert.Equal(t, "invalid_grant", f.Redeem("rotating", code).Get("error"))
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code).Get("error"), "the code stays unusable")

	code = browser.Authorize(f.AuthorizeURL(), "alice").Get("code")
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code, "redirect_uri", "https://shop.example.com/other").Get("error"))
	code = browser.Authorize(f.AuthorizeURL(), "alice").Get("code")
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code, "redirect_uri", "").Get("error"), "RFC 6749 §4.1.3")
}

func TestG11_CodeExpires(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
	f.Clock.Advance(61 * time.Second)
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code).Get("error"))
}

func TestE3_RefreshWithoutRotation(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	first := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	for range 3 {
		next := refresh(f, "shop", first.Get("refresh_token"))
		require.Equal(t, http.StatusOK, next.Status, next.JSON)
		assert.Empty(t, next.Get("refresh_token"), "the client goes on with the one it has")
		assert.Equal(t, "alice", f.Claims(next.Get("access_token"))["sub"])
	}
	less := refresh(f, "shop", first.Get("refresh_token"), "scope", "openid")
	assert.Equal(t, "openid", less.Get("scope"))
	more := refresh(f, "shop", first.Get("refresh_token"), "scope", "openid email")
	assert.Equal(t, "invalid_scope", more.Get("error"), "scope may only shrink")
	assert.Equal(t, "invalid_grant", refresh(f, "rotating", first.Get("refresh_token")).Get("error"), "A39")
	assert.Equal(t, "invalid_grant", refresh(f, "shop", first.Get("access_token")).Get("error"))
	assert.Equal(t, "invalid_request", refresh(f, "shop", "").Get("error"))
}

func TestE3_RotationWithGrace(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	first := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code")).Get("refresh_token")

	second := refresh(f, "rotating", first).Get("refresh_token")
	require.NotEmpty(t, second)
	f.Clock.Advance(9 * time.Second)
	sameAgain := refresh(f, "rotating", first)
	require.Equal(t, http.StatusOK, sameAgain.Status, "within the grace, the successor unused")

	third := refresh(f, "rotating", sameAgain.Get("refresh_token")).Get("refresh_token")
	require.NotEmpty(t, third, "the same generation, whichever answer arrived")
	fromSecond := refresh(f, "rotating", second)
	require.Equal(t, http.StatusOK, fromSecond.Status, "two tabs: no fork, no logout")
	assert.Equal(t, http.StatusOK, refresh(f, "rotating", third).Status)
}

func TestA37_RefreshReplayEndsTheFamily(t *testing.T) {
	for name, c := range map[string]func(f *authztest.Fixture, first, second string){
		"after the grace": func(f *authztest.Fixture, _, _ string) { f.Clock.Advance(11 * time.Second) },
		"a generation whose successor was used": func(f *authztest.Fixture, _, second string) {
			require.Equal(t, http.StatusOK, refresh(f, "rotating", second).Status)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, authztest.Config())
			tokens := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code"))
			first := tokens.Get("refresh_token")
			next := refresh(f, "rotating", first)
			c(f, first, next.Get("refresh_token"))
			assert.Equal(t, "invalid_grant", refresh(f, "rotating", first).Get("error"))
			assert.Equal(t, "invalid_grant", refresh(f, "rotating", next.Get("refresh_token")).Get("error"), "the whole family")
			assert.False(t, active(f, next.Get("access_token")))
		})
	}
}

func TestA38_ManyRefreshesAtOnceLogNobodyOut(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	first := f.Redeem("rotating", f.NewBrowser().Authorize(rotatingURL(f), "alice").Get("code")).Get("refresh_token")
	answers := make(chan authztest.Answer, 20)
	var wg sync.WaitGroup
	for range cap(answers) {
		wg.Go(func() { answers <- refresh(f, "rotating", first) })
	}
	wg.Wait()
	close(answers)
	for a := range answers {
		require.Equal(t, http.StatusOK, a.Status, a.JSON)
		first = a.Get("refresh_token")
	}
	assert.Equal(t, http.StatusOK, refresh(f, "rotating", first).Status)
}

func TestE3_PublicClientsAlwaysRotate(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	code := f.NewBrowser().Authorize(f.AuthorizeURL("client_id", "spa", "redirect_uri", "https://spa.example.com/callback",
		"code_challenge", rfcChallenge, "code_challenge_method", "S256"), "alice").Get("code")
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"spa"},
		"redirect_uri": {"https://spa.example.com/callback"}, "code_verifier": {rfcVerifier},
	}
	tokens := f.Post("/token", "", form)
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	next := f.Post("/token", "", url.Values{"grant_type": {"refresh_token"}, "client_id": {"spa"}, "refresh_token": {tokens.Get("refresh_token")}})
	assert.NotEmpty(t, next.Get("refresh_token"))
	assert.NotEqual(t, tokens.Get("refresh_token"), next.Get("refresh_token"))
}

func TestC16_IdleAndAbsoluteLifetimeOfRefreshTokens(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	token := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("refresh_token")
	for range 4 { // idle is 7 days, absolute 30
		f.Clock.Advance(6 * 24 * time.Hour)
		require.Equal(t, http.StatusOK, refresh(f, "shop", token).Status)
	}
	f.Clock.Advance(6*24*time.Hour - time.Minute)
	last := refresh(f, "shop", token)
	require.Equal(t, http.StatusOK, last.Status)
	assert.LessOrEqual(t, last.JSON["expires_in"], 60.0, "nothing outlives its parent")
	f.Clock.Advance(2 * time.Minute)
	assert.Equal(t, "invalid_grant", refresh(f, "shop", token).Get("error"), "use never extends the absolute lifetime")

	token = f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "bob").Get("code")).Get("refresh_token")
	f.Clock.Advance(8 * 24 * time.Hour)
	assert.Equal(t, "invalid_grant", refresh(f, "shop", token).Get("error"), "unused that long")
}

func TestA40_RefreshLooksThePersonUpAfresh(t *testing.T) {
	for name, change := range map[string]func(*static.User){
		"disabled":         func(u *static.User) { u.Disabled = true },
		"removed":          func(u *static.User) { u.Name = "somebody else" },
		"without the role": func(u *static.User) { u.Roles = nil },
		"password changed": func(u *static.User) { u.Password = newHash(t) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			cfg.Clients[0].AllowRoles = []string{"employee"}
			f := authztest.New(t, cfg)
			browser := f.NewBrowser()
			tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
			waiting := browser.Authorize(f.AuthorizeURL(), "alice").Get("code")

			people := authztest.Users(t)
			change(&people[0])
			store, err := static.New(people)
			require.NoError(t, err)
			cfg.Users = store
			f.Reload(cfg)
			assert.Equal(t, "invalid_grant", refresh(f, "shop", tokens.Get("refresh_token")).Get("error"))
			assert.Equal(t, "invalid_grant", f.Redeem("shop", waiting).Get("error"), "a code that was waiting")
		})
	}
}

func newHash(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(authztest.Password), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hash)
}

func TestG6_RefreshTokenByConfiguration(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		edit func(*authz.Client)
		want bool
	}{
		"default":               {func(*authz.Client) {}, true},
		"refresh_token off":     {func(c *authz.Client) { c.RefreshToken = &no }, false},
		"refresh_token on wins": {func(c *authz.Client) { c.RefreshToken, c.TokenTypes = &yes, []authz.TokenType{"code", "access_token"} }, true},
		"token_type without":    {func(c *authz.Client) { c.TokenTypes = []authz.TokenType{"code", "access_token", "id_token"} }, false},
		"grant_type without":    {func(c *authz.Client) { c.GrantTypes = []string{"authorization_code"} }, false},
		"C13 a service client": {func(c *authz.Client) {
			c.AccessType, c.GrantTypes = authz.AccessService, []string{"authorization_code", "refresh_token"}
		}, false},
		"C13 a service client that asks": {func(c *authz.Client) {
			c.AccessType, c.GrantTypes, c.RefreshToken = authz.AccessService, []string{"authorization_code"}, &yes
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			c.edit(&cfg.Clients[0])
			f := authztest.New(t, cfg)
			tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
			require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
			assert.Equal(t, c.want, tokens.Get("refresh_token") != "")
		})
	}
}

func TestC3_ADisabledClientGetsNothingNew(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	cfg.Clients[0].Disabled = true
	f.Reload(cfg)
	assert.Equal(t, "invalid_client", refresh(f, "shop", tokens.Get("refresh_token")).Get("error"))
	assert.Equal(t, "error", f.NewBrowser().Get(f.AuthorizeURL()).ID())
	assert.True(t, active(f, tokens.Get("access_token")), "issued ones stay valid")
}

func TestO4_StateSurvivesAReload(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	code := browser.Authorize(f.AuthorizeURL(), "alice").Get("code")
	pending := f.NewBrowser()
	login := pending.Get(f.AuthorizeURL())
	f.Reload(cfg)
	tokens := f.Redeem("shop", code)
	require.Equal(t, http.StatusOK, tokens.Status, "the code")
	assert.NotNil(t, browser.Get(f.AuthorizeURL()).Location, "the session")
	assert.NotNil(t, pending.Submit(login, "username", "bob", "password", authztest.Password).Location, "a login in progress")
	assert.Equal(t, http.StatusOK, refresh(f, "shop", tokens.Get("refresh_token")).Status, "the grant")
}

package authz_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

func TestE4_UserInfoHasAllClaims(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL("scope", "openid profile email orders.read who"), "alice").Get("code"))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		info := f.Bearer(method, "/userinfo", tokens.Get("access_token"))
		require.Equal(t, http.StatusOK, info.Status)
		assert.Equal(t, map[string]any{
			"sub": "alice", "email": "alice@example.com", "given_name": "Alice", "family_name": "Liddell",
			"preferred_username": "alice", "roles": []any{"employee", "buyer"}, "claims": []any{"read"},
		}, info.JSON)
	}
	inForm := f.Post("/userinfo", "", url.Values{"access_token": {tokens.Get("access_token")}})
	assert.Equal(t, http.StatusOK, inForm.Status, "RFC 6750 §2.2")

	assert.NotContains(t, f.Claims(tokens.Get("id_token")), "email", "OIDC Core §5.4: with an access token, claims are at userinfo")
	assert.Equal(t, []any{"employee", "buyer"}, f.Claims(tokens.Get("access_token"))["roles"], "S7: placed in the access token")
}

func TestE4_UserInfoRefusals(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	none := f.Bearer(http.MethodGet, "/userinfo", "")
	assert.Equal(t, http.StatusUnauthorized, none.Status)
	assert.NotContains(t, none.Header.Get("WWW-Authenticate"), "error", "RFC 6750 §3.1: nothing was wrong yet")

	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code"))
	robot := f.Token("robot", "grant_type", "client_credentials").Get("access_token")
	access := tokens.Get("access_token")
	for name, c := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"garbage":              {"garbage", 401, "invalid_token"},
		"A6 an ID token":       {tokens.Get("id_token"), 401, "invalid_token"},
		"A6 a refresh token":   {tokens.Get("refresh_token"), 401, "invalid_token"},
		"a changed signature":  {access[:len(access)-8] + "AAAAAAAA", 401, "invalid_token"},
		"A1 without signature": {strings.Join(strings.Split(access, ".")[:2], ".") + ".", 401, "invalid_token"},
		"without openid":       {robot, 403, "insufficient_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := f.Bearer(http.MethodGet, "/userinfo", c.token)
			assert.Equal(t, c.status, answer.Status)
			assert.Equal(t, c.code, answer.Get("error"))
			assert.Contains(t, answer.Header.Get("WWW-Authenticate"), `error="`+c.code+`"`)
		})
	}
	req, err := http.NewRequest(http.MethodGet, f.URL+"/userinfo?access_token="+access, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, f.Do(req).Status, "RFC 9700 §4.3.2: not in a URL")
	f.Clock.Advance(600e9 + 6e9)
	assert.Equal(t, http.StatusUnauthorized, f.Bearer(http.MethodGet, "/userinfo", access).Status, "expired, past the leeway")
}

func TestE4_UserInfoInTheFormThatIsRegistered(t *testing.T) {
	key := newResourceKey("rs1-key")
	encrypt := func(c *authz.Client) {
		c.UserInfoKeyAlgorithm, c.JWKS = "RSA-OAEP-256", key.jwks(t)
	}
	open := func(t *testing.T, raw string) []byte {
		jwe, err := jose.ParseEncryptedCompact(raw, []jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM, jose.A128CBC_HS256})
		require.NoError(t, err)
		plain, err := jwe.Decrypt(key.private)
		require.NoError(t, err)
		return plain
	}
	for name, c := range map[string]struct {
		edit func(*authz.Client)
		read func(*testing.T, *authztest.Fixture, string) map[string]any
	}{
		"oidcc-userinfo-rs256 signed": {
			func(c *authz.Client) { c.UserInfoAlg = jose.RS256 },
			func(_ *testing.T, f *authztest.Fixture, raw string) map[string]any {
				assert.Equal(t, "RS256", f.Header(raw)["alg"])
				return f.Claims(raw)
			},
		},
		"signed, then encrypted": {
			func(c *authz.Client) { c.UserInfoAlg = jose.ES256; encrypt(c) },
			func(t *testing.T, f *authztest.Fixture, raw string) map[string]any {
				return f.Claims(key.decrypt(t, raw))
			},
		},
		"encrypted only": {
			func(c *authz.Client) { encrypt(c); c.UserInfoContentEncryption = "A128CBC-HS256" },
			func(t *testing.T, _ *authztest.Fixture, raw string) (claims map[string]any) {
				require.NoError(t, json.Unmarshal(open(t, raw), &claims), "OIDC Core §5.3.2: claims, not a nested JWT")
				return claims
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			c.edit(&cfg.Clients[0])
			f := authztest.New(t, cfg)
			browser := f.NewBrowser()
			tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL("scope", "openid email"), "alice").Get("code"))
			info := f.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token"))
			require.Equal(t, http.StatusOK, info.Status)
			assert.Equal(t, "application/jwt", info.Header.Get("Content-Type"))
			assert.Equal(t, "no-store", info.Header.Get("Cache-Control"))
			claims := c.read(t, f, info.Body)
			assert.Equal(t, map[string]any{"iss": f.URL, "aud": "shop", "sub": "alice", "email": "alice@example.com"}, claims)
			if strings.Count(info.Body, ".") == 2 {
				hinted := browser.Get(f.AuthorizeURL("id_token_hint", info.Body))
				assert.Equal(t, "invalid_request", hinted.Location.Query().Get("error"), "A6: it is no ID token")
			}
		})
	}
}

func TestE4_UserInfoFormsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		edit    func(*authz.Client)
		problem string
	}{
		"signed with no key":     {func(c *authz.Client) { c.UserInfoAlg = "PS512" }, "no key"},
		"signed none":            {func(c *authz.Client) { c.UserInfoAlg = authz.AlgNone }, "no key"},
		"encrypted without keys": {func(c *authz.Client) { c.UserInfoKeyAlgorithm = "ECDH-ES" }, "needs jwks"},
		"an unknown alg":         {func(c *authz.Client) { c.UserInfoKeyAlgorithm, c.JWKSURL = "RSA1_5", "https://shop.example.com/jwks" }, "RSA1_5"},
		"ID tokens encrypted without a signature": {func(c *authz.Client) {
			c.IDTokenAlg, c.IDTokenKeyAlgorithm, c.JWKSURL = authz.AlgNone, "ECDH-ES", "https://shop.example.com/jwks"
		}, "has to be signed"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
			c.edit(&cfg.Clients[0])
			_, err := authz.New(cfg)
			require.ErrorContains(t, err, c.problem)
		})
	}
}

func TestA16_AClientThatFitsNoMoreGetsNoPlainUserInfo(t *testing.T) {
	cfg := registryConfig(t, authz.RegistrationProtected)
	own := cfg.ResourceServers[0].Scopes
	cfg.ResourceServers[0].Scopes = append(own, authz.Scope{Name: "extra"})
	g := &registry{authztest.New(t, cfg), t}
	c := g.register(g.token("bob", "registration.full"), members{
		"redirect_uris": []string{"https://app.example.com/callback"}, "scope": "openid email extra",
		"jwks": json.RawMessage(newResourceKey("e1").jwks(t)), "userinfo_encrypted_response_alg": "RSA-OAEP-256",
	})
	b, id := g.NewBrowser(), c.Get("client_id")
	page := b.SignIn(g.AuthorizeURL("client_id", id, "redirect_uri", "https://app.example.com/callback", "scope", "openid email"), "alice")
	page = b.Submit(page, "decision", "allow")
	tokens := g.asClient(id, c.Get("client_secret"), map[string]string{
		"grant_type": "authorization_code", "code": page.Location.Query().Get("code"), "redirect_uri": "https://app.example.com/callback",
	})
	userInfo := func() authztest.Answer { return g.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token")) }
	require.Equal(t, "application/jwt", userInfo().Header.Get("Content-Type"))
	cfg.ResourceServers[0].Scopes = own
	g.Reload(cfg)
	assert.Equal(t, http.StatusUnauthorized, userInfo().Status)
	assert.Equal(t, "invalid_token", userInfo().Get("error"))
}

package authz_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/revocation"
)

func pairwiseConfig(format authz.TokenFormat) authz.Config {
	cfg := authztest.Config()
	cfg.TokenFormat = format
	for i := range cfg.Clients[:3] {
		cfg.Clients[i].SubjectType = authz.SubjectPairwise
	}
	cfg.Clients[1].SectorIdentifierURI = "https://shop.example.com/sector.json"
	return cfg
}

func TestS11_PairwiseSubjects(t *testing.T) {
	for name, format := range map[string]authz.TokenFormat{"JWT": authz.FormatJWT, "binary": authz.FormatBinary} {
		t.Run(name, func(t *testing.T) {
			cfg := pairwiseConfig(format)
			f := authztest.New(t, cfg)
			browser := f.NewBrowser()
			tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL("scope", "openid orders.read"), "alice").Get("code"))
			access := tokens.Get("access_token")
			sub, _ := f.Claims(tokens.Get("id_token"))["sub"].(string)
			require.NotEmpty(t, sub)
			require.NotEqual(t, "alice", sub)

			about := f.Post("/introspect", "robot", url.Values{"token": {access}})
			assert.Equal(t, true, about.JSON["active"], "the server finds the person")
			assert.Equal(t, sub, about.Get("sub"))
			assert.NotContains(t, about.JSON, "username", "a name would tell what the sub hides")
			assert.Equal(t, sub, f.Post("/introspect", "shop", url.Values{"token": {tokens.Get("refresh_token")}}).Get("sub"))
			assert.Equal(t, sub, f.Bearer(http.MethodGet, "/userinfo", access).Get("sub"), "OIDC Core §5.3.2: as in the ID token")
			assert.Equal(t, sub, f.Bearer(http.MethodGet, "/tokeninfo", access).Get("user_id"))
			if format == authz.FormatJWT {
				assert.Equal(t, sub, f.Claims(access)["sub"])
			} else {
				assert.LessOrEqual(t, len(access), 256, "R10")
			}
			again := f.Token("shop", "grant_type", "refresh_token", "refresh_token", tokens.Get("refresh_token"))
			require.Equal(t, http.StatusOK, again.Status)
			assert.Equal(t, sub, f.Claims(again.Get("id_token"))["sub"])

			same := f.Redeem("rotating", browser.Authorize(rotatingURL(f), "alice").Get("code"))
			assert.Equal(t, sub, f.Claims(same.Get("id_token"))["sub"], "one sector, one sub")
			bob := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "bob").Get("code"))
			assert.NotEqual(t, sub, f.Claims(bob.Get("id_token"))["sub"])

			f.Reload(cfg)
			later := f.Redeem("shop", browser.Authorize(f.AuthorizeURL("prompt", "none", "id_token_hint", tokens.Get("id_token")), "alice").Get("code"))
			assert.Equal(t, sub, f.Claims(later.Get("id_token"))["sub"], "the same for good, and good as a hint")

			require.NoError(t, f.State.Revocations().RevokeBefore(context.Background(), revocation.User, "alice", f.Clock.Now(), f.Clock.Now().Add(time.Hour)))
			assert.Equal(t, http.StatusUnauthorized, f.Bearer(http.MethodGet, "/userinfo", access).Status, "the person is revoked, by whatever sub")
		})
	}
}

func TestS11_PairwisePersonMayBeAskedFor(t *testing.T) {
	f := authztest.New(t, pairwiseConfig(authz.FormatJWT))
	browser := f.NewBrowser()
	tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
	sub, _ := f.Claims(tokens.Get("id_token"))["sub"].(string)
	for want, outcome := range map[string]string{sub: "", "alice": "login_required"} {
		page := browser.Get(f.AuthorizeURL("prompt", "none", "claims", `{"id_token":{"sub":{"value":"`+want+`"}}}`))
		assert.Equal(t, outcome, page.Location.Query().Get("error"))
	}
	out := browser.Get(f.URL + "/end_session?id_token_hint=" + tokens.Get("id_token"))
	assert.Equal(t, "logout", out.ID(), "G7")
	assert.Equal(t, "alice", f.Server.Account(sub), "what a gate asks")
	user, err := f.Server.Person(t.Context(), sub)
	require.NoError(t, err)
	assert.Equal(t, "alice", user.Username)
}

func TestS11_SectorsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		edit    func(*authz.Client)
		problem string
	}{
		"two hosts": {func(c *authz.Client) {
			c.RedirectURIs = []string{"https://a.example.com/cb", "https://b.example.com/cb"}
		}, "one host"},
		"a scheme of its own": {func(c *authz.Client) {
			c.Type, c.RedirectURIs = authz.ClientNative, []string{"com.example.app:/cb"}
		}, "one host"},
		"no redirect URI": {func(c *authz.Client) {
			c.GrantTypes, c.AccessType, c.RedirectURIs = []string{"client_credentials"}, authz.AccessService, nil
		}, "needed"},
		"not over TLS":      {func(c *authz.Client) { c.SectorIdentifierURI = "http://shop.example.com/s.json" }, "https"},
		"of another type":   {func(c *authz.Client) { c.SubjectType = "secret" }, "public, pairwise"},
		"OIDC Core §4 http": {func(c *authz.Client) { c.InitiateLoginURI = "http://shop.example.com/login" }, "initiate_login_uri"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
			cfg.Clients[0].SubjectType = authz.SubjectPairwise
			c.edit(&cfg.Clients[0])
			_, err := authz.New(cfg)
			require.ErrorContains(t, err, c.problem)
		})
	}
}

package authz_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

// withAttributes is a configuration with one attribute set and scopes that place its claims.
func withAttributes() authz.Config {
	cfg := authztest.Config()
	cfg.AttributeSets = []authz.AttributeSet{{
		Name:       "person",
		Attributes: map[string]string{"departmentNumber": "departments", "sn": "surname"},
		Constants:  map[string]string{"tenant": "wonderland"},
		Virtual: map[string]string{
			"greeting": `"Dear " + user.givenName`,
			"chief":    `"employee" in user.roles`,
			"missing":  `user.nothing`,
		},
	}}
	both := authz.Placement{AccessToken: true, IDToken: true}
	cfg.ResourceServers = append(cfg.ResourceServers, authz.ResourceServer{
		Name: "hr", Encryption: authz.EncryptionNone,
		Scopes: []authz.Scope{{
			Name: "staff",
			Attributes: []authz.ScopeAttributes{
				{Claims: []string{"departments"}, To: both},
				{Claims: []string{"tenant"}, To: authz.Placement{AccessToken: true}},
				{Claims: []string{"person/greeting", "chief"}, To: authz.Placement{IDToken: true}},
				{Claims: []string{"surname", "missing"}},
			},
			Permissions: []authz.ScopePermissions{
				{Permissions: []string{"read", "list"}, To: authz.Placement{AccessToken: true}},
				{Permissions: []string{"tell"}, To: authz.Placement{IDToken: true}},
			},
		}},
	})
	for i := range cfg.Clients {
		cfg.Clients[i].Scopes = append(cfg.Clients[i].Scopes, "staff")
	}
	return cfg
}

func TestS2_S3_PlacementOfClaims(t *testing.T) {
	f := authztest.New(t, withAttributes())
	tokens := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid staff"), "alice").Get("code"))
	departments := []any{"42", "43"}
	only := func(claims map[string]any) map[string]any {
		kept := map[string]any{}
		for _, name := range []string{"departments", "tenant", "greeting", "chief", "surname", "missing", "claims"} {
			if v, ok := claims[name]; ok {
				kept[name] = v
			}
		}
		return kept
	}
	assert.Equal(t, map[string]any{"departments": departments, "tenant": "wonderland", "claims": []any{"list", "read"}},
		only(f.Claims(tokens.Get("access_token"))))
	assert.Equal(t, map[string]any{"departments": departments, "greeting": "Dear Alice", "chief": true, "claims": []any{"tell"}},
		only(f.Claims(tokens.Get("id_token"))))
	assert.Equal(t, map[string]any{
		"departments": departments, "tenant": "wonderland", "greeting": "Dear Alice", "chief": true, "surname": "Liddell",
		"claims": []any{"list", "read", "tell"},
	}, only(f.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token")).JSON), "userinfo has them all")
}

func TestS6_ClientCredentialsHaveNoAttributesOfUsers(t *testing.T) {
	f := authztest.New(t, withAttributes())
	claims := f.Claims(f.Token("robot", "grant_type", "client_credentials", "scope", "staff").Get("access_token"))
	assert.NotContains(t, claims, "departments")
	assert.Equal(t, []any{"list", "read"}, claims["claims"])
}

func TestS9_ChangingAScopeLeavesTokensAlone(t *testing.T) {
	cfg := withAttributes()
	f := authztest.New(t, cfg)
	raw := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid staff"), "alice").Get("code")).Get("access_token")
	cfg.ResourceServers[1].Scopes[0].Permissions = nil
	f.Reload(cfg)
	described := f.Post("/introspect", "robot", map[string][]string{"token": {raw}})
	assert.Equal(t, []any{"list", "read"}, described.JSON["claims"])
}

func TestS2_AttributeSetsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		edit    func(*authz.Config)
		problem string
	}{
		"an expression that is none": {func(c *authz.Config) { c.AttributeSets[0].Virtual["greeting"] = `"Dear " +` }, "CEL"},
		"a claim of the server":      {func(c *authz.Config) { c.AttributeSets[0].Constants["sub"] = "x" }, "server's own"},
		"a claim defined twice":      {func(c *authz.Config) { c.AttributeSets[0].Constants["surname"] = "x" }, "defined twice"},
		"a claim in two sets": {func(c *authz.Config) {
			c.AttributeSets = append(c.AttributeSets, authz.AttributeSet{Name: "other", Constants: map[string]string{"tenant": "x"}})
		}, "write set/claim"},
		"a set that is not there": {func(c *authz.Config) {
			c.ResourceServers[1].Scopes[0].Attributes[0].Claims = []string{"other/departments"}
		}, "defines no claim"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := withAttributes()
			cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
			c.edit(&cfg)
			_, err := authz.New(cfg)
			assert.ErrorContains(t, err, c.problem)
		})
	}
}

func TestE2_PasswordGrant(t *testing.T) {
	cfg := authztest.Config()
	cfg.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials", "password"}
	cfg.Clients[0].GrantTypes = []string{"password", "refresh_token"}
	cfg.Lockout = authz.Lockout{Guesses: 2}
	f := authztest.New(t, cfg)
	ask := func(username, password string) authztest.Answer {
		return f.Token("shop", "grant_type", "password", "username", username, "password", password, "scope", "openid orders.read")
	}
	tokens := ask("alice", authztest.Password)
	require.Equal(t, http.StatusOK, tokens.Status, tokens.JSON)
	assert.Equal(t, "alice", f.Claims(tokens.Get("access_token"))["sub"])
	assert.Equal(t, http.StatusOK, refresh(f, "shop", tokens.Get("refresh_token")).Status)
	assert.Empty(t, tokens.Get("id_token"), "G5: the grant yields access and refresh tokens")

	assert.Equal(t, "invalid_request", ask("alice", "").Get("error"))
	wrong, unknown, disabled := ask("alice", "wrong"), ask("nobody", "wrong"), ask("carol", authztest.Password)
	assert.Equal(t, "invalid_grant", wrong.Get("error"))
	assert.Equal(t, wrong.JSON, unknown.JSON, "A75")
	assert.Equal(t, wrong.JSON, disabled.JSON, "A75")
	ask("alice", "wrong")
	assert.Equal(t, "invalid_grant", ask("alice", authztest.Password).Get("error"), "U9: too many guesses")
	assert.Equal(t, "unauthorized_client", f.Token("rotating", "grant_type", "password", "username", "alice", "password", "x").Get("error"))
}

func TestE5_TokenInfo(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	raw := f.Token("robot", "grant_type", "client_credentials").Get("access_token")
	info := f.Bearer(http.MethodGet, "/tokeninfo", raw)
	assert.Equal(t, map[string]any{
		"expires_in": 600.0, "user_id": "robot", "client_id": "robot", "scope": []any{"orders.read"},
		"audience": "https://orders.example.com", "issuer": f.URL,
	}, info.JSON)
	assert.Equal(t, http.StatusUnauthorized, f.Bearer(http.MethodGet, "/tokeninfo", "x").Status)
	assert.Equal(t, http.StatusUnauthorized, f.Bearer(http.MethodGet, "/tokeninfo", "").Status)
}

func TestE12_CompatNAM(t *testing.T) {
	cfg := authztest.Config()
	cfg.Compat, cfg.Issuer, cfg.Users = authz.CompatNAM, "https://login.example.com/nidp/oauth/nam", people(t)
	server, err := authz.New(cfg)
	require.NoError(t, err)
	for _, path := range []string{
		"/nidp/oauth/nam/authz", "/nidp/oauth/nam/authorize", "/nidp/oauth/nam/token", "/nidp/oauth/nam/userinfo", "/nidp/oauth/nam/tokeninfo",
		"/nidp/oauth/nam/revoke", "/nidp/oauth/nam/keys", "/nidp/oauth/v1/nam/introspect", "/nidp/oauth/nam/.well-known/openid-configuration",
	} {
		req, err := http.NewRequest(http.MethodGet, "https://login.example.com"+path, nil)
		require.NoError(t, err)
		assert.True(t, server.Handles(req), path)
	}
	cfg.Issuer = "https://login.example.com"
	_, err = authz.New(cfg)
	assert.ErrorContains(t, err, "/nidp/oauth/nam")
}

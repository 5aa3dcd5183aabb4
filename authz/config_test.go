package authz_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users/static"
)

func people(t testing.TB) *static.Store {
	t.Helper()
	s, err := static.New(authztest.Users(t))
	require.NoError(t, err)
	return s
}

func TestG1_P2_Issuer(t *testing.T) {
	for issuer, problem := range map[string]string{
		"https://login.example.com":        "",
		"https://login.example.com/a/b":    "",
		"http://localhost:8080":            "",
		"http://127.0.0.1:8080":            "",
		"http://login.example.com":         "must be https",
		"https://login.example.com/":       "slash",
		"https://login.example.com?x=1":    "query",
		"https://login.example.com#x":      "fragment",
		"https://me@login.example.com":     "user name",
		"login.example.com":                "host",
		"":                                 "host",
		"https://login.example.com/%61":    "plain form",
		"ftp://login.example.com":          "must be https",
		"http://localhost.evil.example:80": "must be https",
	} {
		cfg := authztest.Config()
		cfg.Issuer, cfg.Users = issuer, people(t)
		_, err := authz.New(cfg)
		if problem == "" {
			assert.NoError(t, err, issuer)
		} else {
			assert.ErrorContains(t, err, problem, issuer)
		}
	}
}

func TestC1_ConfigurationIsChecked(t *testing.T) {
	orders := func(cfg *authz.Config) *authz.ResourceServer { return &cfg.ResourceServers[0] }
	shop := func(cfg *authz.Config) *authz.Client { return &cfg.Clients[0] }
	for name, c := range map[string]struct {
		edit    func(*authz.Config)
		problem string
	}{
		"R2 two defaults": {func(c *authz.Config) {
			orders(c).Default = true
			c.ResourceServers = append(c.ResourceServers, authz.ResourceServer{Name: "other", Default: true})
		}, "default already"},
		"R2 the reserved name": {func(c *authz.Config) { orders(c).Name = "issuer" }, "reserved"},
		"R6 a scope that two define": {func(c *authz.Config) {
			c.ResourceServers = append(c.ResourceServers, authz.ResourceServer{Name: "other", Scopes: []authz.Scope{{Name: "orders.read"}}})
		}, "resource_server orders defines it too"},
		"R3 unknown encryption":        {func(c *authz.Config) { orders(c).Encryption = "rot13" }, "rot13"},
		"R3 keys without resource_key": {func(c *authz.Config) { orders(c).KeyAlgorithm = "RSA-OAEP" }, "resource_key"},
		"R4 resource_key without keys": {func(c *authz.Config) { orders(c).Encryption = authz.EncryptionResourceKey }, "needs jwks"},
		"S1 a scope with a space":      {func(c *authz.Config) { orders(c).Scopes[0].Name = "a b" }, "RFC 6749"},
		"S11 a standard scope":         {func(c *authz.Config) { orders(c).Scopes[0].Name = "email" }, "standard scope"},
		"S2 an attribute nobody defines": {func(c *authz.Config) {
			orders(c).Scopes[0].Attributes = []authz.ScopeAttributes{{Claims: []string{"x"}}}
		}, "no attribute_set defines"},
		"C17 implies a circle":               {func(c *authz.Config) { orders(c).Scopes[0].Implies = []string{"orders.read"} }, "implies itself"},
		"C17 implies the unknown":            {func(c *authz.Config) { orders(c).Scopes[0].Implies = []string{"nope"} }, "unknown scope"},
		"RFC 8707 relative identifier":       {func(c *authz.Config) { orders(c).Identifiers = []string{"orders"} }, "absolute URI"},
		"C12 unknown scope":                  {func(c *authz.Config) { shop(c).Scopes = []string{"nope"} }, `"nope" is not defined`},
		"C14 a bad ID":                       {func(c *authz.Config) { shop(c).ID = "a b" }, "an ID has"},
		"C14 the same ID twice":              {func(c *authz.Config) { c.Clients[1].ID = "shop" }, "taken"},
		"C4 http redirect":                   {func(c *authz.Config) { shop(c).RedirectURIs = []string{"http://shop.example.com/"} }, "must be https"},
		"A20 javascript redirect":            {func(c *authz.Config) { shop(c).RedirectURIs = []string{"JavaScript:alert(1)"} }, "not allowed"},
		"A20 data logo":                      {func(c *authz.Config) { shop(c).Logo = "data:image/png,x" }, "not allowed"},
		"C4 custom scheme of a web client":   {func(c *authz.Config) { shop(c).RedirectURIs = []string{"com.example.app:/cb"} }, "native"},
		"C4 no redirect":                     {func(c *authz.Config) { shop(c).RedirectURIs = nil }, "needs a redirect_uri"},
		"C15 a browser with a secret":        {func(c *authz.Config) { shop(c).Type = authz.ClientBrowser }, "can't keep a secret"},
		"C13 client credentials, no secret":  {func(c *authz.Config) { c.Clients[3].SecretHash = "" }, "needs a secret"},
		"C20 unknown resource server":        {func(c *authz.Config) { shop(c).ResourceServer = "nope" }, "not defined"},
		"G5 a grant the server doesn't have": {func(c *authz.Config) { c.GrantTypes = []string{"authorization_code"} }, "not allowed by this server"},
		"G5 an unknown grant":                {func(c *authz.Config) { c.GrantTypes = append(c.GrantTypes, "magic") }, "unknown"},
		"G11 a code that lives too long":     {func(c *authz.Config) { c.Lifetimes.Code = time.Hour }, "10 minutes"},
		"G12 signing without a key":          {func(c *authz.Config) { c.Signing.IDToken = "PS512" }, "PS512"},
		"G3 an origin with a path":           {func(c *authz.Config) { c.CORS = []string{"https://a.example/x"} }, "not an origin"},
		"G3 a default port":                  {func(c *authz.Config) { c.CORS = []string{"https://a.example:443"} }, "default port"},
		"G4 credentials for all": {func(c *authz.Config) {
			c.CORS, c.CORSCredentials = []string{"*"}, true
		}, "exclude each other"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
			c.edit(&cfg)
			_, err := authz.New(cfg)
			assert.ErrorContains(t, err, c.problem)
		})
	}
}

func TestO4_RequestsWaitForTheStart(t *testing.T) {
	cfg := authztest.Config()
	cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
	server, err := authz.New(cfg)
	require.NoError(t, err)
	status := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://login.example.com/jwks.json", nil))
		status <- w.Code
	}()
	require.NoError(t, server.Start(t.Context(), authztest.NewState(t, time.Now)))
	assert.Equal(t, http.StatusOK, <-status)
}

func TestG12_KeysAreMadeOnceAndKept(t *testing.T) {
	keys := new(authztest.Keys)
	jwks := func() string {
		cfg := authztest.Config()
		cfg.Issuer, cfg.Users, cfg.Keys = "https://login.example.com", people(t), keys
		server, err := authz.New(cfg)
		require.NoError(t, err)
		require.NoError(t, server.Start(t.Context(), authztest.NewState(t, time.Now)))
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://login.example.com/jwks.json", nil))
		return w.Body.String()
	}
	before := jwks()
	assert.Equal(t, before, jwks())
}

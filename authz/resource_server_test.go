package authz_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

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
		"named by resourceServer (R5)":                    {client: "robot", pairs: []string{"scope", "orders.read", "resourceServer", "stock"}, aud: "/rs/stock"},
		"named by resource (RFC 8707)":                    {client: "robot", pairs: []string{"scope", "stock.read", "resource", "https://orders.example.com"}, aud: "https://orders.example.com"},
		"named as MCP clients write it (RFC 3986 §6.2.3)": {client: "robot", pairs: []string{"scope", "stock.read", "resource", "https://orders.example.com/"}, aud: "https://orders.example.com"},
		"the client's own (C20)":                          {client: "own", pairs: []string{"scope", "orders.read"}, aud: "/rs/stock"},
		"named wins over the client's own":                {client: "own", pairs: []string{"scope", "orders.read", "resourceServer", "orders"}, aud: "https://orders.example.com"},
		"the client's own wins over the default":          {client: "own", byDefault: true, pairs: []string{"scope", "orders.read"}, aud: "/rs/stock"},
		"the default":                                     {client: "robot", byDefault: true, pairs: []string{"scope", "stock.read"}, aud: "https://orders.example.com"},
		"the only one whose scopes are asked for":         {client: "robot", pairs: []string{"scope", "stock.read"}, aud: "/rs/stock"},
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

func TestR13_NoScopeAskedAndTheAudienceAsAName(t *testing.T) {
	cfg := authztest.Config()
	cfg.ResourceServers = append(cfg.ResourceServers, authz.ResourceServer{Name: "stock", Encryption: authz.EncryptionNone, Scopes: []authz.Scope{{Name: "stock.read"}}})
	cfg.Clients[3].Scopes = []string{"orders.read", "stock.read"}
	f := authztest.New(t, cfg)
	all := f.Token("robot", "grant_type", "client_credentials")
	require.Equal(t, http.StatusOK, all.Status, all.JSON)
	assert.Equal(t, "orders.read stock.read", all.Get("scope"), "RFC 6749 §3.3: the default is all that the client may have")
	assert.Equal(t, f.URL, f.Bearer(http.MethodGet, "/tokeninfo", all.Get("access_token")).Get("audience"))
	named := f.Token("robot", "grant_type", "client_credentials", "scope", "orders.read", "resource", f.URL+"/rs/stock")
	assert.Equal(t, f.URL+"/rs/stock", f.Claims(named.Get("access_token"))["aud"], "RFC 8707: by the aud that its tokens have")
}

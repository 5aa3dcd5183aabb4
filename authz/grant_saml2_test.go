package authz_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/saml/samltest"
)

const grantSAML2 = "urn:ietf:params:oauth:grant-type:saml2-bearer"

var samlProvider = sync.OnceValue(func() *samltest.Provider { return samltest.NewProvider(time.Now()) })

// withSAML trusts one identity provider, whose NameIDs are mail addresses.
func withSAML(change func(*authz.Config)) authz.Config {
	cfg := authztest.Config()
	cfg.GrantTypes = []string{authz.GrantAuthorizationCode, authz.GrantRefreshToken, authz.GrantClientCredentials, authz.GrantSAML2Bearer}
	cfg.SAMLIssuers = []authz.SAMLIssuer{{
		EntityID: "https://idp.example", Certificates: []*x509.Certificate{samlProvider().Certificate}, UserAttribute: "mail",
	}}
	for i := range cfg.Clients {
		if cfg.Clients[i].ID == "shop" {
			cfg.Clients[i].GrantTypes = []string{authz.GrantAuthorizationCode, authz.GrantRefreshToken, authz.GrantSAML2Bearer}
		}
	}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

// samlAssertion is a good one about Alice, for this server.
func samlAssertion(t *testing.T, f *authztest.Fixture, id string, changes ...string) string {
	t.Helper()
	return samltest.Encode(samlProvider().Sign(t, samltest.Assertion{
		Now: f.Clock.Now(), ID: id, Issuer: "https://idp.example", NameID: "alice@example.com",
		Recipient: f.URL + "/token", Audience: f.URL,
	}.XML(changes...)))
}

func TestE2_SAMLBearerGrant(t *testing.T) {
	f := authztest.New(t, withSAML(nil))
	answer := f.Token("shop", "grant_type", grantSAML2, "assertion", samlAssertion(t, f, "_1"), "scope", "orders.read orders.write")
	require.Equal(t, http.StatusOK, answer.Status, answer)
	assert.Equal(t, "orders.read", answer.Get("scope"), "orders.write needs a consent, and nobody is here to give it")
	assert.NotEmpty(t, answer.Get("refresh_token"), "G5")
	introspected := f.Post("/introspect", "robot", url.Values{"token": {answer.Get("access_token")}}).JSON
	assert.Equal(t, true, introspected["active"])
	assert.Equal(t, "alice", introspected["username"])

	f.Clock.Advance(5*time.Minute + time.Second)
	assert.False(t, active(f, answer.Get("access_token")), "nothing outlives the assertion")
	assert.Equal(t, "invalid_grant", refresh(f, "shop", answer.Get("refresh_token")).Get("error"))
}

func TestE2_SAMLScopesThatWereAgreedToBefore(t *testing.T) {
	f := authztest.New(t, withSAML(nil))
	f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid orders.write"), "alice")
	answer := f.Token("shop", "grant_type", grantSAML2, "assertion", samlAssertion(t, f, "_1"), "scope", "orders.read orders.write")
	require.Equal(t, http.StatusOK, answer.Status, answer)
	assert.Equal(t, "orders.read orders.write", answer.Get("scope"))
}

func TestE2_SAMLAssertionsThatGiveNothing(t *testing.T) {
	f := authztest.New(t, withSAML(nil))
	used := samlAssertion(t, f, "_used")
	require.Equal(t, http.StatusOK, f.Token("shop", "grant_type", grantSAML2, "assertion", used).Status)
	for name, row := range map[string]struct {
		assertion, code string
	}{
		"RFC 7522 §3: used before":     {used, "invalid_grant"},
		"nobody who is known":          {samlAssertion(t, f, "_2", "alice@", "zoe@"), "invalid_grant"},
		"a wildcard is a name":         {samlAssertion(t, f, "_3", "alice@example.com", "*"), "invalid_grant"},
		"the login name is no address": {samlAssertion(t, f, "_4", "alice@example.com", "alice"), "invalid_grant"},
		"for another server":           {samlAssertion(t, f, "_5", f.URL, "https://other.example"), "invalid_grant"},
		"no XML":                       {"alice", "invalid_grant"},
		"none":                         {"", "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := f.Token("shop", "grant_type", grantSAML2, "assertion", row.assertion)
			assert.Equal(t, row.code, answer.Get("error"))
			assert.NotContains(t, answer.Get("error_description"), "saml")
		})
	}
	answer := f.Token("rotating", "grant_type", grantSAML2, "assertion", samlAssertion(t, f, "_6"))
	assert.Equal(t, "unauthorized_client", answer.Get("error"))
	answer = f.Token("shop", "grant_type", "saml2_bearer", "assertion", samlAssertion(t, f, "_7"))
	assert.Equal(t, "unsupported_grant_type", answer.Get("error"), "the short name is the configuration's")
}

func TestE2_SAMLOneOfManyUsesWins(t *testing.T) {
	f := authztest.New(t, withSAML(nil))
	raw := samlAssertion(t, f, "_once")
	won := winners(func() int { return f.Token("shop", "grant_type", grantSAML2, "assertion", raw).Status })
	assert.Equal(t, 1, won)
}

func TestE8_SAMLIsInTheMetadataWhereAnIssuerIsTrusted(t *testing.T) {
	assert.Contains(t, authztest.New(t, withSAML(nil)).Bearer("GET", "/.well-known/openid-configuration", "").JSON["grant_types_supported"], grantSAML2)
	without := withSAML(func(c *authz.Config) { c.SAMLIssuers, c.Clients = nil, authztest.Config().Clients })
	assert.NotContains(t, authztest.New(t, without).Bearer("GET", "/.well-known/openid-configuration", "").JSON["grant_types_supported"], grantSAML2)
}

func TestE2_SAMLConfigurationsThatAreRefused(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	onP256, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	for want, change := range map[string]func(*authz.Config){
		"saml_issuer https://idp.example: a certificate is needed": func(c *authz.Config) { c.SAMLIssuers[0].Certificates = nil },
		"RSA keys of at least 2048 bits":                           func(c *authz.Config) { c.SAMLIssuers[0].Certificates = []*x509.Certificate{onP256} },
		"the server trusts no SAML issuer":                         func(c *authz.Config) { c.SAMLIssuers = nil },
		"is there twice":                                           func(c *authz.Config) { c.SAMLIssuers = append(c.SAMLIssuers, c.SAMLIssuers[0]) },
	} {
		cfg := withSAML(change)
		cfg.Issuer, cfg.Users, cfg.Keys = "https://login.example", authztest.People(t), &authztest.Keys{}
		_, err := authz.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

package authz_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

const (
	low  = "urn:example:low"
	mid  = "urn:example:mid"
	high = "urn:example:high"
)

// withContracts has three contracts, all of a password, that differ in level and timeout.
func withContracts(change ...func(*authz.Config)) authz.Config {
	cfg := authztest.Config()
	cfg.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials", "password"}
	cfg.Clients[0].GrantTypes = []string{"authorization_code", "refresh_token", "password"}
	cfg.Contracts = []authz.Contract{
		{URI: low, Methods: []string{authz.MethodPassword}, Level: 1, Default: true},
		{URI: mid, Methods: []string{authz.MethodPassword}, Level: 2},
		{URI: high, Methods: []string{authz.MethodPassword}, Level: 3, Timeout: 10 * time.Minute},
	}
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

// idToken signs alice in where that is asked and returns the claims of the shop's ID token.
func idToken(t *testing.T, f *authztest.Fixture, b *authztest.Browser, pairs ...string) map[string]any {
	t.Helper()
	answer := b.Authorize(f.AuthorizeURL(pairs...), "alice")
	require.NotEmpty(t, answer.Get("code"), "%v", answer)
	return f.Claims(f.Redeem("shop", answer.Get("code")).Get("id_token"))
}

func TestE1_WithoutContractsAPasswordIsOne(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	claims := idToken(t, f, f.NewBrowser())
	assert.Equal(t, authz.PasswordContract, claims["acr"])
	assert.Equal(t, []any{"pwd"}, claims["amr"])
	assert.InDelta(t, f.Clock.Now().Unix(), claims["auth_time"], 0)
	metadata := f.Bearer("GET", "/.well-known/openid-configuration", "")
	assert.Equal(t, []any{authz.PasswordContract}, metadata.JSON["acr_values_supported"])
}

func TestE1_ACRValuesPickTheContract(t *testing.T) {
	for name, tt := range map[string]struct{ asked, want string }{
		"none: the default":                   {"", low},
		"OpenID Connect Core §3.1.2.1: known": {mid, mid},
		"the first known one":                 {"urn:unknown " + high + " " + mid, high},
		"unknown ones are no error":           {"urn:unknown", low},
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, withContracts())
			assert.Equal(t, tt.want, idToken(t, f, f.NewBrowser(), "acr_values", tt.asked)["acr"])
		})
	}
}

func TestC11_TheClientsContractOverridesACRValues(t *testing.T) {
	f := authztest.New(t, withContracts(func(cfg *authz.Config) { cfg.Clients[0].Contracts = []string{mid, high} }))
	assert.Equal(t, mid, idToken(t, f, f.NewBrowser(), "acr_values", high)["acr"])
}

func TestE1_TheContractIsInEveryToken(t *testing.T) {
	for _, format := range []authz.TokenFormat{authz.FormatJWT, authz.FormatBinary} {
		t.Run(string(format), func(t *testing.T) {
			f := authztest.New(t, withContracts(func(cfg *authz.Config) { cfg.TokenFormat = format }))
			answer := f.NewBrowser().Authorize(f.AuthorizeURL("acr_values", mid), "alice")
			signedInAt := float64(f.Clock.Now().Unix())
			tokens := f.Redeem("shop", answer.Get("code"))
			f.Clock.Advance(time.Minute)
			refreshed := f.Token("shop", "grant_type", "refresh_token", "refresh_token", tokens.Get("refresh_token"))
			for _, raw := range []string{tokens.Get("access_token"), refreshed.Get("access_token")} {
				about := f.Post("/introspect", "shop", url.Values{"token": {raw}})
				assert.Equal(t, mid, about.Get("acr"))
				assert.Equal(t, []any{"pwd"}, about.JSON["amr"])
				assert.InDelta(t, signedInAt, about.JSON["auth_time"], 0)
			}
			assert.Equal(t, mid, f.Claims(refreshed.Get("id_token"))["acr"])
		})
	}
}

func TestE1_AContractIsGoodUntilItsTimeout(t *testing.T) {
	f := authztest.New(t, withContracts())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL("acr_values", high), "alice")
	f.Clock.Advance(10 * time.Minute)
	assert.NotNil(t, browser.Get(f.AuthorizeURL("acr_values", high)).Location)
	f.Clock.Advance(time.Second)
	assert.Equal(t, "login", browser.Get(f.AuthorizeURL("acr_values", high)).ID())
	assert.NotNil(t, browser.Get(f.AuthorizeURL("acr_values", mid)).Location, "the session itself goes on")
	answer := browser.Get(f.AuthorizeURL("acr_values", high, "prompt", "none"))
	assert.Equal(t, "login_required", answer.Location.Query().Get("error"))
}

func TestA35_AProofOfAnotherRequestIsNoFreshLogin(t *testing.T) {
	f := authztest.New(t, withContracts())
	browser := f.NewBrowser()
	asks := browser.Get(f.AuthorizeURL("prompt", "login"))
	require.Equal(t, "login", asks.ID())
	browser.Authorize(f.AuthorizeURL(), "alice")
	assert.Equal(t, "login", browser.Get(asks.URL.String()).ID(), "another tab signed in, but not for this request")
	assert.NotNil(t, browser.Submit(asks, "username", "alice", "password", authztest.Password).Location)
}

func TestC11_ContractsThatMakeNoSense(t *testing.T) {
	for want, change := range map[string]func(*authz.Config){
		`contract urn:example:low: the URI is taken`:                  func(c *authz.Config) { c.Contracts[1].URI = low },
		`urn:example:low is the default already`:                      func(c *authz.Config) { c.Contracts[1].Default = true },
		`contract urn:example:mid: method "retina" is unknown`:        func(c *authz.Config) { c.Contracts[1].Methods = []string{"retina"} },
		`contract urn:example:mid: method password stands twice`:      func(c *authz.Config) { c.Contracts[1].Methods = []string{"password", "password"} },
		`level must not be negative`:                                  func(c *authz.Config) { c.Contracts[1].Level = -1 },
		`timeout must be at least 30s`:                                func(c *authz.Config) { c.Contracts[1].Timeout = time.Second },
		`contract a b: a URI has 1 to 256 visible ASCII characters`:   func(c *authz.Config) { c.Contracts[1].URI = "a b" },
		`client shop: contract "urn:none" is not defined`:             func(c *authz.Config) { c.Clients[0].Contracts = []string{"urn:none"} },
		`password_grant_contract: contract "urn:none" is not defined`: func(c *authz.Config) { c.PasswordGrantContracts = []string{"urn:none"} },
	} {
		t.Run(want, func(t *testing.T) {
			cfg := withContracts(change)
			cfg.Issuer, cfg.Users = "https://login.example.com", authztest.People(t)
			_, err := authz.New(cfg)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestG13_ThePasswordGrantTakesItsContractFromOneSource(t *testing.T) {
	for name, tt := range map[string]struct {
		client, asked, global, want string
	}{
		"the default":          {"", "", "", low},
		"the global list":      {"", "", mid + " " + high, mid},
		"acr_values before it": {"", "urn:unknown " + high, mid, high},
		"unknown acr_values":   {"", "urn:unknown", mid, mid},
		"the client's list":    {mid, high, low, mid},
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, withContracts(func(cfg *authz.Config) {
				cfg.Clients[0].Contracts, cfg.PasswordGrantContracts = strings.Fields(tt.client), strings.Fields(tt.global)
			}))
			got := f.Token("shop", "grant_type", "password", "username", "alice", "password", authztest.Password,
				"scope", "orders.read", "acr_values", tt.asked)
			require.Equal(t, 200, got.Status, got.JSON)
			claims := f.Claims(got.Get("access_token"))
			assert.Equal(t, tt.want, claims["acr"])
			assert.Equal(t, []any{"pwd"}, claims["amr"])
		})
	}
}

func essential(values ...string) string {
	return `{"id_token":{"acr":{"essential":true,"values":["` + strings.Join(values, `","`) + `"]}}}`
}

func TestE1_AnEssentialACRIsExactlyOneOfItsValues(t *testing.T) {
	f := authztest.New(t, withContracts())
	browser := f.NewBrowser()
	assert.Equal(t, mid, idToken(t, f, browser, "claims", essential("urn:unknown", mid))["acr"])
	answer := browser.Get(f.AuthorizeURL("claims", essential("urn:unknown"))).Location.Query()
	assert.Equal(t, "unmet_authentication_requirements", answer.Get("error"))
}

func TestC11_AnEssentialACRDoesNotGetAroundTheClientsList(t *testing.T) {
	f := authztest.New(t, withContracts(func(cfg *authz.Config) { cfg.Clients[0].Contracts = []string{high, mid} }))
	browser := f.NewBrowser()
	assert.Equal(t, mid, idToken(t, f, browser, "claims", essential(low, mid))["acr"])
	answer := browser.Get(f.AuthorizeURL("claims", essential(low))).Location.Query()
	assert.Equal(t, "unmet_authentication_requirements", answer.Get("error"))
	assert.Equal(t, high, idToken(t, f, browser, "claims", `{"id_token":{"acr":{"values":["`+low+`"]}}}`)["acr"],
		"what is only a wish is overridden")
}

func TestE1_NothingBuiltInGetsAroundADefault(t *testing.T) {
	f := authztest.New(t, withTOTP(t, func(cfg *authz.Config) { cfg.Contracts[0].Default = true }))
	page := f.NewBrowser().SignIn(f.AuthorizeURL("acr_values", authz.PasswordContract), "bob")
	assert.Contains(t, page.Body, `name="otp"`)
	got := f.Token("shop", "grant_type", "password", "username", "bob", "password", authztest.Password, "acr_values", authz.PasswordContract)
	assert.Equal(t, "invalid_grant", got.Get("error"))
	metadata := f.Bearer("GET", "/.well-known/openid-configuration", "")
	assert.Equal(t, []any{twoSteps}, metadata.JSON["acr_values_supported"])
}

func TestW9_ALoginByAHigherContractIsEnough(t *testing.T) {
	f := authztest.New(t, withContracts())
	for name, tt := range map[string]struct {
		wanted []string
		acr    string
		age    time.Duration
		ok     bool
		maxAge time.Duration
	}{
		"the contract":                 {[]string{mid}, mid, 24 * time.Hour, true, 0},
		"one of them":                  {[]string{"urn:unknown", mid}, mid, 0, true, 0},
		"a higher one":                 {[]string{low}, mid, 0, true, 0},
		"a lower one":                  {[]string{mid}, low, 0, false, 0},
		"one that is gone":             {[]string{low}, "urn:gone", 0, false, 0},
		"within its timeout":           {[]string{high}, high, 10 * time.Minute, true, 0},
		"after its timeout":            {[]string{high}, high, 11 * time.Minute, false, 10 * time.Minute},
		"a higher one after its own":   {[]string{low}, high, 11 * time.Minute, false, 10 * time.Minute},
		"nobody wants what nobody has": {[]string{"urn:unknown"}, high, 0, false, 0},
	} {
		ok, maxAge := f.Server.Satisfies(tt.wanted, tt.acr, f.Clock.Now().Add(-tt.age))
		assert.Equal(t, tt.ok, ok, name)
		assert.Equal(t, tt.maxAge, maxAge, name)
	}
}

func TestW9_AGatesContractGoesBeforeItsClients(t *testing.T) {
	f := authztest.New(t, withContracts(func(cfg *authz.Config) { cfg.Clients[0].Contracts = []string{low} }))
	login := authz.GateLogin{
		ClientID: "shop", ClientSecret: authztest.Secret, RedirectURI: "https://gate.example.com/page", State: "s", Nonce: "n",
		Verifier: strings.Repeat("v", 43), Scope: []string{"openid"}, ACRValues: []string{"urn:unknown", mid},
	}
	target, err := f.Server.BeginLogin(t.Context(), login)
	require.NoError(t, err)
	answer := f.NewBrowser().Authorize(target, "alice")
	session, err := f.Server.RedeemLogin(t.Context(), answer.Get("code"), login)
	require.NoError(t, err)
	assert.Equal(t, mid, session.ACR)
	assert.Equal(t, []string{"pwd"}, session.AMR)
	raw, _, err := f.Server.Mint(t.Context(), authz.GateMint{Session: session, ResourceServer: "orders", Scope: nil})
	require.NoError(t, err)
	assert.Equal(t, mid, f.Claims(raw)["acr"])
}

func TestE4_UserInfoSaysHowSomebodySignedInWhereThatIsAskedFor(t *testing.T) {
	for _, format := range []authz.TokenFormat{authz.FormatJWT, authz.FormatBinary} {
		f := authztest.New(t, withContracts(func(cfg *authz.Config) { cfg.TokenFormat = format }))
		answer := f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid", "acr_values", mid,
			"claims", `{"userinfo":{"acr":null,"amr":null,"auth_time":{"essential":true}}}`), "alice")
		info := f.Bearer("GET", "/userinfo", f.Redeem("shop", answer.Get("code")).Get("access_token"))
		assert.Equal(t, map[string]any{
			"sub": "alice", "acr": mid, "amr": []any{"pwd"}, "auth_time": float64(f.Clock.Now().Unix()),
		}, info.JSON)
		answer = f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid", "acr_values", mid), "alice")
		info = f.Bearer("GET", "/userinfo", f.Redeem("shop", answer.Get("code")).Get("access_token"))
		assert.Equal(t, map[string]any{"sub": "alice"}, info.JSON)
	}
}

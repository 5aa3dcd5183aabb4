package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/static"
)

// single is a request that asks for claims by name where no scope gives them.
const single = `{"userinfo":{"given_name":{"essential":true},"nickname":null,"departments":null,"unheard_of":{"essential":true}},
	"id_token":{"email":{"value":"alice@example.com"},"roles":null,"auth_time":{"essential":true}},"shoe":{"size":null}}`

func TestS11_ClaimsParameter(t *testing.T) {
	for name, format := range map[string]authz.TokenFormat{"JWT": authz.FormatJWT, "binary": authz.FormatBinary} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			cfg.TokenFormat = format
			f := authztest.New(t, cfg)
			browser := f.NewBrowser()
			page := browser.SignIn(f.AuthorizeURL("scope", "openid", "claims", single), "alice")
			require.Equal(t, "consent", page.ID(), "the person is asked as for the scopes that give the claims")
			page = browser.Submit(page, "decision", "allow")
			require.NotNil(t, page.Location, page.Body)
			tokens := f.Redeem("shop", page.Location.Query().Get("code"))
			assert.Equal(t, "openid", tokens.Get("scope"), "the scopes themselves are not granted")

			check := func(tokens authztest.Answer) {
				id := f.Claims(tokens.Get("id_token"))
				assert.Equal(t, "alice@example.com", id["email"])
				assert.Equal(t, []any{"employee", "buyer"}, id["roles"])
				assert.NotContains(t, id, "given_name", "oidcc-claims-essential: only where it was asked for")
				info := f.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token"))
				assert.Equal(t, map[string]any{"sub": "alice", "given_name": "Alice"}, info.JSON)
			}
			check(tokens)
			check(f.Token("shop", "grant_type", "refresh_token", "refresh_token", tokens.Get("refresh_token")))
			again := browser.Get(f.AuthorizeURL("scope", "openid", "claims", single))
			assert.NotNil(t, again.Location, "what was agreed to is not asked again")
		})
	}
}

func TestS11_ClaimsInFront(t *testing.T) {
	f := authztest.New(t, implicitConfig())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	page := browser.Get(f.AuthorizeURL("response_type", "id_token", "nonce", "n", "claims", `{"id_token":{"given_name":{"essential":true}}}`))
	require.Equal(t, "consent", page.ID())
	page = browser.Submit(page, "decision", "allow")
	values, err := url.ParseQuery(page.Location.Fragment)
	require.NoError(t, err)
	assert.Equal(t, "Alice", f.Claims(values.Get("id_token"))["given_name"])
}

func TestS5_DeclinedScopesGiveNoSingleClaim(t *testing.T) {
	cfg := withAttributes()
	scope := &cfg.ResourceServers[1].Scopes[0]
	scope.RequireConsent, scope.Optional = true, true
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	page := browser.SignIn(f.AuthorizeURL("claims", `{"userinfo":{"departments":null}}`), "alice")
	require.Equal(t, "consent", page.ID())
	page = browser.Submit(page, "scope", "", "decision", "allow")
	tokens := f.Redeem("shop", page.Location.Query().Get("code"))
	info := f.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token"))
	require.Equal(t, http.StatusOK, info.Status)
	assert.NotContains(t, info.JSON, "departments")
}

func TestC12_ClaimsOfScopesThatTheClientMayNotHave(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	answer := f.NewBrowser().Authorize(f.AuthorizeURL("client_id", "rotating", "redirect_uri", "https://rotating.example.com/callback",
		"claims", `{"userinfo":{"email":{"essential":true}},"id_token":{"email":null,"roles":null}}`), "alice")
	tokens := f.Redeem("rotating", answer.Get("code"))
	assert.NotContains(t, f.Claims(tokens.Get("id_token")), "email")
	assert.NotContains(t, f.Claims(tokens.Get("id_token")), "roles")
	assert.NotContains(t, f.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token")).JSON, "email")
}

func TestS11_ClaimsThatCanFail(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	browser.Authorize(f.AuthorizeURL(), "alice")
	for name, c := range map[string]struct{ claims, want string }{
		"OIDC Core §5.5 no JSON":                    {`{`, "invalid_request"},
		"OIDC Core §5.5 an array":                   {`[]`, "invalid_request"},
		"A13 a member twice":                        {`{"userinfo":{},"userinfo":{}}`, "invalid_request"},
		"A13 nested without end":                    {strings.Repeat(`{"userinfo":`, 40), "invalid_request"},
		"too large":                                 {`{"x":"` + strings.Repeat("x", 9<<10) + `"}`, "invalid_request"},
		"OIDC Core §5.5 userinfo a string":          {`{"userinfo":"name"}`, "invalid_request"},
		"OIDC Core §5.5.1 a claim a string":         {`{"userinfo":{"name":"yes"}}`, "invalid_request"},
		"OIDC Core §5.5.1 essential a string":       {`{"userinfo":{"name":{"essential":"true"}}}`, "invalid_request"},
		"OIDC Core §5.5.1 values no array":          {`{"id_token":{"name":{"values":"x"}}}`, "invalid_request"},
		"OIDC Core §5.5.1 unknown members":          {`{"id_token":{"name":{"purpose":"x"}},"more":1}`, ""},
		"OIDC Core §5.5.1 sub of the person":        {`{"id_token":{"sub":{"value":"alice"}}}`, ""},
		"OIDC Core §5.5.1 one sub of several":       {`{"userinfo":{"sub":{"values":["bob","alice"]}}}`, ""},
		"OIDC Core §5.5.1 sub of somebody else":     {`{"id_token":{"sub":{"value":"bob"}}}`, "login_required"},
		"two that exclude each other":               {`{"id_token":{"sub":{"value":"bob"}},"userinfo":{"sub":{"value":"alice"}}}`, "invalid_request"},
		"OIDC Core §5.5.1.1 essential acr":          {`{"id_token":{"acr":{"essential":true,"values":["urn:nobody"]}}}`, "unmet_authentication_requirements"},
		"OIDC Core §5.5.1.1 acr that would be nice": {`{"id_token":{"acr":{"values":["urn:nobody"]}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			page := browser.Get(f.AuthorizeURL("claims", c.claims, "prompt", "none"))
			require.NotNil(t, page.Location, page.Body)
			got := page.Location.Query().Get("error")
			if got == "consent_required" {
				got = "" // the scope profile asks
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestS11_StandardClaimsHaveTheirTypes(t *testing.T) {
	cfg := authztest.Config()
	cfg.Users = everyClaim(t)
	cfg.Clients[0].Scopes = []string{"openid", "profile", "email", "address", "phone"}
	f := authztest.New(t, cfg)
	answer := f.NewBrowser().Authorize(f.AuthorizeURL("scope", "openid profile email address phone"), "alice")
	info := f.Bearer(http.MethodGet, "/userinfo", f.Redeem("shop", answer.Get("code")).Get("access_token"))
	assert.Equal(t, map[string]any{
		"sub": "alice", "preferred_username": "alice", "name": "Alice Liddell", "given_name": "Alice", "family_name": "Liddell",
		"middle_name": "P.", "nickname": "Al", "profile": "https://alice.example.com", "picture": "https://alice.example.com/me.png",
		"website": "https://alice.example.com/", "gender": "female", "birthdate": "1852-05-04", "zoneinfo": "Europe/London", "locale": "en-GB",
		"updated_at": float64(1767225600), "email": "alice@example.com", "email_verified": true,
		"phone_number": "+44 20 7946 0000", "phone_number_verified": false,
		"address": map[string]any{"street_address": "1 Rabbit Hole", "locality": "Oxford", "country": "GB"},
	}, info.JSON, "oidcc-scope-all: every claim of every scope, of its type")
}

// everyClaim is a person of whom everything is known that OpenID Connect Core §5.1 has a name for.
func everyClaim(t *testing.T) users.Store {
	t.Helper()
	alice := authztest.Users(t)[0]
	alice.Attributes = map[string][]string{}
	for name, value := range map[string]string{
		"displayName": "Alice Liddell", "givenName": "Alice", "sn": "Liddell", "initials": "P.", "nickname": "Al",
		"profile": "https://alice.example.com", "picture": "https://alice.example.com/me.png", "website": "https://alice.example.com/",
		"gender": "female", "birthdate": "1852-05-04", "zoneinfo": "Europe/London", "preferredLanguage": "en-GB", "whenChanged": "20260101000000.0Z",
		"mail": "alice@example.com", "email_verified": "TRUE", "telephoneNumber": "+44 20 7946 0000", "phone_number_verified": "false",
		"street_address": "1 Rabbit Hole", "l": "Oxford", "c": "GB",
	} {
		alice.Attributes[name] = []string{value}
	}
	store, err := static.New([]static.User{alice})
	require.NoError(t, err)
	return store
}

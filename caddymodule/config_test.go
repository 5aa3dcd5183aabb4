package caddymodule

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/tokeninject"
)

func TestExpandReplacesPlaceholdersEverywhere(t *testing.T) {
	t.Setenv("GATEWRIGHT_TEST", "value")
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("from a file\n"), 0o600))
	config := &ServerConfig{
		Issuer:        "https://{env.GATEWRIGHT_TEST}",
		AttributeSets: []AttributeSet{{Constants: map[string]string{"tenant": "{env.GATEWRIGHT_TEST}"}}},
		Clients: []Client{{
			Secret:       "{file." + file + "}",
			RedirectURIs: []string{"https://a.example", "https://{env.GATEWRIGHT_TEST}/"},
			Allow:        &Allow{Users: []string{"{env.GATEWRIGHT_TEST}"}},
		}},
		Brand: &Brand{Name: "(&(uid={username})(x=\\{y\\}))"},
	}
	require.NoError(t, expand("here", config))
	require.Equal(t, "https://value", config.Issuer)
	require.Equal(t, "value", config.AttributeSets[0].Constants["tenant"])
	require.Equal(t, "from a file", config.Clients[0].Secret)
	require.Equal(t, "https://value/", config.Clients[0].RedirectURIs[1])
	require.Equal(t, []string{"value"}, config.Clients[0].Allow.Users)
	require.Equal(t, "(&(uid={username})(x={y}))", config.Brand.Name, "other braces are text")
}

func TestExpandNamesThePlaceOfAnEmptyValue(t *testing.T) {
	config := &ServerConfig{Clients: []Client{{}, {Secret: "{env.GATEWRIGHT_TEST_UNSET}"}}}
	err := expand("apps.authz.servers.default", config)
	require.EqualError(t, err, "apps.authz.servers.default.client.1.secret: evaluated placeholder {env.GATEWRIGHT_TEST_UNSET} is empty")
}

func TestClientSecretBecomesAFingerprint(t *testing.T) {
	const secret = "shop-secret-shop-secret-shop-secret"
	want := oauth.Fingerprint(secret)
	for name, c := range map[string]Client{
		"secret":                {Secret: secret},
		"hash in base64url":     {SecretHash: "sha256:" + want},
		"too short a hash":      {SecretHash: "sha256:43a76d4c"},
		"no secret":             {},
		"secret and hash":       {Secret: secret, SecretHash: "sha256:" + want},
		"hash without its name": {SecretHash: want},
	} {
		t.Run(name, func(t *testing.T) {
			converted, err := c.domain()
			switch name {
			case "secret", "hash in base64url":
				require.NoError(t, err)
				require.Equal(t, want, converted.SecretHash)
			case "no secret":
				require.NoError(t, err)
				require.Empty(t, converted.SecretHash)
			case "too short a hash":
				require.EqualError(t, err, "secret_hash is no SHA-256 digest in hex or base64url")
			case "secret and hash":
				require.EqualError(t, err, "give secret or secret_hash, not both")
			case "hash without its name":
				require.EqualError(t, err, `secret_hash must have the prefix "sha256:" before its digest`)
			}
		})
	}
	// RFC 6234's example: SHA-256 of "abc".
	converted, err := (&Client{SecretHash: "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}).domain()
	require.NoError(t, err)
	require.Equal(t, oauth.Fingerprint("abc"), converted.SecretHash)
}

func TestClientErrors(t *testing.T) {
	_, err := (&Client{AccessTokenType: "mac"}).domain()
	require.EqualError(t, err, `access_token_type is bearer, not "mac"`)
	_, err = (&Client{AccessTokenType: "Bearer"}).domain()
	require.NoError(t, err)
}

func TestPlacementDefaults(t *testing.T) {
	scope := Scope{
		Attributes:  []ScopeAttribute{{Claims: []string{"email"}}, {Claims: []string{"tenant"}, To: toBoth}},
		Permissions: []ScopePermission{{Values: []string{"read"}}, {Values: []string{"write"}, To: toIDToken}},
		Roles:       toUserinfo,
	}
	converted, err := scope.domain()
	require.NoError(t, err)
	require.Equal(t, authz.Placement{}, converted.Attributes[0].To, "userinfo only")
	require.Equal(t, authz.Placement{AccessToken: true, IDToken: true}, converted.Attributes[1].To)
	require.Equal(t, authz.Placement{AccessToken: true}, converted.Permissions[0].To)
	require.Equal(t, authz.Placement{IDToken: true}, converted.Permissions[1].To)
	require.Equal(t, &authz.Placement{}, converted.Roles)

	for want, scope := range map[string]Scope{
		`attribute: to access_token, id_token, both or userinfo, not "x"`: {Attributes: []ScopeAttribute{{To: "x"}}},
		`permission: to userinfo alone is not possible`:                   {Permissions: []ScopePermission{{To: toUserinfo}}},
		`roles: to access_token, id_token, both or userinfo, not "x"`:     {Roles: "x"},
	} {
		_, err := scope.domain()
		require.EqualError(t, err, want)
	}
	_, err = (&ResourceServer{ScopeFormat: "list"}).domain()
	require.EqualError(t, err, `scope_format is string or array, not "list"`)
}

func TestJWKSComesFromOnePlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwks.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"keys":[]}`), 0o600))
	set, err := (&JWKS{File: file}).read()
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":[]}`, string(set))
	set, err = (&JWKS{Inline: []byte(`{"keys":[1]}`)}).read()
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":[1]}`, string(set))
	_, err = (&JWKS{File: file, Inline: []byte(`{}`)}).read()
	require.EqualError(t, err, "jwks: give one of url, file and the set itself")
	_, err = (&JWKS{}).read()
	require.EqualError(t, err, "jwks: give one of url, file and the set itself")
	_, err = (&JWKS{File: file + ".none"}).read()
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestA51_FetchTrustsAuthoritiesFromFiles(t *testing.T) {
	site := httptest.NewTLSServer(http.NotFoundHandler())
	site.Close() // only its certificate is wanted
	dir := t.TempDir()
	authority, empty := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "empty.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw})
	require.NoError(t, os.WriteFile(authority, certificate, 0o600))
	require.NoError(t, os.WriteFile(empty, nil, 0o600))

	cfg, err := (&ServerConfig{Fetch: &Fetch{AllowHosts: []string{"keys.example"}, CA: []string{authority}}}).domain()
	require.NoError(t, err)
	require.Equal(t, []string{"keys.example"}, cfg.Fetch.AllowHosts)
	_, err = site.Certificate().Verify(x509.VerifyOptions{Roots: cfg.Fetch.Roots})
	require.NoError(t, err)

	for _, file := range []string{empty, filepath.Join(dir, "missing.pem")} {
		_, err := (&ServerConfig{Fetch: &Fetch{CA: []string{file}}}).domain()
		require.ErrorContains(t, err, "fetch: ca:")
		require.ErrorContains(t, err, file)
	}
}

func TestRequirementIsOneThing(t *testing.T) {
	for name, r := range map[string]Requirement{
		"nothing":             {},
		"scope and role":      {Scopes: []string{"a"}, Roles: []string{"b"}},
		"claim without value": {Claim: "a"},
		"value without claim": {Values: []string{"a"}},
		"role and contract":   {Roles: []string{"a"}, Contracts: []string{"b"}},
	} {
		require.EqualError(t, r.addTo(new(tokeninject.Config)), "exactly one of scope, role, contract, or claim with value is needed", name)
	}
}

func TestW9_AGateHasOneLineOfContracts(t *testing.T) {
	h := TokenInject{Require: []Requirement{{Contracts: []string{"urn:a", "urn:b"}}}}
	cfg, err := h.domain()
	require.NoError(t, err)
	require.Equal(t, []string{"urn:a", "urn:b"}, cfg.Contracts)
	h.Require = append(h.Require, Requirement{Contracts: []string{"urn:c"}})
	_, err = h.domain()
	require.EqualError(t, err, "require: one login has one contract: list all that will do in one line")
}

func TestLifetimesAndLockoutReachTheServer(t *testing.T) {
	cfg, err := (&ServerConfig{
		Lifetime: &Lifetime{
			Code: caddy.Duration(1), AccessToken: caddy.Duration(2), IDToken: caddy.Duration(3), RefreshToken: caddy.Duration(4),
			RefreshIdle: caddy.Duration(5), Session: caddy.Duration(6), SessionIdle: caddy.Duration(7),
		},
		Lockout: &Lockout{Guesses: 8, Window: caddy.Duration(9), Pause: caddy.Duration(10)},
	}).domain()
	require.NoError(t, err)
	require.Equal(t, authz.Lifetimes{
		Code: 1, AccessToken: 2, IDToken: 3, RefreshToken: 4, RefreshIdle: 5, Session: 6, SessionIdle: 7,
	}, cfg.Lifetimes)
	require.Equal(t, authz.Lockout{Guesses: 8, Window: 9, Pause: 10}, cfg.Lockout)
}

func TestG15_RateLimitReachesTheServer(t *testing.T) {
	cfg, err := (&ServerConfig{RateLimit: &RateLimit{Total: 3, Client: 2, Address: 1}}).domain()
	require.NoError(t, err)
	require.Equal(t, authz.RateLimit{Total: 3, Client: 2, Address: 1}, cfg.RateLimit)
}

func TestG8_RevocationReachesTheServer(t *testing.T) {
	on, off := true, false
	for name, c := range map[string]struct {
		config ServerConfig
		want   authz.Revocation
	}{
		"not said": {ServerConfig{}, authz.Revocation{}},
		"on":       {ServerConfig{Revocation: &Revocation{On: &on, CheckAfter: caddy.Duration(5)}}, authz.Revocation{CheckAfter: 5}},
		"off":      {ServerConfig{Revocation: &Revocation{On: &off}}, authz.Revocation{Off: true}},
	} {
		cfg, err := c.config.domain()
		require.NoError(t, err, name)
		require.Equal(t, c.want, cfg.Revocation, name)
		require.False(t, cfg.LogoutRevokes, name)
	}
	cfg, err := (&ServerConfig{Logout: &Logout{RevokeTokens: &on}}).domain()
	require.NoError(t, err)
	require.True(t, cfg.LogoutRevokes)
}

func TestKeyStoreKeepsIssuersApart(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// One readable form for both of them.
	a, b := newKeyStore(storage, "https://id.example/a_b"), newKeyStore(storage, "https://id.example/a/_b")
	_, err := a.Load(ctx, "keys.json")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, a.Lock(ctx, "keys.json"))
	require.NoError(t, a.Save(ctx, "keys.json", []byte("of a")))
	require.NoError(t, a.Unlock(ctx, "keys.json"))
	_, err = b.Load(ctx, "keys.json")
	require.ErrorIs(t, err, os.ErrNotExist)
	document, err := a.Load(ctx, "keys.json")
	require.NoError(t, err)
	require.Equal(t, "of a", string(document))
	require.Equal(t, a.key("keys.json"), newKeyStore(storage, "https://id.example/a_b").key("keys.json"), "it outlives the process")
}
